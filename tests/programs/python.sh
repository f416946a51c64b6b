#!/bin/bash
# SPDX-License-Identifier: MIT
# Python: a big list, its own processes, system calls on what was paged out.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need /usr/bin/python3

n=900 budget=4M
[ "$full" ] && n=40000 budget=64M && limit=3600
same "a list of bytes objects four times the memory" $budget /usr/bin/python3 -S -c "
l = [bytes([i % 251]) * 8000 for i in range($n)]
print(sum(len(x) for x in l), all(x == bytes([i % 251]) * 8000 for i, x in enumerate(l)))"
paged
result $? "... went to swap and came back"
same "written by system calls from where it was paged out, and read back" $budget /usr/bin/python3 -S -c "
import os
l = [bytes([i % 251]) * 8000 for i in range($n)]
f = os.open('data', os.O_RDWR | os.O_CREAT | os.O_TRUNC)
for x in l: assert os.write(f, x) == 8000
os.lseek(f, 0, 0)
b = bytearray(8000 * $n)
v = memoryview(b)
done = 0
while done < len(b): done += os.readv(f, [v[done:done + 4000000]])
print(all(b[i * 8000] == i % 251 for i in range($n)), done)"
same "a child of fork has its parent's memory" $budget /usr/bin/python3 -S -c "
import os
l = [bytes([i % 251]) * 8000 for i in range($n // 2)]
pid = os.fork()
good = all(x == bytes([i % 251]) * 8000 for i, x in enumerate(l))
if pid == 0: os._exit(7 if good else 1)
print(good, os.waitpid(pid, 0)[1])"
same "subprocesses by posix_spawn, vfork, popen and system" 16M /usr/bin/python3 -c "
import os, subprocess
print(subprocess.run(['sh', '-c', 'echo x | tr x y; exit 3'], capture_output=True), os.system('exit 4'), os.popen('echo z').read())
print(os.waitpid(os.posix_spawn('/bin/true', ['true'], os.environ), 0)[1])"
done_testing
