/* SPDX-License-Identifier: MIT
 *
 * sigbus.c - the thread that touched a page which is not there brings it in itself, in the handler of its SIGBUS.
 *
 *   touch ─► SIGBUS, all others blocked ─► whose window? ──┬─ ours ─► touch_page ─┬─ 0: return, the touch goes through
 *                                                          │                      └─ error ─► its handler: retry,
 *                                                          │                           zeros, or (none) as nobody's
 *                                                          └─ nobody's ─► the handler that was there before us
 *
 * The handler runs on the thread's alternate signal stack where the program gave it one, else on its own stack. It
 * allocates nothing and keeps errno. Windows are found in a table that is read without a lock: a fault counts itself in
 * at the object before it looks whether the window is still listed, and who unlists it looks at that count afterwards.
 */
#include "fault/sigbus.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/calls.h"
#include "cache/hold.h"
#include "fault/syndrome.h"
#include "fault/touch.h"
#include "reclaim/reclaim.h"

#define WINDOWS_MAX 4096

struct listed {
	_Atomic uintptr_t start; /* 0: free */
	_Atomic size_t bytes;
	struct weir_object *_Atomic object;
	_Atomic unsigned users; /* faults that look at this entry */
};

static struct listed windows[WINDOWS_MAX];
static _Atomic unsigned nr_windows; /* entries below it have been used */
static _Atomic unsigned nr_gone;    /* windows that were unlisted, ever */

/* Guards the two below, and changes of the table. No signal handler takes it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned nr_takers;
static struct sigaction before;

/* ---- the table ---- */

int window_list(struct weir_object *object, char *base, size_t bytes)
{
	unsigned i = 0;

	pthread_mutex_lock(&lock);
	while (i < WINDOWS_MAX && atomic_load(&windows[i].start))
		i++;
	if (i < WINDOWS_MAX) {
		atomic_store(&windows[i].object, object);
		atomic_store(&windows[i].start, (uintptr_t)base);
		atomic_store(&windows[i].bytes, bytes); /* last: with none it covers nothing */
		if (i >= atomic_load(&nr_windows))
			atomic_store(&nr_windows, i + 1);
	}
	pthread_mutex_unlock(&lock);
	return i < WINDOWS_MAX ? 0 : -EMFILE;
}

void window_unlist(struct weir_object *object)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < WINDOWS_MAX; i++)
		if (atomic_load(&windows[i].start) && atomic_load(&windows[i].object) == object) {
			atomic_fetch_add(&nr_gone, 1); /* first: who does not find the window finds this */
			atomic_store(&windows[i].bytes, 0);
			while (atomic_load(&windows[i].users)) /* pairs with window_enter */
				call_sleep(100);
			atomic_store(&windows[i].start, 0);
			break;
		}
	pthread_mutex_unlock(&lock);
}

void windows_forget(void)
{
	pthread_mutex_init(&lock, NULL);
	for (unsigned i = 0; i < WINDOWS_MAX; i++) {
		atomic_store(&windows[i].bytes, 0);
		atomic_store(&windows[i].start, 0);
		atomic_store(&windows[i].users, 0);
	}
	atomic_store(&nr_windows, 0);
}

static bool covers(struct listed *window, uintptr_t address)
{
	return address - atomic_load(&window->start) < atomic_load(&window->bytes);
}

/* The window with that address, held; NULL: none. */
static struct listed *window_enter(uintptr_t address)
{
	unsigned n = atomic_load(&nr_windows);

	for (unsigned i = 0; i < n; i++) {
		if (!covers(&windows[i], address))
			continue;
		atomic_fetch_add(&windows[i].users, 1);
		if (covers(&windows[i], address))
			return &windows[i];
		atomic_fetch_sub(&windows[i].users, 1);
	}
	return NULL;
}

static void window_leave(struct listed *window)
{
	atomic_fetch_sub(&window->users, 1);
}

/* ---- faults ---- */

weir_pool *fault_serve(struct weir_fault *fault)
{
	struct listed *window = window_enter((uintptr_t)fault->address);
	unsigned flags = fault->write ? WEIR_WRITE | WEIR_WAIT : WEIR_WAIT;
	struct weir_object *object;
	weir_pool *pool;

	fault->error = -ENOENT;
	if (!window)
		return NULL;
	object = fault->object = atomic_load(&window->object);
	pool = object->pool;
	fault->page = ((uintptr_t)fault->address - atomic_load(&window->start)) >> PAGE_SHIFT;
	fault->error = fault->write && object->writable ? balance_dirty_pages(object, true) : 0;
	if (!fault->error)
		fault->error = touch_page(object, fault->page, flags, true);
	if (fault->error == -ENOENT) /* there is a window */
		fault->error = -EIO;
	/* Once we have left, the object may be closed: its pool lives on. */
	if (object->original) /* what the program knows */
		fault->object = object->original;
	window_leave(window);
	return pool;
}

