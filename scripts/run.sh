#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: run.sh BUILD - first a program that knows nothing of Weir: GNU sort, in a quarter of the memory that it asks for,
# over the sources of this system, 4 times its memory; what comes out is compared with a plain run.
#
# Then the library's main job, three times over: a real file 16 times the memory through pins, the same as plain
# memory, and anonymous memory 8 times the budget over swap. A part of the accesses write, a further thread reclaims in
# each mode, and every page is verified, what is a file in the end by reading it again without Weir.
build=$1
memory=32M size=512M anon=256M swap=512M

# 512 MiB and some to spare; less than that and all is smaller, but in the same proportions.
folder=${TMPDIR:-/var/tmp}
free_kib=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 {print $4}')
if [ "${free_kib:-0}" -lt 800000 ]; then
	memory=8M size=128M anon=64M swap=128M
fi

# sources BYTES: C headers and Python's library, which are there wherever this can be built.
sources() {
	find /usr/include /usr/lib/gcc /usr/lib/python3* -type f \( -name '*.h' -o -name '*.py' \) -print0 \
		2>/dev/null | LC_ALL=C sort -z | xargs -0 cat 2>/dev/null | head -c "$1"
}

# sort_in_less FOLDER: in a folder of its own, which is removed.
sort_in_less() {
	work=$(mktemp -d "$1/weir-run.XXXXXX") || exit
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	sources 16777216 >"$work/text"
	set -- "$build/cli/weir" run -m 4M --swap "$work:64M" -- sort --parallel=2 -S 16M -o "$work/sorted" "$work/text"
	echo "GNU sort of $(($(wc -c <"$work/text") / 1048576)) MiB, the sources of this system, in 4 MiB of memory:"
	echo "$*"
	echo
	LC_ALL=C "$@"
	status=$?
	echo
	if [ $status -eq 0 ]; then
		LC_ALL=C sort -o "$work/plainly" "$work/text"
		cmp "$work/plainly" "$work/sorted" || exit
		echo "What is sorted is, byte for byte, what sort makes of it plainly."
		echo
	elif [ $status -ne 125 ]; then # 125: it said why it can't be shown here
		exit $status
	fi
	rm -rf "$work"
}

sort_in_less "$folder"

# replay WHAT OPTION...
replay() {
	what=$1
	shift
	set -- "$build/cli/weir" replay --pattern mixed --memory "$memory" --writes 20 --threads 2 --accesses 5000000 \
		--reclaim default,nofs,noio,nomemalloc --reclaim-every 500 --verify "$@"
	echo "$what:"
	echo "$*"
	echo
	"$@" || exit
	echo
}

replay "A file of $size in $folder, for 15 seconds, through pins" --size "$size" --seconds 15
if ! "$build/cli/weir" replay --window --memory 1M --size 1M --accesses 1 >/dev/null 2>&1; then
	echo "Plain pointers can't be shown here:"
	"$build/cli/weir" replay --window --memory 1M --size 1M --accesses 1
	exit 0
fi
replay "The same as plain memory, for 10 seconds" --window --size "$size" --seconds 10
replay "Anonymous memory, over swap in $folder, as plain memory, for 10 seconds" --window --anon --size "$anon" \
	--swap "$folder:$swap" --seconds 10
