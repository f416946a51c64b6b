#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: symbols.sh LIBRARY HEADER... - the shared library exports what the headers declare and nothing else, and needs
# no call for its thread-local variables: it would look at memory of the C library's, and might allocate.
library=$1
shift
exported=$(mktemp) && declared=$(mktemp) || exit 1
trap 'rm -f "$exported" "$declared"' EXIT

nm -D --defined-only "$library" | awk '$2 != "A" {sub("@.*", "", $3); print $3}' | sort -u >"$exported"
# Function declarations start in the first column: "int weir_open(" but not "typedef int (*weir_write_hook)(".
grep -hE '^[a-z].*[ *]weir_[a-z_0-9]+\(' "$@" | grep -Ev "^(typedef|static)" |
	sed -E 's/^[^(]*[ *](weir_[a-z_0-9]+)\(.*/\1/' | sort -u >"$declared"

echo 1..4
foreign=$(grep -v '^weir_' "$exported" | tr '\n' ' ')
if [ -z "$foreign" ]; then
	echo "ok 1 - only weir_ symbols are exported"
else
	echo "not ok 1 - only weir_ symbols are exported: $foreign"
fi
extra=$(comm -23 "$exported" "$declared" | tr '\n' ' ')
if [ -z "$extra" ]; then
	echo "ok 2 - nothing is exported that the headers do not declare"
else
	echo "not ok 2 - exported but not declared: $extra"
fi
missing=$(comm -13 "$exported" "$declared" | tr '\n' ' ')
if [ -z "$missing" ]; then
	echo "ok 3 - all that the headers declare is exported"
else
	echo "not ok 3 - declared but missing: $missing"
fi
if readelf -rW "$library" | grep -Eq "DTPMOD|TLSDESC"; then
	echo "not ok 4 - a thread-local variable is got by a call: it wants tls_model(\"initial-exec\")"
else
	echo "ok 4 - thread-local variables are had without a call"
fi
