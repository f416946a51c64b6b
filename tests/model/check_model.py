#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: check_model.py WORD_TABLE CC - check the model of the page word with spin, and see that it can fail.

Three parts: sets of participants, whose whole state space must be searched without an error; what they have to have
reached between them; mutations, each of which must be found by the property that it breaks.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY_MB = 1900
DEPTH = 3000000

# All together would be too many states. Each set is searched exhaustively, up to partial-order reduction.
ALL_PINS = "SLOTS COUNTS EXCLUSIVES SYNC_FAILS DROPS"
SETS = {
    "two threads with every kind of pin, and reclaim": f"RECLAIM {ALL_PINS}",
    "two threads with pins in slots, late stores, and reclaim": "RECLAIM SLOTS SYNC_FAILS DROPS BUFFERED",
    "two threads with exclusive pins and pins in slots, and writing": "FLUSH SLOTS EXCLUSIVES",
    "two threads with counted pins, and writing": "FLUSH COUNTS",
    "two threads with pins that fill the count, and writing": "FLUSH COUNTS PIN_MAX=1",
    "two threads with every kind of pin, and a cut": "LENGTHS SLOTS COUNTS EXCLUSIVES",
    "one thread with every kind of pin, reclaim, and a cut": "LENGTHS RECLAIM THREADS=1 SLOTS COUNTS EXCLUSIVES",
    "one thread with every kind of pin, reclaim and writing": f"RECLAIM FLUSH THREADS=1 {ALL_PINS}",
    "one thread with pins in slots, reclaim, writing and cuts, two frames": "RECLAIM FLUSH CUTS FRAMES SLOTS THREADS=1",
}

# Mutation, participants, what spin must say. The participants alone are found to be right by the same search, as they
# are part of a set above.
DEADLOCK = "invalid end state"
LOST = "assertion violated.*same"
TAKEN = "assertion violated.*held"
CLEANED = r"assertion violated \(\(\(word&\d+\)!=0\)\|\|"  # a writer's page is clean and not in writeback
MUTATIONS = [
    ("SLOT_WITHOUT_BARRIER", "RECLAIM SLOTS", TAKEN),
    ("SLOTS_BEFORE_WORD", "RECLAIM SLOTS", TAKEN),
    ("EVICT_UNCONDITIONALLY", "RECLAIM SLOTS", "assertion violated"),
    ("ISOLATE_WITHOUT_LOOK", "RECLAIM COUNTS", "assertion violated"),
    ("SLOT_AFTER_PUBLISHING", "RECLAIM SLOTS", "assertion violated"),
    ("DIRTY_IS_EVICTED", "RECLAIM SLOTS", LOST),
    ("SLOT_KEPT_WHILE_WAITING", "RECLAIM SLOTS EXCLUSIVES", DEADLOCK),
    ("EXCLUSIVE_IGNORES_SLOTS", "RECLAIM SLOTS EXCLUSIVES", TAKEN),
    ("HIT_IGNORES_EXCLUSIVE", "RECLAIM SLOTS EXCLUSIVES", TAKEN),
    ("WRITER_ENTERS_WRITEBACK", "FLUSH SLOTS", "assertion violated"),
    ("WRITERS_OVERLOOKED", "FLUSH SLOTS", CLEANED),
    ("SYNC_CLEANS_HELD", "FLUSH SLOTS", CLEANED),
    ("FAILED_IS_CLEAN", "FLUSH SLOTS", LOST),
    ("FIRST_UNPIN_ENDS_WRITING", "FLUSH COUNTS", CLEANED),
    ("NO_WAKE", "FLUSH SLOTS", DEADLOCK),
    ("WAITERS_LEFT", "FLUSH SLOTS", "assertion violated"),
    ("WRITTEN_FREED_UNOWNED", "RECLAIM FLUSH SLOTS THREADS=1", "assertion violated"),
    ("LENGTH_LOOKED_AT_ONCE", "LENGTHS RECLAIM THREADS=1 COUNTS", r"assertion violated\W+cut"),
    ("LENGTH_LOOKED_AT_ONCE", "LENGTHS RECLAIM THREADS=1 EXCLUSIVES", r"assertion violated\W+cut"),
    ("FRAME_NOT_COMPARED", "RECLAIM FLUSH CUTS FRAMES SLOTS THREADS=1", "assertion violated.*word>>"),
]


