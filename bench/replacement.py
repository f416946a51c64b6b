#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Miss ratios of the replacement policy on recorded traces, against those of known policies.

usage: replacement.py WEIR-TOOL [--policy NAME] [--cells]

WEIR_TRACES names a folder with traces (NAME.txt.gz, one page number a line) and BASELINE.md, a table whose rows are a
trace, its distinct pages, a size in per cent and in pages, and a column with the miss ratio of each known policy at
that size. Prints rows for run.py; with --cells a table of every trace and size instead.

A miss is a page read from the file, cold starts included, and nothing is read ahead. The known policies keep exactly as
many pages as the size says. A pool keeps frames free: so it is given as many frames as the size says and its min
watermark on top. No page comes in without leaving those free, so it never holds more pages than they do, and mostly
some less, as it reclaims in batches. The watermarks are set to their least, as these caches are smaller than any pool
in earnest.
"""
import gzip
import json
import math
import os
import re
import statistics
import subprocess
import sys

RIVALS = ["LRU", "ARC", "2Q", "LIRS", "S3-FIFO", "W-TinyLFU"]
PAGE_BYTES = 4096
RUNS = 5
LIMIT = 1.05


def read_baseline(path):
    """A list of {"trace", "percent", "pages", rivals' names: miss ratios}."""
    cells, header = [], None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("|") or re.match(r"\|[\s|:-]+$", line):
                continue
            columns = [column.strip() for column in line.strip().strip("|").split("|")]
            if header is None:
                header = columns
                continue
            row = dict(zip(header, columns))
            cell = {"trace": row["trace"], "percent": row["size"], "pages": int(row["pages"])}
            cell.update({rival: float(row[rival]) for rival in RIVALS})
            cells.append(cell)
    return cells


def replay(tool, options, trace=None):
    environment = dict(os.environ)
    if os.access("/dev/shm", os.W_OK):
        environment["TMPDIR"] = "/dev/shm"
    done = subprocess.run([tool, "replay", "--json"] + options, input=trace, env=environment,
                          stdout=subprocess.PIPE)
    report = json.loads(done.stdout)
    if done.returncode:
        sys.exit(f"weir replay: {report.get('error', done.returncode)}")
    return report


def pool_options(frames):
    return ["--memory", str(frames * PAGE_BYTES), "--min-free", str(PAGE_BYTES), "--watermark-scale-factor", "1",
            "--nodes", "1"]


def reserve_frames(tool):
    """The min watermark of such pools, which is what one open file and the pool itself need at least."""
    probe = ["--pattern", "uniform", "--accesses", "1", "--size", "1M"]
    return replay(tool, pool_options(1024) + probe)["frames"]["watermark_min"]


def miss_ratio_once(tool, policy, trace, pages, reserve):
    options = pool_options(pages + reserve) + ["--trace", "-", "--format", "text", "--map", "dense"]
    options += ["--advice", "random"] + (["--policy", policy] if policy else [])
    report = replay(tool, options, trace)
    frames = report["frames"]
    if frames["managed"] - frames["watermark_min"] > pages:
        sys.exit(f"a pool for {pages} pages could hold {frames['managed'] - frames['watermark_min']}")
    return report["bytes_read"] / PAGE_BYTES / report["accesses"]


def miss_ratio(tool, policy, trace, pages, reserve):
    """The median: which page goes depends a little on when the background reclaimer runs."""
    return statistics.median(miss_ratio_once(tool, policy, trace, pages, reserve) for _ in range(RUNS))


def measure(tool, policy, folder):
    cells = read_baseline(os.path.join(folder, "BASELINE.md"))
    reserve = reserve_frames(tool)
    traces = {}
    for cell in cells:
        name = cell["trace"]
        if name not in traces:
            with gzip.open(os.path.join(folder, name + ".txt.gz")) as trace:
                traces[name] = trace.read()
        cell["ours"] = miss_ratio(tool, policy, traces[name], cell["pages"], reserve)
        cell["best"] = min(cell[rival] for rival in RIVALS)
        cell["to_best"] = cell["ours"] / cell["best"]
        cell["to_lru"] = cell["ours"] / cell["LRU"]
    return cells


def row(name, value, detail):
    print(json.dumps({"name": name, "value": round(value, 4), "unit": "x", "compare": "max", "target": LIMIT,
                      "detail": detail}))


def print_rows(cells):
    worst = max(cells, key=lambda cell: cell["to_lru"])
    farthest = max(cells, key=lambda cell: cell["to_best"])
    mean = math.exp(sum(math.log(cell["to_best"]) for cell in cells) / len(cells))
    row("misses on traces, to the best of " + ", ".join(RIVALS), mean,
        f"geometric mean of {len(cells)} sizes and traces; farthest {farthest['to_best']:.2f} at "
        f"{farthest['trace']} {farthest['percent']}")
    row("misses on traces, to LRU, at worst", worst["to_lru"],
        f"{worst['trace']} {worst['percent']}: {worst['ours']:.4f} against {worst['LRU']:.4f}")


def print_cells(cells):
    print(f"{'trace':10} {'size':>5} {'pages':>6} {'Weir':>7} {'best':>7} {'LRU':>7} {'to best':>8} {'to LRU':>7}")
    for cell in cells:
        print(f"{cell['trace']:10} {cell['percent']:>5} {cell['pages']:6} {cell['ours']:7.4f} {cell['best']:7.4f} "
              f"{cell['LRU']:7.4f} {cell['to_best']:8.3f} {cell['to_lru']:7.3f}")


def main():
    arguments = sys.argv[1:]
    cells_wanted = "--cells" in arguments
    arguments = [argument for argument in arguments if argument != "--cells"]
    policy = None
    if "--policy" in arguments[:-1]:
        at = arguments.index("--policy")
        policy = arguments[at + 1]
        del arguments[at:at + 2]
    if len(arguments) != 1:
        sys.exit(__doc__)
    folder = os.environ.get("WEIR_TRACES")
    if not folder:
        print(json.dumps({"name": "misses on traces", "skip": "WEIR_TRACES names no folder of traces"}))
        return
    cells = measure(arguments[0], policy, folder)
    if cells_wanted:
        print_cells(cells)
    else:
        print_rows(cells)


if __name__ == "__main__":
    main()
