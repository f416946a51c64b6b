#!/bin/bash
# SPDX-License-Identifier: MIT
# sqlite3: an index is built, tables are joined, all in its memory and in a mapped file; then the file is checked.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need sqlite3

rows=20000 budget=4M mapped=10000000 cache=-20000
[ "$full" ] && rows=8000000 budget=128M mapped=1073741824 cache=-500000 && limit=3600 && swap=4G
cat >script <<EOF
PRAGMA mmap_size=$mapped;
PRAGMA cache_size=$cache;
PRAGMA temp_store=memory;
CREATE TABLE a(id INTEGER PRIMARY KEY, k INTEGER, t TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
	INSERT INTO a SELECT i, (i * 7919) % 100003, printf('%0200d', i) FROM n;
CREATE TEMP TABLE b AS SELECT k, t FROM a WHERE id % 2 = 0;
CREATE INDEX ak ON a(k);
SELECT count(*), sum(a.id), max(b.t) FROM a JOIN b ON a.k = b.k;
SELECT k, count(*) FROM a GROUP BY k % 10 ORDER BY 2, 1;
PRAGMA integrity_check;
EOF
same "index, join, integrity check" $budget sh -c 'rm -f db; sqlite3 db <script'
paged
result $? "... which went to swap and came back"
done_testing
