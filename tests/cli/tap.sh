# SPDX-License-Identifier: MIT
# usage: command=NAME; . tap.sh - for scripts that run the tool, which is their $1, as its users do and tell of it as
# TAP. They find themselves in a folder of their own, $work, and the tool's files go to one in it, $TMPDIR; both are
# removed.
weir=$(realpath "$1")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/weir-test.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
cd "$work" || exit 1
number=0

# built_with SANITIZER: asan or tsan.
built_with() {
	nm "$weir" | grep -q "__$1_init"
}

# run [options]: the tool's $command, output in `out` and `err`, status in $status.
run() {
	"$weir" "$command" "$@" >out 2>err
	status=$?
}

# result STATUS NAME: one line of TAP; on a failure with what the command said, in the files $said.
said="out err"
result() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		sed "s/^/# /" $said 2>/dev/null | tail -n 60
	fi
}

skip() {
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

# holds EXPRESSION: python's, over the JSON object in `out` as r, its counters as c.
holds() {
	python3 -IS -c '
import json, sys
r = json.load(open("out"))
c = r.get("counters", {})
sys.exit(0 if eval("(" + sys.argv[1] + ")") else 1)' "$1" 2>>err
}

# refused NAME STATUS PATTERN [options]: ends with the status, says the pattern, in one line, and leaves no file.
refused() {
	local name=$1 wanted=$2 pattern=$3
	shift 3
	run "$@"
	[ "$status" -eq "$wanted" ] && grep -Eq -- "$pattern" err && [ "$(wc -l <err)" -eq 1 ] &&
		[ -z "$(ls "$TMPDIR")" ]
	result $? "$name"
}

# done_testing: the plan, at the end.
done_testing() {
	echo "1..$number"
}
