#!/bin/bash
# SPDX-License-Identifier: MIT
# GNU sort with two threads, its buffer larger than its memory.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need sort awk

lines=60000 budget=4M buffer=10M
[ "$full" ] && lines=20000000 budget=256M buffer=1G && limit=3600 && swap=4G
awk -v n=$lines 'BEGIN {srand(7); for (i = 0; i < n; i++) printf "%d %s\n", rand() * 1e9, substr("abcdefghijklmnopqrstuvwxyz", 1, rand() * 26)}' >input
same "sort --parallel=2 sorts as it does plainly" $budget sort --parallel=2 -S $buffer input
same "sort -u by another key" $budget sort -u -k2 -S $buffer input
done_testing
