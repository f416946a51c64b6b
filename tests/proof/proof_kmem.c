/* SPDX-License-Identifier: MIT
 *
 * proof_kmem.c - level 3: the kernel allocates nothing on behalf of NOMEMALLOC reclaim. Its own trace events for
 * allocations, filtered to the reclaiming thread, over a million pages; and the longest call among them.
 *
 * An interrupt that lands on the thread may allocate in the kernel, and is traced as the thread's: the trace's column
 * of flags tells (h, H: hard interrupt; s: soft interrupt; Z: NMI), and those are counted apart.
 *
 * The thread is told by its name, as its number may be another one to the kernel (in a container). Where tracefs is not
 * mounted, it is in a mount namespace of this process alone, and goes with it.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../sanitizer.h"
#include "../anon_rig.h"
#include "planted.h"

#define TRACEFS "/sys/kernel/tracing"
#define PAGES_WANTED 1000000u
#define MAPPED_WANTED 30000u /* each is a fault, too */
#define OBJECT_PAGES 16384ull

static char instance[128], thread_name[16];

static bool put(const char *file, const char *text)
{
	char path[256];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", instance, file);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return done;
}

static const char *const events[] = {"kmem/kmalloc", "kmem/kmem_cache_alloc", "kmem/mm_page_alloc"};

static bool switch_events(const char *on)
{
	char path[128], filter[64];

	snprintf(filter, sizeof(filter), "comm == \"%s\"", thread_name);
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
		snprintf(path, sizeof(path), "events/%s/filter", events[i]);
		if (!put(path, filter))
			return false;
		snprintf(path, sizeof(path), "events/%s/enable", events[i]);
		if (!put(path, on))
			return false;
	}
	return true;
}

static void close_tracing(void)
{
	if (instance[0])
		rmdir(instance);
}

/* A test that hangs or fails an assertion of the engine's leaves no instance behind either. */
static void close_and_die(int number)
{
	close_tracing();
	signal(number, SIG_DFL);
	raise(number);
}

/* An instance of our own, so that nobody else's tracing is disturbed. NULL, or why not. */
static const char *open_tracing(void)
{
	if (access(TRACEFS "/instances", F_OK) != 0 &&
	    (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	     mount("nodev", TRACEFS, "tracefs", 0, NULL) != 0))
		return "tracefs is not mounted, and mounting it is not allowed";
	snprintf(thread_name, sizeof(thread_name), "weir-%d", (int)getpid());
	snprintf(instance, sizeof(instance), TRACEFS "/instances/weir-%d", (int)getpid());
	if (mkdir(instance, 0700) != 0) {
		instance[0] = 0;
		return "no tracing instance can be made (not root?)";
	}
	return put("buffer_size_kb", "4096") && put("events/kmem/mm_page_alloc/enable", "0")
		       ? NULL
		       : "the kernel has no kmem events";
}

/* The events since the last call: those of the thread itself, and those of interrupts that landed on it. */
static void read_events(unsigned *own, unsigned *interrupts)
{
	char path[256], line[1024], flags[16];
	FILE *file;

	*own = *interrupts = 0;
	snprintf(path, sizeof(path), "%s/trace", instance);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		char *cpu = strchr(line, '[');

		if (line[0] == '#' || !cpu || sscanf(cpu, "[%*d] %15s", flags) != 1)
			continue;
		if (strlen(flags) >= 3 && strchr("hHsZz", flags[2])) {
			++*interrupts;
		} else {
			if (++*own <= 5)
				print_message("%s", line);
		}
	}
	fclose(file);
	put("trace", "");
}

enum where {
	IN_SLOTS,
	IN_WINDOW,      /* of a file */
	ANON_IN_WINDOW, /* of anonymous memory, all of which has been in swap */
	BOTH_IN_WINDOWS,
};

static struct {
	weir_pool *pool;
	weir_object *object;
	_Atomic bool stop;
	uint64_t wanted;
	_Atomic bool ready, go;
	uint64_t freed, calls, longest_ns;
	volatile char *windows[2]; /* both the same where there is one; NULL: pages are pinned, in slots */
} shared;

static void use(unsigned window, uint64_t page, bool write)
{
	volatile char *byte = &shared.windows[window][page << PAGE_SHIFT];

	if (write)
		*byte = 1;
	else
		(void)*byte;
}

