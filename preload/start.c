/* SPDX-License-Identifier: MIT
 *
 * start.c - before main: settings from the environment, the pool, its swap, the arena.
 *
 * Constructors of other libraries may have run already: what they allocated is the C library's. `weir run` has looked
 * at the program and at the settings; who preloads the library by hand, or sets nonsense, is told here, and nothing
 * runs.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "calls.h"
#include "descriptors.h"
#include "held.h"
#include "inside.h"
#include "interval.h"
#include "observe/error.h"
#include "process.h"
#include "shared.h"
#include "own_threads.h"
#include "total.h"

#define EXIT_CANNOT_START 125
#define ARENA_BYTES (4ull << 40) /* run times reserve 1 TiB and a bit at once (GHC) */
/* The engine's default lives by seeing what is used, which a window seldom shows; and heaps are swept more than files. */
#define POLICY "two-list"

struct settings settings;
weir_pool *pool;
_Atomic bool started;
__thread int inside __attribute__((tls_model("initial-exec")));

static const char *swap_name; /* in swap_directory */

_Noreturn static void refuse(const char *sentence)
{
	report_say(STDERR_FILENO, "weir run: cannot start %s: %s\n", program_invocation_short_name, sentence);
	syscall(SYS_exit_group, EXIT_CANNOT_START);
	__builtin_unreachable();
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	uint64_t value;

	if (!text || !*text)
		return otherwise;
	value = strtoull(text, &end, 10);
	if (*end || *text < '0' || *text > '9') {
		report_say(STDERR_FILENO, "weir run: %s=%s: a plain number is wanted\n", name, text);
		syscall(SYS_exit_group, EXIT_CANNOT_START);
	}
	return value;
}

static bool is(const char *name, const char *value)
{
	const char *text = getenv(name);

	return text && strcmp(text, value) == 0;
}

/* What the program does to its environment must not change them. */
static const char *kept(const char *name)
{
	const char *text = getenv(name);

	return text && *text ? strdup(text) : NULL;
}

/* What children need, which the program may no longer be allowed, or able, to open when it forks: it gives up rights,
 * or goes to another root. */
static void keep_device(void)
{
	uffd_device = fd_high((int)syscall(SYS_openat, AT_FDCWD, "/dev/userfaultfd", O_RDWR | O_CLOEXEC));
}

