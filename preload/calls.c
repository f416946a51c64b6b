/* SPDX-License-Identifier: MIT
 *
 * calls.c - system calls whose memory may be paged out.
 *
 * The kernel can't wait for a page of a window whose faults the touching threads serve: it says EFAULT. So
 *
 *   what the arguments point to (call_table.c) ─► those parts of the arena, and of files' windows, are brought in,
 *     and held (held.c) ─► the call, from our own text ─► let go
 *
 * Where not all could be held (too much is already), a page may be gone before the kernel came to it. Then the call
 * says EFAULT, and is made once more: what had been done by then it would have reported instead. The same where holding is
 * needless: the words of futex, which many threads wait on for long. By O_DIRECT (direct.c) nobody would say so: there
 * it waits until all can be held; and this goes for threads that serve the faults, too.
 */
#include "calls.h"

#include <linux/fiemap.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "held.h"
#include "inside.h"
#include "raw.h"
#include "shared.h"

#define TRIES_MAX 1000
#define UNHELD 2        /* not called at all: it is by O_DIRECT, and not all could be held */
#define GUESS_BYTES 256 /* what an argument of an unknown call points to, as a guess */
#define VECTOR_MAX 1024 /* the kernel's IOV_MAX: longer ones are EINVAL, which it says itself */
#define MESSAGES_MAX 1024
#define STRINGS_MAX (1u << 20)
#define WAITERS_MAX 128  /* the kernel's FUTEX_WAITV_MAX */
#define TRACED_BYTES 512 /* registers, the largest of what ptrace copies */

struct call {
	long nr, args[6];
	int held;
	int worst; /* of held_range's results: what it says about another try */
	uint64_t mask;
	struct {
		const uint64_t *mask;
		size_t bytes;
	} mask_sized;
};

static void hold(struct call *call, const void *address, size_t bytes, bool write)
{
	int error = held_range(call->held, address, bytes, write);

	if (error > 0 && call->worst == 0)
		call->worst = 1;
	if (error < 0)
		call->worst = error;
}

/* ---- what arguments point to ---- */

static void hold_string(struct call *call, const char *string)
{
	while (maybe_ours(string)) {
		size_t in_page = PAGE_SIZE - (uintptr_t)string % PAGE_SIZE;

		if (held_range(-1, string, in_page, false) < 0)
			return;
		hold(call, string, in_page, false);
		if (memchr(string, 0, in_page))
			return;
		string += in_page;
	}
}

static void hold_strings(struct call *call, const char *const *vector)
{
	const char *string;

	for (size_t i = 0; vector && i < STRINGS_MAX; i++) {
		if (user_get((void *)&string, &vector[i], sizeof(string)))
			return;
		hold(call, &vector[i], sizeof(string), false);
		if (!string)
			return;
		hold_string(call, string);
	}
}

static void hold_vector(struct call *call, const struct iovec *vector, size_t n, bool write)
{
	struct iovec some[8];

	if (n > VECTOR_MAX)
		return;
	hold(call, vector, n * sizeof(*vector), false);
	for (size_t i = 0; i < n; i += ARRAY_SIZE(some)) {
		size_t count = MIN(n - i, ARRAY_SIZE(some));

		if (user_get(some, vector + i, count * sizeof(some[0])))
			return;
		for (size_t j = 0; j < count; j++)
			hold(call, some[j].iov_base, some[j].iov_len, write);
	}
}

static void hold_messages(struct call *call, const char *messages, size_t n, size_t unit, bool write)
{
	struct msghdr message;

	for (size_t i = 0; i < MIN(n, MESSAGES_MAX); i++) {
		if (user_get(&message, messages + i * unit, sizeof(message)))
			return;
		hold(call, messages + i * unit, unit, true); /* results are put there */
		hold(call, message.msg_name, message.msg_namelen, write);
		hold(call, message.msg_control, message.msg_controllen, write);
		hold_vector(call, message.msg_iov, message.msg_iovlen, write);
	}
}

static void hold_sized(struct call *call, void *address, const uint32_t *size)
{
	uint32_t bytes;

	if (!size || user_get(&bytes, size, sizeof(bytes)))
		return;
	hold(call, size, sizeof(bytes), true);
	hold(call, address, bytes, true);
}

static void hold_traced(struct call *call, void *data)
{
	if (call->args[0] != PTRACE_GETREGSET && call->args[0] != PTRACE_SETREGSET) {
		hold(call, data, TRACED_BYTES, true);
		return;
	}
	hold(call, data, sizeof(struct iovec), true); /* the length is put there */
	hold_vector(call, data, 1, true);
}

