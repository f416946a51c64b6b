#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: ends.sh WEIR full|"" ENDS - how threads and processes end, and where the report of it goes.
[ "$3" ] && ends=$(realpath "$3")
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
if ! [ "$ends" ]; then
	echo "1..0 # SKIP its programs are part of the test build"
	exit 0
fi
limit=30

for WEIR_FAULTS in auto signal; do
	export WEIR_FAULTS
	same "the last thread ends the process ($WEIR_FAULTS)" 16M "$ends" threads
done
done_testing
