#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: calls.sh WEIR full|"" CALLS INTERRUPTS WITHOUT - system calls of all kinds, with memory that is paged out, and
# what comes between: whoever serves the faults, and without any right; and what is said where it can't be had.
[ "$5" ] && calls=$(realpath "$3") interrupts=$(realpath "$4") without=$(realpath "$5")
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
if ! [ "$interrupts" ]; then
	echo "1..0 # SKIP its programs are part of the test build, on x86-64"
	exit 0
fi

# both WHO: the two programs.
both() {
	same "calls of all kinds, $1" 4M "$calls"
	paged
	result $? "... whose memory went to swap and came back"
	same "calls of all kinds over files that are mapped, $1" 4M "$calls" file
	took_files shared_mappings 14
	result $? "... which were Weir's"
	same "what comes between them, $1" 8M "$interrupts"
}

if may_thread; then
	export WEIR_FAULTS=thread
	both "by threads"
fi
export WEIR_FAULTS=signal
both "by signals"
grep -q '"faults": "signal"' report
result $? "... they were"
cp "$calls" calls && cp "$interrupts" interrupts && cp "$without" without
calls=$work/calls interrupts=$work/interrupts without=$work/without
unprivileged
both "without any right"
export WEIR_FAULTS=auto
same "without any right, and not asked how" 16M sh -c 'echo "$(echo a | cat)"'
$as "$without" userfaultfd "$weir" run -m 16M true >out 2>err
[ $? -eq 125 ] && grep -q "userfaultfd is not permitted here" err && [ "$(wc -l <err)" -eq 1 ]
result $? "no userfaultfd at all is refused"
$as "$weir" run -m 16M --report none sh -c '"$0" userfaultfd sh -c "echo \$(echo fine | cat)"; exit $?' "$without" >out 2>err
[ $? -eq 0 ] && [ "$(cat out)" = fine ] && ! [ -s err ]
result $? "... but a program that another one keeps from it runs without limit"
WEIR_FAULTS=signal $as "$without" dispatch "$weir" run -m 16M --report none echo fine >out 2>err
[ $? -eq 0 ] && grep -q "will fail with EFAULT" err && [ "$(cat out)" = fine ]
result $? "no dispatch is said"
cat >nowhere.c <<'EOF'
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	char *heap = malloc(1 << 20);

	return (int)syscall(SYS_sched_yield, heap, heap + 99, heap + 999);
}
EOF
if ${CC:-cc} nowhere.c -o nowhere 2>/dev/null; then
	chmod a+rx nowhere
	WEIR_FAULTS=signal run 16M ./nowhere
	[ $? -eq 0 ] && [ "$(sum calls_unknown)" -eq 0 ]
	result $? "a call that points nowhere is known, whatever is in the registers"
fi
cat >refused.c <<'EOF'
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	char parameters[120] = "";
	long fd = syscall(SYS_io_uring_setup, 4, parameters);

	return fd < 0 && errno == ENOSYS ? 9 : 1;
}
EOF
if ${CC:-cc} refused.c -o refused 2>/dev/null; then
	WEIR_FAULTS=signal run 16M ./refused
	[ $? -eq 9 ] && [ "$(sum calls_refused)" -eq 1 ]
	result $? "io_uring is refused, and counted"
fi
done_testing
