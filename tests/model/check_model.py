#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: check_model.py WORD_TABLE CC [--full] - check the models of the page word, and see that they can fail.

Of each model three parts: sets of participants, whose state space must be searched without an error; what they have
to have reached between them; mutations, each of which must be found by the property that it breaks. A model is compiled
once: what takes part, and what is broken, is chosen when the checker is run. --full: larger sets, for minutes.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY_MB = 1900
MEMORY_FULL_MB = 8000
DEPTH = 1000000
DEPTH_FULL = 10000000

# All together would be too many states. Each set is searched completely, by partial-order reduction. Those in FULL take
# the place of those that they contain.
PINS = "SLOTS COUNTS EXCLUSIVES"
WORD_SETS = {
    "two threads with every kind of pin and pins in slots, and reclaim": f"RECLAIM {PINS} OTHER_SLOTS",
    "two threads with every kind of pin and counted ones, and reclaim": f"RECLAIM {PINS} OTHER_COUNTS",
    "two threads with every kind of pin and exclusive ones, and reclaim": f"RECLAIM {PINS} OTHER_EXCLUSIVES",
    "two threads with pins in slots, late stores, and reclaim": "RECLAIM SLOTS SYNC_FAILS DROPS BUFFERED",
    "two threads with pins in slots, and writing": "FLUSH SLOTS",
    "two threads with exclusive pins and pins in slots, and writing": "FLUSH EXCLUSIVES OTHER_SLOTS",
    "two threads with counted pins, and writing": "FLUSH COUNTS",
    "two threads with pins that fill the count, and writing": "FLUSH COUNTS PIN_MAX_1",
    "two threads with every kind of pin and counted ones, and a cut": f"LENGTHS {PINS} OTHER_COUNTS",
    "one thread with every kind of pin, reclaim, and a cut": f"LENGTHS RECLAIM ONE_THREAD {PINS}",
    "one thread with pins in slots, reclaim and writing": "RECLAIM FLUSH ONE_THREAD SLOTS SYNC_FAILS DROPS",
    "one thread with other pins, reclaim and writing": "RECLAIM FLUSH ONE_THREAD COUNTS EXCLUSIVES",
    "one thread with pins in slots, reclaim, writing and cuts, two frames": "RECLAIM FLUSH CUTS FRAMES SLOTS ONE_THREAD",
}
WORD_FULL = {
    "two threads with every kind of pin, and reclaim": f"RECLAIM {PINS} SYNC_FAILS DROPS",
    "two threads with exclusive pins and pins in slots, and writing, in full": "FLUSH SLOTS EXCLUSIVES",
    "two threads with every kind of pin, and a cut": f"LENGTHS {PINS}",
    "one thread with every kind of pin, reclaim and writing": f"RECLAIM FLUSH ONE_THREAD {PINS} SYNC_FAILS DROPS",
}
WINDOW_SETS = {
    "two threads that touch, and reclaim": "TOUCHES RECLAIM",
    "two threads that touch, and writing": "TOUCHES FLUSH",
    "one thread that touches and pins in slots, and writing": "ONE_THREAD TOUCHES SLOTS FLUSH",
    "one thread with pins in slots, one that touches, and reclaim": "SLOTS OTHER_TOUCHES RECLAIM",
    "one thread that touches, reclaim and writing, slots' memory dropped late": "ONE_THREAD TOUCHES RECLAIM FLUSH LATE",
    "one thread with other pins, reclaim and writing": "ONE_THREAD COUNTS EXCLUSIVES RECLAIM FLUSH",
    "one thread with every kind of use, mapping, growing and discarding":
        f"ONE_THREAD TOUCHES {PINS} MAPS GROWS DISCARDS",
    "one thread with pins in slots, reclaim of used pages, and mapping": "ONE_THREAD SLOTS RECLAIM MAPS REFS",
}
WINDOW_FULL = {
    "one thread with every kind of use, reclaim and writing": f"ONE_THREAD TOUCHES {PINS} RECLAIM FLUSH",
    "one thread with counted pins, one that touches, and mapping": "COUNTS OTHER_TOUCHES MAPS",
    "two threads that touch, and mapping": "TOUCHES MAPS",
}

