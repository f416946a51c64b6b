#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: setup.sh [check | programs | bench | aarch64] - see to the Debian packages that building needs, and with `check`
# those of the tests too, with `programs` those that are run by `weir run`, with `bench` those that the benchmarks compare
# with, with `aarch64` those that build for that processor and emulate it.
# Silent when all are there. As root it installs what is missing; else it prints the command that does, and fails.
packages="gcc libc6-dev pkg-config meson ninja-build liburing-dev libssl-dev libcmocka-dev libjemalloc-dev"
if [ "$1" = check ]; then
	packages="$packages g++ clang libclang-rt-dev groff-base spin stress-ng memtester python3"
elif [ "$1" = programs ]; then
	packages="$packages stress-ng memtester python3 python3-numpy sqlite3 lmdb-utils redis-server redis-tools xz-utils zstd git metis"
elif [ "$1" = bench ]; then
	packages="$packages fio liblmdb-dev python3 python3-numpy metis"
elif [ "$1" = aarch64 ]; then
	packages="$packages gcc-aarch64-linux-gnu qemu-system-arm debootstrap e2fsprogs cpio xz-utils git python3"
fi

if ! command -v dpkg-query >/dev/null; then
	if command -v meson >/dev/null && pkg-config --exists liburing cmocka; then
		exit 0
	fi
	echo "This is not Debian or a relative: please install meson, ninja, gcc, pkg-config, liburing and cmocka." >&2
	exit 1
fi

missing=
for package in $packages; do
	case $(dpkg-query -W -f='${db:Status-Abbrev} ' "$package" 2>/dev/null) in
	*ii\ *) ;;
	*) missing="$missing $package" ;;
	esac
done
if [ -z "$missing" ]; then
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "Packages are missing. This installs them:" >&2
	echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
	exit 1
fi
echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# Output is kept for when it fails: apt says a screenful about each package.
# shellcheck disable=SC2086
if ! said=$({ apt-get update && apt-get install -y --no-install-recommends $missing; } 2>&1); then
	echo "$said" >&2
	echo "apt-get could not install:$missing" >&2
	exit 1
fi
