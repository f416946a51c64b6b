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
done_testing
