#!/bin/bash
# SPDX-License-Identifier: MIT
# LMDB's tools: a data base is loaded, copied and dumped. Its map is shared and written to past it: so it stays the kernel's.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need mdb_load mdb_dump mdb_copy

n=5000 budget=8M
[ "$full" ] && n=3000000 budget=64M && limit=3600
{
	printf 'VERSION=3\nformat=print\ntype=btree\nmapsize=4294967296\nHEADER=END\n'
	awk -v n=$n 'BEGIN {for (i = 0; i < n; i++) printf " key%08d\n value %d %d\n", i, i * 7, i * i}'
	echo DATA=END
} >dump
mkdir db copy
run $budget mdb_load -f dump db
result $? "mdb_load"
same "mdb_dump" $budget mdb_dump -p db
grep -q "value 700 10000" out
result $? "... has what was loaded"
run $budget mdb_copy db copy
mdb_dump -p copy | cmp -s - plain
result $? "mdb_copy"
done_testing
