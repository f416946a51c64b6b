#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the benchmarks one after the other and shows each figure beside its target.

usage: run.py FOLDER-OF-PROGRAMS [--json]

Exit status 0 also where a target is missed: a shortfall is a result, not an error.
"""
import json
import os
import subprocess
import sys

PROGRAMS = ["pin", "nomemalloc", "random_read", "miss"]


def verdict(figure):
    """PASS, the shortfall, or nothing where there is no target."""
    value, target = figure["value"], figure["target"]
    if figure["compare"] == "max":
        return "PASS" if value <= target else f"SHORT by {value / target - 1:.0%}"
    if figure["compare"] == "min":
        return "PASS" if value >= target else f"SHORT by {1 - value / target:.0%}"
    return ""


def target_text(figure):
    sign = {"max": "<=", "min": ">=", "": ""}[figure["compare"]]
    return f"{sign} {figure['target']:g} {figure['unit']}" if sign else ""


def run(folder, program):
    done = subprocess.run([os.path.join(folder, program)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{program} failed with status {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    arguments = [a for a in sys.argv[1:] if a != "--json"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    figures = []
    for program in PROGRAMS:
        if "--json" not in sys.argv:
            print(f"... {program}", file=sys.stderr)
        figures += run(arguments[0], program)
    for figure in figures:
        figure["verdict"] = verdict(figure)
    if "--json" in sys.argv:
        print(json.dumps(figures, indent=1))
        return
    width = max(len(f["name"]) for f in figures)
    for f in figures:
        measured = f"{f['value']:.2f} {f['unit']}"
        print(f"{f['name']:{width}}  {measured:>14}  {target_text(f):>12}  {f['verdict']:12}  {f['detail']}")


if __name__ == "__main__":
    main()