static void *hammer(void *arg)
{
	uint32_t random = (uint32_t)(uintptr_t)arg;

	while (!atomic_load(&shared.stop)) {
		struct weir_pin pin;

		random = random * 1664525 + 1013904223;
		if (shared.windows[0])
			use(random >> 31, (random >> 8) % OBJECT_PAGES, random % 50 == 0);
		else if (weir_pin(shared.object, (random >> 8) % OBJECT_PAGES, random % 50 ? WEIR_READ : WEIR_WRITE,
				  &pin) == 0)
			weir_unpin(&pin);
	}
	return NULL;
}

/* Everything that the thread needs is touched before tracing begins. */
static void *reclaimer(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), thread_name);
	for (int i = 0; i < 100; i++)
		weir_reclaim(shared.pool, 32, WEIR_NOMEMALLOC);
	now_ns();
	atomic_store(&shared.ready, true);
	while (!atomic_load(&shared.go))
		;
	while (shared.freed < shared.wanted) {
		uint64_t start = now_ns(), took;

		shared.freed += (uint64_t)weir_reclaim(shared.pool, 32, WEIR_NOMEMALLOC);
		took = now_ns() - start;
		shared.longest_ns = MAX(shared.longest_ns, took);
		shared.calls++;
	}
	atomic_store(&shared.go, false);
	while (!atomic_load(&shared.stop)) /* the thread's own end would be traced too */
		;
	return NULL;
}

static volatile char *window_of(weir_object *object)
{
	void *address;

	assert_int_equal(weir_map(object, PROT_READ | PROT_WRITE, 0, &address), 0);
	return address;
}

/* Written, and all of it sent to swap: what is read after that is clean, with a slot. */
static weir_object *swapped_out(weir_pool *pool)
{
	weir_object *object;

	add_swap(pool, 2 * OBJECT_PAGES, false);
	assert_int_equal(weir_anon(pool, OBJECT_PAGES << PAGE_SHIFT, &object), 0);
	for (uint64_t page = 0; page < OBJECT_PAGES; page++)
		assert_int_equal(write_stamp(object, page, 1), 0);
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_PAGEOUT), 0);
	assert_int_equal(weir_counter(pool, "nr_swap_used"), OBJECT_PAGES);
	return object;
}

static void read_some(weir_object *file, weir_object *anon, enum where where)
{
	if (where == IN_SLOTS) {
		touch_range(file, 0, 6000);
		return;
	}
	shared.windows[0] = window_of(where == ANON_IN_WINDOW ? anon : file);
	shared.windows[1] = where == BOTH_IN_WINDOWS ? window_of(anon) : shared.windows[0];
	for (uint64_t page = 0; page < 6000; page++)
		use(page % 2, page, false);
}

/* newcomers: so many other threads are just now coming to the pool; then none hammers it. */
static void run(void (*action)(void), uint64_t wanted, unsigned newcomers, enum where where, unsigned *own,
		unsigned *interrupts)
{
	weir_object *anon = NULL;
	unsigned nr_hammers = newcomers ? 0 : 2;
	pthread_t hammers[2], thread;
	struct rig rig;

	rig_config(&rig, 32 << 20);
	rig.config.policy = NULL; /* the default */
	if (newcomers)
		rig.config.max_threads = newcomers;
	rig.config.windows = where != IN_SLOTS;
	rig_start(&rig, OBJECT_PAGES);
	memset(&shared, 0, sizeof(shared));
	shared.pool = rig.pool;
	shared.object = rig.object;
	shared.wanted = wanted;
	if (where >= ANON_IN_WINDOW)
		anon = swapped_out(rig.pool);
	read_some(rig.object, anon, where);
	for (uintptr_t i = 0; i < nr_hammers; i++)
		pthread_create(&hammers[i], NULL, hammer, (void *)(i + 1));
	pthread_create(&thread, NULL, reclaimer, NULL);
	wait_until(atomic_load(&shared.ready));
	if (action)
		plant(rig.pool, action);
	/* Each has taken a record, and has not yet come to write to it. */
	if (newcomers)
		atomic_store(&rig.pool->threads.used, newcomers);
	assert_true(put("trace", "") && switch_events("1"));
	atomic_store(&shared.go, true);
	while (atomic_load(&shared.go))
		sleep_ms(1);
	assert_true(switch_events("0"));
	atomic_store(&shared.stop, true);
	for (unsigned i = 0; i < nr_hammers; i++)
		pthread_join(hammers[i], NULL);
	pthread_join(thread, NULL);
	if (action)
		rig.pool->policy = planted_inner;
	read_events(own, interrupts);
	if (where == IN_WINDOW || where == BOTH_IN_WINDOWS)
		assert_int_equal(weir_unmap(rig.object), 0);
	if (anon) {
		assert_int_equal(weir_unmap(anon), 0);
		assert_int_equal(weir_close(anon, 0), 0);
	}
	rig_stop(&rig);
}

