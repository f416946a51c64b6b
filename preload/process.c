/* SPDX-License-Identifier: MIT
 *
 * process.c - children of fork(): each goes on with its parent's memory, in a pool of its own.
 *
 *   before    libc's handles pinned ─► signals held, files that may be written to given to the kernel (shared.c),
 *             the arena shown (fault/adopt.h), swap shared
 *   (fork)    the kernel copies the window, on write
 *   parent    as before; what it had in swap stays there until the child has ended or has called exec
 *   child     a new pool and a new swap file; the arena over what was inherited; then all others' handlers
 *
 * Until the child's arena is there, a page that is absent would be the kernel's zeros to it. What the C library touches
 * of the heap that early hangs on its own variables: its streams, their locks, a table or two. So what those point to
 * is brought in and pinned before. It also empties what other threads had set by pthread_setspecific: blocks of its
 * own, which are kept out of the arena. If it touches a page nevertheless, that is not taken for content (fault/adopt.c).
 * We read numbers and print ourselves, by the thread's locale, which may lie on the heap: meanwhile it has the C one.
 *
 * That a child is gone is seen by a pipe that it holds open: closed at exec and at its end. vfork and posix_spawn are
 * not concerned: such a child has its parent's memory, and the parent's pool serves its faults, until it calls exec.
 */
#include "process.h"

#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cache/hold.h"
#include "fault/pin.h"
#include "calls.h"
#include "descriptors.h"
#include "held.h"
#include "inside.h"
#include "interval.h"
#include "observe/error.h"
#include "own_threads.h"
#include "shared.h"
#include "stack.h"
#include "total.h"

#define PINS_MAX (1u << 17) /* streams may be as many as descriptors; most of the table is never touched */
#define CHILDREN_MAX 1024

/* Of the fork that is under way. There is one at a time: jemalloc's handlers, which come before ours and end after
 * them, hold its locks (start.c). */
static struct hold held;
static uint64_t pins[PINS_MAX]; /* pages */
static unsigned nr_pins;
static int alive[2];             /* of the child that is being made: -1, or the pipe */
static unsigned alive_number;    /* by which swap knows it */
static locale_t programs_locale; /* that of the thread that forks, meanwhile */

/* Guarded by children_lock. */
static pthread_mutex_t children_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	int alive;       /* the end of the pipe that we read */
	unsigned number; /* by which swap knows it */
} children[CHILDREN_MAX];
static unsigned nr_children;
static bool watching;
static int nudge[2]; /* to the watcher: look at the list anew */

static uintptr_t *libc_data, *libc_data_end;

/* ---- what the C library points to ---- */

static int find_libc(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size, (void)unused;
	if (!strstr(info->dlpi_name, "/libc.so"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W)) {
			libc_data = (uintptr_t *)(info->dlpi_addr + segment->p_vaddr);
			libc_data_end = (uintptr_t *)((char *)libc_data + segment->p_memsz);
		}
	}
	return 1;
}

extern FILE *_IO_list_all; /* the C library's: the newest stream, and by _chain all others */
void _IO_list_lock(void);
void _IO_list_unlock(void);

static void pin(uintptr_t address)
{
	uint64_t page = (address - (uintptr_t)arena_base) >> PAGE_SHIFT;

	if (!in_arena((void *)address) || nr_pins == PINS_MAX || (nr_pins && pins[nr_pins - 1] == page))
		return;
	if (!pin_counted(arena, page, WEIR_READ))
		pins[nr_pins++] = page;
}

static void pin_object(uintptr_t address)
{
	pin(address);
	if (address % PAGE_SIZE > PAGE_SIZE - 512)
		pin(address + 512);
}

static void pin_handles(void)
{
	nr_pins = 0;
	for (uintptr_t *word = libc_data; word < libc_data_end; word++)
		if (in_arena((void *)*word))
			pin_object(*word);
	_IO_list_lock();
	for (FILE *stream = _IO_list_all; stream; stream = stream->_chain) {
		pin_object((uintptr_t)stream);
		pin_object((uintptr_t)stream->_lock);
	}
	_IO_list_unlock();
}

static void unpin_handles(void)
{
	while (nr_pins)
		unpin_counted(&arena->words[pins[--nr_pins]]);
}

/* ---- children that read our swap ---- */

static void child_gone(unsigned i)
{
	unsigned number = children[i].number;

	inside++;
	syscall(SYS_close, children[i].alive);
	inside--;
	children[i] = children[--nr_children];
	swap_unshare(&pool->swap, number);
}

static void *watch(void *unused)
{
	static struct pollfd fds[CHILDREN_MAX + 1];
	char byte[64];

	(void)unused;
	for (;;) {
		unsigned n;

		pthread_mutex_lock(&children_lock);
		n = nr_children;
		for (unsigned i = 0; i < n; i++)
			fds[i] = (struct pollfd){.fd = children[i].alive};
		fds[n] = (struct pollfd){.fd = nudge[0], .events = POLLIN};
		pthread_mutex_unlock(&children_lock);
		if (poll(fds, n + 1, -1) < 0)
			continue;
		if (fds[n].revents)
			(void)!read(nudge[0], byte, sizeof(byte));
		pthread_mutex_lock(&children_lock);
		for (unsigned i = n; i-- > 0;) /* only the watcher takes out: the first n are the same */
			if (fds[i].revents)
				child_gone(i);
		pthread_mutex_unlock(&children_lock);
	}
	return NULL;
}