# Mutation, participants, what spin must say. The participants alone are found to be right by the same search, as they
# are part of a set above.
DEADLOCK = "invalid end state"
ANY = "assertion violated"
LOST = "assertion violated.*same"
TAKEN = "assertion violated.*held"
CLEANED = r"assertion violated \(\(\(word&\d+\)!=0\)\|\|"  # a writer's page is clean and not in writeback
WORD_MUTATIONS = [
    ("SLOT_WITHOUT_BARRIER", "RECLAIM SLOTS", TAKEN),
    ("SLOTS_BEFORE_WORD", "RECLAIM SLOTS", TAKEN),
    ("EVICT_UNCONDITIONALLY", "RECLAIM SLOTS", ANY),
    ("ISOLATE_WITHOUT_LOOK", "RECLAIM COUNTS", ANY),
    ("SLOT_AFTER_PUBLISHING", "RECLAIM SLOTS", ANY),
    ("DIRTY_IS_EVICTED", "RECLAIM SLOTS", LOST),
    ("SLOT_KEPT_WHILE_WAITING", "RECLAIM SLOTS EXCLUSIVES", DEADLOCK),
    ("EXCLUSIVE_IGNORES_SLOTS", "RECLAIM SLOTS EXCLUSIVES", TAKEN),
    ("HIT_IGNORES_EXCLUSIVE", "RECLAIM SLOTS EXCLUSIVES", TAKEN),
    ("WRITER_ENTERS_WRITEBACK", "FLUSH SLOTS", ANY),
    ("WRITERS_OVERLOOKED", "FLUSH SLOTS", CLEANED),
    ("SYNC_CLEANS_HELD", "FLUSH SLOTS", CLEANED),
    ("FAILED_IS_CLEAN", "FLUSH SLOTS", LOST),
    ("FIRST_UNPIN_ENDS_WRITING", "FLUSH COUNTS", CLEANED),
    ("NO_WAKE", "FLUSH SLOTS", DEADLOCK),
    ("WAITERS_LEFT", "FLUSH SLOTS", ANY),
    ("WRITTEN_FREED_UNOWNED", "RECLAIM FLUSH SLOTS ONE_THREAD", ANY),
    ("LENGTH_LOOKED_AT_ONCE", "LENGTHS RECLAIM ONE_THREAD COUNTS", r"assertion violated\W+cut"),
    ("LENGTH_LOOKED_AT_ONCE", "LENGTHS RECLAIM ONE_THREAD EXCLUSIVES", r"assertion violated\W+cut"),
    ("FRAME_NOT_COMPARED", "RECLAIM FLUSH CUTS FRAMES SLOTS ONE_THREAD", "assertion violated.*word>>"),
]
GONE = "assertion violated.*(there|memory)"  # not where the word, or who copies it, takes it to be
UNSYNCED = "assertion violated.*since"  # weir_sync leaves out what was stored before it
UNSEEN = "assertion violated.*open"  # it can be written to, and the word knows nothing of it
WINDOW_MUTATIONS = [
    ("UNPROTECTED_WRITEBACK", "ONE_THREAD TOUCHES FLUSH", UNSEEN),
    ("PROTECTED_BEFORE_WORD", "ONE_THREAD TOUCHES FLUSH", UNSEEN),
    ("REVERT_FORGETS_WRITABLE", "ONE_THREAD SLOTS FLUSH", UNSEEN),
    ("SYNC_PROTECTS_HELD", "ONE_THREAD SLOTS FLUSH", UNSEEN),
    ("DIRTY_AFTER_PROTECTION", "TOUCHES", ANY),
    ("DIRTY_AFTER_BUSY", "TOUCHES", ANY),
    ("APPEARS_OPEN", "ONE_THREAD TOUCHES", UNSEEN),
    ("WRITE_PIN_OF_PROTECTED", "ONE_THREAD SLOTS RECLAIM", UNSEEN),
    ("UNMAP_IGNORES_PINS", "ONE_THREAD SLOTS RECLAIM", TAKEN),
    ("PIN_IGNORES_BUSY", "ONE_THREAD COUNTS RECLAIM", TAKEN),
    ("PIN_IN_SLOT_OF_WINDOW", "SLOTS OTHER_TOUCHES RECLAIM", TAKEN),
    ("COPIED_WITHOUT_BUSY", "ONE_THREAD TOUCHES RECLAIM", GONE),
    ("BUSY_WRITTEN", "ONE_THREAD TOUCHES FLUSH", "assertion violated.*busy"),
    ("BUSY_EVICTED", "ONE_THREAD TOUCHES RECLAIM", "assertion violated.*busy"),
    ("NO_WAKE_AFTER_BUSY", "ONE_THREAD TOUCHES RECLAIM", DEADLOCK),
    ("HOLLOW_BEFORE_COPY", "ONE_THREAD TOUCHES RECLAIM LATE", GONE),
    ("SLOT_NOT_FILLED", "ONE_THREAD TOUCHES RECLAIM", GONE),
    ("UNMAP_LEAVES_OPEN", "ONE_THREAD TOUCHES MAPS", "assertion violated.*new_"),
    ("LENGTH_NOT_AGAIN", "ONE_THREAD TOUCHES MAPS", GONE),
    ("LENGTH_AFTER_WORD", "ONE_THREAD SLOTS MAPS", TAKEN),
    ("GROW_IGNORES_PINS", "ONE_THREAD SLOTS GROWS", GONE),
    ("MAPPED_RESCUED", "ONE_THREAD SLOTS RECLAIM", GONE),
    ("RESCUE_BY_OLD_LOOK", "TOUCHES RECLAIM", GONE),
    ("MAP_CHANGES_ISOLATED", "ONE_THREAD SLOTS RECLAIM MAPS REFS", "assertion violated.*seen"),
    ("WINDOW_NOT_AGAIN_MISS", "SLOTS OTHER_TOUCHES MAPS", TAKEN),
    ("WORD_NOT_AGAIN_PIN", "ONE_THREAD COUNTS TOUCHES MAPS", TAKEN),
    ("WINDOW_NOT_AGAIN_PIN", "COUNTS OTHER_TOUCHES MAPS", TAKEN),
    ("WINDOW_NOT_AGAIN_PIN", "EXCLUSIVES OTHER_TOUCHES MAPS", TAKEN),
    ("LOADS_UNSHOWN", "TOUCHES FLUSH", UNSYNCED),
    ("SYNC_PASSES_LOADING", "TOUCHES FLUSH", UNSYNCED),
    ("SYNC_PASSES_BUSY", "TOUCHES FLUSH", UNSYNCED),
]


