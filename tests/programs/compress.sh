#!/bin/bash
# SPDX-License-Identifier: MIT
# xz and zstd with windows larger than the memory: what comes out is what is made plainly, and it is what went in.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need xz zstd

bytes=4000000 part=4000000 budget=8M level=-1 long=27
most=$budget
[ "$full" ] && bytes=1000000000 part=20000000 budget=256M most=192M level=-9 long=31 && limit=3600 && swap=8G
head -c $((bytes / 2)) /dev/urandom | od -A n -v -t x1 | head -c $bytes >input
# Each thread of xz jumps about in all that it has seen: most of that must be in memory, or it takes days. In full size
# that is 240 MB.
head -c $part input >part
same "xz $level -T2" $most xz $level -T2 --block-size=$((part / 2)) -c part
paged
result $? "... which went to swap and came back"
xz -dc out | cmp -s - part
result $? "... and is what went in"
same "zstd --long=$long" $budget zstd -q --long=$long -c input
zstd -q -c --long=$long input >packed
same "zstd -d --long=$long" $budget zstd -q -d --long=$long -c packed
[ ! "$full" ] || paged
result $? "... in memory that went to swap and came back"
done_testing
