#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: test_replay.sh WEIR TAP [engine] - the tool end to end, as TAP. Small files; each case says what it claims.
# "engine": not what is about the tool alone.
command=replay
. "$(dirname "$0")/tap.sh"
small=(--memory 4M --size 16M) # 1,024 frames, 4,096 pages
n=8000                         # accesses, most often
if built_with asan || built_with tsan; then
	n=2000
fi

# json NAME EXPRESSION [options]: succeeds, is JSON, and the expression holds.
json() {
	local name=$1 expression=$2
	shift 2
	run --json "$@"
	[ "$status" -eq 0 ] && holds "$expression"
	result $? "$name"
}

# --- the tool
"$weir" --version >out 2>err && grep -Eq '^weir [0-9]+\.[0-9]+\.[0-9]+$' out
result $? "--version prints the version"
"$weir" --help >out 2>err && grep -q replay out && "$weir" replay --help >out 2>err && grep -q -- --trace out
result $? "--help names the commands and the options"
"$weir" frobnicate >out 2>err
[ $? -eq 2 ] && grep -q 'no such command' err
result $? "an unknown command is refused with status 2"

# --- patterns
sound="r['hits'] + r['misses'] == r['accesses'] and r['verify']['errors'] == 0 and
	r['verify']['pages_checked'] == r['accesses']"
for pattern in uniform zipf scan loop mixed; do
	json "pattern $pattern with writes keeps every page right" \
		"r['accesses'] == $n and r['writes'] > 0 and $sound" \
		"${small[@]}" --pattern "$pattern" --accesses $n --writes 20 --verify
done
json "four threads with writes keep every page right" "r['accesses'] == $((2 * n)) and $sound" \
	"${small[@]}" --threads 4 --accesses $((2 * n)) --writes 50 --verify
json "a queue of 32 keeps every page right" "r['accesses'] == $((2 * n)) and $sound" \
	"${small[@]}" --depth 32 --accesses $((2 * n)) --writes 30 --verify
json "two threads with queues of 16 keep every page right" "r['accesses'] == $((2 * n)) and $sound" \
	"${small[@]}" --threads 2 --depth 16 --accesses $((2 * n)) --writes 30 --verify
json "a window, touched by two threads under every reclaim mode, keeps every page right" \
	"r['accesses'] == $((2 * n)) and $sound and c['pgmajfault'] > 0 and c['pgwpfault'] > 0 and r['window']" \
	"${small[@]}" --window --threads 2 --accesses $((2 * n)) --writes 30 \
	--verify --reclaim default,nofs,noio,nomemalloc
json "a window whose faults are served by threads keeps every page right" "r['accesses'] == $n and $sound" \
	"${small[@]}" --window --fault-thread --accesses $n --writes 30 --verify
json "the file is read from the disk, and what was written goes there" \
	"r['bytes_read'] >= r['misses'] * 4096 * 0.5 and r['bytes_written'] > 0 and c['nr_dirtied'] > 0" \
	"${small[@]}" --accesses $n --writes 30
json "pages that come back are refaults" "r['refaults'] > 0" "${small[@]}" --pattern uniform --accesses $((2 * n))
json "what fits the memory is read once" "r['misses'] <= r['file_bytes'] // 4096 and r['hits'] > 0.8 * r['accesses']" \
	--memory 16M --size 4M --accesses 10000
[ -z "$(ls "$TMPDIR")" ]
result $? "no file is left behind"

# --- reclaim
for mode in default nofs noio nomemalloc; do
	json "--reclaim $mode frees pages and harms none" \
		"r['reclaim'][0]['mode'] == '$mode' and r['reclaim'][0]['calls'] > 0 and
			r['reclaim'][0]['freed'] > 0 and $sound" \
		"${small[@]}" --threads 2 --accesses $((3 * n)) --writes 20 \
		--verify --reclaim "$mode" --reclaim-every 200
done
json "NOMEMALLOC reclaim is counted by its name" \
	"c['pgsteal_nomemalloc'] > 0 and c['pgscan_nomemalloc'] >= c['pgsteal_nomemalloc']" \
	"${small[@]}" --accesses $((3 * n)) --reclaim nomemalloc --reclaim-every 200
json "the background reclaimer steals what misses need" "c['pgsteal_kswapd'] + c['pgsteal_direct'] > 0" \
	"${small[@]}" --pattern uniform --accesses $((2 * n))
