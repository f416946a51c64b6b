#!/bin/bash
# SPDX-License-Identifier: MIT
# git: a repository is repacked, with its threads and its mapped packs, and is whole.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need git

commits=20 lines=4000 budget=12M
[ "$full" ] && commits=150 lines=30000 budget=48M && limit=3600 && swap=4G
export GIT_AUTHOR_DATE="1 Jan 2020 00:00 +0000" GIT_COMMITTER_DATE="1 Jan 2020 00:00 +0000" HOME=$work GIT_CONFIG_NOSYSTEM=1
git init -q repository && cd repository || exit 1
git config user.name x && git config user.email x@example.org && git config gc.auto 0
for ((i = 0; i < commits; i++)); do
	for f in a b c; do
		awk -v s=$((i * 1000 + ${#f} + $(printf %d "'$f"))) -v n=$lines 'BEGIN {srand(s + 0); for (i = 0; i < n; i++) print i, (rand() < 0.1) ? rand() : "same"}' >$f
	done
	git add . && git commit -q -m $i
done
git rev-list --objects --all | sort >../objects
cd ..
run $budget git -C repository repack -adfq --window=50
result $? "git repack -adf"
git -C repository rev-list --objects --all | sort | cmp -s - objects
result $? "... has all objects"
run $budget git -C repository fsck --full --strict
result $? "git fsck"
same "git log -p" $budget git -C repository log -p --stat -3
done_testing