static bool sets_filter(const struct call *call)
{
	const int what[] = {(int)call->args[0], (int)call->args[1], (int)call->args[2]};

	switch (call->nr) {
	case SYS_seccomp:
		return what[0] == SECCOMP_SET_MODE_FILTER;
	case SYS_prctl:
		return what[0] == PR_SET_SECCOMP && what[1] == SECCOMP_MODE_FILTER;
	default: /* setsockopt */
		return what[1] == SOL_SOCKET && (what[2] == SO_ATTACH_FILTER || what[2] == SO_ATTACH_REUSEPORT_CBPF);
	}
}

static void hold_filter(struct call *call, const void *address)
{
	struct sock_fprog program;

	if (!sets_filter(call) || user_get(&program, address, sizeof(program)))
		return;
	hold(call, address, sizeof(program), false);
	hold(call, program.filter, program.len * sizeof(*program.filter), false);
}

/* Not held: it may be missing again when the kernel looks, which is another try. */
static void bring_in(struct call *call, const void *address, size_t bytes)
{
	if (held_range(-1, address, bytes, true) < 0 && held_range(-1, address, bytes, false) < 0)
		call->worst = -EFAULT;
	else if (maybe_ours(address) && !call->worst)
		call->worst = 1;
}

static void bring_in_waiters(struct call *call, const char *waiters, size_t n, size_t unit)
{
	uint64_t waiter[2]; /* a value, an address */

	for (size_t i = 0; i < MIN(n, WAITERS_MAX); i++) {
		if (user_get(waiter, waiters + i * unit, sizeof(waiter)))
			return;
		bring_in(call, waiters + i * unit, unit);
		bring_in(call, (void *)waiter[1], sizeof(uint64_t));
	}
}

/* Sizes are part of most requests. */
static size_t ioctl_bytes(unsigned request)
{
	return _IOC_DIR(request) != _IOC_NONE && _IOC_SIZE(request) ? _IOC_SIZE(request) : GUESS_BYTES;
}

/* An array behind the data, or elsewhere. */
static void hold_request(struct call *call, const char *data)
{
	unsigned request = (unsigned)call->args[1];
	struct fiemap map;
	struct ifconf list;

	hold(call, data, ioctl_bytes(request), true);
	if (request == FS_IOC_FIEMAP && !user_get(&map, data, sizeof(map)))
		hold(call, data, sizeof(map) + map.fm_extent_count * sizeof(struct fiemap_extent), true);
	if (request == SIOCGIFCONF && !user_get(&list, data, sizeof(list)) && list.ifc_len > 0)
		hold(call, list.ifc_buf, (size_t)list.ifc_len, true);
}

/* The mask that the thread has while it waits. */
static const uint64_t *replace_mask(struct call *call, const uint64_t *mask)
{
	if (!mask || user_get(&call->mask, mask, sizeof(call->mask)))
		return mask;
	call->mask = mask_allowed(call->mask);
	return &call->mask;
}

static void replace_sized_mask(struct call *call, long *argument)
{
	if (!*argument || user_get(&call->mask_sized, (void *)*argument, sizeof(call->mask_sized)))
		return;
	call->mask_sized.mask = replace_mask(call, call->mask_sized.mask);
	*argument = (long)&call->mask_sized;
}

static void apply(struct call *call, const struct rule *rule)
{
	void *address = (void *)call->args[rule->argument];
	size_t n = rule->times == ONCE ? 1 : (size_t)call->args[rule->times];
	size_t bytes;

	if (!address)
		return;
	switch ((enum pointed)rule->what) {
	case POINTS_NOWHERE:
		return;
	case READS:
	case WRITES:
		if (!__builtin_mul_overflow(n, rule->unit, &bytes))
			hold(call, address, bytes, rule->what == WRITES);
		return;
	case STRING:
		hold_string(call, address);
		return;
	case STRINGS:
		hold_strings(call, address);
		return;
	case VECTOR_READS:
	case VECTOR_WRITES:
		hold_vector(call, address, n, rule->what == VECTOR_WRITES);
		return;
	case MESSAGE_READS:
	case MESSAGE_WRITES:
		hold_messages(call, address, (uint32_t)n, rule->unit, rule->what == MESSAGE_WRITES);
		return;
	case HEADED:
		hold(call, address, n + sizeof(long), true);
		return;
	case SIZED:
		hold_sized(call, address, (void *)call->args[rule->times]);
		return;
	case BITS:
		if ((int)n > 0)
			hold(call, address, ((size_t)(int)n + 63) / 64 * 8, true);
		return;
	case MASK:
		call->args[rule->argument] = (long)replace_mask(call, address);
		return;
	case MASK_SIZED:
		replace_sized_mask(call, &call->args[rule->argument]);
		return;
	case PER_PAGE:
		hold(call, address, page_up(n) >> PAGE_SHIFT, true);
		return;
	case REQUEST:
		hold_request(call, address);
		return;
	case TRACED:
		hold_traced(call, address);
		return;
	case FILTER:
		hold_filter(call, address);
		return;
	case WAITERS:
		bring_in_waiters(call, address, (uint32_t)n, rule->unit);
		return;
	case RETRIED:
		bring_in(call, address, rule->unit);
		return;
	}
}

