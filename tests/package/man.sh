#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: man.sh FOLDER HEADER... - every man page formats without a warning, and every function has one.
folder=$1
shift
count=0 number=0
for page in "$folder"/*.[13]; do
	[ -e "$page" ] && count=$((count + 1))
done
if [ "$count" -eq 0 ]; then
	echo "1..0 # SKIP no man pages"
	exit 0
fi
if command -v mandoc >/dev/null; then
	lint() { mandoc -T lint -W warning "$1"; }
elif command -v groff >/dev/null; then
	lint() { groff -man -Tutf8 -ww -z "$1"; }
else
	echo "1..0 # SKIP neither mandoc nor groff is installed"
	exit 0
fi
echo "1..$((count + 1))"
for page in "$folder"/*.[13]; do
	number=$((number + 1))
	# Some linters exit 0 with warnings, so what counts is that they are silent.
	said=$(lint "$page" 2>&1)
	if [ -z "$said" ]; then
		echo "ok $number - ${page##*/}"
	else
		echo "not ok $number - ${page##*/}"
		echo "$said" | sed 's/^/# /'
	fi
done

missing=
for function in $(grep -hE '^[a-z].*[ *]weir_[a-z_0-9]+\(' "$@" | grep -v '^typedef' |
	sed -E 's/^[^(]*[ *](weir_[a-z_0-9]+)\(.*/\1/' | grep -v '_$'); do # a last _: what inline functions call
	grep -Eq "'$function'" "$folder/meson.build" && grep -qw "$function" "$folder"/weir_*.3 ||
		missing="$missing $function"
done
if [ -z "$missing" ]; then
	echo "ok $((count + 1)) - every function of the headers has a page"
else
	echo "not ok $((count + 1)) - no page for:$missing"
fi
