#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the benchmarks one after the other and shows each figure beside its target.

usage: run.py BUILD-FOLDER [--only NAME]... [--json | --markdown] [--list]

A NAME is that of a program in bench/, as --list says them. The file of 2 GiB that the disk is measured by is made once,
in WEIR_BENCH_DIR or /var/tmp; it has no name, so that nothing stays behind. Exit status 0 also where a target is
missed: a shortfall is a result, not an error. Where a program fails, or all is interrupted, the figures of those before
it are shown, and the status is another.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

BENCH = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ["pin", "miss", "disk_read", "mmap", "window", "swap", "fault", "sequential", "nomemalloc", "replacement",
            "metadata", "lmdb", "programs"]
HEADERS = ("what", "measured", "target", "verdict", "how")


def verdict(figure):
    """PASS, the shortfall, SKIP, or nothing where there is no target."""
    if "skip" in figure:
        return "SKIP"
    value, target = figure["value"], figure["target"]
    if figure["compare"] == "max":
        return "PASS" if value <= target else f"SHORT by {value / target - 1:.1%}"
    if figure["compare"] == "min":
        return "PASS" if value >= target else f"SHORT by {1 - value / target:.1%}"
    return ""


def cells(figure):
    """The texts of a row."""
    if "skip" in figure:
        return figure["name"], "", "", figure["verdict"], figure["skip"]
    sign = {"max": "at most ", "min": "at least ", "": ""}[figure["compare"]]
    unit = figure["unit"]
    number = f"{figure['value']:.2f}" if figure["value"] < 100 else f"{figure['value']:.0f}"
    short = unit if unit != "bytes a frame" else "B a frame"
    target = f"{sign}{figure['target']:g} {short}" if sign else ""
    return figure["name"], f"{number} {short}", target, figure["verdict"], figure["detail"]


def command(build, program):
    if program == "replacement":
        return [sys.executable, os.path.join(BENCH, "replacement.py"), os.path.join(build, "cli", "weir")]
    if program == "programs":
        return [sys.executable, os.path.join(BENCH, "programs.py"), build]
    return [os.path.join(build, "bench", program)]


def run(build, program, file):
    """Its figures. The program cleans up after itself on a signal: so it is told, and waited for."""
    if program == "lmdb" and not os.path.exists(command(build, program)[0]):
        return [{"name": "LMDB", "skip": "built without LMDB (Debian package: liblmdb-dev)"}]
    environment = dict(os.environ, WEIR_BENCH_FD=str(file.fileno()))
    child = subprocess.Popen(command(build, program), stdout=subprocess.PIPE, text=True, env=environment,
                             pass_fds=[file.fileno()])
    try:
        output, _ = child.communicate()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if child.returncode:
        sys.exit(f"{program} failed with status {child.returncode}")
    return [json.loads(line) for line in output.splitlines()]


def progress(text, end="\n"):
    if sys.stderr.isatty():
        print(text, end=end, file=sys.stderr, flush=True)


def measure(build, programs, figures):
    """Adds to figures, which has what was measured also where this ends early."""
    with tempfile.TemporaryFile(dir=os.environ.get("WEIR_BENCH_DIR") or "/var/tmp") as file:
        for number, program in enumerate(programs, 1):
            start = time.monotonic()
            progress(f"{number}/{len(programs)} {program} ...", end="")
            found = run(build, program, file)
            progress(f" {time.monotonic() - start:.0f} s")
            for figure in found:
                figure["program"] = program
                figure["verdict"] = verdict(figure)
            figures += found


def print_table(figures):
    rows = [HEADERS] + [cells(figure) for figure in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        line = f"{row[0]:{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:{widths[3]}}  {row[4]}"
        print(line.rstrip())


def print_markdown(figures):
    print("| " + " | ".join(HEADERS) + " |")
    print("|" + " --- |" * len(HEADERS))
    for figure in figures:
        print("| " + " | ".join(cells(figure)) + " |")


def parse(arguments):
    """Build folder, programs, form of the output."""
    folder, programs, form = None, [], "table"
    while arguments:
        argument = arguments.pop(0)
        if argument in ("--json", "--markdown", "--list"):
            form = argument[2:]
        elif argument == "--only" and arguments:
            programs.append(arguments.pop(0))
        elif folder is None and not argument.startswith("-"):
            folder = argument
        else:
            sys.exit(__doc__)
    unknown = set(programs) - set(PROGRAMS)
    if unknown:
        sys.exit(f"run.py: no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(PROGRAMS)}")
    if folder is None and form != "list":
        sys.exit(__doc__)
    return folder, [program for program in PROGRAMS if not programs or program in programs], form


def main():
    build, programs, form = parse(sys.argv[1:])
    if form == "list":
        print("\n".join(programs))
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    figures, status = [], 0
    try:
        measure(build, programs, figures)
    except KeyboardInterrupt:
        status = 130
    except SystemExit as end:
        status = end.code
    if form == "json":
        print(json.dumps(figures, indent=1))
    elif figures and form == "markdown":
        print_markdown(figures)
    elif figures:
        print_table(figures)
    sys.exit(status)


if __name__ == "__main__":
    main()
