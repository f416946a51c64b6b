#!/bin/bash
# SPDX-License-Identifier: MIT
# What can't be run, and what is said: before anything has run.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"

# refused NAME STATUS PATTERN ARGUMENTS...
refused() {
	local name=$1 wanted=$2 pattern=$3 status
	shift 3
	timeout 300 "$weir" run "$@" >out 2>err
	status=$?
	[ $status -eq "$wanted" ] && grep -q -- "$pattern" err && [ "$(wc -l <err)" -eq 1 ] && ! [ -s out ]
	result $? "$name"
}

refused "no program" 125 "which program" -m 64M
refused "no memory" 125 "how much memory" true
refused "too little memory, and the least that works" 125 "the smallest that works is 4M" -m 1M true
refused "nonsense for memory" 125 "a number of bytes" -m lots true
refused "an option that is not there" 125 "no such option" --nonono true
refused "a policy that is not there" 125 "no such policy" -m 64M --policy nonono true
refused "a report of another kind" 125 "text, json or none" -m 64M --report xml true
refused "a swap file that can't be made" 125 "cannot make the swap file" -m 64M --swap "$work/no/where:64M" true
refused "a program that is not there" 127 "no such program" -m 64M nonono
refused "a file that may not be executed" 126 "may not be executed" -m 64M "$work/tmp"
cp /bin/true setuid && chmod u+s setuid
refused "a setuid program" 126 "setuid" -m 64M ./setuid
if echo 'int main(void) { return 0; }' >static.c && ${CC:-cc} -static static.c -o static 2>/dev/null; then
	refused "a static program" 126 "linked statically" -m 64M ./static
	printf '#!%s/static\n' "$work" >script && chmod +x script
	refused "a script whose interpreter is static" 126 "linked statically" -m 64M ./script
fi
if ${CC:-cc} -m32 static.c -o narrow 2>/dev/null; then
	refused "a 32-bit program" 126 "32-bit" -m 64M ./narrow
else # its header says it all
	{ printf '\177ELF\1\1\1'; head -c 200 /dev/zero; } >narrow && chmod +x narrow
	refused "a 32-bit program" 126 "32-bit" -m 64M ./narrow
fi
# A dynamic program with a note of Go's linker.
if printf '.section .note.go.buildid,"a",%%note\n.long 4,4,4\n.ascii "Go\\0\\0"\n.long 0\n' >note.s &&
	${CC:-cc} static.c note.s -o golike 2>/dev/null; then
	refused "a Go program" 126 "a Go program" -m 64M ./golike
fi
"$weir" run -m 64M --report none sh -c 'exit 42'
[ $? -eq 42 ]
result $? "the exit status is the program's"
"$weir" run -m 64M true >out 2>err
grep -q "^weir run: true, process" err && grep -q "budget 64.0 MiB" err
result $? "a report of it all"
run 4M sh -c 'exit 0'
result $? "the least memory works"
grep -q '"policy": "two-list"' report && WEIR_POLICY=clock run 4M true && grep -q '"policy": "clock"' report
result $? "the report names the policy"
cat >wrap.c <<'EOF'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/types.h>
ssize_t read(int fd, void *data, size_t bytes)
{
	ssize_t got = ((ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read"))(fd, data, bytes);

	for (ssize_t i = 0; i < got; i++)
		((char *)data)[i] ^= 32;
	return got;
}
EOF
if ${CC:-cc} -shared -fPIC wrap.c -o wrap.so 2>/dev/null; then
	echo Weir >text
	LD_PRELOAD=$work/wrap.so run 16M head -c 4 text
	[ $? -eq 0 ] && [ "$(cat out)" = wEIR ] && [ "$(sum pgmajfault)" -gt 0 ]
	result $? "what is preloaded by the user wraps what Weir answers"
fi
mkdir small
if mount -t tmpfs -o size=20m small small 2>/dev/null; then
	{
		sleep 1
		head -c 19M /dev/zero >small/other
		seq 3000000
	} | timeout 60 "$weir" run -m 16M --swap small:19M --report none -- sort -S 60M >out 2>err
	[ $? -eq 137 ] && grep -q "its swap file got no blocks (No space left on device)" err
	result $? "a disk that is full before the first page goes out"
	umount small
else
	skip "a disk that is full before the first page goes out" "no tmpfs can be mounted here"
fi
cat >more.c <<'EOF'
#include <errno.h>
#include <libintl.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/mman.h>
int main(int n, char **arguments)
{
	size_t bytes = 64 << 20;
	char *p;

	(void)arguments;
	if (n == 1)
		return malloc(1u << 30) ? 1 : errno == ENOMEM ? 9 : 2;
	setlocale(LC_ALL, "C.UTF-8"); /* its records are in the heap, and so will be paged out */
	bindtextdomain("more", "/nowhere");
	textdomain("more");
	p = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (size_t i = 0; p != MAP_FAILED && i < bytes; i += 8)
		*(long *)(p + i) = (long)(p + i) ^ 0x123456789abcdef;
	return 1;
}
EOF
if ${CC:-cc} -O0 more.c -o more 2>/dev/null; then
	swap=8M run 8M ./more
	[ $? -eq 9 ] && [ "$(sum refused)" -gt 0 ]
	result $? "more than memory and swap is ENOMEM, and is reported"
	swap=8M run 8M ./more x
	[ $? -eq 137 ] && grep -q "raise -m or --swap" err
	result $? "memory that can't be had ends the program with the remedy"
fi
done_testing
