/* SPDX-License-Identifier: MIT
 *
 * report.c - what was done, at the end: on stderr, or where it was asked for. And the sentence of those who end early.
 *
 * By one write(2) from a buffer on a stack of its own: the program's streams may be closed, or in use, by now, and its
 * stack small. And in the C locale: the program's may say 0,5, which is no JSON, and lies in the program's heap, which
 * may be paged out where a thread that serves faults says its last sentence.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "descriptors.h"
#include "inside.h"
#include "observe/error.h"
#include "own_threads.h"
#include "raw.h"
#include "shared.h"
#include "stack.h"
#include "text.h"
#include "total.h"

#define BIT(signal) (1ull << ((signal)-1))

struct tallies tallies;

static const struct {
	const char *name, *what;
} passed_names[NR_PASSED] = {
	[PASSED_FILE] = {"files", "mappings of files (code, small ones, devices)"},
	[PASSED_SHARED] = {"shared", "shared anonymous mappings"},
	[PASSED_EXECUTABLE] = {"executable", "mappings for code"},
	[PASSED_STACK] = {"stacks", "mappings for stacks"},
	[PASSED_FIXED] = {"fixed", "mappings at fixed addresses"},
	[PASSED_SMALL] = {"small", "mappings below the threshold"},
	[PASSED_OTHER] = {"other", "mappings of other kinds"},
	[PASSED_MLOCK] = {"mlock", "locks, which the budget can't bear: refused"},
	[PASSED_ADVICE] = {"advice", "advice that is not known: refused"},
	[PASSED_CHOSEN] = {"shared_files_option", "shared mappings of files, by --shared-files"},
	[PASSED_SIGNALS] = {"shared_files_signals", "shared mappings of files, where system calls can't be dispatched"},
	[PASSED_MEMORY_FILE] = {"memory_files", "shared mappings of files that are memory (tmpfs)"},
	[PASSED_SMALL_FILE] = {"small_files", "shared mappings of files below --shared-threshold"},
	[PASSED_NO_ROOM] = {"shared_files_room", "shared mappings of more files than can be had at once"},
	[PASSED_BACK] = {"given_back",
			 "shared mappings of files given back to the kernel, or left to it as it had others"},
	[PASSED_FORK] = {"given_back_fork", "files given back to the kernel at a fork"},
};

struct figures {
	struct weir_meminfo info;
	uint64_t peak_bytes, total_bytes, granted_bytes; /* of --total: 0 where there is none */
	double seconds;
	const char *name;
};

static uint64_t of(const char *counter)
{
	return weir_counter(pool, counter);
}

