#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds Weir in each way that is promised to work, runs the suite in each, and counts test cases.

While the suite of one build runs, the next builds are compiled by what it leaves of the processors: tests wait for the
disk, a timer or each other for a good part of their time.

What a build can't add to is left out of it (tests/meson.build): documents and scripts are looked at without sanitizers,
the torture is long with debug assertions, benchmarks run in the release build and are compiled by clang too.

Ends with the line "N passed, N failed, N skipped"; exit status 1 when something failed. Meson counts programs;
a cmocka program has many cases, so their output is read here. Arguments: names of builds, to run only these.
"""
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WERROR = ["-Dwerror=true"]
DEBUG = WERROR + ["-Dbuildtype=debugoptimized", "-Dweir_debug=true", "-Dbench=false"]
LINES = ["-Dc_args=-g1"]  # the lines of a sanitizer's report, no more: less to compile
# Folder, compiler, options, whether the suite is run.
BUILDS = [
    ("build-check", "gcc", DEBUG, True),
    ("build-asan", "gcc", DEBUG + LINES + ["-Db_sanitize=address,undefined"], True),
    ("build-clang", "clang", WERROR + ["-Dbuildtype=plain", "-Dweir_debug=true"], False),  # for its warnings
    ("build-fuzz", "clang", WERROR + ["-Dfuzz=true", "-Dbench=false"], True),
    ("build-tsan", "gcc", DEBUG + LINES + ["-Db_sanitize=thread"], True),
    ("build", None, ["-Dbuildtype=release"], True),
]


class Count:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []
        self.last_words = []  # of what failed: repeated at the end, where who keeps only the end of a log finds them

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.last_words += other.last_words

    def line(self):
        return f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"


def take_what_is_left():
    """For the thread that compiles, and so for its children: tests go first, whenever they have something to do."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):  # not everywhere
        pass


