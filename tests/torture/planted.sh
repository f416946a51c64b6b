#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: planted.sh TORTURE - the program must find what is wrong, and say what: a store that flips a bit, forgets a
# write, gives another page or an old one, and one that never ends a write.
torture=$1
failed=0

# planted NAME WORDS [OPTIONS] - breaks when the program ends well, or without saying so.
planted() {
	fault=$1
	words=$2
	shift 2
	if said=$("$torture" --seconds 240 --seed 7 --plant "$fault" "$@" 2>&1); then
		echo "not ok - $fault was not found"
		failed=1
	elif ! echo "$said" | grep -q "$words" || ! echo "$said" | grep -q "to replay: --seed 7 --round"; then
		echo "not ok - $fault was found, but not said so:"
		echo "$said" | head -20
		failed=1
	else
		echo "ok - $fault is found"
	fi
}

ulimit -c 0
echo "1..5"
planted flip "wrong data"
planted drop "wrong data"
planted stray "wrong data"
planted stale "wrong data"
planted hang "hang: " --hang 3
exit $failed