static void as_text(struct text *text, const struct figures *f)
{
	uint64_t scanned = of("pgscan_kswapd") + of("pgscan_direct") + of("pgscan_flusher") + of("pgscan_nomemalloc");
	uint64_t stolen =
		of("pgsteal_kswapd") + of("pgsteal_direct") + of("pgsteal_flusher") + of("pgsteal_nomemalloc");

	text_add(text, "weir run: %s, process %d, %.2f s\n", f->name, (int)getpid(), f->seconds);
	text_add(
		text,
		"  memory   budget %.1f MiB; the process had %.1f MiB resident at most, with code, stacks and metadata "
		"(%.1f MiB)\n",
		mib(settings.memory_bytes), mib(f->peak_bytes), mib(f->info.metadata_bytes));
	text_add(text, "  taken    %.1f MiB of anonymous memory at most at once, %.1f MiB in all\n",
		 mib(tallies.mapped_most), mib(tallies.mapped));
	if (tallies.shared)
		text_add(text, "  files    %llu shared mappings, %.1f MiB in all\n", (unsigned long long)tallies.shared,
			 mib(tallies.shared_bytes));
	if (f->total_bytes)
		text_add(text, "  total    %.1f MiB for all processes together, of which this one has %.1f MiB now\n",
			 mib(f->total_bytes), mib(f->granted_bytes));
	text_add(text,
		 "  faults   %llu brought pages in (%llu from swap), %llu mapped what was there, %llu were first "
		 "writes\n",
		 (unsigned long long)of("pgmajfault"), (unsigned long long)of("pswpin"),
		 (unsigned long long)of("pgminfault"), (unsigned long long)of("pgwpfault"));
	text_add(text, "  reclaim  %llu pages scanned, %llu freed; %llu stalls\n", (unsigned long long)scanned,
		 (unsigned long long)stolen, (unsigned long long)of("allocstall"));
	text_add(text, "  swap     %.1f MiB out, %.1f MiB in; %.1f of %.1f MiB used now\n",
		 mib(of("pswpout") << PAGE_SHIFT), mib(of("pswpin") << PAGE_SHIFT),
		 mib(of("nr_swap_used") << PAGE_SHIFT), mib(of("nr_swap_total") << PAGE_SHIFT));
	if (settings.dispatch)
		text_add(text,
			 "  calls    %llu system calls seen, %llu of unknown kinds, %llu refused (io_uring, aio)\n",
			 (unsigned long long)tallies.calls, (unsigned long long)tallies.calls_unknown,
			 (unsigned long long)tallies.calls_refused);
	else if (tallies.calls_refused)
		text_add(text, "  calls    %llu refused (io_uring, aio)\n", (unsigned long long)tallies.calls_refused);
	for (unsigned i = 0; i < NR_PASSED; i++)
		if (tallies.passed[i])
			text_add(text, "  not taken over: %llu %s, %.1f MiB\n", (unsigned long long)tallies.passed[i],
				 passed_names[i].what, mib(tallies.passed_bytes[i]));
	if (tallies.refused)
		text_add(text, "  refused: %llu requests for more than memory and swap have; raise -m or --swap\n",
			 (unsigned long long)tallies.refused);
}

static void as_json(struct text *text, const struct figures *f)
{
	static const char *const counters[] = {
		"pgmajfault",     "pgminfault",     "pgwpfault",       "fault_around",  "pswpin",
		"pswpout",        "same_filled",    "pgscan_kswapd",   "pgscan_direct", "pgscan_flusher",
		"pgsteal_kswapd", "pgsteal_direct", "pgsteal_flusher", "allocstall",    "workingset_refault_anon",
		"readahead",      "readahead_hit",  "nr_swap_total",   "nr_swap_used",  "nr_swap_bad"};

	text_add_program(text);
	text_add(text, "\"seconds\": %.3f, \"faults\": \"%s\", \"policy\": \"%s\", \"budget_bytes\": %llu, ",
		 f->seconds, settings.threads ? "thread" : "signal", pool->policy->name,
		 (unsigned long long)settings.memory_bytes);
	text_add(text,
		 "\"peak_resident_bytes\": %llu, \"metadata_bytes\": %llu, \"taken_bytes\": %llu, "
		 "\"taken_most_bytes\": %llu, \"refused\": %llu, ",
		 (unsigned long long)f->peak_bytes, (unsigned long long)f->info.metadata_bytes,
		 (unsigned long long)tallies.mapped, (unsigned long long)tallies.mapped_most,
		 (unsigned long long)tallies.refused);
	text_add(text, "\"shared_mappings\": %llu, \"shared_bytes\": %llu, ", (unsigned long long)tallies.shared,
		 (unsigned long long)tallies.shared_bytes);
	text_add(text, "\"calls\": %llu, \"calls_unknown\": %llu, \"calls_refused\": %llu, ",
		 (unsigned long long)tallies.calls, (unsigned long long)tallies.calls_unknown,
		 (unsigned long long)tallies.calls_refused);
	for (unsigned i = 0; i < ARRAY_SIZE(counters); i++)
		text_add(text, "\"%s\": %llu, ", counters[i], (unsigned long long)of(counters[i]));
	if (f->total_bytes)
		text_add(text, "\"total_bytes\": %llu, \"granted_bytes\": %llu, ", (unsigned long long)f->total_bytes,
			 (unsigned long long)f->granted_bytes);
	text_add(text, "\"not_taken_over\": {");
	for (unsigned i = 0; i < NR_PASSED; i++)
		text_add(text, "%s\"%s\": {\"calls\": %llu, \"bytes\": %llu}", i ? ", " : "", passed_names[i].name,
			 (unsigned long long)tallies.passed[i], (unsigned long long)tallies.passed_bytes[i]);
	text_add(text, "}}\n");
}