def configure_and_compile(folder, compiler, options):
    """Returns None, or the output of what failed."""
    environment = dict(os.environ)
    if compiler:
        environment["CC"] = compiler
        environment["CXX"] = "clang++" if compiler == "clang" else "g++"
    setup = ["meson", "setup", folder] + options
    if os.path.exists(os.path.join(ROOT, folder, "build.ninja")):
        setup.insert(2, "--reconfigure")
    for command in setup, ["meson", "compile", "-C", folder]:
        done = subprocess.run(command, cwd=ROOT, env=environment, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            return done.stdout
    return None


def count_cmocka(name, output, succeeded):
    count = Count()
    started, said, outcomes = [], [], {}
    for line in output.splitlines():
        match = re.match(r"\[ +(RUN|OK|FAILED|SKIPPED) +\] (.+)", line)
        if not match:
            said.append(line.strip())
            continue
        word, case = match.group(1), match.group(2).strip()
        if word == "RUN":
            started.append(case)
            said = []
        elif not re.match(r"\d+ test\(s\)", case):  # the summary at the end of a group repeats the failures
            outcomes.setdefault(case, (word, " ".join(filter(None, said))))
    for case, (word, reason) in outcomes.items():
        if word == "OK":
            count.passed += 1
        elif word == "SKIPPED":
            count.skipped.append((f"{name}: {case}", reason or "no reason given"))
        else:
            count.failed.append(f"{name}: {case}")
    if not succeeded:
        count.failed += [f"{name}: {case} (ended the program)" for case in started if case not in outcomes]
        if not count.failed:
            count.failed.append(f"{name}: ended with a failure after its last case")
    return count


def count_tap(name, output, succeeded):
    count = Count()
    for line in output.splitlines():
        match = re.match(r"(not )?ok\b *\d* *-? *(.*)", line)
        whole = re.match(r"1\.\.0 *# *SKIP *(.*)", line, re.IGNORECASE)
        if whole:
            count.skipped.append((name, whole.group(1) or "no reason given"))
        if not match:
            continue
        case, _, reason = match.group(2).partition("# SKIP")
        if reason:
            count.skipped.append((f"{name}: {case.strip()}", reason.strip()))
        elif match.group(1):
            count.failed.append(f"{name}: {case.strip()}")
        else:
            count.passed += 1
    if not succeeded and not count.failed:
        count.failed.append(f"{name}: ended before its last case")
    return count


def count_program(result):
    name = result["name"].split(" / ")[-1]
    output = result.get("stdout", "") + "\n" + result.get("stderr", "")
    if re.search(r"^\[ +RUN +\] ", output, re.MULTILINE):
        return count_cmocka(name, output, result["result"] == "OK")
    if re.search(r"^(1\.\.\d|(not )?ok\b)", output, re.MULTILINE):
        return count_tap(name, output, result["result"] in ("OK", "SKIP"))
    count = Count()
    if result["result"] == "OK":
        count.passed = 1
    elif result["result"] == "SKIP":
        count.skipped.append((name, output.strip() or "no reason given"))
    else:
        count.failed.append(f"{name} ({result['result'].lower()})")
    return count


def run_suite(folder):
    environment = dict(os.environ)
    environment.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
    environment.setdefault("ASAN_OPTIONS", "abort_on_error=1:detect_stack_use_after_return=0")
    environment.setdefault("TSAN_OPTIONS", "halt_on_error=1:history_size=4")
    log = os.path.join(ROOT, folder, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    # One more than there are processors, of two: a test waits for the disk, a timer or its threads half of its time.
    jobs = min(2, os.cpu_count() or 1) + 1
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--num-processes", str(jobs)]
    if folder == "build-tsan":
        command += ["--timeout-multiplier", "3"]
    done = subprocess.run(command, cwd=ROOT, env=environment)
    total = Count()
    try:
        with open(log, encoding="utf-8", errors="replace") as lines:
            results = [json.loads(line) for line in lines]
    except OSError:
        total.failed.append("meson test did not run")
        return total
    for result in results:
        count = count_program(result)
        total.add(count)
        if count.failed:
            said = [f"--- {result['name']}: {result['result']}, exit status {result.get('returncode')}"]
            said += (result.get("stdout", "").rstrip() + "\n" + result.get("stderr", "").rstrip()).splitlines()
            print("\n".join(said))
            total.last_words += said[:1] + [line[:160] for line in said[1:][-20:]]
    if done.returncode and not total.failed:
        total.failed.append(f"meson test ended with status {done.returncode}")
    return total


def check_build(folder, compiler, options, suite, compiled):
    start = time.monotonic()
    print(f"{folder}: {compiler or 'default compiler'} {' '.join(options)}", flush=True)
    output = compiled.result()
    count = Count()
    if output is not None:
        print(output)
        count.failed.append("compilation")
    elif suite:
        count = run_suite(folder)
    else:
        count.passed = 1  # that it compiles without a warning is the test
    print(f"{folder}: {count.line()} in {time.monotonic() - start:.0f} s\n", flush=True)
    count.failed = [f"{folder}: {case}" for case in count.failed]
    count.skipped = [(f"{folder}: {case}", reason) for case, reason in count.skipped]
    return count


def main():
    chosen = sys.argv[1:]
    unknown = set(chosen) - {build[0] for build in BUILDS}
    if unknown:
        sys.exit(f"check.py: no such build: {', '.join(sorted(unknown))}")
    builds = [build for build in BUILDS if not chosen or build[0] in chosen]
    total = Count()
    with ThreadPoolExecutor(1) as ahead:
        compiled = [ahead.submit(configure_and_compile, *build[:3]) for build in builds[:1]]
        ahead.submit(take_what_is_left)
        compiled += [ahead.submit(configure_and_compile, *build[:3]) for build in builds[1:]]
        try:
            for build, output in zip(builds, compiled):
                total.add(check_build(*build, output))
        finally:
            ahead.shutdown(cancel_futures=True)
    for case, reason in total.skipped:
        print(f"skipped {case}: {reason}")
    for line in total.last_words[-60:]:
        print(line)
    for case in total.failed:
        print(f"FAILED {case}")
    print(total.line(), flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