class Checker:
    def __init__(self, folder, compiler):
        self.folder = folder
        self.compiler = compiler
        self.number = 0
        self.reached = set()

    def report(self, passed, name, said=""):
        self.number += 1
        print(f"{'ok' if passed else 'not ok'} {self.number} - {name}", flush=True)
        for line in said.splitlines() if not passed else ():
            print(f"# {line}")

    def run(self, *command):
        return subprocess.run(command, cwd=self.folder, text=True, errors="replace", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout

    def search(self, definitions, optimise):
        """What the checker says: an error, or that the whole space was searched."""
        for old in "pan", "page_word.pml.trail":
            if os.path.exists(os.path.join(self.folder, old)):
                os.remove(os.path.join(self.folder, old))
        said = self.run("spin", "-a", *(f"-D{name}" for name in definitions.split()), "page_word.pml")
        said += self.run(self.compiler, optimise, "-w", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB}", "-o", "pan",
                         "pan.c")
        if not os.path.exists(os.path.join(self.folder, "pan")):
            return said
        return self.run("./pan", f"-m{DEPTH}", "-n")

    def check_set(self, name, definitions):
        said = self.search(definitions, "-O2")
        complete = re.search(r"errors: 0\b", said) and not re.search(
            r"max search depth|Search not completed|out of memory|memory limit", said)
        states = re.search(r"(\d+) states, stored", said)
        self.reached.update(re.findall(r"^(?:transition|event) .*", said, re.MULTILINE))
        if complete:
            name += f" ({int(states.group(1)):,} states)"
        else:
            said += self.run("spin", "-t", "-p", "-g", "page_word.pml")[-4000:]
        self.report(bool(complete), name, said)

    def check_reached(self, table, model):
        rows = re.findall(r"#define ROW_(\d) (\d+)", table)
        expected = {f"transition {row} {to}" for row, bits in rows for to in range(8) if int(bits) >> to & 1}
        transitions = {line for line in self.reached if line.startswith("transition")}
        self.report(expected == transitions, f"every legal transition is reached, {len(expected)}, and no other",
                    "\n".join(sorted(expected ^ transitions)))
        events = {f"event {name}" for name in re.findall(r'EVENT\("([^"]*)"', model)}
        for by in re.findall(r'NOTE_RESCUE\("([^"]*)"', model):
            events.add(f"event {by} rescues an isolated page")
        missing = sorted(events - self.reached)
        self.report(not missing, f"every event of the model happens, {len(events)}", "\n".join(missing))

    def check_mutation(self, name, definitions, error):
        said = self.search(f"{definitions} MUTATE_{name}", "-O0")
        title = f"found: {name.lower().replace('_', ' ')} ({definitions.lower()})"
        self.report(bool(re.search(error, said)), title, said[-2000:])


def main():
    table_program, compiler = sys.argv[1:]
    if not shutil.which("spin"):
        print("1..0 # SKIP spin is not installed")
        return
    print(f"1..{len(SETS) + 2 + len(MUTATIONS)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="weir-model-") as folder:
        table = subprocess.run([table_program], check=True, text=True, stdout=subprocess.PIPE).stdout
        with open(os.path.join(folder, "word_table.h"), "w") as file:
            file.write(table)
        model = ""
        for path in sorted(glob.glob(os.path.join(HERE, "*.pml"))):
            shutil.copy(path, folder)
            with open(path) as file:
                model += file.read()
        checker = Checker(folder, compiler)
        for name, definitions in SETS.items():
            checker.check_set(name, definitions)
        checker.check_reached(table, model)
        for mutation in MUTATIONS:
            checker.check_mutation(*mutation)


if __name__ == "__main__":
    main()