/* False: it can't be told when the child is gone; then what it reads is kept for ever. */
static bool start_watching(void)
{
	struct kthread thread;

	if (watching)
		return true;
	if (pipe2(nudge, O_CLOEXEC | O_NONBLOCK))
		return false;
	nudge[0] = descriptors_take(nudge[0]);
	nudge[1] = descriptors_take(nudge[1]);
	watching = !start_thread(&thread, "weir-children", watch, NULL);
	return watching;
}

/* Also where nothing is in swap yet: pages may go there until the kernel has copied the window. */
static void share_swap(void)
{
	inside++;
	if (nr_children == CHILDREN_MAX || pipe2(alive, O_CLOEXEC))
		alive[0] = alive[1] = -1;
	inside--;
	if (alive[0] >= 0) {
		alive[0] = descriptors_take(alive[0]);
		alive[1] = descriptors_take(alive[1]);
	}
	alive_number = swap_share(&pool->swap, alive[0] >= 0);
}

/* The parent, after the fork. Most children read nothing of its swap, and need not be watched. */
static void swap_was_shared(void)
{
	bool reads = swap_shared(&pool->swap), watched = false;

	if (reads && alive[0] >= 0) {
		inside++;
		watched = start_watching();
		inside--;
	}
	if (alive[0] >= 0)
		descriptors_close(alive[1]);
	if (watched) {
		children[nr_children].alive = alive[0];
		children[nr_children++].number = alive_number;
		(void)!write(nudge[1], "", 1);
	} else if (alive[0] >= 0) {
		descriptors_close(alive[0]);
	}
	if (!reads)
		swap_unshare(&pool->swap, alive_number);
}

/* ---- fork ---- */

_Noreturn static void lost(const char *why)
{
	report_say(report_stderr(), "weir run: process %d can't go on after fork: %s\n", (int)getpid(), why);
	syscall(SYS_exit_group, 125);
	__builtin_unreachable();
}

static void before(void)
{
	int error;

	if (!is_ours())
		return;
	held_stack();
	pin_handles();
	pthread_mutex_lock(&children_lock);
	hold_signals(pool, &held);
	programs_locale = uselocale(c_locale);
	shared_fork_before();
	error = arena_fork_before();
	if (error)
		lost(error_words(-error));
	share_swap();
}

static void in_parent(void)
{
	if (!atomic_load(&started) || inside)
		return;
	arena_fork_parent();
	shared_fork_parent();
	swap_was_shared();
	release_signals(&held);
	uselocale(programs_locale);
	pthread_mutex_unlock(&children_lock);
	unpin_handles();
}

/* Our parent's engine is nobody's here: its threads are not there, its frames neither. Of its descriptors swap's are
 * kept. */
static void leave_parents_pool(void)
{
	descriptors_close(pool->uffd.fd);
	if (pool->uffd.pidfd >= 0)
		descriptors_close(pool->uffd.pidfd);
	if (pool->config.fault_thread)
		descriptors_close(pool->fault_stop_fd);
	for (unsigned i = 0; i < pool->nr_fault_threads; i++)
		descriptors_close(pool->fault_threads[i].epoll);
	for (unsigned i = 0; i < nr_children; i++)
		descriptors_close(children[i].alive);
	if (alive[0] >= 0)
		descriptors_close(alive[0]);
	if (watching) {
		descriptors_close(nudge[0]);
		descriptors_close(nudge[1]);
	}
	report_to_nobody();
	nr_children = nr_pins = 0;
	watching = false;
	pthread_mutex_init(&children_lock, NULL);
	memset(&thread_context, 0, sizeof(thread_context));
}

/* On a stack of its own, as the thread that called fork may have a small one. */
static void go_on(void *unused)
{
	struct hold mine = held;
	weir_pool *parents = pool;

	(void)unused;
	inside++;
	shared_fork_child();
	brk_after_fork();
	if (!settings.dispatch) /* else it was done at once */
		held_forget();
	leave_parents_pool();
	report_begin();
	descriptors_floor(); /* the program may have set itself another limit */
	descriptors_expect();
	if (pool_start_in_child())
		lost(weir_error_text());
	descriptors_note();
	thread_context.signals_held = true;
	if (arena_fork_child(pool))
		lost(weir_error_text());
	if (total_follow() || interval_start())
		lost("there can't be more threads");
	thread_context.signals_held = mine.masked;
	kernel_munmap(parents->mem.frames, parents->mem.metadata_bytes);
	release_signals(&mine);
	inside--;
}

static void in_child(void)
{
	if (!atomic_load(&started) || inside)
		return;
	on_own_stack(go_on, NULL);
	held_go_on();
	if (!settings.threads && !settings.dispatch) /* it has lost the right that its parent had, or neither has any */
		settings.dispatch = !dispatch_start();
	else if (settings.dispatch)
		signals_hold_stack();
	uselocale(programs_locale); /* it may be paged out */
}

void process_start(void)
{
	dl_iterate_phdr(find_libc, NULL);
	specific_start();
	pthread_atfork(before, in_parent, in_child);
}
