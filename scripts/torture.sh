#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: torture.sh [OPTION]... - build the torture program with debug assertions, and run it with these options.
build=build-check
if [ ! -f "$build/build.ninja" ]; then
	meson setup "$build" -Dbuildtype=debugoptimized -Dweir_debug=true -Dwerror=true >/dev/null || exit 1
fi
said=$(ninja -C "$build" tests/torture/torture) || {
	echo "$said" >&2
	exit 1
}
exec "$build/tests/torture/torture" "$@"
