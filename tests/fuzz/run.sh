#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: run.sh TARGET CORPUS REGRESSIONS FOLDER [libFuzzer's options] - fuzzes from what is known. What it finds stays
# in FOLDER: inputs that reach new code in FOLDER/found, one that breaks a claim as FOLDER/crash-*. With -runs=N what
# was found before is forgotten, so that the runs are the same each time.
target=$1 corpus=$2 regressions=$3 folder=$4
shift 4
case " $* " in
*" -runs="*) rm -rf "$folder/found" ;;
esac
mkdir -p "$folder/found"
dictionary=$(dirname "$0")/$(basename "$target").dict
[ -e "$dictionary" ] && set -- "$@" -dict="$dictionary"
exec "$target" -max_len=16384 -timeout=60 -rss_limit_mb=1024 -artifact_prefix="$folder/" -print_final_stats=1 "$@" \
	"$folder/found" "$corpus" "$regressions"
