#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: test_bench.sh WEIR - weir bench map, as its users run it, as TAP. Tiny, and no time is looked at.
command=bench
. "$(dirname "$0")/tap.sh"
tiny=(--memory 32M --size 64M --accesses 300)

# cgroup PID: that of a process, if it is there.
cgroup() {
	ls -d /sys/fs/cgroup/weir-bench."$1" /sys/fs/cgroup/*/weir-bench."$1" 2>/dev/null
}

"$weir" bench --help >out 2>err && grep -q -- --write-file out &&
	"$weir" bench map --help >out 2>err && grep -q -- --memory out
result $? "--help names the options"
refused "weir bench wants to be told what" 2 'weir bench map'
refused "an unknown benchmark is refused" 2 'there is weir bench map' fly
refused "an unknown option is refused" 2 'no such option' map --colour
refused "too little memory is refused" 2 'from 8388608' map --memory 1M
refused "no threads are refused" 2 'from 1 to' map --threads 0
refused "no time is refused" 2 'from 0.01' map --seconds 0
refused "a word is refused" 2 'is not an option' map file
refused "--size does not go with --file" 2 'the size is the file' map --file x --size 1M
refused "--write-file goes with --file" 2 'goes with --file' map --write-file
refused "a file that is not there is refused" 1 'No such file' map --file nothing
run map --json --memory 1M
[ "$status" -eq 2 ] && holds "'--memory' in r['error']"
result $? "a mistake is told as JSON too"

if built_with tsan; then
	skip "measuring" "the thread sanitizer's shadow is too much for a cgroup"
	done_testing
	exit
fi

run map "${tiny[@]}" --json
[ "$status" -eq 0 ] && holds "
	[w['name'] for w in r['rows']] == ['uniform', 'zipf 0.99', 'sequential', 'half written'] and
	all(w['ratio'] > 0 and w[s]['per_second'] > 0 and w[s]['accesses'] == 900 and
	    0 < w[s]['p50_ns'] <= w[s]['p99_ns'] <= w[s]['p999_ns'] for w in r['rows'] for s in ('window', 'mmap')) and
	r['cgroup'] == (r['no_cgroup'] is None)"
result $? "four kinds of accesses are measured, on both sides"
run map "${tiny[@]}" --threads 2
[ "$status" -eq 0 ] &&
	[ "$(grep -Ec '^(uniform|zipf 0.99|sequential|half written) +[0-9,]+ +[0-9,]+ +[0-9.]+ ' out)" -eq 4 ]
result $? "two threads, as a table"
run map --memory 32M --size 64M --seconds 0.02 --json
[ "$status" -eq 0 ] && holds "all(w[s]['accesses'] > 0 for w in r['rows'] for s in ('window', 'mmap'))"
result $? "turns can end by time"

head -c 20000001 /dev/urandom >file
cp file copy
run map --file file --memory 32M --accesses 300 --json
[ "$status" -eq 0 ] && holds "len(r['rows']) == 3 and not r['file_made']" && cmp -s file copy
result $? "a file of the user's is not written to"
run map --file file --write-file --memory 32M --accesses 300 --json
[ "$status" -eq 0 ] && holds "len(r['rows']) == 4" && cmp -s file copy
result $? "written to, it holds what it held"
run map --file file --memory 32M --accesses 300
[ "$status" -eq 0 ] && grep -q 'not measured: the file is not written to' out
result $? "the table says what was not measured"

# In the middle, it ends by the signal; neither its child nor its cgroup nor its file is left.
ended() {
	"$weir" bench map --memory 32M --size 64M --seconds 60 >out 2>err &
	local pid=$! child= status
	for ((i = 0; i < 2400; i++)); do
		child=$(pgrep -P "$pid")
		[ -n "$child" ] && [ -z "$(ls "$TMPDIR")" ] && break
		sleep 0.05
	done
	sleep 0.2
	kill -TERM "$pid"
	(sleep 120 && kill -KILL "$pid") >/dev/null 2>&1 & # not for ever
	wait "$pid" 2>/dev/null
	status=$?
	kill $! 2>/dev/null
	[ "$status" -eq 143 ] && [ -n "$child" ] && [ ! -d "/proc/$child" ] && [ -z "$(cgroup "$pid")" ] &&
		[ -z "$(ls "$TMPDIR")" ]
}
ended 2>/dev/null
result $? "a signal in the middle leaves nothing behind"
[ -z "$(ls "$TMPDIR")" ]
result $? "no file is left behind"
done_testing
