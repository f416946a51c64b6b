#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: total.sh WEIR full|"" - one budget for all processes (--total), and lines while they run (--stats-interval).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need sort seq awk
said="err report lines"

seq 60000 | awk '{print $1 * 7919 % 1000003, $1, $1 * $1}' >numbers
sort -n numbers >sorted
sort -k2 numbers >sorted2

together() {
	rm -f report
	timeout "${limit:-800}" "$weir" run "$@" --swap "$TMPDIR:512M" --report json --report-file report --report-all -- \
		sh -c 'sort -n -S 16M --parallel=1 numbers >out1 & sort -k2 -S 16M --parallel=1 numbers | cat >out2; wait' \
		2>err
}

together --total 17M
status=$?
[ $status -eq 0 ] && cmp -s out1 sorted && cmp -s out2 sorted2
result $? "two sorts and their pipeline share 17M"
[ "$(grep -c '"total_bytes": 17825792' report)" -eq "$(wc -l <report)" ] && [ "$(wc -l <report)" -ge 4 ]
result $? "... each process says that it did"
paged
result $? "... which was not enough for both"
rm -f report
"$weir" run --total 32M --swap "$TMPDIR:64M" --report json --report-file report --report-all -- sh -c 'sleep 6; :' 2>err
[ $? -eq 0 ] && [ "$(grep -c '"granted_bytes": 4194304,' report)" -eq 2 ]
result $? "who needs nothing soon has the least"

together --total 64M -m 8M
[ $? -eq 0 ] && cmp -s out1 sorted && cmp -s out2 sorted2 && [ "$(grep -c '"budget_bytes": 8388608' report)" -ge 4 ] &&
	! grep -o '"granted_bytes": [0-9]*' report | awk '$2 > 8388608 {bad = 1} END {exit !bad}'
result $? "-m is the limit of each, --total of all"

# A child that is killed, and never reaped, leaves its part to who is left.
timeout 300 "$weir" run --total 12M --swap "$TMPDIR:64M" --report none -- \
	sh -c 'sleep 100 & pid=$!; sleep 100 & second=$!; kill -9 $pid $second; exec sort -n -S 8M numbers' >out 2>err
[ $? -eq 0 ] && cmp -s out sorted
result $? "what a killed process had is given to others"

# In a PID namespace of their own, with a /proc of it, and with that from outside, where the numbers are others'.
apart="unshare --pid --fork --kill-child"
if $apart --mount-proc true 2>/dev/null; then
	for proc in "--mount-proc" ""; do
		# shellcheck disable=SC2086
		timeout 300 "$weir" run --total 20M -m 16M --swap "$TMPDIR:64M" --report none -- $apart $proc sh -c '
			echo 30000 >/proc/sys/kernel/ns_last_pid; sort -n -S 8M numbers; sort -k2 -S 8M numbers' >out 2>err
		[ $? -eq 0 ] && cat sorted sorted2 | cmp -s - out
		result $? "processes of another PID namespace take part${proc:+, with a /proc of their own}"
		# shellcheck disable=SC2086
		timeout 300 "$weir" run --total 12M --swap "$TMPDIR:64M" --report none -- \
			sh -c "$apart $proc sh -c '/bin/true; exit \$?'; exit \$?" >out 2>err
		[ $? -eq 125 ] && grep -q "raise --total" err
		result $? "... and see what the others have"
	done
	timeout 300 "$weir" run --total 20M --swap "$TMPDIR:64M" --report none -- sh -c "$apart --mount-proc"' sh -c "sleep 100 & kill -9 \$\$" &
		wait $!; exec sort -n -S 16M numbers' >out 2>err
	[ $? -eq 0 ] && cmp -s out sorted
	result $? "... and what they had is given to others"
else
	skip "processes of another PID namespace take part" "no unshare here"
fi

# 12M are three processes: of the shell and its three children one can't start, whichever comes last.
timeout 300 "$weir" run --total 12M --swap "$TMPDIR:64M" --report none -- sh -c '
	sleep 12 & a=$!; sleep 12 & b=$!; sleep 12 & c=$!
	for pid in $a $b $c; do wait $pid; echo $?; done' >out 2>err
[ "$(sort out | tr '\n' ' ')" = "0 0 125 " ] && grep -q "raise --total" err
result $? "who can't have 4M is refused with 125, and told what to raise"

for words in "--total 1M" "--total 3X" "--stats-interval 0 -m 8M" "--stats-interval x -m 8M"; do
	# shellcheck disable=SC2086
	"$weir" run $words -- true >out 2>err
	[ $? -eq 125 ] && grep -q -- "${words%% *} ${words:${#words}}" err
	result $? "$words is refused"
done

# What the columns are is said again after 20 lines: where the machine is slow there are so many.
"$weir" run -m 16M --swap "$TMPDIR:64M" --stats-interval 0.2 --report-file lines -- sh -c 'sleep 3; exit 3' >out 2>err
[ $? -eq 3 ] && head -1 lines | grep -q '^weir run: .* free .*stall%$' &&
	[ "$(grep -Ec '^weir run: +[0-9]+ +[0-9.]+ .* [0-9.]+$' lines)" -ge 2 ] && tail -6 lines | grep -q '^  swap '
result $? "lines while it runs, then the report"
! [ -s err ]
result $? "... and nothing elsewhere"
"$weir" run -m 16M --swap "$TMPDIR:64M" --stats-interval 0.2 --report json --report-file report -- sleep 3 >out 2>err
[ $? -eq 0 ] && [ "$(grep -c '"interval_s": .*"per_second": {.*}}$' report)" -ge 2 ] && tail -1 report | grep -q pgmajfault
result $? "objects of JSON"
"$weir" run -m 16M --swap "$TMPDIR:64M" --stats-interval 0.2 --report none --report-file nothing -- sleep 1 >out 2>err
[ $? -eq 0 ] && ! [ -e nothing ]
result $? "none where no report is wanted"

# Ends that call no destructors.
early() {
	rm -f early
	"$weir" run -m 16M --swap "$TMPDIR:64M" --report-file early -- "$@" >out 2>err
	[ $? -eq 4 ] && [ "$(grep -c '^weir run: ' early)" -eq 1 ]
}
if command -v python3 >/dev/null; then
	for function in _exit quick_exit; do
		early python3 -c "import ctypes; ctypes.CDLL(None).$function(4)"
		result $? "a program that ends by $function leaves its report"
	done
else
	skip "a program that ends by _exit leaves its report" "no python3"
fi
done_testing
