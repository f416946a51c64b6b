#!/bin/bash
# SPDX-License-Identifier: MIT
# numpy: arrays four times the memory, and numpy.memmap.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" "$@"
need /usr/bin/python3
/usr/bin/python3 -c 'import numpy' 2>/dev/null || { echo "1..0 # SKIP python3-numpy is not installed"; exit 0; }

n=4000000 budget=24M
[ "$full" ] && n=32000000 budget=128M && limit=7200 && swap=4G
export OPENBLAS_NUM_THREADS=1
same "arithmetic and sorting" $budget /usr/bin/python3 -c "
import numpy
r = numpy.random.default_rng(5)
a = r.random($n)
b = a * 2 + numpy.arange($n)
print(a.sum(), b.mean(), float(b[::1000].std()))
a.sort()
print(a[::$n // 10], numpy.all(a[1:] >= a[:-1]))"
paged
result $? "... went to swap and came back"
same "memmap, to be read, to be written to, changed, and private" $budget /usr/bin/python3 -c "
import numpy
m = numpy.memmap('m', dtype='u8', mode='w+', shape=($n,))
m[:] = numpy.arange($n, dtype='u8') * 3
m.flush()
del m
p = numpy.memmap('m', dtype='u8', mode='r+')
p[::5] += 2
q = numpy.memmap('m', dtype='u8', mode='r+', offset=8 * 4096, shape=($n // 2,))
q[::11] += 1
print(p.sum(), q.sum())
f = open('m', 'r+b', buffering=0)
f.seek(8 * 8192)
f.write(bytes(8000))
print(int(p[8192]), int(p[9191]), int(p[9192]))
p[77] = 5
f.seek(8 * 77)
print(f.read(8))
del p, q
r = numpy.memmap('m', dtype='u8', mode='r')
c = numpy.memmap('m', dtype='u8', mode='c')
c[::7] += 1
print(r.sum(), c.sum(), int(c[7]), int(r[7]), len(c))"
[ "$(sum shared_mappings)" -ge 4 ]
result $? "... the shared ones by Weir's maps"
done_testing