static void allocate_in_the_kernel(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p != MAP_FAILED)
		munmap(p, 4096);
}

static const char *unavailable;

static void skip_without_tracing(void)
{
	if (!unavailable)
		return;
	print_message("%s\n", unavailable);
	skip();
}

/* Breaks when the trace is blind: then the next test would prove nothing. */
static void planted_kernel_allocations_are_seen(void **state)
{
	unsigned own, interrupts;

	(void)state;
	skip_without_tracing();
	run(allocate_in_the_kernel, 32, 0, IN_SLOTS, &own, &interrupts);
	assert_true(own >= 32);
}

/* Breaks when the kernel allocates anything for a thread that reclaims a million pages while others hammer the pool. */
static void contract_04_the_kernel_allocates_nothing_over_a_million_pages(void **state)
{
	unsigned own, interrupts;

	(void)state;
	skip_without_tracing();
	run(NULL, PAGES_WANTED, 0, IN_SLOTS, &own, &interrupts);
	print_message("%llu pages in %llu calls: %u kernel allocations of the thread, %u of interrupts on it; "
		      "longest call %llu us\n",
		      (unsigned long long)shared.freed, (unsigned long long)shared.calls, own, interrupts,
		      (unsigned long long)shared.longest_ns / 1000);
	assert_int_equal(own, 0);
	assert_true(shared.freed >= PAGES_WANTED);
	assert_true(shared.longest_ns < 60000000000ull); /* it never waits: only the scheduler is in its way */
}

static void take_mapped(enum where where, const char *which)
{
	unsigned own, interrupts;

	skip_without_tracing();
	run(NULL, MAPPED_WANTED, 0, where, &own, &interrupts);
	print_message(
		"%llu mapped pages%s in %llu calls: %u kernel allocations of the thread, %u of interrupts on it\n",
		(unsigned long long)shared.freed, which, (unsigned long long)shared.calls, own, interrupts);
	assert_int_equal(own, 0);
	assert_true(shared.freed >= MAPPED_WANTED);
}

/* Breaks when pages in windows are taken out of them more than a few at once: the kernel allocates for long vectors,
 * and to gather many pages. */
static void contract_04_the_kernel_allocates_nothing_for_mapped_pages(void **state)
{
	(void)state;
	take_mapped(IN_WINDOW, " of a file");
}

/* Breaks in the same way, or when dropping a page that has a slot touches what swap keeps of it. */
static void contract_04_the_kernel_allocates_nothing_for_anonymous_pages(void **state)
{
	(void)state;
	take_mapped(ANON_IN_WINDOW, " of anonymous memory"); /* there are no others */
	take_mapped(BOTH_IN_WINDOWS, " of a file and of anonymous memory");
}

/* Breaks when reclaim is the first to look at memory of the pool's own: a page table is allocated for that. */
static void contract_04_records_of_new_threads_are_no_new_memory(void **state)
{
	unsigned own, interrupts;

	(void)state;
	skip_without_tracing();
	skip_if(UNDER_ASAN, "the address sanitizer's shadow of the records is new memory");
	run(NULL, 320, 65536, IN_SLOTS, &own, &interrupts);
	assert_int_equal(own, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(planted_kernel_allocations_are_seen),
		cmocka_unit_test(contract_04_the_kernel_allocates_nothing_over_a_million_pages),
		cmocka_unit_test(contract_04_the_kernel_allocates_nothing_for_mapped_pages),
		cmocka_unit_test(contract_04_the_kernel_allocates_nothing_for_anonymous_pages),
		cmocka_unit_test(contract_04_records_of_new_threads_are_no_new_memory),
	};
	int failed;

	signal(SIGABRT, close_and_die);
	signal(SIGTERM, close_and_die);
	signal(SIGINT, close_and_die);
	unavailable = UNDER_TSAN ? "the thread sanitizer's shadow is memory that the kernel allocates as it is touched"
				 : open_tracing();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	close_tracing();
	return failed;
}
