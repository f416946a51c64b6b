#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: run.sh BUILD - the main job, three times over: a real file 16 times the memory through pins, the same as plain
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
