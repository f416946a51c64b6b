#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: fuzz.sh BUILD SECONDS - builds the fuzz targets in BUILD and runs each for so long, from all that is known.
set -e
build=$1 seconds=$2
if [ ! -e "$build/build.ninja" ]; then
	CC=clang meson setup "$build" -Dfuzz=true
fi
meson compile -C "$build"
status=0
for name in text csv oracle options; do
	echo "fuzz_$name, $seconds s"
	tests/fuzz/run.sh "$build/tests/fuzz/fuzz_$name" "$build/tests/fuzz/corpus/$name" \
		"tests/fuzz/regressions/$name" "$build/tests/fuzz/$name" -max_total_time="$seconds" || status=1
done
exit $status
