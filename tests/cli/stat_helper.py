# SPDX-License-Identifier: MIT
"""What test_stat.sh needs and a shell has not.

stat_helper.py page                  be a process that shows a page of statistics, of the kind that the last line of
                                     stdin says; for each its pid is printed
stat_helper.py terminal KEYS CMD ... run CMD on a terminal of 80x24, send KEYS once it has drawn, and print its screen;
                                     exit status: CMD's, or 99 where the terminal is not as it was
stat_helper.py prometheus FILE       0 where FILE is sound Prometheus text
"""
import fcntl, os, pty, re, select, signal, struct, sys, termios, time

HEADER = "<8sIIQIIQQIIII16s32sIIIIQ"


def make_page(kind):
    fields = dict(magic=b"WEIRSTAT", layout=1, header_bytes=136, size=4096, pid=os.getpid(), pool=1, memory=1 << 20,
                  start=time.monotonic_ns(), nodes=1, nr=2, names=136, values=232, version=b"0.1.0", policy=b"lru",
                  request=0, answered=0, sequence=2, unused=0, taken=time.monotonic_ns())
    names = [(b"nr_free_pages", 2), (b"pgmajfault", 1)]
    values = [7, 2**64 - 1]
    changes = {
        "sound": {}, "newer": dict(layout=2), "older": dict(layout=0), "parents": dict(pid=1 << 30),
        "many_values": dict(nr=0xffffffff), "many_nodes": dict(nodes=0xffffffff), "no_nodes": dict(nodes=0),
        "names_outside": dict(names=0xfffffff8), "values_outside": dict(values=4088), "long": dict(size=1 << 62),
        "policy": dict(policy=b"\x1b[2J" + b"x" * 28), "version": dict(version=b"y" * 16), "odd": dict(sequence=3),
        "future": dict(start=2**64 - 1, taken=2**64 - 1, memory=2**64 - 1),
    }
    fields.update(changes.get(kind, {}))
    if kind == "names":
        names[1] = (b'x{y="\n', 1)
    if kind == "kind":
        names[0] = (b"nr_free_pages", 9)
    data = struct.pack(HEADER, *fields.values())
    data += b"".join(struct.pack("<47sB", *n) for n in names) + struct.pack("<2Q", *values)
    data = data.ljust(4096, b"\0")
    if kind == "garbage":
        data = os.urandom(4096)
    if kind == "magic_and_garbage":
        data = b"WEIRSTAT" + struct.pack("<I", 1) + os.urandom(4084)
    if kind == "empty":
        data = b""
    if kind == "short":
        data = data[:200]
    fd = os.memfd_create("weir-stats")
    os.write(fd, data)
    print(os.getpid(), flush=True)
    deadline = time.monotonic() + 30
    while kind == "cut" and time.monotonic() < deadline:  # once it was asked
        if struct.unpack("<I", os.pread(fd, 4, 112))[0] >= 2:
            os.ftruncate(fd, 0)
            break
        time.sleep(0.01)
    return fd


def pages():
    fd = -1
    for kind in sys.stdin:
        if fd >= 0:
            os.close(fd)
        fd = make_page(kind.strip())


def terminal(keys, command):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(slave)
    child = os.fork()
    if child == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        os.environ["TERM"] = "vt100"
        os.execvp(command[0], command)
    text, sent, status, deadline = b"", False, None, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.05)[0]:
            data = os.read(master, 65536)
            text += data
            sys.stdout.write(data.decode())
            sys.stdout.flush()
            continue
        if status is not None:
            break
        if not sent and b"stalls" in text:
            raw = termios.tcgetattr(slave)
            assert not raw[3] & termios.ECHO and not raw[3] & termios.ICANON
            os.write(master, keys.encode().decode("unicode_escape").encode())
            sent = True
        done, code = os.waitpid(child, os.WNOHANG)
        status = code if done else None
    if status is None:
        os.kill(child, signal.SIGKILL)
        sys.exit(98)
    # What clears to the end of a line also clears the character in its last column, where that was just written.
    assert not re.search(rb"[^\x1b\r\n]{80}\x1b\[[KJ]", text)
    whole = b"\x1b[?25h\x1b[?1049l" in text
    same = termios.tcgetattr(slave) == before
    sys.exit(os.waitstatus_to_exitcode(status) if whole and same else 99)


def prometheus(path):
    label = r'[a-z]+="(?:[^"\\\n]|\\.)*"'
    sample = re.compile(r'([a-z_0-9]+)\{%s(?:,%s)*\} [0-9.]+$' % (label, label))
    family, kind, families, last, n = None, None, set(), 0, 0
    for line in open(path).read().splitlines():
        if line.startswith("# TYPE "):
            family, kind = line.split()[2:]
            assert family not in families, family + " comes twice"
            families.add(family)
            last = 0
            continue
        if line.startswith("# HELP "):
            continue
        found = sample.match(line)
        assert found, line
        n += 1
        name, number = found[1], float(line.split()[-1])
        if kind == "histogram":
            assert name in (family + "_bucket", family + "_sum", family + "_count"), line
            if name.endswith("_bucket"):
                assert number >= last, line
            if name.endswith("_count"):
                assert number == last, line
            if not name.endswith("_sum"):
                last = number
        else:
            assert name == family and (kind != "counter" or name.endswith("_total")), line
    assert n > 90 and "weir_pgmajfault_total" in families and "weir_nr_free_pages" in families


if sys.argv[1] == "page":
    pages()
elif sys.argv[1] == "terminal":
    terminal(sys.argv[2], sys.argv[3:])
else:
    prometheus(sys.argv[2])
