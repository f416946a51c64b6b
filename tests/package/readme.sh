#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: readme.sh README INCLUDE - the C programs that the README shows compile without a warning.
readme=$1 include=$2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

awk -v folder="$folder" '/^```c$/ {n++; on = 1; next} /^```/ {on = 0} on {print > (folder "/" n ".c")}' "$readme"
number=0
for program in "$folder"/*.c; do
	number=$((number + 1))
	if said=$(${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -I "$include" "$program" 2>&1); then
		echo "ok $number - example $number of the README compiles"
	else
		echo "not ok $number - example $number of the README compiles"
		echo "$said" | sed 's/^/# /'
	fi
done
echo "1..$number"