/* The window of a fault that could not be served, held again; NULL: it has gone since, and the object may be closed. */
static struct listed *window_enter_again(const struct weir_fault *fault)
{
	struct listed *window = window_enter((uintptr_t)fault->address);
	struct weir_object *object = window ? atomic_load(&window->object) : NULL;

	if (object && (object == fault->object || object->original == fault->object))
		return window;
	if (window)
		window_leave(window);
	return NULL;
}

/* What the interrupted code may be looking at, and must find as it was: it may be about to pin a page of another pool,
 * where its record is just what it has compared. Its NOMEMALLOC reclaim is that of a pool without windows, none of ours. */
struct interrupted {
	struct known_records known;
	unsigned nomemalloc_depth;
};

static void interrupt_begin(struct interrupted *saved)
{
	*saved = (struct interrupted){thread_context.known, thread_context.nomemalloc_depth};
	thread_context.known = thread_context.known_in_faults;
	thread_context.nomemalloc_depth = 0;
	atomic_signal_fence(memory_order_seq_cst);
}

static void interrupt_end(const struct interrupted *saved)
{
	atomic_signal_fence(memory_order_seq_cst);
	thread_context.known_in_faults = thread_context.known;
	thread_context.known = saved->known;
	thread_context.nomemalloc_depth = saved->nomemalloc_depth;
}

struct asked {
	weir_fault_handler handler;
	void *user;
};

/* False: the window has gone. */
static bool find_handler(weir_pool *pool, const struct weir_fault *fault, struct asked *asked)
{
	HOLD_SIGNALS(pool); /* a handler of the program's may not come back, and we hold the window */
	struct listed *window = window_enter_again(fault);

	if (!window)
		return false;
	*asked = (struct asked){atomic_load(&fault->object->fault_handler),
				atomic_load(&fault->object->fault_handler_user)};
	window_leave(window);
	return true;
}

static int fault_zero(weir_pool *pool, const struct weir_fault *fault)
{
	HOLD_SIGNALS(pool);
	struct listed *window = window_enter_again(fault);
	struct interrupted interrupted;
	int error;

	if (!window)
		return 0;
	interrupt_begin(&interrupted);
	error = touch_zero(atomic_load(&window->object), fault->page);
	interrupt_end(&interrupted);
	window_leave(window);
	return error;
}

int fault_ask(weir_pool *pool, const struct weir_fault *fault)
{
	enum weir_fault_answer answer = WEIR_FAULT_FAIL;
	struct asked asked;

	if (!find_handler(pool, fault, &asked))
		return 0; /* the touch itself tells that there is no window any more */
	if (asked.handler)
		answer = asked.handler(fault, asked.user);
	if (answer == WEIR_FAULT_RETRY)
		return 0; /* the touch itself is the next try */
	if (answer == WEIR_FAULT_ZERO && fault->error != -ERANGE && fault->error != -EROFS)
		return fault_zero(pool, fault);
	return fault->error;
}

/* Was it a write? From what the processor said about the fault. */
static bool fault_was_write(const ucontext_t *context)
{
#if defined(__x86_64__)
	return context->uc_mcontext.gregs[REG_ERR] & 2; /* the page fault error code's W/R bit */
#elif defined(__aarch64__)
	_Static_assert(ESR_MAGIC == SYNDROME_MAGIC && sizeof(struct esr_context) == sizeof(struct syndrome_record),
		       "as the kernel has it");
	return records_say_write(context->uc_mcontext.__reserved, sizeof(context->uc_mcontext.__reserved));
#else
	return true;
#endif
}

/* The mask that the interrupted code had, and what a handler's own adds to it. */
static void set_mask(const ucontext_t *context, const sigset_t *more)
{
	sigset_t mask = context->uc_sigmask;

	for (int i = 1; more && i < NSIG; i++)
		if (sigismember(more, i) == 1)
			sigaddset(&mask, i);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* By the bare system call: where the C library's is watched (weir run), this is not the program's wish. */
static void set_default(int number)
{
	static const uint64_t of_kernel[4]; /* its struct sigaction: SIG_DFL, which is 0, no flags, no mask */

	syscall(SYS_rt_sigaction, number, of_kernel, NULL, sizeof(uint64_t));
}

/* Nobody's, or one that can't be served: as if we were not here. */
static void pass_on(int number, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO) {
		set_mask(context, &before.sa_mask);
		before.sa_sigaction(number, info, context);
	} else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		set_mask(context, &before.sa_mask);
		before.sa_handler(number);
	} else if (before.sa_handler != SIG_IGN || info->si_code > 0) {
		/* It dies of it, at the same place, as it would have without us: one that was not sent can't be
		 * ignored. */
		set_default(number);
		if (info->si_code <= 0) /* sent by someone: the return would not raise it again */
			syscall(SYS_tgkill, getpid(), thread_tid(), number);
	}
}