if ! built_with asan && ! built_with tsan; then
	json "resident memory stays below budget, metadata and 8 MiB" \
		"r['peak_rss_bytes'] <= r['memory_bytes'] + r['metadata_bytes'] + (8 << 20)" \
		--memory 32M --size 128M --pattern uniform --accesses 20000 --writes 20 --threads 2
else
	skip "resident memory stays below budget, metadata and 8 MiB" "sanitizers take memory of their own"
fi

# --- anonymous memory
anon=(--memory 4M --size 16M --anon --swap "$TMPDIR:20M" --accesses 12000 --writes 50)
for pattern in uniform scan; do
	json "anonymous memory under $pattern keeps every page right" \
		"$sound and r['anon'] and r['verify']['file_pages_checked'] == 4096 and
			c['pswpout'] > 0 and c['pswpin'] > 0 and c['nr_swap_total'] == 5120" \
		"${anon[@]}" --threads 2 --pattern "$pattern" --verify
done
json "the same with a queue" "$sound and c['pswpin'] > 0" "${anon[@]}" --depth 32 --pattern uniform --verify
run "${anon[@]}" --swap-encrypt --verify --json
if grep -q libcrypto err; then
	skip "the same enciphered" "built without libcrypto"
else
	[ "$status" -eq 0 ] && holds "$sound and c['pswpin'] > 0"
	result $? "the same enciphered"
fi
json "what fits the memory needs no swap" "$sound and c['pswpout'] == 0" \
	--memory 16M --size 4M --anon --accesses 5000 --writes 50 --verify
run "${anon[@]}" --pattern uniform
[ "$status" -eq 0 ] && grep -Eq '^  memory  anonymous memory, 16.0 MiB$' out && grep -Eq 'pages written +[1-9]' out
result $? "the report tells of swap"
[ -z "$(ls "$TMPDIR")" ]
result $? "no swap file is left behind"
refused "--swap in a folder that is not there" 1 'its directory is not there' --anon --swap /none/at/all:1M
refused "--swap without a size" 2 'a path and a number of bytes' --anon --swap /tmp
refused "--swap without --anon" 2 'goes with --anon' --swap /tmp:1M
refused "--anon with --file" 2 'memory without a file' --anon --file x

# --- what has but one thread, or is about the tool alone
if built_with tsan; then
	done_testing
	exit
fi

# --- locks
json "what locks cost is among the counters" \
	"all(c['lock_contended_' + l] >= 0 and (c['lock_wait_ns_' + l] > 0) == (c['lock_contended_' + l] > 0)
		for l in ('zone', 'lruvec', 'objects', 'queue', 'bdi', 'resize', 'shrinker')) and
		c['lock_try_failed_lruvec'] >= 0" \
	"${small[@]}" --threads 4 --accesses $((2 * n)) --writes 20
run "${small[@]}" --accesses 2000 --pattern scan
[ "$status" -eq 0 ] && grep -Eq '^locks +contended +waited +failed tries$' out
result $? "the report has a table of locks"

# --- policies and ways to read
run --policy help
[ "$status" -eq 0 ] && [ -s out ]
result $? "--policy help lists the policies"
for policy in $(cut -d' ' -f1 out); do
	json "policy $policy keeps every page right" "r['policy'] == '$policy' and $sound" \
		"${small[@]}" --policy "$policy" --accesses $n --writes 20 --verify
done
json "a scan is read ahead" "c['readahead'] > 0" "${small[@]}" --pattern scan --accesses 5000
json "but not with --advice random" "c['readahead'] == 0 and r['misses'] >= 4096" \
	"${small[@]}" --pattern scan --accesses 5000 --advice random
json "without io_uring" "$sound" "${small[@]}" --no-io-uring --accesses $n --writes 20 --verify
json "through the kernel's page cache" "$sound" "${small[@]}" --buffered --accesses $n --writes 20 --verify
json "two nodes" "$sound" "${small[@]}" --nodes 2 --accesses $n --writes 20 --verify
json "laptop mode" "$sound" "${small[@]}" --laptop-mode --accesses $n --writes 20 --verify

if [ "$3" = engine ]; then
	done_testing
	exit
fi

