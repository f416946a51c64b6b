/* SPDX-License-Identifier: MIT
 *
 * start.c - before main: settings from the environment, the pool, its swap, the arena.
 *
 * Constructors of other libraries may have run already: what they allocated is the C library's. `weir run` has looked
 * at the program and at the settings; who preloads the library by hand, or sets nonsense, is told here, and nothing
 * runs.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "calls.h"
#include "descriptors.h"
#include "held.h"
#include "inside.h"
#include "interval.h"
#include "observe/error.h"
#include "process.h"
#include "shared.h"
#include "threads.h"
#include "total.h"

#define EXIT_CANNOT_START 125

struct settings settings;
weir_pool *pool;
_Atomic bool started;
__thread int inside __attribute__((tls_model("initial-exec")));

_Noreturn static void refuse(const char *sentence)
{
	dprintf(STDERR_FILENO, "weir run: cannot start %s: %s\n", program_invocation_short_name, sentence);
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
		dprintf(STDERR_FILENO, "weir run: %s=%s: a plain number is wanted\n", name, text);
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

/* May threads serve the kernel's own touches? */
static bool threads_allowed(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		syscall(SYS_close, fd);
	return fd >= 0;
}

static void read_settings(void)
{
	settings.memory_bytes = number("WEIR_MEMORY", 0);
	settings.swap_bytes = number("WEIR_SWAP_BYTES", 4 * settings.memory_bytes);
	settings.swap_path = kept("WEIR_SWAP_PATH");
	settings.arena_bytes = number("WEIR_ARENA", 1ull << 40) & ~(PAGE_SIZE - 1);
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
	settings.threads = is("WEIR_FAULTS", "thread") || (!is("WEIR_FAULTS", "signal") && threads_allowed());
	settings.interval_ms = number("WEIR_INTERVAL_MS", 0);
	settings.main_pid = (pid_t)number("WEIR_RUN_PID", 0);
	if (!settings.swap_path)
		settings.swap_path = "/var/tmp";
}

/* High, but below what the program may open at most. */
static int high_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= 1024)
		return 960;
	return limit.rlim_cur > 128 ? (int)limit.rlim_cur - 64 : 64;
}

int pool_start(void)
{
	const char *why;
	struct weir_config config;
	struct weir_swap_config swap = {.size = sizeof(swap),
					.path = settings.swap_path,
					.bytes = settings.swap_bytes,
					.flags = WEIR_SWAP_LATE};
	uint64_t budget = total_enter(settings.memory_bytes, &why);
	int error;

	if (!budget)
		return weir_error_set(-ENOMEM, "%s", why);
	weir_config_init(&config);
	config.memory_bytes = settings.memory_bytes;
	config.swappiness = settings.swappiness;
	config.policy = settings.policy;
	if (total_is_shared())
		config.nodes = 1; /* or each of them had its least */
	config.windows = true;
	config.fault_thread = settings.threads;
	config.populate = false;
	config.io_uring = false; /* its descriptors and its memory would be in the program's way */
	error = weir_create(&config, &pool);
	if (!error && budget < settings.memory_bytes)
		error = weir_set_budget(pool, budget);
	if (!error && settings.swap_bytes)
		error = weir_swap_add(pool, &swap);
	return error;
}

/* First of the library's constructors: jemalloc's asks to be called at forks too, and has to come later (process.c). */
__attribute__((constructor(101))) static void start(void)
{
	const char *why;

	if (!getenv("WEIR_MEMORY"))
		return; /* loaded by hand, and told nothing */
	inside++;
	report_begin();
	read_settings();
	fd_floor = high_descriptors();
	threads_start();
	if (!total_find(&why))
		refuse(why);
	if (pool_start() || arena_start())
		refuse(weir_error_text());
	if (total_follow() || interval_start())
		refuse("there can't be more threads");
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
