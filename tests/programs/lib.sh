# SPDX-License-Identifier: MIT
# lib.sh - what the scripts here share: sourced by each, with its arguments (WEIR [full]). They speak TAP.
#
# A program is run plainly, and by `weir run` in less memory than it wants: the same status, the same bytes. Where it is
# said to be `paged`, the report must show that pages went to swap and came back, else nothing was tested.
weir=$(realpath "$1")
full=$2
work=$(mktemp -d "${TMPDIR:-/var/tmp}/weir-test.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
cd "$work" || exit 1
number=0

# need PROGRAM...: all are installed, or nothing here is tested.
need() {
	local program

	for program in "$@"; do
		if ! command -v "$program" >/dev/null; then
			echo "1..0 # SKIP $program is not installed"
			exit 0
		fi
	done
}

# result STATUS NAME: one line of TAP; on a failure with what was said.
result() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		tail -n 20 err report 2>/dev/null | sed 's/^/# /'
	fi
}

# sum COUNTER: of all processes in the report.
sum() {
	grep -o "\"$1\": [0-9]*" report | awk '{s += $2} END {print s + 0}'
}

# run BUDGET COMMAND...: into out, err and report; its status. `swap` may hold a size for the swap file.
run() {
	local budget=$1
	shift
	rm -f report
	timeout "${limit:-300}" "$weir" run -m "$budget" --swap "$TMPDIR:${swap:-1G}" --report json --report-file report --report-all \
		-- "$@" >out 2>err
}

# paged: pages went out, and came back.
paged() {
	[ "$(sum pswpout)" -gt 0 ] && [ "$(sum pswpin)" -gt 0 ]
}

# same NAME BUDGET COMMAND...: as when it is run plainly.
same() {
	local name=$1 budget=$2 status wanted
	shift 2
	"$@" >plain 2>err
	wanted=$?
	run "$budget" "$@"
	status=$?
	[ "$status" -eq "$wanted" ] && cmp -s plain out
	result $? "$name"
}

finish() {
	echo "1..$number"
}
