#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: man.sh FOLDER - every man page formats without a warning.
folder=$1
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
echo "1..$count"
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
