#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds Weir for aarch64 and runs its suite there: on Debian's kernel, in a machine that QEMU emulates.

usage: emulate.py [SUITE]... - with no suites named, all but those in LEFT_OUT.

  debootstrap ─► build-aarch64/system ─┬─► the compiler's sysroot ─► build-aarch64/build
                                       └─► disk.img, with the sources and the build where they are here
  QEMU boots disk.img ─► guest.py runs each test there, results go to the disk results.img ─► counted as check.py counts

An emulated processor runs one instruction after the other as this machine does: what a weaker order of memory would
break does not show. Ends with the line "N passed, N failed, N skipped"; exit status 1 when something failed.
"""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import check  # noqa: E402 - of the folder above

ROOT = check.ROOT
WORK = os.path.join(ROOT, "build-aarch64")
SYSTEM = os.path.join(WORK, "system")
BUILD = os.path.join(WORK, "build")
SUITE = "trixie"  # the first Debian whose kernel can write-protect by userfaultfd on aarch64 (Linux 6.10)
PACKAGES = ("binutils,busybox-static,gawk,libcmocka-dev,libjemalloc-dev,libssl-dev,liburing-dev,linux-image-cloud-arm64,memtester,"
            "procps,python3,sqlite3,strace,stress-ng,util-linux,xxd")
MEMORY = "6G"
HOURS = 2
LEFT_OUT = {
    "bench": "an emulated machine's times say nothing",
    "fuzz": "it reads text, which is the same everywhere",
    "model": "it needs spin, and is the same everywhere",
    "package": "it reads files that are the same everywhere",
}


def run(command, **options):
    done = subprocess.run(command, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode:
        sys.exit(f"{done.stdout}\nemulate.py: `{' '.join(command)}` failed, as said above")
    return done.stdout


def fetch_system():
    """Packages are unpacked and not set up: that would take a program of theirs, and the tests need none of it."""
    complete = os.path.join(WORK, "system-complete")
    said = f"{SUITE} {PACKAGES}\n"
    if os.path.exists(complete) and open(complete, encoding="utf-8").read() == said:
        return
    print("fetching the system", flush=True)
    shutil.rmtree(SYSTEM, ignore_errors=True)
    run(["debootstrap", "--foreign", "--variant=minbase", "--arch=arm64", f"--include={PACKAGES}", SUITE, SYSTEM])
    archives = os.path.join(SYSTEM, "var/cache/apt/archives")
    for name in sorted(os.listdir(archives)):
        if name.endswith(".deb"):
            run(["dpkg-deb", "-x", os.path.join(archives, name), SYSTEM])
    shutil.rmtree(archives)
    for path, text in (("etc/passwd", "root:x:0:0::/root:/bin/bash\n"), ("etc/group", "root:x:0:\n")):
        with open(os.path.join(SYSTEM, path), "w", encoding="utf-8") as file:
            file.write(text)
    os.symlink("gawk", os.path.join(SYSTEM, "usr/bin/awk"))
    with open(complete, "w", encoding="utf-8") as file:
        file.write(said)


def compile_all():
    print("compiling", flush=True)
    cross = os.path.join(WORK, "cross.ini")
    tool = "aarch64-linux-gnu-"
    with open(cross, "w", encoding="utf-8") as file:
        file.write(f"""[binaries]
