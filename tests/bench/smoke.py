#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each benchmark, a hundredth of its size: it ends well and prints figures. No time is looked at.

usage: smoke.py BUILD-FOLDER RUN.PY LMDB(0 | 1)

What would break these: a program that fails, hangs or prints no JSON; a figure that is no positive number; a row of the
table that is gone; a cgroup, a process, a swap file or a device's setting that is left behind, killed programs' too.
"""
import glob
import gzip
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time

# How many rows each program prints, where it can print all of them.
ROWS = {"pin": 8, "miss": 4, "disk_read": 9, "mmap": 10, "window": 21, "swap": 4, "fault": 4, "sequential": 2,
        "nomemalloc": 5, "metadata": 1, "replacement": 2, "lmdb": 1, "programs": 13}
# These change the machine for a while.
ENDED = [("swap", signal.SIGTERM), ("swap", signal.SIGKILL), ("window", signal.SIGTERM), ("window", signal.SIGKILL),
         ("bounded", signal.SIGTERM), ("bounded", signal.SIGKILL)]
ARGUMENTS = {"bounded": ["-m", "33554432", "-s", "67108864", "-o", "/dev/null", "sleep", "60"]}
LOOP = 200  # pages

# LRU misses all of a loop that is longer than it; each of the others at least keeps a part that stays.
BASELINE = """| trace | distinct pages | size | pages | LRU | ARC | 2Q | LIRS | S3-FIFO | W-TinyLFU |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| loop | 200 | 40 % | 80 | 1.0 | 1.0 | 1.0 | 0.65 | 1.0 | 0.65 |
"""


def make_traces(folder):
    with gzip.open(os.path.join(folder, "loop.txt.gz"), "wt") as trace:
        for i in range(20 * LOOP):
            trace.write(f"{i % LOOP}\n")
    with open(os.path.join(folder, "BASELINE.md"), "w", encoding="utf-8") as baseline:
        baseline.write(BASELINE)


def run(arguments, traces):
    environment = dict(os.environ, WEIR_BENCH_SCALE="100", WEIR_TRACES=traces)
    return subprocess.run([sys.executable] + arguments, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)


def fault(done, rows):
    """What is wrong with a run, or None; and why it was skipped, or None."""
    if done.returncode:
        return f"status {done.returncode}: {done.stderr.strip()}", None
    figures = json.loads(done.stdout)
    skips = [figure["skip"] for figure in figures if "skip" in figure]
    values = [figure for figure in figures if "skip" not in figure]
    if not skips and len(figures) != rows:
        return f"{len(figures)} rows instead of {rows}", None
    if not figures:
        return "no rows", None
    for figure in values:
        difference = figure["unit"] in ("MiB", "ms")  # of two measurements, which may be anything on a busy machine
        if not math.isfinite(figure["value"]) or (figure["value"] <= 0 and not difference):
            return f"{figure['name']}: {figure['value']}", None
        if figure["verdict"] and figure["verdict"] != "PASS" and not figure["verdict"].startswith("SHORT by "):
            return f"{figure['name']}: {figure['verdict']}", None
    return None, "; ".join(skips) if skips else None


def has_tsan(build):
    with open(os.path.join(build, "bench", "mmap"), "rb") as program:
        return b"__tsan_init" in program.read()


def left_behind():
    """Empty cgroups of programs that have ended; swap files."""
    with open("/proc/swaps", encoding="utf-8") as areas:
        swaps = [line.split()[0] for line in areas if "weir-bench-swap" in line]
    files = glob.glob(os.path.join(os.environ.get("WEIR_BENCH_DIR") or "/var/tmp", "weir-bench-swap.*"))
    files += glob.glob(os.path.join(os.environ.get("WEIR_BENCH_DIR") or "/var/tmp", "weir-bench-programs.*"))
    groups = glob.glob("/sys/fs/cgroup/weir-bench.*") + glob.glob("/sys/fs/cgroup/memory/weir-bench.*")
    return swaps + files + [group for group in groups if not os.path.exists("/proc/" + group.rsplit(".", 1)[1])]


def readaheads():
    """Of all devices."""
    found = {}
    for name in glob.glob("/sys/block/*/queue/read_ahead_kb"):
        with open(name, encoding="utf-8") as file:
            found[name] = file.read()
    return found


def changed(before, settings):
    """What is not as it was, or None; after a moment, as the guard of a program that was killed may be at it."""
    for _ in range(600):
        left = [item for item in left_behind() if item not in before]
        if not left and readaheads() == settings:
            return None
        time.sleep(0.1)
    return f"left: {left}, readahead {settings} before, {readaheads()} now"


def in_use(name, settings):
    """Whether the program has changed what it puts back."""
    if name in ("swap", "bounded"):
        return any("weir-bench-swap" in item for item in left_behind())
    return readaheads() != settings


def remove_cgroup(pid):
    for group in glob.glob(f"/sys/fs/cgroup/weir-bench.{pid}") + glob.glob(f"/sys/fs/cgroup/memory/weir-bench.{pid}"):
        for _ in range(100):  # its process, too, dies a moment later
            try:
                os.rmdir(group)
                break
            except OSError:
                time.sleep(0.1)


def ended_fault(build, name, number, before, settings):
    """A program that is ended, while it has the machine changed, leaves it as it was: what is wrong, or why skipped."""
    child = subprocess.Popen([os.path.join(build, "bench", name), *ARGUMENTS.get(name, [])],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=dict(os.environ, WEIR_BENCH_SCALE="50"))
    seen = False
    while child.poll() is None and not seen:
        seen = in_use(name, settings)
        time.sleep(0.01)
    child.send_signal(number)
    child.wait()
    if number == signal.SIGKILL:  # its cgroup waits for the next benchmark, which removes it
        remove_cgroup(child.pid)
    return changed(before, settings), None if seen else "it changes nothing of this machine"


def forms_fault(runner, build, traces):
    """The table and Markdown show each row once."""
    arguments = [runner, build, "--only", "metadata"]
    table, markdown = run(arguments, traces), run(arguments + ["--markdown"], traces)
    if table.returncode or len(table.stdout.splitlines()) != 2:
        return f"table: {table.stdout}{table.stderr}"
    lines = markdown.stdout.splitlines()
    if markdown.returncode or len(lines) != 3 or any(line.count("|") != 6 for line in lines):
        return f"markdown: {markdown.stdout}{markdown.stderr}"
    return None


def partial_fault(runner, build, traces):
    """A program that fails takes nothing from those before it."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "bench"))
        os.symlink(os.path.realpath(os.path.join(build, "bench", "nomemalloc")),
                   os.path.join(folder, "bench", "nomemalloc"))
        failing = os.path.join(folder, "bench", "metadata")
        with open(failing, "w", encoding="utf-8") as program:
            program.write("#!/bin/sh\nexit 3\n")
        os.chmod(failing, 0o755)
        done = run([runner, folder, "--json", "--only", "nomemalloc", "--only", "metadata"], traces)
    if done.returncode != 1 or "metadata failed with status 3" not in done.stderr:
        return f"status {done.returncode}: {done.stderr}"
    if len(json.loads(done.stdout or "[]")) != ROWS["nomemalloc"]:
        return f"what was measured before is not shown: {done.stdout}"
    return None


