#!/bin/bash
# SPDX-License-Identifier: MIT
# redis-server: filled by its own benchmark, saved by its own fork, and loaded again.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need redis-server redis-cli redis-benchmark

keys=4000 budget=8M bytes=2000
[ "$full" ] && keys=100000 budget=128M bytes=3000 && limit=3600 && swap=4G
socket=$work/socket
call() {
	timeout "${limit:-120}" redis-cli -s "$socket" "$@"
}
# start COMMAND...: the server, in the background, until it answers
start() {
	"$@" redis-server --port 0 --unixsocket "$socket" --save "" --dir "$work" >>log 2>>err &
	server=$!
	for ((i = 0; i < 600; i++)); do
		[ "$(call ping 2>/dev/null)" = PONG ] && return
		sleep 0.1
	done
}
weired=("$weir" run -m $budget --swap "$TMPDIR:${swap:-1G}" --report json --report-file report)

start "${weired[@]}"
timeout "${limit:-120}" redis-benchmark -s "$socket" -q -n $keys -r 1000000000 -d $bytes -c 4 -t set,lpush >bench 2>&1
result $? "redis-benchmark"
call eval "for i = 1, $keys do redis.call('set', 'own' .. i, string.rep(tostring(i), 100)) end return 1" 0 >out 2>&1
call config set rdbchecksum yes >/dev/null
digest=$(call debug digest 2>/dev/null)
size=$(call dbsize)
call bgsave >/dev/null
for ((i = 0; i < 2 * ${limit:-300}; i++)); do
	call info persistence | grep -q rdb_bgsave_in_progress:0 && break
	sleep 0.5
done
call info persistence | grep -q rdb_last_bgsave_status:ok
result $? "a save by a forked child"
call shutdown nosave >/dev/null 2>&1
wait $server
paged
result $? "... of memory that went to swap and came back"
start
[ "$(call dbsize)" = "$size" ] && [ "$(call debug digest 2>/dev/null)" = "$digest" ] && [ "$(call get own77 | head -c 10)" = 7777777777 ]
result $? "... is all there: a plain server has the same"
call shutdown nosave >/dev/null 2>&1
wait $server
done_testing
