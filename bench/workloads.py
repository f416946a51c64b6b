# SPDX-License-Identifier: MIT
"""Made-up page traces, each of one kind of program, to hold a replacement policy against.

No trace is tuned to a policy, and no policy to these: each is the plainest form of a pattern that the literature names.
Seeds are fixed, so that a trace is the same on each machine. A workload is a function that yields page numbers.
"""
import bisect
import itertools
import random

ACCESSES = 150_000
WORKLOADS = {}


def workload(*arguments):
    """Adds a generator to WORKLOADS: under its name alone, or once for each of the arguments."""
    def add(function):
        name = function.__name__.replace("_", "-")
        for argument in arguments:
            WORKLOADS[f"{name}-{argument}"] = lambda rng, a=argument: function(rng, a)
        if not arguments:
            WORKLOADS[name] = function
        return function
    return add


def generate(name):
    """The trace as a list; the same each time."""
    return list(itertools.islice(WORKLOADS[name](random.Random(f"weir {name}")), ACCESSES))


class Zipf:
    """Page of rank k with a chance proportional to 1 / k^theta, ranks scattered over the pages."""

    def __init__(self, rng, pages, theta):
        self.rng = rng
        self.bounds = list(itertools.accumulate(1 / k ** theta for k in range(1, pages + 1)))
        self.order = list(range(pages))
        rng.shuffle(self.order)

    def page(self):
        return self.order[bisect.bisect_left(self.bounds, self.rng.random() * self.bounds[-1])]


@workload(0.6, 0.8, 1.0, 1.2)
def zipf(rng, theta):
    """Independent accesses: frequency is all there is to know."""
    pages = Zipf(rng, 10_000, theta)
    while True:
        yield pages.page()


@workload()
def zipf_scan(rng):
    """A skewed working set, and now and then 2,000 pages read once."""
    pages, cold = Zipf(rng, 4_000, 0.9), itertools.cycle(range(4_000, 14_000))
    while True:
        for _ in range(5_000):
            yield pages.page()
        yield from itertools.islice(cold, 2_000)


@workload()
def loops(rng):
    """Loops of 500 to 8,000 pages take turns, each for a few rounds; one access in fifty is anywhere."""
    lengths, starts = (500, 1_500, 3_000, 8_000), (0, 500, 2_000, 5_000)
    while True:
        loop = rng.randrange(4)
        for _ in range(rng.randrange(2, 6)):
            for i in range(lengths[loop]):
                yield rng.randrange(13_000) if rng.random() < 0.02 else starts[loop] + i


@workload()
def loop_beside_zipf(rng):
    """A loop over 6,000 pages, with a hot set beside it."""
    pages, i = Zipf(rng, 3_000, 0.9), 0
    while True:
        yield pages.page()
        yield 3_000 + i
        i = (i + 1) % 6_000


@workload()
def shifting(rng):
    """Nine of ten accesses go to 600 hot pages; every 15,000 accesses those are others."""
    while True:
        hot = rng.sample(range(8_000), 600)
        for _ in range(15_000):
            yield rng.choice(hot) if rng.random() < 0.9 else rng.randrange(8_000)


@workload()
def drifting(rng):
    """A normal distribution around a point that moves slowly over the file."""
    centre = 0.0
    while True:
        centre += 0.05
        yield int(rng.gauss(centre, 400)) % 9_000


@workload()
def database(rng):
    """Look-ups by index: the root, one of 20 inner pages, a leaf, a page of the heap. Now and then a table scan."""
    keys = Zipf(rng, 60_000, 0.8)
    while True:
        for _ in range(6_000):
            key = keys.page()
            yield 0
            yield 1 + key // 3_000
            yield 100 + key // 100
            yield 1_000 + key * 7_919 % 60_000 // 10
        start = rng.randrange(4_000)
        yield from range(1_000 + start, 1_000 + start + 2_000)


@workload()
def correlated(rng):
    """Each page is used two to four times within some twenty accesses, and then not for long: the uses in between must
    not pass for popularity. A third of the accesses goes to a skewed set that deserves its place."""
    pages, pending = Zipf(rng, 2_000, 0.8), [[] for _ in range(32)]
    for now in itertools.count():
        for page in pending[now % 32]:
            yield page
        pending[now % 32] = []
        if rng.random() < 0.33:
            yield pages.page()
            continue
        page = rng.randrange(2_000, 12_000)
        yield page
        for _ in range(rng.randrange(1, 4)):
            pending[(now + rng.randrange(1, 20)) % 32].append(page)


@workload()
def phases(rng):
    """A Markov chain over four kinds of work, about 5,000 accesses each: skewed, scanning, looping, a small hot set."""
    pages, scanned = Zipf(rng, 4_000, 1.0), itertools.cycle(range(4_000, 12_000))

    def phase(kind):
        if kind == 0:
            return (pages.page() for _ in itertools.count())
        if kind == 1:
            return scanned
        first = rng.randrange(8_000)
        if kind == 2:
            return itertools.cycle(range(first, first + 1_200))
        return (first + rng.randrange(300) for _ in itertools.count())

    while True:
        for page in phase(rng.choice((0, 0, 1, 2, 3))):
            yield page
            if rng.random() < 1 / 5_000:
                break


