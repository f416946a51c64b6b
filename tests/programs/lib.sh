# SPDX-License-Identifier: MIT
# lib.sh - what the scripts here share: sourced by each, with its arguments (WEIR [full]). They speak TAP (../cli/tap.sh).
#
# A program is run plainly, and by `weir run` in less memory than it wants: the same status, the same bytes. Where it is
# said to be `paged`, the report must show that pages went to swap and came back, else nothing was tested.
full=$2
. "$(dirname "$0")/../cli/tap.sh"
said="err report"

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

# unprivileged: from here on all is run by a user without rights, with a copy of the tool that he may read; by us, where
# we are none other.
as=
unprivileged() {
	mkdir -p cli preload
	cp "$weir" cli/weir
	cp "$(dirname "$weir")/../preload/libweir-run.so" preload
	weir=$work/cli/weir
	[ "$(id -u)" -eq 0 ] || return
	chmod -R a+rwX "$work"
	as="setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all --"
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
	timeout "${limit:-800}" $as "$weir" run -m "$budget" --swap "$TMPDIR:${swap:-1G}" --report json --report-file report --report-all \
		-- "$@" >out 2>err
}

# paged: pages went out, and came back.
paged() {
	[ "$(sum pswpout)" -gt 0 ] && [ "$(sum pswpin)" -gt 0 ]
}

# took_files COUNTER LEAST: of files that were mapped shared. Where system calls can't be given what is there they are the kernel's.
took_files() {
	if grep -q "will fail with EFAULT" err; then
		[ "$(sum "$1")" -eq 0 ]
	else
		[ "$(sum "$1")" -ge "$2" ]
	fi
}

# may_thread: may threads serve the faults here?
may_thread() {
	WEIR_FAULTS=thread timeout 60 "$weir" run -m 16M --report none true 2>/dev/null
}
if [ "$WEIR_FAULTS" = thread ] && ! may_thread; then
	echo "1..0 # SKIP threads may not serve the kernel's faults here"
	exit 0
fi

# same NAME BUDGET COMMAND...: as when it is run plainly; and it is there (127, 126).
same() {
	local name=$1 budget=$2 status wanted
	shift 2
	$as "$@" >plain 2>err
	wanted=$?
	run "$budget" "$@"
	status=$?
	[ "$wanted" -ne 126 ] && [ "$wanted" -ne 127 ] && [ "$status" -eq "$wanted" ] && cmp -s plain out
	result $? "$name"
}
