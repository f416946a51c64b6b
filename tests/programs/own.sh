#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: own.sh WEIR full|"" FOLDER - small programs that do one thing each, compared with themselves. FOLDER has them.
[ "$3" ] && own=$(realpath "$3")
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
if ! [ "$own" ]; then
	echo "1..0 # SKIP its programs are part of the test build"
	exit 0
fi
readelf -rW "$(dirname "$weir")/../preload/libweir-run.so" >relocations && ! grep -Eq "DTPMOD|TLSDESC" relocations
result $? "thread-local variables are had without a call, which would touch the heap"
run 8M sh -c 'cat /proc/$$/task/*/status'
[ "$(grep -c '^SigBlk' out)" -gt 3 ] && ! grep -q '^SigBlk:.*[4-7c-f].$' out
result $? "none of its threads blocks SIGBUS: what they touch as they begin may be paged out"
same "three generations of fork, with room for all" 32M "$own/run_forks" 4
[ "$(grep -o '"taken_most_bytes": [0-9]*' report | awk '$2 < 4e6 || $2 > 1e9' | wc -l)" -eq 0 ]
result $? "... each of which had what it inherited, and no more than there was"
same "three generations of fork, over memory that is paged" 4M "$own/run_forks" 6
paged
result $? "... which went to swap and came back"
timeout 60 "$weir" run -m 4M --swap "$TMPDIR/named:64M" --report none sh -c ': >"$0"; true & wait; echo | cat' \
	"$TMPDIR/named" >out 2>err
[ $? -eq 0 ] && ! [ -s err ]
result $? "processes whose swap file is named do not need the same name"
rm -f "$TMPDIR/named"
same "private mappings of files, with room for all" 32M "$own/run_maps" 500
same "private mappings of files, paged" 4M "$own/run_maps" 1500
[ "$(sum pswpout)" -gt 0 ]
result $? "... what was written there went to swap"
same "shared mappings of a file, with room for all" 32M "$own/run_shared" 300
same "shared mappings of a file, paged" 4M "$own/run_shared" 1100
took_files shared_bytes 40000000
result $? "... which were Weir's"
same "a fork while a file that is mapped can't be written" 32M "$own/run_shared" 300 full
grep -q "can't be written to it" err
result $? "... which is said"
exec 9> >(exec true)
wait $!
timeout 60 "$weir" run -m 32M --report none "$own/run_shared" 300 full >out 2>&9
[ $? -eq 0 ] && cmp -s plain out
result $? "... or not, where nobody reads it any more"
exec 9>&-
same "a mapped file against a model of it" 4M "$own/run_shared_model" 1400 600 5
same "appends to a file that is mapped are whole" 8M "$own/run_appends" 100
took_files shared_bytes 10000000
result $? "... which was Weir's"
same "a break that the program moves, paged" 4M "$own/run_break" 12
[ "$(sum pswpin)" -gt 0 ]
result $? "... which went to swap and came back"
same "signals of all kinds" 4M "$own/run_signals" 6
same "handlers on a small alternate stack of the heap's" 4M "$own/run_alternate" 6
[ "$(sum pswpin)" -gt 0 ]
result $? "... which touched what had gone to swap"
same "coroutines, whose stacks are paged out" 4M "$own/run_coroutines" 300 4
[ "$(sum pswpin)" -gt 500 ]
result $? "... they were"
same "processes that they start" 8M "$own/run_coroutine_forks" 60 24
same "what is set for signals, seen and inherited" 8M "$own/run_dispositions"
same "small stacks, with nothing below them" 4M "$own/run_stacks" 12
[ "$(sum pswpin)" -gt 500 ]
result $? "... which were paged out"
same "memory that goes while a call has it" 8M "$own/run_taken"
same "files that are mapped, likewise" 8M "$own/run_taken" taken.data
took_files shared_mappings 9
result $? "... which were Weir's"
same "reads and writes by O_DIRECT" 4M "$own/run_direct" direct.data 8
run 16M "$own/run_direct" direct.data 1 async
[ $? -eq 0 ] && [ "$(cat out)" = "1 1" ] && [ "$(sum calls_refused)" -eq 2 ]
result $? "asynchronous ones are refused, and counted"
same "what was stored to a mapped file is in it after quick_exit" 16M sh -c '"$0" quick end; head -c 4 end' "$own/run_stores_last"
same "... and what destructors of libraries stored" 16M sh -c '"$0" return end; head -c 4 end' "$own/run_stores_last"
took_files shared_bytes 2000000
result $? "... which was Weir's"
same "what the C library promises beyond the plain" 16M "$own/run_corners" 963>high
[ "$(sum taken_most_bytes)" -lt 1000000000 ]
result $? "... where what could not be had was not counted"
same "odd calls about memory are answered as the kernel's are" 16M "$own/run_odd"
same "calls by their number, keys, advice to a process" 16M "$own/run_numbers"
[ "$(sum pswpin)" -gt 2000 ]
result $? "... what was mapped by number was paged"
same "libraries that want the C library's malloc before ours" 16M "$own/run_deep"
timeout 60 "$weir" run --total 12M --swap "$TMPDIR:64M" --report none -- "$own/run_cold_locale" >out 2>err
status=$?
if [ $status -eq 77 ]; then
	skip "the locale of a process that shares its budget is paged out" "there is no C.UTF-8"
else
	[ $status -eq 0 ] && [ -s out ]
	result $? "the locale of a process that shares its budget is paged out"
fi
limit=120 same "threads that are cancelled at any instant" 4M "$own/run_cancelled"
paged
result $? "... while they wait for what was paged out"
[ ! -e "$own/run_begins" ] || limit=60 same "a child that begins without signal handlers" 16M "$own/run_begins"
limit=60 same "children that have themselves traced" 16M "$own/run_traced"
done_testing