# --- traces
python3 - <<'PYTHON'
import random, struct
random.seed(4)
pages = [random.randrange(4096) if random.random() < 0.5 else i % 3000 for i in range(8000)]
with open("t.txt", "w") as text, open("t.csv", "w") as csv, open("t.bin", "wb") as oracle, open("w.txt", "w") as writes:
    csv.write("time,op,offset,size\n")
    for i, page in enumerate(pages):
        text.write(f"{page}\n")
        csv.write(f"{i},read,{page * 4096},4096\n")
        oracle.write(struct.pack("<IQIq", i, page, 4096, -1))
        writes.write(f"{page} {'w' if i % 5 == 0 else 'r'}\n")
PYTHON
for trace in t.txt t.csv t.bin; do
	json "$trace is replayed whole" "r['accesses'] == 8000 and r['file_bytes'] <= 4096 * 4096 and $sound" \
		--memory 4M --trace "$trace" --verify
done
json "a trace on standard input, with writes, by three threads" \
	"r['accesses'] == 8000 and r['writes'] == 1600 and $sound" \
	--memory 4M --trace - --threads 3 --verify <w.txt
json "a trace is gone through again for more accesses" \
	"r['accesses'] == 20000" --memory 4M --trace t.txt --accesses 20000
printf '%s\n' 5 6 900000000000 >far.txt
json "--map dense numbers pages as they appear" \
	"r['file_bytes'] == 3 * 4096 and r['dense']" --memory 4M --trace far.txt --map dense
refused "a page beyond any file names line and remedy" 1 \
	'far.txt:3: page 900000000000 .*--map dense' --memory 4M --trace far.txt
printf '1\n2\nbanana\n' >bad.txt
refused "garbage names file and line" 1 'bad.txt:3: "banana"' --trace bad.txt
printf '1\n-2\n' >bad.txt
refused "a negative page names file and line" 1 'bad.txt:2: "-2" is negative' --trace bad.txt
printf '1\n20000\n' >bad.txt
refused "a page beyond --size names file, line and remedy" 1 \
	'bad.txt:2: page 20000 is beyond.*--size' "${small[@]}" --trace bad.txt
head -c 100 t.bin >cut.bin
refused "a cut off record is refused" 1 'cut.bin: the record at byte 96 is cut off' --format oracle --trace cut.bin
: >empty.txt
refused "an empty trace is refused" 1 'empty.txt: the trace has no accesses' --trace empty.txt
refused "a trace that is not there is refused" 1 'nowhere.txt: cannot open the trace' --trace nowhere.txt
gzip -k t.txt 2>/dev/null && refused "a compressed trace says what to do" 1 'zcat' --trace t.txt.gz
head -c 1G /dev/zero | tr '\0' 7 | "$weir" replay --trace - >out 2>err
[ "${PIPESTATUS[2]}" -eq 1 ] && grep -q 'standard input:1: the line is longer than 4096 bytes' err
result $? "a line of a gigabyte is refused at once"

# --- files of the user's
head -c 20000100 /dev/urandom >own.dat
before=$(sha256sum <own.dat)
json "a file of the user's is compared with a plain read" \
	"not r['file_made'] and r['file_bytes'] == 20000100 and $sound" \
	--memory 4M --file own.dat --pattern uniform --accesses $n --verify
json "its last page ends inside a page" "$sound" --memory 4M --file own.dat --pattern scan --accesses 5000 --verify
refused "writes to it are refused with the remedy" 2 \
	'own.dat is not written to unless --write-file' --file own.dat --writes 10
refused "writes of a trace to it are refused with the remedy" 1 'own.dat is not written to unless --write-file' \
	--memory 4M --file own.dat --trace w.txt
[ "$before" = "$(sha256sum <own.dat)" ]
result $? "it was not changed"
cp own.dat copy.dat
json "--write-file writes, and every page is right in the file" \
	"r['writes'] > 0 and r['verify']['file_pages_checked'] > 0 and $sound" \
	--memory 4M --file copy.dat --write-file --pattern uniform --writes 30 --accesses $n --verify
! cmp -s own.dat copy.dat && [ "$(stat -c %s copy.dat)" -eq 20000100 ]
result $? "... with its size as it was"
cp own.dat copy.dat
run --memory 4M --file copy.dat --write-file --writes 30 --accesses $n
[ "$status" -eq 0 ] && cmp own.dat copy.dat >>err
result $? "--write-file without --verify leaves its contents as they were"
refused "a file that is not there" 1 'gone.dat: No such file or directory: without --file one is made' --file gone.dat
refused "a directory" 1 'is a directory' --file .
: >nothing.dat
refused "an empty file" 1 'is empty' --file nothing.dat

