#!/bin/bash
# SPDX-License-Identifier: MIT
# LMDB's tools: a data base several times the budget is loaded, looked at, dumped and copied. It is written to past its
# map, which is far longer than the file, and read through it: so its pages are Weir's.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need mdb_load mdb_dump mdb_stat mdb_copy

# taken: the file was mapped by Weir, and more of it came in than fits.
taken() {
	took_files shared_mappings 1 && [ $(($(sum pgmajfault) + $(sum readahead))) -gt "$1" ]
}

n=150000 budget=4M pages=1100
[ "$full" ] && n=3000000 budget=64M pages=30000 && limit=3600
{
	printf 'VERSION=3\nformat=print\ntype=btree\nmapsize=4294967296\nHEADER=END\n'
	awk -v n=$n 'BEGIN {for (i = 0; i < n; i++) printf " key%08d\n value %d %d\n", i, i * 7, i * i}'
	echo DATA=END
} >dump
mkdir plain.db db copy
mdb_load -f dump plain.db
run $budget mdb_load -f dump db
status=$?
[ $status -eq 0 ] && cmp -s plain.db/data.mdb db/data.mdb
result $? "mdb_load: the same file"
took_files shared_mappings 1
result $? "... whose map was Weir's"
same "mdb_stat" $budget mdb_stat -e db
same "mdb_dump" $budget mdb_dump -p db
taken $pages
result $? "... by Weir's pages"
grep -q "value 700 10000" out
result $? "... has what was loaded"
run $budget mdb_copy db copy
taken $pages || grep -q '"given_back": {"calls": 1,' report
result $? "mdb_copy: by Weir's pages, or, as it writes them by O_DIRECT, the kernel's"
cmp -s db/data.mdb copy/data.mdb
result $? "... the same file"
done_testing
