#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Miss ratios of Weir's replacement policies, through the real pool, beside those of the literature's in a simulator.

usage: policies.py [--build FOLDER] [--policies A,B] [--only TRACE,...] [--window] [--json] [--markdown]

The traces are those of workloads.py, and each *.txt.gz (one page number a line) in the folder that WEIR_TRACES names,
if it does. Cache sizes are 5, 10, 20 and 40 % of a trace's distinct pages. docs/policy.md says how the pool's memory
follows from the cache size, and what came out.
"""
import argparse
import glob
import gzip
import json
import math
import os
import subprocess
import sys
import tempfile

import workloads

PAGE = 4096
SHARES = (5, 10, 20, 40)
RIVALS = ("LRU", "ARC", "2Q", "LIRS", "S3-FIFO", "W-TinyLFU")
MIN_MARK = 4  # frames that a pool with --min-free of a page keeps free at all times


def memory_for(pages):
    """The budget with which at most `pages` pages are ever resident (docs/policy.md, "Cache size")."""
    return (pages + MIN_MARK) * PAGE


def load_traces(only):
    """(name, made up?, page numbers) of each trace."""
    folder = os.environ.get("WEIR_TRACES")
    for path in sorted(glob.glob(os.path.join(folder, "*.txt.gz"))) if folder else []:
        name = os.path.basename(path)[: -len(".txt.gz")]
        if not only or name in only:
            with gzip.open(path, "rt") as lines:
                yield name, False, [int(line.split()[0]) for line in lines if line.strip()]
    for name in workloads.WORKLOADS:
        if not only or name in only:
            yield name, True, workloads.generate(name)


def simulate(build, path, sizes):
    """{(rival, size): miss ratio}"""
    with open(path) as trace:
        done = subprocess.run([os.path.join(build, "bench", "policy_sim")] + [str(size) for size in sizes],
                              stdin=trace, capture_output=True, text=True, check=True)
    ratios = {}
    for line in done.stdout.splitlines():
        name, size, misses, accesses = line.split()
        ratios[name, int(size)] = int(misses) / int(accesses)
    return ratios


def replay(build, folder, path, policy, size, window):
    """The miss ratio of one run through a real pool, over a file in `folder`: by pins, or through a window."""
    command = [os.path.join(build, "cli", "weir"), "replay", "--trace", path, "--map", "dense", "--advice", "random",
               "--policy", policy, "--memory", str(memory_for(size)), "--min-free", str(PAGE),
               "--watermark-scale-factor", "1", "--nodes", "1", "--progress", "never", "--json"] + ["--window"] * window
    done = subprocess.run(command, capture_output=True, text=True, check=True,
                          env=dict(os.environ, TMPDIR=folder))
    report = json.loads(done.stdout)
    room = report["frames"]["managed"] - report["frames"]["watermark_min"]
    if room > size:
        sys.exit(f"policies.py: a pool for {size} pages could hold {room}")
    return report["misses"] / report["accesses"]


def measure(options, folder):
    """Rows: one a trace and size, with a miss ratio for each policy, ours and theirs."""
    for name, made_up, pages in load_traces(options.only):
        path = os.path.join(folder, "trace")
        with open(path, "w") as trace:
            trace.writelines(f"{page}\n" for page in pages)
        distinct = len(set(pages))
        sizes = {share: distinct * share // 100 for share in SHARES}
        simulated = simulate(options.build, path, sizes.values())
        for share, size in sizes.items():
            row = {"trace": name, "made_up": made_up, "share": share, "pages": size,
                   "theirs": {rival: ratio for (rival, n), ratio in simulated.items() if n == size},
                   "ours": {policy: replay(options.build, folder, path, policy, size, options.window)
                            for policy in options.policies}}
            row["best"] = min(row["theirs"][rival] for rival in RIVALS)
            yield row


def summary(rows, policy):
    """Geometric mean of (ours / best of theirs), and the worst of (ours / LRU), over some rows."""
    of_best = [math.log(row["ours"][policy] / row["best"]) for row in rows]
    of_lru = [(row["ours"][policy] / row["theirs"]["LRU"], f"{row['trace']} {row['share']} %") for row in rows]
    return math.exp(sum(of_best) / len(of_best)), max(of_lru)


def print_table(rows, policies, markdown):
    theirs = list(rows[0]["theirs"])
    header = ["trace", "size", "pages"] + theirs + list(policies) + [f"{policies[0]} / best", f"{policies[0]} / LRU"]
    lines = [header]
    for row in rows:
        ours = row["ours"][policies[0]]
        lines.append([row["trace"], f"{row['share']} %", str(row["pages"])] +
                     [f"{row['theirs'][name]:.4f}" for name in theirs] +
                     [f"{row['ours'][name]:.4f}" for name in policies] +
                     [f"{ours / row['best']:.3f}", f"{ours / row['theirs']['LRU']:.3f}"])
    if markdown:
        print(f"| {' | '.join(header)} |\n|{' --- |' * len(header)}")
        for line in lines[1:]:
            print(f"| {' | '.join(line)} |")
        return
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        print("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(line, widths))))


def print_summary(rows, policies):
    for title, made_up in ("traces of WEIR_TRACES", False), ("made-up traces", True):
        chosen = [row for row in rows if row["made_up"] == made_up]
        for policy in policies if chosen else ():
            mean, (worst, where) = summary(chosen, policy)
            print(f"{title}: {policy} / best of {len(RIVALS)}: geometric mean {mean:.3f}; "
                  f"/ LRU: at most {worst:.3f} ({where})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--policies", type=lambda text: text.split(","), default=["irr", "workingset", "two-list"])
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--window", action="store_true", help="touch the pages instead of pinning them")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    rows = []
    # On tmpfs where there is one: nothing here depends on how long a read takes.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        for row in measure(options, folder):
            rows.append(row)
            print(f"\r{row['trace']} {row['share']} %" + " " * 20, end="", file=sys.stderr, flush=True)
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    if not rows:
        sys.exit(f"policies.py: no such trace: {', '.join(options.only)}")
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print_table(rows, options.policies, options.markdown)
    print_summary(rows, options.policies)


if __name__ == "__main__":
    main()
