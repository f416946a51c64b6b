#!/bin/bash
# SPDX-License-Identifier: MIT
# memtester: every pattern, over more than the memory.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need memtester

budget=4M size=5M
export MEMTESTER_TEST_MASK=0x3 # those that go over it once or twice; others do hundreds of times
[ "$full" ] && unset MEMTESTER_TEST_MASK && budget=128M size=512M && limit=7200 && swap=4G
run $budget memtester $size 1
result $? "memtester $size in $budget finds nothing wrong"
paged
result $? "... which went to swap and came back"
done_testing
