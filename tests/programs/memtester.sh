#!/bin/bash
# SPDX-License-Identifier: MIT
# memtester: every pattern, over more than the memory.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need memtester

budget=4M size=5M
export MEMTESTER_TEST_MASK=0x3 # those that go over it once or twice; others do hundreds of times
[ "$full" ] && MEMTESTER_TEST_MASK=0x18081 budget=128M size=512M && limit=3600 && swap=4G
run $budget memtester $size 1
result $? "memtester $size in $budget finds nothing wrong"
paged
result $? "... which went to swap and came back"
if [ "$full" ]; then
	unset MEMTESTER_TEST_MASK
	run 4M memtester 5M 1
	result $? "... nor do all its patterns, on less"
fi
done_testing
