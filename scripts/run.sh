#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: run.sh BUILD - the main job on a real file: it is 16 times the memory, a fifth of the accesses write, a further
# thread reclaims in each mode, and every page is verified, in the end by reading the file again without Weir.
build=$1
memory=32M size=512M

# 512 MiB and some to spare; less than that and the file is smaller, but still 16 times the memory.
folder=${TMPDIR:-/var/tmp}
free_kib=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 {print $4}')
if [ "${free_kib:-0}" -lt 800000 ]; then
	memory=8M size=128M
fi

set -- "$build/cli/weir" replay --pattern mixed --memory "$memory" --size "$size" --writes 20 --threads 2 \
	--accesses 5000000 --seconds 15 --reclaim default,nofs,noio,nomemalloc --reclaim-every 500 --verify
echo "$*"
echo "(makes a file of $size in $folder, accesses it for up to 15 seconds, reads it again, removes it)"
echo
exec "$@"