/* By the engine, or by what it calls: nobody can bring the page in. It is a defect, ours or of who gave the engine memory of
 * a window that was not pinned, and without a word nobody would find it. */
static void say_touched_within(uintptr_t address)
{
	char line[] = "weir: memory at 0x0000000000000000 was paged out when the engine touched it: a defect\n",
	     *digit = strstr(line, "0x") + 2 + 16;
	struct listed *window = window_enter(address);

	if (!window)
		return;
	window_leave(window);
	for (unsigned i = 0; i < 16; i++, address >>= 4)
		*--digit = "0123456789abcdef"[address & 15];
	(void)!write(STDERR_FILENO, line, sizeof(line) - 1);
}

/* No window has that address. But one may have gone between the touch and now, and something else be in its place: then
 * the touch itself is to tell, once more. */
static bool just_gone(void)
{
	unsigned known = thread_context.windows_gone;

	thread_context.windows_gone = atomic_load(&nr_gone);
	return thread_context.windows_gone != known;
}

/* By the thread that touched it. Returns 0: the touch goes through, or tells itself. */
static int serve(struct weir_fault *fault, const ucontext_t *context, weir_pool **pool)
{
	struct interrupted interrupted;
	struct cancel cancel;
	int error;

	hold_cancel(&cancel);
	thread_context.signals_held = true; /* all are blocked, but for SIGBUS, which then only waits */
	interrupt_begin(&interrupted);
	*pool = fault_serve(fault);
	error = fault->error;
	interrupt_end(&interrupted);
	thread_context.signals_held = false;
	/* It may end here, and what it calls then may be anything. */
	if (cancel.type == PTHREAD_CANCEL_ASYNCHRONOUS)
		set_mask(context, NULL);
	release_cancel(&cancel);
	if (error == -EACCES || error == -ENXIO) /* PROT_NONE, or no window, by now: the touch itself will tell */
		return 0;
	return error == -ENOENT && just_gone() ? 0 : error;
}

/* Back from it the thread's own mask lets it come. */
static void send_on_return(void)
{
	static const uint64_t sigbus = 1ull << (SIGBUS - 1);

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &sigbus, NULL, sizeof(sigbus));
	send_again();
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	struct weir_fault fault = {.address = info->si_addr, .write = fault_was_write(context)};
	int saved = errno, error = -ENOENT;
	weir_pool *pool = NULL;

	if (thread_context.signals_held && info->si_code <= 0) {
		hold_sent(info);
		return;
	}
	if (thread_context.signals_held)
		say_touched_within((uintptr_t)info->si_addr);
	else if (info->si_code == BUS_ADRERR)
		error = serve(&fault, context, &pool);
	if (error && error != -ENOENT) {
		set_mask(context, NULL); /* the program's handler may leave by longjmp, and may touch windows itself */
		error = fault_ask(pool, &fault);
	}
	errno = saved;
	if (error)
		pass_on(number, info, context);
	if (unlikely(thread_context.sent.waits))
		send_on_return();
	errno = saved;
}

int sigbus_take(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER};
	int error = 0;

	/* Not by sigfillset, which leaves out the signal that cancels a thread. One that was sent while that was allowed may
	 * come when it is not any more, in the middle of a read; and the C library's handler (glibc 2.36's) only asks for
	 * the type, which each call that is a cancellation point changes for its time. */
	memset(&action.sa_mask, 0xff, sizeof(action.sa_mask));
	/* Blocked they would be death, without a word: to who is cancelled in here and touches windows in his cleanup, and
	 * where system calls are dispatched (weir run). */
	sigdelset(&action.sa_mask, SIGBUS);
	sigdelset(&action.sa_mask, SIGSYS);
	pthread_mutex_lock(&lock);
	if (!nr_takers && sigaction(SIGBUS, &action, &before))
		error = -errno;
	if (!error)
		nr_takers++;
	pthread_mutex_unlock(&lock);
	return error;
}

void sigbus_exchange(const struct sigaction *action, struct sigaction *old)
{
	struct sigaction was = before;

	if (action)
		before = *action;
	if (old)
		*old = was;
}

void sigbus_give(void)
{
	struct sigaction now;

	pthread_mutex_lock(&lock);
	if (--nr_takers == 0 && !sigaction(SIGBUS, NULL, &now) && now.sa_sigaction == on_sigbus)
		sigaction(SIGBUS, &before, NULL);
	pthread_mutex_unlock(&lock);
}
