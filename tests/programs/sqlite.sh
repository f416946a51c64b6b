#!/bin/bash
# SPDX-License-Identifier: MIT
# sqlite3: an index is built, tables are joined, all in its memory and in a mapped file; then the file is checked. It is
# written to by descriptor and read through the map, which is Weir's.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need sqlite3

rows=20000 share=1 budget=4M mapped=100000000 cache=-20000
# Each pair of the join is a page at random, so of few rows: a fortieth makes a million.
[ "$full" ] && rows=3000000 share=40 budget=128M mapped=1073741824 cache=-500000 && limit=3600 && swap=4G
cat >make <<EOF
PRAGMA synchronous=off;
CREATE TABLE a(id INTEGER PRIMARY KEY, k INTEGER, t TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
	INSERT INTO a SELECT i, (i * 7919) % 100003, printf('%0200d', i) FROM n;
EOF
cat >script <<EOF
PRAGMA mmap_size=$mapped;
PRAGMA cache_size=$cache;
PRAGMA temp_store=memory;
CREATE TEMP TABLE b AS SELECT k, t FROM a WHERE id % 2 = 0;
CREATE INDEX ak ON a(k);
SELECT count(*), sum(a.id), max(b.t) FROM a JOIN b ON a.k = b.k WHERE a.id % $share = 0;
UPDATE a SET t = t || 'x' WHERE id % 97 = 0;
SELECT sum(length(t)) FROM a;
DELETE FROM a WHERE id % 50 = 1;
SELECT k, count(*) FROM a GROUP BY k % 10 ORDER BY 2, 1;
PRAGMA integrity_check;
VACUUM;
PRAGMA integrity_check;
SELECT count(*), sum(id), sum(length(t)) FROM a;
EOF
sqlite3 made <make
same "index, join, changes, integrity check" $budget sh -c 'cp made db; sqlite3 db <script'
took_files shared_mappings 1
result $? "... by a map that was Weir's"
paged
result $? "... and memory which went to swap and came back"
sqlite3 db 'PRAGMA integrity_check' >out
grep -qx ok out
result $? "the file that it left"
done_testing