/* The process's stderr as it was at its start: many programs have closed theirs by the end, and what has its number then
 * is their data. A child of fork has no descriptor for it: it may live on when others wait for the end of what stderr
 * is. */
static int at_start = -1;
static struct {
	bool open;
	dev_t device;
	ino_t inode;
} begun_with;

void report_to(int fd)
{
	struct stat st = {0};

	at_start = fd;
	begun_with.open = fstat(STDERR_FILENO, &st) == 0;
	begun_with.device = st.st_dev;
	begun_with.inode = st.st_ino;
}

void report_to_nobody(void)
{
	if (at_start >= 0)
		descriptors_close(at_start);
	at_start = -1;
}

int report_stderr(void)
{
	struct stat st;

	if (at_start >= 0)
		return at_start;
	if (begun_with.open && fstat(STDERR_FILENO, &st) == 0 && st.st_dev == begun_with.device &&
	    st.st_ino == begun_with.inode)
		return STDERR_FILENO;
	return -1;
}

bool report_wanted(void)
{
	return settings.report != REPORT_NONE && (!settings.main_pid || getpid() == settings.main_pid);
}

/* Nobody reads it, there may be no more of the file, the terminal is another's: none of that is an end the program
 * asked for. A signal of ours that came is taken out again, as the process may go on; the program's own stays. */
static void write_quietly(int fd, const char *bytes, size_t length)
{
	const uint64_t quiet = BIT(SIGPIPE) | BIT(SIGXFSZ) | BIT(SIGTTOU);
	const struct timespec at_once = {0};
	uint64_t mask, before = 0, ours;

	raw(SYS_rt_sigprocmask, SIG_BLOCK, &quiet, &mask, sizeof(quiet));
	raw(SYS_rt_sigpending, &before, sizeof(before));
	ours = (BIT(SIGPIPE) | BIT(SIGXFSZ)) & ~before;
	if (write(fd, bytes, length) < 0) /* the program's end is no place to complain */
		raw(SYS_rt_sigtimedwait, &ours, NULL, &at_once, sizeof(ours));
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
}

/* The stack may be small. */
void report_say(int fd, const char *format, ...)
{
	char line[512];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(line, sizeof(line), format, list);
	va_end(list);
	if (n > 0)
		write_quietly(fd, line, MIN((size_t)n, sizeof(line) - 1));
}

