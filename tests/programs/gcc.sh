#!/bin/bash
# SPDX-License-Identifier: MIT
# gcc: the compiler, the assembler and the linker, each a process of its own, over a large file.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need gcc

functions=300 budget=16M
[ "$full" ] && functions=2500 budget=32M && limit=3600 && swap=4G
for ((i = 0; i < functions; i++)); do
	echo "int f$i(int *p, int n) { int s = $i; for (int i = 0; i < n; i++) { s += p[i] * (i ^ $i); if (s % 7 == $i % 7) s ^= p[n - i - 1]; } return s; }"
done >large.c
echo "int main(void) { int p[4] = {1, 2, 3, 4}; return f1(p, 4) & 15; }" >>large.c
gcc -O2 -o plain.o -c large.c 2>err
run $budget gcc -O2 -o large.o -c large.c
[ $? -eq 0 ] && cmp -s plain.o large.o
result $? "the same object file, bit for bit"
paged
result $? "... from memory that went to swap and came back"
run $budget gcc -O2 -o large large.c
status=$?
gcc -O0 -o plain large.c && ./plain
wanted=$?
./large
[ $? -eq $wanted ] && [ $status -eq 0 ]
result $? "a program that runs"
done_testing
