#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: programs.sh BUILD - every script of tests/programs in full size, with the tool of that build. Fails if one does.
cd "$(dirname "$0")/.." || exit 1
status=0
for script in tests/programs/*.sh; do
	[ "$script" = tests/programs/lib.sh ] && continue
	echo "# $script"
	if said=$("$script" "$1/cli/weir" full 2>&1) && ! echo "$said" | grep -q '^not ok'; then
		echo "$said" | grep -v '^#'
	else
		echo "$said"
		status=1
	fi
done
exit $status
