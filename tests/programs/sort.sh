#!/bin/bash
# SPDX-License-Identifier: MIT
# GNU sort with two threads, its buffer larger than its memory.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need sort awk

lines=60000 budget=4M buffer=10M words=3
[ "$full" ] && lines=20000000 budget=256M buffer=1G words=11 && limit=10800 && swap=4G
awk -v n=$lines -v w=$words 'BEGIN {
	srand(7)
	for (i = 0; i < n; i++) {
		printf "%d", rand() * 1e9
		for (j = 0; j < w; j++) printf " %s", substr("abcdefghijklmnopqrstuvwxyz", rand() * 20, 8)
		print ""
	}
}' >input
same "sort --parallel=2 sorts as it does plainly" $budget sort --parallel=2 -S $buffer input
paged
result $? "... in memory that went to swap and came back"
head -n 60000 input >part
same "sort -u by another key" 4M sort -u -k2 -S 10M part
done_testing