@workload()
def two_pools(rng):
    """Index pages and record pages in turn, all equally likely within their pool (O'Neil et al., SIGMOD 1993)."""
    while True:
        yield rng.randrange(200)
        yield 200 + rng.randrange(10_000)


@workload(1.2, 2.0)
def stack(rng, alpha):
    """Recency is all there is to know: the page at depth d of an LRU stack, d from a Pareto distribution."""
    pages = list(range(6_000))
    while True:
        depth = min(int(8 * rng.paretovariate(alpha / 2)) - 8, len(pages) - 1)
        page = pages.pop(-1 - depth)
        pages.append(page)
        yield page


@workload(300, 1_200)
def follower(rng, lag):
    """One reads a file in order, another follows: each page is used twice, `lag` pages apart, then never for long."""
    skewed = Zipf(rng, 1_000, 0.8)
    for i in itertools.count(lag):
        yield 1_000 + i % 8_000
        yield 1_000 + (i - lag) % 8_000
        if i % 3 == 0:
            yield skewed.page()


@workload()
def producer_consumer(rng):
    """A queue whose length wanders between 0 and 2,000 pages: each page is used twice, in order."""
    head, tail, up = 0, 0, True
    while True:
        up = head - tail < 100 or (up and head - tail < 2_000)
        if rng.random() < (0.55 if up else 0.45):
            yield head % 8_000
            head += 1
        elif tail < head:
            yield tail % 8_000
            tail += 1


@workload()
def growing(rng):
    """A log to whose end is written, and of which the newer is read more: a page's age decides."""
    end = 1
    while True:
        if rng.random() < 0.08:
            end += 1
            yield end
        else:
            yield max(0, end - int(rng.expovariate(1 / 600)))


# The policy was final when those below were written.


@workload()
def graph_walk(rng):
    """Random walks over a graph that grew by preferential attachment: some nodes have far more neighbours."""
    neighbours, ends = [[1], [0]], [0, 1]
    for node in range(2, 10_000):
        targets = {rng.choice(ends) for _ in range(3)}
        neighbours.append(list(targets))
        for target in targets:
            neighbours[target].append(node)
            ends += (node, target)
    node = 0
    while True:
        yield node
        node = rng.choice(neighbours[node]) if rng.random() < 0.95 else rng.randrange(10_000)


@workload()
def build(rng):
    """A compiler: each source file's pages once, and the headers that it includes, of which few are popular."""
    headers = Zipf(rng, 300, 0.9)
    for source in itertools.count():
        first = 3_000 + source * 6 % 6_000
        for i in range(6):
            yield first + i
        for header in {headers.page() for _ in range(25)}:
            yield from range(header * 8, header * 8 + rng.randrange(1, 9))


@workload()
def sessions(rng):
    """Users come, use their 40 pages some hundred times beside those that all use, and go; some come again."""
    shared, active = Zipf(rng, 1_000, 0.8), []
    while True:
        if len(active) < 25 or rng.random() < 0.004:
            active.append(int(rng.paretovariate(0.5)) % 300)
            active = active[-30:]
        if rng.random() < 0.3:
            yield shared.page()
        else:
            yield 1_000 + rng.choice(active) * 40 + min(int(rng.expovariate(0.1)), 39)


@workload()
def matrix(_):
    """Two matrices of pages multiplied row by column: 70 pages a row, and all of the second for each row."""
    size = 70
    for row in itertools.cycle(range(size)):
        for column in range(size):
            for k in range(size):
                yield row * size + k
                yield size * size + k * size + column


@workload()
def merge(rng):
    """An external sort: runs are written, then merged by readers that move at their own speeds, over and over."""
    while True:
        for page in range(6_000):
            yield page
            yield 12_000  # the page that says how far it got
        heads = [run * 750 for run in range(8)]
        for out in range(6_000):
            run = rng.randrange(8)
            yield heads[run]
            heads[run] = run * 750 + (heads[run] + 1 - run * 750) % 750
            yield 6_000 + out


# The policy was final again, after its target had become a duel with LRU, when those below were written.


def nurand(rng, mask, low, high):
    """TPC-C's non-uniform random numbers (clause 2.1.6)."""
    return low + ((rng.randrange(mask + 1) | rng.randrange(low, high + 1)) + 123) % (high - low + 1)


