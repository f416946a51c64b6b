#!/bin/bash
# SPDX-License-Identifier: MIT
# Shells and pipelines: many small processes, each with a pool.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"

same "a pipeline" 16M sh -c 'seq 2000 | tr 1 2 | sort -n | uniq -c | tail -n 3; exit 5'
same "subshells, substitutions, a program that is not there" 16M sh -c '(echo a; echo "$(echo b | cat)"); nonono 2>/dev/null; echo $?'
same "a program that is killed" 16M sh -c 'kill -TERM $$'
same "closed streams" 16M sh -c 'exec 0<&- 2>&-; echo still here'
run 16M sh -c 'exec 3>x; for i in 4 5 6 7 8 9; do eval "exec $i>&-"; done; echo fine >&3'
[ "$(cat x)" = fine ]
result $? "low descriptors are the program's"
# all_have NAME N COMMAND...: N processes have reports, each with the budget that was said.
all_have() {
	local name=$1 n=$2
	shift 2
	run 16M "$@"
	[ $? -eq 0 ] && [ "$(cat out)" = fine ] && [ "$(grep -c '"budget_bytes": 16777216' report)" -eq "$n" ]
	result $? "$name"
}
all_have "a program that is started without an environment" 3 sh -c 'env -i sh -c "/bin/echo fine"; :'
all_have "... without the loader's variable" 3 sh -c 'env -u LD_PRELOAD WEIR_POLICY=clock sh -c "/bin/echo fine"; :'
[ "$(grep -c '"policy": "clock"' report)" -eq 2 ]
result $? "... where what the program changes is as it wants it"
all_have "... with another library in it" 4 sh -c 'LD_PRELOAD=libm.so.6 grep -o "[^/]*libm[.]so[.]6$" /proc/self/maps | sort -u |
	sed s/.*/fine/; :'
done_testing