c = ['{tool}gcc', '--sysroot={SYSTEM}']
ar = '{tool}ar'
strip = '{tool}strip'
objcopy = '{tool}objcopy'
pkgconfig = 'pkg-config'
[properties]
sys_root = '{SYSTEM}'
pkg_config_libdir = '{SYSTEM}/usr/lib/aarch64-linux-gnu/pkgconfig'
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
""")
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        run(["meson", "setup", BUILD, "--cross-file", cross] + check.DEBUG, cwd=ROOT)
    run(["meson", "compile", "-C", BUILD])


def choose_tests(suites):
    tests = json.loads(run(["meson", "introspect", "--tests", BUILD]))
    chosen = []
    for test in tests:
        suite = test["suite"][0].split(":")[-1]
        if suite in suites if suites else suite not in LEFT_OUT:
            chosen.append({key: test[key] for key in ("name", "cmd", "env", "timeout")})
            chosen[-1]["workdir"] = test["workdir"] or BUILD
    if not chosen:
        sys.exit(f"emulate.py: no such suite: {' '.join(suites)}")
    for suite, reason in LEFT_OUT.items():
        if not suites:
            print(f"left out {suite}: {reason}")
    return chosen


def make_disk(tests):
    """The sources are those that git would commit now."""
    tree = os.path.join(WORK, "tree")
    shutil.rmtree(tree, ignore_errors=True)
    run(["cp", "-a", "--reflink=auto", SYSTEM, tree])
    inside = tree + ROOT
    os.makedirs(inside, exist_ok=True)
    files = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT).splitlines()
    run(["cp", "--parents", "-a"] + [name for name in files if os.path.exists(os.path.join(ROOT, name))] + [inside], cwd=ROOT)
    shutil.copytree(BUILD, tree + BUILD, symlinks=True, ignore=shutil.ignore_patterns("*.o"))
    with open(os.path.join(tree, "tests.json"), "w", encoding="utf-8") as file:
        json.dump(tests, file)
    disk = os.path.join(WORK, "disk.img")
    for path, size in ((disk, 12 << 30), (os.path.join(WORK, "results.img"), 256 << 20)):
        with open(path, "wb") as file:
            file.truncate(size)
    run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", tree, disk])
    shutil.rmtree(tree)
    return disk


def make_initrd():
    """Debian's kernel has ext4 built in, and virtio's disks as a module."""
    tree = os.path.join(WORK, "initrd")
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("proc", "sys", "dev", "root"):
        os.makedirs(os.path.join(tree, name))
    shutil.copy(os.path.join(SYSTEM, "usr/bin/busybox"), tree)
    modules = os.path.join(SYSTEM, "usr/lib/modules")
    version = sorted(os.listdir(modules))[-1]
    compressed = os.path.join(modules, version, "kernel/drivers/block/virtio_blk.ko.xz")
    with open(os.path.join(tree, "virtio_blk.ko"), "wb") as file:
        subprocess.run(["xz", "-dc", compressed], stdout=file, check=True)
    shutil.copy(os.path.join(ROOT, "scripts/aarch64/init.sh"), os.path.join(tree, "init"))
    initrd = os.path.join(WORK, "initrd.gz")
    run(["sh", "-c", f"find . | cpio -o -H newc | gzip -1 > '{initrd}'"], cwd=tree)
    return os.path.join(SYSTEM, "boot", "vmlinuz-" + version), initrd


def boot(kernel, initrd, disk):
    print("booting", flush=True)
    command = ["qemu-system-aarch64", "-machine", "virt", "-cpu", "max,pauth-impdef=on", "-accel", "tcg,thread=multi",
               "-smp", "2", "-m", MEMORY, "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel, "-initrd", initrd,
               "-append", f"console=ttyAMA0 panic=-1 quiet guest={ROOT}/scripts/aarch64/guest.py"]
    for image in disk, os.path.join(WORK, "results.img"):
        command += ["-drive", f"file={image},format=raw,if=virtio,cache=unsafe"]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=HOURS * 3600)
    except subprocess.TimeoutExpired:
        print(f"the machine did not end within {HOURS} hours")


def count_results(tests):
    with open(os.path.join(WORK, "results.img"), "rb") as file:
        lines = file.read().rstrip(b"\0").decode(errors="replace").splitlines()
    total = check.Count()
    results = [json.loads(line) for line in lines]
    for result in results:
        total.add(check.count_program(result))
    ran = {result["name"] for result in results}
    total.failed += [f"{test['name']}: not run" for test in tests if test["name"] not in ran]
    return total


def main():
    unavailable = [name for name in ("debootstrap", "qemu-system-aarch64", "aarch64-linux-gnu-gcc", "cpio", "xz")
                   if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")]
    if unavailable:
        sys.exit(f"emulate.py: not installed: {', '.join(unavailable)}. `make check-aarch64` installs them, as root.")
    os.makedirs(WORK, exist_ok=True)
    fetch_system()
    compile_all()
    tests = choose_tests(sys.argv[1:])
    disk = make_disk(tests)
    boot(*make_initrd(), disk)
    total = count_results(tests)
    for case, reason in total.skipped:
        print(f"skipped {case}: {reason}")
    for case in total.failed:
        print(f"FAILED {case}")
    print(total.line())
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