@workload()
def order_entry(rng):
    """TPC-C's mix in small: new orders read customers, items and stock and append; payments; deliveries of orders that
    are some 900 orders old; now and then stock is counted for the last 20 orders."""
    item, stock, customer, history = 1_000, 1_500, 5_500, 7_500
    lines = []
    for order in itertools.count():
        yield rng.randrange(10)  # the district
        yield customer + nurand(rng, 1_023, 0, 5_999) // 3
        if rng.random() < 0.5:  # a payment, and no order
            yield history + 3_000 + order // 20 % 500
            continue
        items = [nurand(rng, 8_191, 0, 39_999) for _ in range(rng.randrange(5, 16))]
        for number in items:
            yield item + number // 80
            yield stock + number // 10
        lines = (lines + [items])[-20:]
        yield history + order // 8 % 3_000
        if rng.random() < 0.1:
            yield from (history + max(0, order - 900 - i) // 8 % 3_000 for i in range(10))
        if rng.random() < 0.05:
            yield from (stock + number // 10 for items in lines for number in items)


@workload()
def tree_ranges(rng):
    """A B-tree of 10,000 leaves: look-ups of skewed keys, and ranges of 2 to 60 leaves that begin anywhere."""
    keys = Zipf(rng, 10_000, 0.7)
    while True:
        ranged = rng.random() < 0.1
        leaf = rng.randrange(10_000) if ranged else keys.page()
        yield 0
        yield 1 + leaf // 100
        yield from (101 + i % 10_000 for i in range(leaf, leaf + (rng.randrange(2, 61) if ranged else 1)))


@workload()
def compaction(rng):
    """A log-structured store of two levels: new runs are read most; six of them are merged, front to back, into a level
    that is read by skewed key, and take other pages' place."""
    keys, runs, base, fresh = Zipf(rng, 6_000, 0.8), [], 4_000, 0

    def reads(n):
        for _ in range(n):
            if runs and rng.random() < 0.4:
                yield runs[-1 - min(int(rng.expovariate(0.7)), len(runs) - 1)] + int(rng.random() ** 2 * 250)
            else:
                yield base + keys.page()

    while True:
        runs.append(fresh % 16 * 250)
        fresh += 1
        yield from range(runs[-1], runs[-1] + 250)
        yield from reads(3_000)
        if len(runs) < 6:
            continue
        for i in range(250):
            yield from (run + i for run in runs)
            yield from (base + i * 24 + j for j in range(24))
            yield from reads(6)
        runs = []


@workload()
def content_delivery(rng):
    """Files of 1 to 12 pages, read whole. New ones appear all the time, are popular at once, each in its own measure,
    and less so with age; there is room for 2,500 of them."""
    files = []
    for now in itertools.count():
        if now % 8 == 0 or len(files) < 50:
            slot = len(files) % 2_500 if len(files) < 2_500 else rng.randrange(2_500)
            entry = (slot, rng.randrange(1, 13), now, rng.paretovariate(1.1))
            if slot < len(files):
                files[slot] = entry
            else:
                files.append(entry)
        best = max((files[rng.randrange(len(files))] for _ in range(12)),
                   key=lambda f: f[3] / (1 + (now - f[2]) / 3_000) * rng.random())
        yield from range(best[0] * 12, best[0] * 12 + best[1])


@workload()
def day_and_night(rng):
    """By day a skewed load; by night each table is read through, twice if it is small, and its totals are updated."""
    pages = Zipf(rng, 12_000, 0.95)
    while True:
        for _ in range(25_000):
            yield pages.page()
        for start, length in ((0, 800), (800, 2_500), (3_300, 6_000)):
            for _ in range(1 if length > 1_000 else 2):
                for i in range(length):
                    yield start + i
                    if i % 16 == 0:
                        yield 12_000 + start // 100


@workload()
def shot_noise(rng):
    """Each of 12,000 pages sleeps for long, then is used at its own rate for its own while (Traverso et al., 2013)."""
    awake = []
    while True:
        if rng.random() < 0.02 or not awake:
            awake.append([rng.randrange(12_000), min(int(2 * rng.paretovariate(0.9)), 3_000), rng.randrange(1, 9)])
        shot = max(rng.choice(awake), rng.choice(awake), key=lambda s: s[2])
        yield shot[0]
        shot[1] -= 1
        if shot[1] <= 0:
            awake.remove(shot)


@workload()
def chasing(rng):
    """Lists whose nodes lie anywhere, of 20 to 3,000 pages, followed from the start for some way; short ones more."""
    pages, lists = list(range(12_000)), []
    rng.shuffle(pages)
    while len(pages) > 20:
        length = min(int(20 * rng.paretovariate(0.8)), 3_000, len(pages))
        lists.append(pages[:length])
        pages = pages[length:]
    weights = [len(nodes) ** -0.5 for nodes in lists]
    while True:
        nodes = rng.choices(lists, weights)[0]
        yield from nodes[: max(1, int(len(nodes) * min(1, rng.random() * 1.5)))]


@workload()
def checkpoints(rng):
    """Updates go to a skewed set, and to a log; every 10,000 accesses what was updated is gone through in order."""
    pages, updated, log = Zipf(rng, 8_000, 0.85), set(), 0
    for now in itertools.count(1):
        page = pages.page()
        updated.add(page)
        yield page
        if now % 4 == 0:
            log += 1
            yield 8_000 + log // 4 % 4_000
        if now % 10_000 == 0:
            yield from sorted(updated)
            updated.clear()
