#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: gives_up.sh WEIR full|"" GIVES_UP - children of a process that has changed its rights, its root, its directory or its limits.
[ "$3" ] && gives_up=$(realpath "$3")
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
if ! [ "$gives_up" ]; then
	echo "1..0 # SKIP its programs are part of the test build"
	exit 0
fi
limit=60
chmod a+rwx "$work" "$TMPDIR"
mkdir place && chmod a+rwx place

# forks NAME WHAT [options]: by whoever serves the faults, with memory that is paged out.
forks() {
	local name=$1 what=$2
	shift 2
	rm -f report
	timeout $limit "$weir" run -m 4M --report json --report-file report --report-all "$@" -- "$gives_up" "$what" >out 2>err
	[ $? -eq 0 ] && grep -q "^child: 0 pages wrong, 0 reads failed" out && [ "$(sum pswpout)" -gt 0 ] && ! [ -s err ]
	result $? "$name"
}

forks "a child, of a process as it was" nothing
for path in place place/file; do
	forks "... in another directory, with swap in $path, which was said in the first one" directory --swap "$path:64M"
done
[ "$(wc -l <report)" -eq 2 ]
result $? "... and both reports are where that was"
served=auto
may_thread && served="auto thread"
for faults in $served; do
	forks "... with few descriptors, all closed by the child ($faults)" descriptors --faults $faults
done
(ulimit -v 4000000 && forks "... with few addresses" nothing) >line
[ "$(cat line)" = "ok $((number + 1)) - ... with few addresses" ]
result $? "... with few addresses"
if [ "$(id -u)" -eq 0 ]; then
	timeout $limit "$weir" run -m 4M --report none -- "$gives_up" root >out 2>err # its report would have no place
	[ $? -eq 0 ] && grep -q "^child: 0 pages wrong, 0 reads failed" out && ! [ -s err ]
	result $? "... in another root"
	for faults in $served; do
		forks "... without rights ($faults)" user --faults "$faults"
	done
	# No device there: what the parent was served by threads, the child serves itself.
	if [ "$served" != auto ] && unshare -m mount --bind /dev/null /dev/userfaultfd 2>/dev/null; then
		rm -f report
		timeout $limit unshare -m sh -c 'mount --bind /dev/null /dev/userfaultfd && exec "$@"' sh \
			"$weir" run -m 4M --faults thread --report json --report-file report --report-all -- "$gives_up" user \
			>out 2>err
		[ $? -eq 0 ] && grep -q "^child: 0 pages wrong, 0 reads failed" out && grep -q '"faults": "thread"' report
		result $? "... without rights, and without the device that had needed none"
	fi
	mkdir private && chmod 700 private
	timeout $limit "$weir" run -m 32M --swap private:64M --report none -- "$gives_up" user >out 2>err
	[ $? -eq 0 ] && grep -q "^child: 0 pages wrong" out && grep -q "has no swap: cannot make the swap file" err
	result $? "... and where it may not make its swap file, it goes on without"
fi
done_testing
