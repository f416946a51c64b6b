#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: test_stat.sh WEIR TAP HELPER - weir stat and weir top, attached to a replay, and to a process that shows
# nonsense.
command=stat
helper=$(realpath "$3")
. "$(dirname "$0")/tap.sh"
watched=

# stop: end the process that was started last.
stop() {
	[ -n "$watched" ] && kill -CONT "$watched" && kill "$watched" && wait "$watched"
	watched=
} 2>/dev/null
trap 'stop; rm -rf "$work"' EXIT
exec 2>/dev/null # what the shell says of processes that were ended

# start [options]: a replay that goes on until it is stopped, once it has something to show.
start() {
	"$weir" replay --memory 4M --size 16M --accesses 1000000000000 --progress never "$@" >replay.out 2>replay.err &
	watched=$!
	for _ in $(seq 600); do
		"$weir" stat $watched 2>/dev/null | grep -Eq '^pgscan_kswapd +[1-9]' && return
		sleep 0.05
	done
}

# await PATTERN: it stands in `out`, or half a minute has passed.
await() {
	for _ in $(seq 600); do
		grep -q "$1" out && break
		sleep 0.05
	done
}

# ask_until EXPRESSION [options]: asks, as JSON, until it holds, or a minute has passed: who is watched may be without a
# processor, or wait for a disk.
ask_until() {
	local expression=$1
	shift
	for _ in $(seq 120); do
		run $watched --json "$@"
		holds "$expression" && break
		sleep 0.5
	done
}

# check NAME: the result of the command before.
check() {
	result $? "$1"
}

# --- a replay
start --window --writes 20
run $watched
[ $status -eq 0 ] && grep -q "^process $watched (weir), Weir .*: 4.0 MiB, .* policy irr" out &&
	grep -Eq '^nr_free_pages +[0-9]+$' out && grep -Eq '^pgmajfault +[1-9]' out && [ ! -s err ]
check "all values once"
ask_until "r['pools'][0]['answered']"
[ $status -eq 0 ] && holds "r['pid'] == $watched and r['process'] == 'weir' and len(r['pools']) == 1"
check "the same as JSON"
holds "(lambda p: p['memory_bytes'] == 4 << 20 and p['answered'] and p['counters']['pgmajfault'] > 0 and
	0 < sum(p['gauges']['nr_' + g] for g in ('free_pages', 'inactive_file', 'active_file', 'unevictable',
	'isolated', 'loading', 'other')) <= 1280 and 'per_second' not in p)(r['pools'][0])"
check "counters and gauges make sense: what is resident and free is the budget, but for what was under way"
ask_until "r['pools'][0]['per_second']['pgmajfault'] > 0" --interval 0.3 --count 1
[ $status -eq 0 ] && holds "(lambda p: p['per_second']['pgmajfault'] > 0 and p['interval_s'] > 0.25 and
	p['per_second']['pgmajfault'] * p['interval_s'] < p['counters']['pgmajfault'] + 1)(r['pools'][0])"
check "with an interval there are rates"
for _ in $(seq 60); do
	run $watched --interval 0.1 --count 3
	grep -q 'no answer' out || break
done
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 4 ] && awk 'NF != 13 || length > 80 {exit 1}' out
check "a line an interval, 80 columns wide"
run $watched --prometheus
[ $status -eq 0 ] && python3 "$helper" prometheus out 2>>err
check "Prometheus text is sound"
"$weir" top $watched --interval 0.2 >out 2>err
[ $? -eq 0 ] && [ "$(wc -l <out)" -eq 24 ] && awk 'length > 80 {exit 1}' out && grep -q '^major faults .*[1-9]' out &&
	! grep -q $'\033' out
check "weir top into a file is one screen of plain text, 80x24"
python3 "$helper" terminal q "$weir" top $watched --interval 0.2 >out 2>err && grep -q 'fault latency' out
check "weir top on a terminal ends with q and leaves it as it was"
python3 "$helper" terminal '\x03' "$weir" top $watched >out 2>err
check "and with ctrl-C"
kill -STOP $watched
run $watched
[ $status -eq 0 ] && grep -q 'does not answer' out
check "a process that is stopped shows what it said last"
"$weir" top $watched --interval 0.1 >out 2>err && grep -q 'does not answer' out
check "weir top says it too"
kill -CONT $watched
run $watched --pool 7
[ $status -eq 1 ] && grep -q 'has no pool 7' err
check "a pool that is not there"
if [ "$(id -u)" -eq 0 ] && setpriv --reuid 65534 --clear-groups test -x "$weir" 2>/dev/null; then
	setpriv --reuid 65534 --clear-groups "$weir" stat $watched >out 2>err
	[ $? -eq 1 ] && grep -q 'no permission' err
	check "a stranger is refused"
else
	skip "a stranger is refused" "who runs this can't become one"
fi
"$weir" stat $watched --interval 0.1 >out 2>err &
stat=$!
await fault
stop
wait $stat
[ $? -eq 3 ] && grep -q 'has ended' err && [ "$(wc -l <err)" -eq 1 ]
check "the process ends meanwhile: status 3"
start
python3 "$helper" terminal "" "$weir" top $watched --interval 0.1 >out 2>err &
top=$!
await stalls
stop
wait $top
[ $? -eq 3 ] && tail -n 1 out | grep -q 'has ended'
check "under weir top: the terminal is as it was, then the sentence, status 3"

# --- nothing to see
refused "no such process" 1 'no such process' 2147483647
refused "a process without Weir" 1 'does not use Weir' $$
refused "no process" 2 'wants one process'
refused "two processes" 2 'wants one process' 1 2
refused "not a number" 2 'the number of a process' 12x
refused "no interval" 2 '--interval 0:' 1 --interval 0
refused "two formats" 2 'one of the two' 1 --json --prometheus
refused "an unknown option" 2 'no such option' 1 --frob
run 2147483647 --json
[ $status -eq 1 ] && holds "'no such process' in r['error']"
check "what failed is JSON too"

# --- pages that are not what they say
# One process shows them all, one after the other.
coproc page { python3 -IS "$helper" page; }
watched=$page_PID
# hostile KIND: now it shows such a page.
hostile() {
	echo "$1" >&"${page[1]}"
	read -r watched <&"${page[0]}"
}
# nonsense KIND PATTERN: refused, by one sentence.
nonsense() {
	hostile "$1"
	run $watched
	local first=$status
	"$weir" top $watched >out 2>>err
	[ $? -eq 1 ] && [ "$first" -eq 1 ] && grep -Eq "$2" err && [ "$(wc -l <err)" -eq 2 ]
	check "a page: $1"
}
for kind in older empty short garbage magic_and_garbage many_values many_nodes no_nodes names_outside \
	values_outside long \
	policy version names kind; do
	nonsense $kind 'is damaged|does not use Weir'
done
nonsense newer 'have layout 2, and this tool knows 1'
nonsense parents 'was forked from one that does'
for kind in sound future; do
	hostile $kind
	run $watched
	[ $status -eq 0 ] && grep -Eq '^pgmajfault +18446744073709551615$' out && "$weir" top $watched --interval 0.05 >out &&
		awk 'length > 80 {exit 1}' out && [ "$(wc -l <out)" -eq 24 ]
	check "a page: $kind, with the largest of numbers"
done
hostile odd
run $watched
[ $status -eq 1 ] && grep -q 'damaged its page' err
check "a page that is always about to change"
hostile cut
run $watched --interval 0.1 --count 100
[ $status -eq 1 ] && grep -q 'damaged its page' err
check "a page that is cut while it is watched"
stop
done_testing
