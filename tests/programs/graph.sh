#!/bin/bash
# SPDX-License-Identifier: MIT
# METIS: a graph is partitioned that is larger than the memory, which is read in an order that is as good as random.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need gpmetis awk

# Each vertex of a ring has six neighbours, near and far ones.
vertices=60000 budget=4M
[ "$full" ] && vertices=2000000 budget=96M && limit=3600 && swap=4G
awk -v n=$vertices -v s=$((vertices / 700 + 1)) -v t=$((vertices / 12)) 'BEGIN {
	print n, 3 * n
	for (i = 0; i < n; i++)
		print (i + 1) % n + 1, (i + n - 1) % n + 1, (i + s) % n + 1, (i + n - s) % n + 1, (i + t) % n + 1, (i + n - t) % n + 1
}' >graph
gpmetis graph 16 >plain && mv graph.part.16 wanted
run $budget gpmetis graph 16
result $? "gpmetis, $vertices vertices in $budget"
cmp -s graph.part.16 wanted && grep -q Edgecut out && [ "$(grep Edgecut out)" = "$(grep Edgecut plain)" ]
result $? "... cuts the graph as it does plainly"
paged
result $? "... in memory that went to swap and came back"
done_testing
