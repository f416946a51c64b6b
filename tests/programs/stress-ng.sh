#!/bin/bash
# SPDX-License-Identifier: MIT
# stress-ng --vm: every method, verified; in children of fork.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need stress-ng

budget=8M size=24M workers=1 seconds=4
[ "$full" ] && budget=256M size=1G workers=2 seconds=240 && limit=1200 && swap=4G
run $budget stress-ng --vm $workers --vm-bytes $size --vm-method all --verify --timeout $seconds
result $? "stress-ng --vm-method all --verify, $size in $budget"
paged
result $? "... which went to swap and came back"
done_testing