# --- syncs and their journal
json "--sync-every syncs, and --journal tells each write and each sync" \
	"r['syncs'] == 20 and open('j').read().count('synced') == 20 and
		open('j').read().count(' ') == r['writes'] and $sound" \
	"${small[@]}" --accesses 2000 --writes 30 --verify --sync-every 100 --journal j
json "two threads with queues sync and tell too" \
	"r['syncs'] >= 18 and open('j').read().count('synced') == r['syncs'] and $sound" \
	"${small[@]}" --threads 2 --depth 8 --accesses 2000 --writes 30 --verify --sync-every 100 --journal j
refused "a journal that can't be made" 1 '^weir: --journal /nonexistent/j: No such file' \
	--memory 8M --size 8M --verify --sync-every 10 --journal /nonexistent/j
if [ -w /dev/full ]; then
	run "${small[@]}" --accesses 2000 --writes 30 --verify --sync-every 100 --journal /dev/full
	[ "$status" -eq 1 ] && grep -q -- '--journal /dev/full: cannot write to it: No space' err
	result $? "a journal that can't be written to ends the run"
else
	skip "a journal that can't be written to ends the run" "there is no /dev/full"
fi

cp own.dat copy.dat
refused "a journal that is the file is refused" 1 \
	'copy.dat: is the same file as ./copy.dat: give the journal one of its own' \
	--memory 8M --file ./copy.dat --write-file --verify --sync-every 10 --journal copy.dat
cmp -s own.dat copy.dat
result $? "... which is not emptied"
refused "a journal that is the trace is refused" 1 'is the same file as' \
	--memory 8M --trace w.txt --verify --sync-every 10 --journal w.txt
[ -s w.txt ]
result $? "... which is not emptied either"

# --- memory and disk
refused "a memory of 0" 1 '^weir: --memory 0: ' --memory 0 --size 64M
refused "a memory below the least" 1 '^weir: --memory 65536: ' --memory 64K --size 64M
refused "more memory than the machine has" 1 '^weir: --memory ' --memory 512T --size 64M
refused "more disk than there is" 1 'a file of 16.0 TiB is needed.*--size' --memory 8M --size 16T
refused "an unknown policy names those that there are" 2 'there is no such policy; there are: [a-z]' --policy cleverest
TMPDIR=/nonexistent run --memory 8M
[ "$status" -eq 1 ] && grep -q '/nonexistent: No such file or directory: set TMPDIR' err
result $? "a TMPDIR that is not there names the remedy"

# --- output
run "${small[@]}" --accesses 5000
[ "$status" -eq 0 ] && [ ! -s err ] && grep -q '^accesses' out && grep -q kswapd out && grep -q nomemalloc out
result $? "the report is readable, and nothing else is said in a pipe"
run "${small[@]}" --accesses 20000 --progress always
[ "$status" -eq 0 ] && grep -q 'making .* %' err
result $? "--progress always shows it"
run --json --memory 0 --size 64M
[ "$status" -eq 1 ] && holds "'--memory 0' in r['error']"
result $? "with --json an error is an object too"
json "--seconds ends it in time" \
	"0.4 < r['seconds'] < 60 and r['accesses'] < 10**12" "${small[@]}" --accesses 1000000000000 --seconds 0.5
