#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: ends.sh WEIR full|"" ENDS - how threads and processes end, and where the report of it goes.
[ "$3" ] && ends=$(realpath "$3")
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
if ! [ "$ends" ]; then
	echo "1..0 # SKIP its programs are part of the test build"
	exit 0
fi
limit=30

for WEIR_FAULTS in auto signal; do
	export WEIR_FAULTS
	same "the last thread ends the process ($WEIR_FAULTS)" 16M "$ends" threads
	same "a child of vfork ends by _exit ($WEIR_FAULTS)" 16M "$ends" vfork
	run 16M sh -c 'echo $$; exec "$0" vfork' "$ends"
	[ "$(wc -l <report)" -eq 1 ] && grep -q "\"pid\": $(head -n 1 out)," report
	result $? "... and its parent has its report"
	same "_exit on a small alternate stack ($WEIR_FAULTS)" 16M "$ends" alternate
done
same "raw calls unmap what is the program's, and close nothing of the engine's" 16M "$ends" raw
export WEIR_FAULTS=auto
same "a reservation of 8 TiB, and mprotect over a hole" 16M "$ends" ranges
same "parts of a reservation of a little more than 1 TiB" 16M "$ends" reserved
[ "$(sum pswpin)" -gt 2000 ]
result $? "... which were paged"
same "mremap to a size that can't be, and of what is gone" 16M "$ends" remap
for WEIR_FAULTS in auto signal; do
	swap=32M same "mremap moves what there is no room for twice ($WEIR_FAULTS)" 8M "$ends" moves
done
export WEIR_FAULTS=auto
same "a thread with little stack writes to a mapped file, and forks" 16M "$ends" stack "$work/file"
timeout 30 "$weir" run -m 16M --report-all -- sh -c 'exec "$0" data "$1" 2>&-' "$ends" "$work/data" >out
[ $? -eq 0 ] && [ "$(cat data)" = data ]
result $? "where stderr is closed, the program's data has no report in it"
exec 9> >(exec true)
wait $!
timeout 30 "$weir" run -m 16M -- sh -c 'exit 3' 2>&9
[ $? -eq 3 ]
result $? "where nobody reads stderr any more, the status is the program's"
timeout 30 "$weir" run -m 16M --stats-interval 0.1 -- sh -c 'sleep 0.3; exit 3' 2>&9
[ $? -eq 3 ]
result $? "... and it lives on after a line of an interval"
timeout 30 "$weir" run -m 16M --swap /dev/null/none true 2>&9
[ $? -eq 125 ]
result $? "... and so is that of a start that is refused"
exec 9>&-
bash -c 'x=$(head -c 96M /dev/zero | tr "\0" x); exec "$0" run -m 16M --report json --report-file report true' "$weir"
[ "$(sum peak_resident_bytes)" -gt 1000000 ] && [ "$(sum peak_resident_bytes)" -lt 64000000 ]
result $? "what was resident at most is the program's, not its launcher's"
head -c 32K /dev/zero >full
(ulimit -f 32 && exec timeout 30 "$weir" run -m 16M --swap :0 --report-file "$work/full" -- sh -c 'exit 3')
[ $? -eq 3 ]
result $? "where the report's file may not grow, too"
(ulimit -f 0 && exec timeout 30 "$weir" run -m 16M --swap :0 --report-file "$work/none" -- sh -c 'exit 3')
[ $? -eq 3 ]
result $? "where no file may have anything, too"
done_testing