static void keep_swap_directory(void)
{
	struct stat st;
	char path[PATH_MAX], *slash;
	int fd;

	if (!settings.swap_bytes || snprintf(path, sizeof(path), "%s", settings.swap_path) >= (int)sizeof(path))
		return;
	swap_name = ".";
	slash = strrchr(path, '/');
	if ((stat(path, &st) || !S_ISDIR(st.st_mode)) && slash) {
		swap_name = settings.swap_path + (slash + 1 - path);
		slash[1] = 0;
	}
	/* poll, and so descriptors_note, does not see it */
	fd = descriptors_take((int)syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (fd >= 0)
		swap_directory = fd;
}

/* How large the arena is to be. Of addresses that the process may have (RLIMIT_AS) its window takes half: an object has
 * room for twice what it is. */
static uint64_t room_for_arena(void)
{
	struct rlimit limit;
	uint64_t wanted = number("WEIR_ARENA", ARENA_BYTES), left;

	if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return wanted;
	left = limit.rlim_cur > settings.memory_bytes ? limit.rlim_cur - settings.memory_bytes : 0;
	object_room_bytes = MIN(object_room_bytes, left / 32);
	return MIN(wanted, left / 4);
}

/* Of touches of the program's own, the touching thread is the faster server. The kernel's need a thread, where calls
 * can't be given what is there before they are made. */
static bool threads_serve(void)
{
	if (is("WEIR_FAULTS", "thread"))
		return true;
	return !is("WEIR_FAULTS", "signal") && !dispatch_offered() && uffd_serves_kernel();
}

static void read_settings(void)
{
	settings.memory_bytes = number("WEIR_MEMORY", 0);
	settings.swap_bytes = number("WEIR_SWAP_BYTES", 4 * settings.memory_bytes);
	settings.swap_path = kept("WEIR_SWAP_PATH");
	settings.arena_bytes = room_for_arena() & ~(PAGE_SIZE - 1);
	settings.threshold_bytes = number("WEIR_THRESHOLD", 64 << 10);
	settings.shared_bytes = number("WEIR_SHARED_THRESHOLD", 1 << 20);
	settings.shared = is("WEIR_SHARED_FILES", "none")        ? SHARED_NONE
			  : is("WEIR_SHARED_FILES", "read-only") ? SHARED_READ_ONLY
								 : SHARED_ALL;
	settings.swappiness = (unsigned)number("WEIR_SWAPPINESS", 60);
	settings.policy = kept("WEIR_POLICY");
	settings.report_path = kept("WEIR_REPORT_FILE");
	settings.report = is("WEIR_REPORT", "json")   ? REPORT_JSON
			  : is("WEIR_REPORT", "none") ? REPORT_NONE
						      : REPORT_TEXT;
	if (!is("WEIR_FAULTS", "signal"))
		keep_device();
	settings.threads = threads_serve();
	settings.interval_ms = number("WEIR_INTERVAL_MS", 0);
	settings.main_pid = (pid_t)number("WEIR_RUN_PID", 0);
	if (!settings.swap_path)
		settings.swap_path = "/var/tmp";
}

static int create_pool(void)
{
	const char *why;
	struct weir_config config;
	uint64_t budget = total_enter(settings.memory_bytes, &why);
	int error;

	if (!budget)
		return weir_error_set(-ENOMEM, "%s", why);
	weir_config_init(&config);
	config.memory_bytes = settings.memory_bytes;
	config.swappiness = settings.swappiness;
	config.policy = settings.policy ? settings.policy : POLICY;
	if (total_is_shared())
		config.nodes = 1; /* or each of them had its least */
	config.windows = true;
	config.fault_thread = settings.threads;
	config.populate = false;
	config.io_uring = false; /* its descriptors and its memory would be in the program's way */
	error = weir_create(&config, &pool);
	if (!error && budget < settings.memory_bytes)
		error = weir_set_budget(pool, budget);
	return error;
}

/* Each process of a run makes a file: where one is named, all but the first add their number to it. */
static const char *own_swap_path(bool first)
{
	static char own[PATH_MAX];
	const char *path = swap_directory >= 0 ? swap_name : settings.swap_path;
	struct stat st;

	if (first || (fstatat(swap_directory, path, &st, 0) == 0 && S_ISDIR(st.st_mode)) ||
	    snprintf(own, sizeof(own), "%s.%d", path, (int)getpid()) >= (int)sizeof(own))
		return path;
	return own;
}

static bool is_first(void)
{
	return number("WEIR_FIRST_PID", 0) == (uint64_t)getpid();
}

static int add_swap(bool first)
{
	struct weir_swap_config swap = {.size = sizeof(swap),
					.path = own_swap_path(first),
					.bytes = settings.swap_bytes,
					.flags = WEIR_SWAP_LATE};

	return settings.swap_bytes ? weir_swap_add(pool, &swap) : 0;
}

int pool_start_in_child(void)
{
	int error;

	settings.threads = settings.threads && uffd_serves_kernel();
	error = create_pool();
	if (!error && add_swap(false)) {
		report_say(report_stderr(), "weir run: process %d has no swap: %s\n", (int)getpid(), weir_error_text());
		settings.swap_bytes = 0;
	}
	return error;
}

/* A program that another one has put into a sandbox without userfaultfd (the filters of man) runs without limit, as a
 * static one does: it has to do its work. The first one is refused, so that somebody is told. */
static bool goes_without(int error)
{
	return (error == -EPERM || error == -ENOSYS) && !is_first();
}

/* First of the library's constructors: jemalloc's asks to be called at forks too, and has to come later (process.c). */
__attribute__((constructor(101))) static void start(void)
{
	const char *why;
	int error;

	if (!getenv("WEIR_MEMORY"))
		return; /* loaded by hand, and told nothing */
	inside++;
	report_begin();
	descriptors_floor();
	descriptors_expect();
	read_settings();
	environment_keep();
	threads_start();
	if (!total_find(&why))
		refuse(why);
	error = create_pool();
	if (error && goes_without(error)) {
		inside--;
		return;
	}
	if (error || add_swap(is_first()) || arena_start())
		refuse(weir_error_text());
	if (total_follow() || interval_start())
		refuse("there can't be more threads");
	keep_swap_directory();
	descriptors_note();
	shared_start();
	report_to(descriptors_take(dup(STDERR_FILENO)));
	process_start();
	settings.dispatch = !settings.threads && !dispatch_start();
	if (!settings.dispatch)
		held_start();
	async_start();
	inside--;
	atomic_store_explicit(&started, true, memory_order_release);
}