class Checker:
    """The plan's numbers, and one model at a time."""

    def __init__(self, folder, compiler, full):
        self.folder = folder
        self.memory_mb = MEMORY_FULL_MB if full else MEMORY_MB
        self.depth = DEPTH_FULL if full else DEPTH
        self.compiler = compiler
        self.number = 0

    def report(self, passed, name, said=""):
        self.number += 1
        print(f"{'ok' if passed else 'not ok'} {self.number} - {name}", flush=True)
        for line in said.splitlines() if not passed else ():
            print(f"# {line}")

    def run(self, *command, model=""):
        return subprocess.run(command, cwd=self.folder, text=True, errors="replace", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=dict(os.environ, MODEL=model)).stdout

    def compile(self, model):
        """A new checker, or what the compilers say against it. Little is gained by -O2: searching is waiting for memory."""
        if os.path.exists(os.path.join(self.folder, "pan")):
            os.remove(os.path.join(self.folder, "pan"))
        self.model = model
        self.reached = set()
        self.said = self.run("spin", "-a", f"{model}.pml")
        self.said += self.run(self.compiler, "-O1", "-w", "-DSAFETY", f"-DMEMLIM={self.memory_mb}", "-o", "pan", "pan.c")

    def search(self, chosen, table_bits):
        """What the checker says: an error, or that the whole space was searched."""
        if not os.path.exists(os.path.join(self.folder, "pan")):
            return self.said
        return self.run("./pan", f"-m{self.depth}", f"-w{table_bits}", "-n", model=chosen)

    def check_set(self, name, chosen):
        said = self.search(chosen, 22)
        complete = re.search(r"errors: 0\b", said) and not re.search(
            r"max search depth|Search not completed|out of memory|memory limit", said)
        states = re.search(r"(\d+) states, stored", said)
        self.reached.update(re.findall(r"^(?:transition|event) .*", said, re.MULTILINE))
        name = f"{self.model}: {name}"
        if complete:
            name += f" ({int(states.group(1)):,} states)"
        else:
            said += self.run("./pan", "-r", "-n", model=chosen)[-4000:]
        self.report(bool(complete), name, said)

    def check_reached(self, table, text):
        rows = re.findall(r"#define ROW_(\d) (\d+)", table)
        expected = {f"transition {row} {to}" for row, bits in rows for to in range(8) if int(bits) >> to & 1}
        transitions = {line for line in self.reached if line.startswith("transition")}
        self.report(expected == transitions,
                    f"{self.model}: every legal transition is reached, {len(expected)}, and no other",
                    "\n".join(sorted(expected ^ transitions)))
        events = {f"event {name}" for name in re.findall(r'EVENT\("([^"]*)"\)', text)}
        for by in re.findall(r'NOTE_RESCUE\("([^"]*)"', text):
            events.add(f"event {by} rescues an isolated page")
        missing = sorted(events - self.reached)
        self.report(not missing, f"{self.model}: every event of the model happens, {len(events)}", "\n".join(missing))

    def check_mutation(self, name, chosen, error):
        said = self.search(f"{chosen} {name}", 18)
        title = f"{self.model}: found: {name.lower().replace('_', ' ')} ({chosen.lower()})"
        self.report(bool(re.search(error, said)), title, said[-2000:])