static void out(const struct text *text)
{
	int fd = report_stderr();

	if (settings.report_path)
		fd = open(settings.report_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	write_quietly(fd, text->bytes, text->length);
	if (settings.report_path)
		syscall(SYS_close, fd);
}

static uint64_t started_ns;
static pid_t own_pid;
static _Atomic bool done, registered;
static struct lock line_lock; /* held while a line is written: the report comes after the last. I/O happens under it */

/* A child of vfork, which has our memory, ends without us. */
static bool is_own_process(void)
{
	return atomic_load(&started) && raw(SYS_getpid) == own_pid;
}

/* Of this program: what getrusage says is also what the process had before its last exec. */
static uint64_t peak_bytes(void)
{
	static const char name[] = "VmHWM:";
	char text[4096], *found;
	struct rusage usage;
	long fd = raw(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC), n;

	n = raw_failed(fd) ? -1 : raw(SYS_read, fd, text, sizeof(text) - 1);
	if (!raw_failed(fd))
		raw(SYS_close, fd);
	text[MAX(n, 0)] = 0;
	found = strstr(text, name);
	if (found)
		return strtoull(found + sizeof(name) - 1, NULL, 10) << 10;
	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_maxrss << 10;
}

static void write_once(void *unused)
{
	struct text text = {.length = 0};
	struct figures f;
	locale_t before;

	(void)unused;
	if (!report_wanted() || atomic_exchange(&done, true))
		return;
	f = (struct figures){.seconds = (double)(now_ns() - started_ns) / 1e9, .name = program_invocation_short_name};
	f.peak_bytes = peak_bytes();
	weir_meminfo(pool, WEIR_ALL_NODES, &f.info);
	f.total_bytes = total_bytes(&f.granted_bytes);
	before = uselocale(c_locale);
	if (settings.report == REPORT_JSON)
		as_json(&text, &f);
	else
		as_text(&text, &f);
	uselocale(before);
	lock_acquire(&line_lock);
	out(&text);
	lock_release(&line_lock);
}

void report_line(const struct text *text)
{
	lock_acquire(&line_lock);
	if (!atomic_load(&done))
		out(text);
	lock_release(&line_lock);
}

static void write_all(void *unused)
{
	shared_write_all();
	write_once(unused);
}

static void at_quick_end(void)
{
	if (is_own_process())
		on_own_stack(write_all, NULL);
}

static void at_end(void *unused)
{
	(void)unused;
	at_quick_end();
}

/* What is registered this early, even before the loader's own handler is, comes last: after the destructors of all
 * libraries, which may store to mapped files yet. A destructor of ours would not. quick_exit(3) calls none of these, and
 * libc's own _exit. */
int __cxa_atexit(void (*function)(void *), void *argument, void *library);

void report_begin(void)
{
	uint64_t inherited = atomic_load(&tallies.mapped_now); /* a child may give it back */

	started_ns = now_ns();
	memset(&tallies, 0, sizeof(tallies));
	atomic_store(&tallies.mapped_now, inherited);
	atomic_store(&tallies.mapped_most, inherited);
	own_pid = getpid();
	lock_init(&line_lock, NULL);
	if (!atomic_exchange(&registered, true)) {
		__cxa_atexit(at_end, NULL, NULL);
		at_quick_exit(at_quick_end);
	}
	atomic_store(&done, false);
}

/* Without exit handlers: no destructor runs. */
EXPORT _Noreturn void _exit(int status)
{
	if (!inside)
		at_quick_end();
	for (;;)
		syscall(SYS_exit_group, status);
}

EXPORT _Noreturn void _Exit(int status)
{
	_exit(status);
}

static void say_out_of_memory(void *user)
{
	const struct weir_fault *fault = user;
	struct text text = {.length = 0};
	uint64_t granted;
	struct rlimit file;
	bool memory = fault->error == -ENOMEM || fault->error == -ETIMEDOUT; /* the latter: it was waited for */
	int room = swap_room_error(&pool->swap);

	uselocale(c_locale);
	text_add(&text, "weir run: process %d touched memory at %p that can't be had (%s): ", (int)getpid(),
		 fault->address, error_words(memory ? ENOMEM : -fault->error));
	if (memory && !getrlimit(RLIMIT_FSIZE, &file) && file.rlim_cur < settings.swap_bytes)
		text_add(&text, "its swap file may have no more than %.0f MiB, by the limit of files (ulimit -f)\n",
			 mib(file.rlim_cur));
	else if (memory && room)
		text_add(&text, "its swap file got no blocks (%s); make room on its disk, or name another: --swap\n",
			 error_words(-room));
	else if (memory)
		text_add(&text, "its budget of %.0f MiB and its swap of %.0f MiB are full; raise -m%s or --swap\n",
			 mib(settings.memory_bytes), mib(settings.swap_bytes),
			 total_bytes(&granted) ? ", --total" : "");
	else
		text_add(&text, "its swap file failed; see --swap\n");
	write_quietly(report_stderr(), text.bytes, text.length);
	write_once(NULL);
}

_Noreturn void end_out_of_memory(const struct weir_fault *fault)
{
	struct weir_fault copy = *fault;

	on_own_stack(say_out_of_memory, &copy);
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}
