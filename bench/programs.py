#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Programs under `weir run` against themselves, and against the kernel's swap.

usage: programs.py BUILD-FOLDER

  room for all     plainly                                          | weir run -m 2 x its peak
  2 x, 4 x less    in a memory cgroup, over a swap file of the      | weir run -m the same, over a swap file of
                   kernel's                                         | Weir's on the same disk
  start-up         true, plainly                                    | weir run true

Peak is what the program has resident when it is run plainly. Each pair takes turns, A B A B; a figure is the median of
the pairs' ratios: 5 of them, 3 where a run takes more than two and a half minutes. All that a program puts out, in every
run, is compared with what it puts out plainly. A side that the kernel's OOM killer ends has no figure, and so has its
row; one that is not through after five minutes in its cgroup is ended, and the ratio is at least that.

Its files are in a folder in WEIR_BENCH_DIR, or /var/tmp, which is removed at the end; one that a killed run has left,
by the next. bounded.c has the cgroup and the kernel's swap file.
"""
import glob
import hashlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys

SCALE = int(os.environ.get("WEIR_BENCH_SCALE") or 1)
MIB = 1 << 20
LEAST_BUDGET = 16 * MIB
RUNS = 5 if SCALE < 10 else 1
FEWER = ((150, 3),)  # of runs that take so many seconds
KERNEL_SECONDS = 300  # then its side is ended: the ratio is at least what comes of that
MAPPED_SECONDS = "5" if SCALE < 10 else "1"
STARTS = max(30 // SCALE, 3)
FOLDER = os.environ.get("WEIR_BENCH_DIR") or "/var/tmp"
PREFIX = "weir-bench-programs."

NUMPY = """
import numpy
n = {n}
a = numpy.random.default_rng(5).random(n)
b = a * 2 + numpy.arange(n)
print(a.sum(), b.mean(), float(b[::1000].std()))
a.sort()
print(a[::n // 10], bool(numpy.all(a[1:] >= a[:-1])))
"""


class Failure(Exception):
    """What makes the benchmark itself wrong: other bytes than plainly, say."""


# ---- the programs ----

def make_text(name, nbytes):
    """Lines of numbers and letters, in no order."""
    source = random.Random(7)
    with open(name, "w", encoding="ascii") as file:
        while file.tell() < nbytes:
            file.writelines(f"{source.randrange(10**9)} {'abcdefghijklmnopqrstuvwxyz'[:source.randrange(26)]}\n"
                            for _ in range(10000))


def make_graph(name, n):
    """A ring whose vertices have six neighbours each, near and far ones."""
    steps = [step for near in (1, n // 700 + 1, n // 12) for step in (near, n - near)]
    with open(name, "w", encoding="ascii") as file:
        file.write(f"{n} {3 * n}\n")
        file.writelines(" ".join(str((i + step) % n + 1) for step in steps) + "\n" for i in range(n))


class Program:
    """One that has what it works on in its heap. `output` is the file that it writes; None: its standard output."""

    def __init__(self, name, command, output=None):
        self.name, self.command, self.output = name, command, output
        self.digest = self.peak_bytes = None


def missing(program):
    """The Debian package that it needs and is not there, or None."""
    if program == "numpy":
        tried = subprocess.run(["/usr/bin/python3", "-c", "import numpy"], stderr=subprocess.DEVNULL, check=False)
        return "python3-numpy" if tried.returncode else None
    if program == "gpmetis":
        return None if shutil.which("gpmetis") else "metis"
    return None


def make_sort():
    make_text("text", 96 * MIB // SCALE)
    return Program("sort", ["sort", "--parallel=2", "-S", "1G", "-o", "sorted", "text"], "sorted")


def make_numpy():
    return Program("numpy", ["/usr/bin/python3", "-c", NUMPY.format(n=8000000 // SCALE)])


def make_gpmetis():
    make_graph("graph", 1500000 // SCALE)
    return Program("gpmetis", ["gpmetis", "graph", "16"], "graph.part.16")


# ---- one run ----

class Bench:
    """Where things are, and how a program is run each way."""

    def __init__(self, build):
        self.weir = os.path.join(build, "cli", "weir")
        self.bounded = os.path.join(build, "bench", "bounded")
        self.mapped_reads = os.path.join(build, "bench", "mapped_reads")

    def run(self, command, bounds=()):
        """What bounded.c says. It cleans up on a signal: so it is told, and waited for."""
        with open("stderr", "w", encoding="utf-8") as errors:
            child = subprocess.Popen([self.bounded, *bounds, "-o", "stdout", *command], stdout=subprocess.PIPE,
                                     stderr=errors, text=True)
        try:
            said, _ = child.communicate()
        except BaseException:
            child.terminate()
            child.wait()
            raise
        if child.returncode:
            raise Failure(f"{' '.join(command[:3])}: {complaint()}")
        return json.loads(said)

    def under_weir(self, command, budget, swap):
        return self.run([self.weir, "run", "-m", str(budget), "--swap", f"{os.getcwd()}:{swap}", "--report", "none",
                         "--", *command])

    def in_cgroup(self, command, budget, swap):
        return self.run(command, ["-m", str(budget), "-s", str(swap), "-t", str(KERNEL_SECONDS)])


def complaint():
    with open("stderr", encoding="utf-8", errors="replace") as file:
        return file.read().strip()[-1000:]


def digest_of(program):
    digest = hashlib.blake2b()
    with open(program.output or "stdout", "rb") as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def timed(program, side, result):
    """Its seconds; None: the kernel has ended it. Anything else than its plain bytes ends all."""
    if "skip" in result:
        raise Failure(result["skip"])
    if result["status"] and result["oom_kills"]:
        return None
    if result["status"] == 137 and result["seconds"] >= KERNEL_SECONDS:
        return result["seconds"]
    if result["status"]:
        raise Failure(f"{program.name} {side}: status {result['status']}: {complaint()}")
    if digest_of(program) != program.digest:
        raise Failure(f"{program.name} {side}: its output is not what it is plainly")
    return result["seconds"]


def run_plainly_first(bench, program):
    """What it is to put out, and how much it wants."""
    result = bench.run(program.command)
    if result["status"]:
        raise Failure(f"{program.name}: status {result['status']}: {complaint()}")
    program.digest, program.peak_bytes = digest_of(program), result["peak_bytes"]


# ---- two sides ----

def turns(program, sides):
    """[[seconds, seconds], ...] of the two sides, or the name of that which the OOM killer ended."""
    pairs, runs = [], RUNS
    while len(pairs) < runs:
        pair = []
        for side, run in sides:
            if program.output and os.path.exists(program.output):
                os.unlink(program.output)
            seconds = timed(program, side, run())
            if seconds is None:
                return side
            pair.append(seconds)
        pairs.append(pair)
        runs = min([runs] + [count for seconds, count in FEWER if max(pair) > seconds])
    return pairs


def row(name, value, unit, compare, target, detail):
    print(json.dumps({"name": name, "value": round(value, 4), "unit": unit, "compare": compare, "target": target,
                      "detail": detail}), flush=True)


def skip(name, reason):
    print(json.dumps({"name": name, "skip": reason}), flush=True)


def detail_of(pairs, sides, budget):
    medians = [statistics.median(pair[i] for pair in pairs) for i in range(2)]
    ended = " (ended then)" if medians[0] >= KERNEL_SECONDS else ""
    return (f"{budget / MIB:.0f} MiB: {medians[0]:.2f} s {sides[0][0]}{ended}, {medians[1]:.2f} s {sides[1][0]}, "
            f"pairs: {len(pairs)}")


def room_for_all(bench, program):
    budget = max(2 * program.peak_bytes, LEAST_BUDGET)
    sides = [("plainly", lambda: bench.run(program.command)),
             ("under weir run", lambda: bench.under_weir(program.command, budget, budget))]
    pairs = turns(program, sides)
    row(f"{program.name}, room for all: time under weir run against plainly",
        statistics.median(weir / plain for plain, weir in pairs), "x", "max", 1.05, detail_of(pairs, sides, budget))


def less_room(bench, program, factor):
    """The ratio, or None where there is none."""
    name = f"{program.name}, {factor} x the memory: speed against the kernel's swap"
    budget, swap = max(program.peak_bytes // factor, LEAST_BUDGET), 4 * max(program.peak_bytes, LEAST_BUDGET)
    sides = [("in a cgroup", lambda: bench.in_cgroup(program.command, budget, swap)),
             ("under weir run", lambda: bench.under_weir(program.command, budget, swap))]
    probe = bench.in_cgroup(["true"], LEAST_BUDGET, LEAST_BUDGET)
    if "skip" in probe:
        skip(name, probe["skip"])
        return None
    pairs = turns(program, sides)
    if isinstance(pairs, str):
        weir = timed(program, sides[1][0], sides[1][1]())
        skip(name, f"the kernel's OOM killer ended it {pairs}; {weir:.2f} s under weir run, in {budget // MIB} MiB")
        return None
    ratio = statistics.median(kernel / weir for kernel, weir in pairs)
    row(name, ratio, "x", "min", 1, detail_of(pairs, sides, budget))
    return ratio


def second_best(factor, ratios):
    """Two of the three are to be that much faster."""
    name = f"the second best of these programs, {factor} x the memory: speed against the kernel's swap"
    known = sorted((ratio, program) for program, ratio in ratios.items() if ratio)
    if len(known) < 2:
        skip(name, f"{len(known)} of {len(ratios)} programs have a figure")
        return
    row(name, known[-2][0], "x", "min", 1.5, f"of {len(known)}; it is {known[-2][1]}")


def start_up(bench):
    plain, weir = [], []
    for _ in range(STARTS):
        plain.append(bench.run(["true"])["seconds"])
        weir.append(bench.under_weir(["true"], 64 * MIB, 256 * MIB)["seconds"])
    plain, weir = statistics.median(plain) * 1000, statistics.median(weir) * 1000
    row("start-up: weir run true, above true", weir - plain, "ms", "max", 15,
        f"{weir:.2f} ms, {plain:.2f} ms plainly; medians of {STARTS}")


def mapped_reads(bench):
    """A file eight times the memory, read at random by plain mmap (mapped_reads.c)."""
    name = "plain mmap of a large file, reads at random: under weir run against the kernel's default"
    budget = max(256 * MIB // SCALE, 4 * LEAST_BUDGET)
    speeds = [[], []]
    size = str(8 * budget)
    bench.run([bench.mapped_reads, "large", size, "0"])  # makes it
    for _ in range(RUNS):
        for i, run in enumerate((bench.in_cgroup, bench.under_weir)):
            with open("large", "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            result = run([bench.mapped_reads, "large", size, MAPPED_SECONDS], budget, budget)
            if "skip" in result:
                skip(name, result["skip"])
                return
            if result["status"]:
                raise Failure(f"mapped_reads: status {result['status']}: {complaint()}")
            with open("stdout", encoding="ascii") as file:
                speeds[i].append(float(file.read().split()[0]))
    kernel, weir = (statistics.median(speed) for speed in speeds)
    row(name, statistics.median(w / k for k, w in zip(*speeds)), "x", "min", 20,
        f"{weir:.0f} reads/s, {kernel:.0f} in a cgroup, {budget // MIB} MiB each")


# ---- all ----

def measure(bench):
    ratios = {2: {}, 4: {}}
    tried = bench.under_weir(["true"], LEAST_BUDGET, LEAST_BUDGET)
    if tried["status"]:
        skip("programs under weir run", complaint())
        return
    start_up(bench)
    for make in (make_sort, make_numpy, make_gpmetis):
        name = make.__name__[len("make_"):]
        package = missing(name)
        if package:
            skip(name, f"{package} is not installed")
            continue
        program = make()
        run_plainly_first(bench, program)
        room_for_all(bench, program)
        for factor, found in ratios.items():
            found[name] = less_room(bench, program, factor)
    for factor, found in ratios.items():
        second_best(factor, found)
    mapped_reads(bench)


def remove_abandoned():
    for folder in glob.glob(os.path.join(FOLDER, PREFIX + "*")):
        if not os.path.exists("/proc/" + folder.rsplit(".", 1)[1]):
            shutil.rmtree(folder, ignore_errors=True)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    bench = Bench(os.path.abspath(sys.argv[1]))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    remove_abandoned()
    folder = os.path.join(FOLDER, PREFIX + str(os.getpid()))
    os.mkdir(folder)
    try:
        os.chdir(folder)
        os.environ.update(TMPDIR=folder, LC_ALL="C.UTF-8", OPENBLAS_NUM_THREADS="1")
        measure(bench)
    except Failure as failure:
        sys.exit(f"programs.py: {failure}")
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