json "--keep keeps the file" "__import__('os').path.getsize(r['file']) == 16 << 20" "${small[@]}" --accesses 1000 --keep
rm -f "$TMPDIR"/*
json "latencies are in order" \
	"0 < r['latency']['all']['p50_ns'] <= r['latency']['all']['p99_ns'] <= r['latency']['all']['max_ns'] and
		r['latency']['hits']['count'] + r['latency']['misses']['count'] == 5000" \
	"${small[@]}" --accesses 5000

if [ -w /dev/full ]; then
	"$weir" replay "${small[@]}" --accesses 1000 >/dev/full 2>err
	[ $? -eq 1 ] && grep -q '^weir: standard output: cannot write to it: No space left' err
	result $? "a report that can't be written is a failure"
	"$weir" --help >/dev/full 2>err
	[ $? -eq 1 ] && grep -q 'cannot write' err
	result $? "... and so is a help"
else
	skip "a report that can't be written is a failure" "there is no /dev/full"
	skip "... and so is a help" "there is no /dev/full"
fi
cp own.dat copy.dat
"$weir" replay --memory 8M --file copy.dat --write-file --accesses 1000 >&- 2>err
[ $? -eq 1 ] && grep -q 'standard output: cannot write' err && cmp own.dat copy.dat >>err
result $? "with stdout closed the report does not go into the user's file"
"$weir" replay --memory 8M --file copy.dat --write-file --accesses 1000 --trace - <&- >out 2>err
[ $? -eq 1 ] && grep -q 'standard input: cannot read the trace' err
result $? "with stdin closed the user's file is not taken for the trace"
"$weir" replay "${small[@]}" --accesses 1000 2>err | true
[ "${PIPESTATUS[0]}" -eq 141 ] && [ ! -s err ] && [ -z "$(ls "$TMPDIR")" ]
result $? "a reader that goes away ends it by SIGPIPE, silently"
{ "$weir" replay "${small[@]}" --accesses 1000 --progress always 2>&1 >out; echo $? >status; } | true
[ "$(cat status)" -eq 0 ] && [ -z "$(ls "$TMPDIR")" ]
result $? "... while the progress is shown it does not end it, and no file is left"
(ulimit -f 1000 && run "${small[@]}"; [ "$status" -eq 1 ] && grep -q 'cannot write the test file: File too large' err)
[ $? -eq 0 ] && [ -z "$(ls "$TMPDIR")" ]
result $? "a limit on the size of files is said, and no file is left"

run --json --policy help
[ "$status" -eq 0 ] && holds "len(r['policies']) > 1"
result $? "with --json the policies are an object"
run --frobnicate --json
[ "$status" -eq 2 ] && holds "'--frobnicate' in r['error']"
result $? "with --json a wrong command line is an object"
odd=$(printf 'a"b\\\n\001\377.txt')
printf '1\n2\n' >"$odd"
json "with --json a file's name may have any bytes" \
	"r['accesses'] == 2 and 'a\"b' in r['trace']" --memory 4M --trace "$odd"
echo banana >"$odd"
refused "... and what is said of it is one line" 1 'is not a page number' --json --trace "$odd"
holds "'banana' in r['error']"
result $? "... and an object"

# --- signals. A shell's background jobs have SIGINT ignored, so python starts it.
mkfifo fifo
python3 - "$weir" >out 2>err <<'PYTHON'
import json, os, re, signal, subprocess, sys, time
weir = [sys.argv[1], "replay", "--memory", "4M"]
endless = ["--size", "16M", "--accesses", "1000000000000", "--writes", "20", "--progress", "always"]
def catches(process, number):
    with open(f"/proc/{process.pid}/status") as status:
        caught = [line for line in status if line.startswith("SigCgt:")][0]
    return int(caught.split()[1], 16) >> number - 1 & 1
def replays(process):  # the progress says so; at first of none
    said = b""
    while not re.search(rb"[1-9][0-9,]* accesses,", said):
        more = os.read(process.stderr.fileno(), 4096)
        assert more, said
        said += more
def end_by(number, *options):
    process = subprocess.Popen(weir + list(options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               stdin=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not catches(process, number):
        time.sleep(0.001)
    if "always" in options and number == signal.SIGINT:
        replays(process)
    process.send_signal(number)
    process.wait(timeout=300)  # with its stdin still open: it must not wait for that to end
    out, err = process.communicate()
    print(number, process.returncode, out, err)
    return process.returncode, out, err
status, out, err = end_by(signal.SIGINT, *endless)
assert status == 130 and "ended early by Interrupt" in out and "accesses/s" in out
status, out, err = end_by(signal.SIGINT, *endless, "--verify", "--json")
report = json.loads(out)
assert status == 130 and report["signal"] == 2 and report["accesses"] > 0 and report["verify"]["errors"] == 0
status, out, err = end_by(signal.SIGTERM, *endless)  # most likely while the file is made: there is nothing to report
assert status == 143
for trace in ("-", "fifo") * 10:  # which never says anything, or that nobody opens; signalled as early as can be
    status, out, err = end_by(signal.SIGINT, "--trace", trace, "--json")
    assert status == 130 and err == "weir: ended by Interrupt before there was anything to report\n"
    assert "ended by Interrupt" in json.loads(out)["error"]
PYTHON
result $? "SIGINT ends it early with a report and status 130"
[ -z "$(ls "$TMPDIR")" ]
result $? "... and removes the file"

done_testing