/* Pointers or not: what looks like one that points to memory of ours is held, for writing where that can be. */
static void guess(struct call *call)
{
	bool any = false;
	int error;

	for (unsigned i = 0; i < 6; i++) {
		char *address = (char *)call->args[i];

		if (!maybe_ours(address))
			continue;
		any = true;
		error = held_range(call->held, address, GUESS_BYTES, true);
		if (error < 0) /* may be no pointer at all: no reason to give up */
			error = held_range(call->held, address, GUESS_BYTES, false);
		if (error > 0)
			call->worst = 1;
	}
	if (any)
		atomic_fetch_add_explicit(&tallies.calls_unknown, 1, memory_order_relaxed);
}

/* ---- the call ---- */

static long try(long nr, const long args[6], const struct rule *rules, int *worst)
{
	struct call call = {.nr = nr, .held = held_begin()};
	unsigned taken = held_taken();
	long result;

	held_name(call.held, nr, args[0]);
	memcpy(call.args, args, sizeof(call.args));
	if (!rules)
		guess(&call);
	for (unsigned i = 0; rules && i < RULES_MAX && rules[i].what != POINTS_NOWHERE; i++)
		apply(&call, &rules[i]);
	if (!call.worst && held_taken() != taken)
		call.worst = 1;
	if (call.worst == 1 && direct_is(nr, args))
		call.worst = UNHELD;
	result = call.worst == UNHELD ? -ENOMEM : raw_call(nr, call.args);
	if (result == -EFAULT && !call.worst && held_taken() != taken)
		call.worst = 1;
	held_end(call.held);
	*worst = call.worst;
	return result;
}

/* Until others' calls have ended. */
static void nap(unsigned tries)
{
	struct timespec time = {.tv_nsec = tries * 10000};

	raw(SYS_nanosleep, &time, NULL);
}

static bool points_on(enum pointed what)
{
	return what == STRINGS || what == VECTOR_READS || what == VECTOR_WRITES || what == MESSAGE_READS ||
	       what == MESSAGE_WRITES || what == SIZED || what == MASK || what == MASK_SIZED || what == REQUEST ||
	       what == TRACED || what == FILTER || what == WAITERS;
}

/* May anything that it points to be ours? */
static bool concerns_us(const struct rule *rules, const long args[6])
{
	if (!rules)
		for (unsigned i = 0; i < 6; i++)
			if (maybe_ours((void *)args[i]))
				return true;
	for (unsigned i = 0; rules && i < RULES_MAX && rules[i].what != POINTS_NOWHERE; i++) {
		long argument = args[rules[i].argument];

		if (maybe_ours((void *)argument) || (argument && points_on((enum pointed)rules[i].what)))
			return true;
	}
	return false;
}

long call_once(long nr, const long args[6], bool *held)
{
	bool refused;
	const struct rule *rules = call_rules(nr, &refused);
	long result;
	int worst;

	*held = true;
	if (refused) {
		atomic_fetch_add_explicit(&tallies.calls_refused, 1, memory_order_relaxed);
		return -ENOSYS;
	}
	if (!concerns_us(rules, args))
		return raw_call(nr, args);
	for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
		result = try(nr, args, rules, &worst);
		if (worst == UNHELD)
			nap(tries);
		else if (result != -EFAULT || worst != 1)
			break;
	}
	*held = !worst;
	return result;
}

long call_with_pages(long nr, const long args[6])
{
	long result;
	bool held;

	if (!is_ours() || (settings.threads && !direct_is(nr, args)))
		return raw_call(nr, args);
	held_stack();
	atomic_fetch_add_explicit(&tallies.calls, 1, memory_order_relaxed);
	return transfer_call(nr, args, &result) ? result : call_once(nr, args, &held);
}

long program_call(long nr, long a, long b, long c, long d, long e, long f)
{
	return raw_result(call_with_pages(nr, (long[]){a, b, c, d, e, f}));
}