def main():
    table_program, compiler, *options = sys.argv[1:]
    if not shutil.which("spin"):
        print("1..0 # SKIP spin is not installed")
        return
    full = "--full" in options
    models = [
        ("page_word", ["word", "page_word", "thread", "reclaim"], WORD_SETS | (WORD_FULL if full else {}),
         WORD_MUTATIONS),
        ("window", ["word", "window", "window_thread", "window_reclaim"], WINDOW_SETS | (WINDOW_FULL if full else {}),
         WINDOW_MUTATIONS),
    ]
    print(f"1..{sum(len(sets) + 2 + len(mutations) for _, _, sets, mutations in models)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="weir-model-") as folder:
        table = subprocess.run([table_program], check=True, text=True, stdout=subprocess.PIPE).stdout
        with open(os.path.join(folder, "word_table.h"), "w") as file:
            file.write(table)
        for name in os.listdir(HERE):
            if name.endswith(".pml"):
                shutil.copy(os.path.join(HERE, name), folder)
        checker = Checker(folder, compiler, full)
        for model, files, sets, mutations in models:
            checker.compile(model)
            for name, chosen in sets.items():
                checker.check_set(name, chosen)
            text = "".join(open(os.path.join(folder, f"{name}.pml")).read() for name in files)
            checker.check_reached(table, text)
            for mutation in mutations:
                checker.check_mutation(*mutation)


if __name__ == "__main__":
    main()
