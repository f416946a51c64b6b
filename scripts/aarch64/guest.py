#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs tests as `meson test` does, one after the other, and leaves what they said as its testlog.json has it.

usage: guest.py TESTS RESULTS - inside the emulated machine; TESTS is of `meson introspect --tests`, RESULTS a disk.
"""
import json
import os
import re
import subprocess
import sys
import time

SKIPPED = 77  # of Meson's and Automake's protocol
SLOWER = 6    # than the machine that the tests' time limits are for


def outcome(test):
    environment = dict(os.environ)
    environment.update(test["env"])
    process = subprocess.Popen(test["cmd"], cwd=test["workdir"], env=environment, text=True, errors="replace",
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    try:
        output, _ = process.communicate(timeout=SLOWER * test["timeout"])
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        output, _ = process.communicate()
        return "TIMEOUT", output, process.returncode
    if re.search("^not ok", output, re.MULTILINE):
        return "FAIL", output, process.returncode
    return {0: "OK", SKIPPED: "SKIP"}.get(process.returncode, "FAIL"), output, process.returncode


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        tests = json.load(file)
    with open(sys.argv[2], "r+b", buffering=0) as results:
        for test in tests:
            start = time.monotonic()
            result, output, status = outcome(test)
            print(f"{test['name']:32} {result:8} {time.monotonic() - start:.0f} s", flush=True)
            if result not in ("OK", "SKIP"):
                print(*(line[:200] for line in output.splitlines()[-40:]), sep="\n", flush=True)
            line = {"name": test["name"], "result": result, "stdout": output, "returncode": status}
            results.write(json.dumps(line).encode() + b"\n")
            os.fsync(results.fileno())


if __name__ == "__main__":
    main()