def report(number, name, wrong, skipped=None):
    print(f"{'not ok' if wrong else 'ok'} {number} - {name}{' # SKIP ' + skipped if skipped and not wrong else ''}")
    if wrong:
        print("# " + wrong.replace("\n", "\n# "))


def main():
    build, runner, has_lmdb = sys.argv[1:]
    if has_tsan(build):
        print("1..0 # SKIP nothing to measure under the thread sanitizer, and its shadow is too much for a cgroup")
        return
    print(f"1..{len(ROWS) + 3 + len(ENDED)}")
    before, settings = left_behind(), readaheads()
    with tempfile.TemporaryDirectory() as traces:
        make_traces(traces)
        for number, (name, rows) in enumerate(ROWS.items(), 1):
            wrong, skipped = fault(run([runner, build, "--json", "--only", name], traces), rows)
            if name == "lmdb" and has_lmdb == "1" and skipped and "built without" in skipped:
                wrong = "the program was built and not found"
            report(number, f"the benchmark {name} prints figures", wrong, skipped)
        report(len(ROWS) + 1, "run.py shows a table, and Markdown", forms_fault(runner, build, traces))
        report(len(ROWS) + 2, "and what there is where a program fails", partial_fault(runner, build, traces))
    report(len(ROWS) + 3, "nothing is left behind", changed(before, settings))
    for i, (name, number) in enumerate(ENDED, len(ROWS) + 4):
        wrong, skipped = ended_fault(build, name, number, left_behind(), settings)
        report(i, f"nor by {name} after {number.name}", wrong, skipped)


if __name__ == "__main__":
    main()
