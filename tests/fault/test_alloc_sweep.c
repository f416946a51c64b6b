/* SPDX-License-Identifier: MIT
 *
 * test_alloc_sweep.c - every allocation of weir_create, weir_open, stores and queues fails, one after the other.
 *
 * The linker leads the library's calls for memory, descriptors, threads and rings here (tests/meson.build, --wrap);
 * what they did is counted, so that what a failed call left behind is seen:
 *
 *   bytes mapped and not unmapped, heap blocks, descriptors, threads
 *
 * A call that fails says so with the code that weir.h has for it and, where it promises one, a sentence. Some failures
 * have a way around them: no ring, no O_DIRECT, no advice to the kernel, nothing known of the machine, and
 * no statistics page: what follows its descriptor in weir_create can be done without.
 */
#include <dirent.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rig.h"

enum site { SITE_NONE, SITE_MAP, SITE_ADVISE, SITE_OPEN, SITE_EVENTFD, SITE_THREAD, SITE_RING, SITE_HEAP, SITE_STATS };

static struct {
	bool armed;
	bool stats;              /* what comes now is for a statistics page */
	unsigned calls, failing; /* the call with this number fails */
	enum site failed;
	char path[64];       /* SITE_OPEN: of what */
	_Atomic long mapped; /* bytes */
	_Atomic long blocks; /* of the heap */
} sites;

/* True: the call is to fail. */
static bool fail_here(enum site site)
{
	if (!sites.armed || sites.calls++ != sites.failing)
		return false;
	sites.failed = sites.stats ? SITE_STATS : site;
	return true;
}

/* ---- what the linker leads here ---- */

void *__real_mmap64(void *, size_t, int, int, int, off_t);
void *__wrap_mmap64(void *address, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *address, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *p;

	if (fail_here(SITE_MAP)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	p = __real_mmap64(address, bytes, prot, flags, fd, offset);
	if (p != MAP_FAILED)
		sites.mapped += (long)object_pages_of(bytes);
	return p;
}

int __real_munmap(void *, size_t);
int __wrap_munmap(void *address, size_t bytes);
int __wrap_munmap(void *address, size_t bytes)
{
	sites.mapped -= (long)object_pages_of(bytes);
	return __real_munmap(address, bytes);
}

int __real_madvise(void *, size_t, int);
int __wrap_madvise(void *address, size_t bytes, int advice);
int __wrap_madvise(void *address, size_t bytes, int advice)
{
	if (fail_here(SITE_ADVISE)) {
		errno = ENOMEM;
		return -1;
	}
	return __real_madvise(address, bytes, advice);
}

int __real_open64(const char *, int, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	if (fail_here(SITE_OPEN)) {
		snprintf(sites.path, sizeof(sites.path), "%s%s", path, flags & O_DIRECT ? " direct" : "");
		errno = EMFILE;
		return -1;
	}
	return __real_open64(path, flags, 0600);
}

int __real_eventfd(unsigned, int);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags)
{
	if (fail_here(SITE_EVENTFD)) {
		errno = EMFILE;
		return -1;
	}
	return __real_eventfd(value, flags);
}

int __real_memfd_create(const char *, unsigned);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags)
{
	sites.stats = sites.armed;
	if (fail_here(SITE_STATS)) {
		errno = EMFILE;
		return -1;
	}
	return __real_memfd_create(name, flags);
}

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	return fail_here(SITE_THREAD) ? EAGAIN : __real_pthread_create(thread, attr, fn, arg);
}

int __real_io_uring_queue_init_params(unsigned, struct io_uring *, struct io_uring_params *);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
	return fail_here(SITE_RING) ? -ENOMEM : __real_io_uring_queue_init_params(entries, ring, params);
}

/* The library has no use for the heap; should it get one, it is swept too. */
void *__real_malloc(size_t);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes)
{
	void *p = fail_here(SITE_HEAP) ? NULL : __real_malloc(bytes);

	sites.blocks += p != NULL;
	return p;
}

void *__real_calloc(size_t, size_t);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes)
{
	void *p = fail_here(SITE_HEAP) ? NULL : __real_calloc(n, bytes);

	sites.blocks += p != NULL;
	return p;
}

void *__real_realloc(void *, size_t);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes)
{
	void *p = fail_here(SITE_HEAP) ? NULL : __real_realloc(old, bytes);

	sites.blocks += !old && p;
	return p;
}

int __real_posix_memalign(void **, size_t, size_t);
int __wrap_posix_memalign(void **p, size_t align, size_t bytes);
int __wrap_posix_memalign(void **p, size_t align, size_t bytes)
{
	int error = fail_here(SITE_HEAP) ? ENOMEM : __real_posix_memalign(p, align, bytes);

	sites.blocks += !error;
	return error;
}

void *__real_aligned_alloc(size_t, size_t);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	void *p = fail_here(SITE_HEAP) ? NULL : __real_aligned_alloc(align, bytes);

	sites.blocks += p != NULL;
	return p;
}

void __real_free(void *);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	sites.blocks -= p != NULL;
	__real_free(p);
}

/* ---- what is there ---- */

struct holdings {
	long mapped, blocks, fds, threads, address_space;
};

static long entries_of(const char *path)
{
	DIR *folder = opendir(path);
	long n = 0;

	while (folder && readdir(folder))
		n++;
	closedir(folder);
	return n;
}

static struct holdings holdings(void)
{
	struct holdings h = {sites.mapped, sites.blocks, entries_of("/proc/self/fd"), entries_of("/proc/self/task"), 0};
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which map memory of their own as they like */
	FILE *statm = fopen("/proc/self/statm", "r");

	assert_non_null(statm);
	assert_int_equal(fscanf(statm, "%ld", &h.address_space), 1);
	fclose(statm);
#endif
	return h;
}

/* A thread that was joined may be seen for a moment more: one of those counted before, too. */
static void nothing_was_left(struct holdings *before)
{
	struct holdings after;

	wait_until(entries_of("/proc/self/task") <= before->threads);
	after = holdings();
	before->threads = after.threads;
	assert_int_equal(after.mapped, before->mapped);
	assert_int_equal(after.blocks, before->blocks);
	assert_int_equal(after.fds, before->fds);
	assert_int_equal(after.address_space, before->address_space);
}

/* ---- the sweep ---- */

/* What a call answers when that failed; 0: there is a way around it, or may be. */
static int answer_to(enum site site)
{
	switch (site) {
	case SITE_MAP:
	case SITE_HEAP:
		return -ENOMEM;
	case SITE_OPEN: /* a file's own; without /proc, /sys or O_DIRECT it goes on */
		return strstr(sites.path, " direct") || strncmp(sites.path, "/proc/", 6) == 0 ||
				       strncmp(sites.path, "/sys/", 5) == 0
			       ? 0
			       : -EMFILE;
	case SITE_EVENTFD:
		return -EMFILE;
	case SITE_THREAD:
		return -EAGAIN;
	default:
		return 0;
	}
}

static void right_answer(int result, bool has_sentence)
{
	if (sites.failed == SITE_ADVISE)
		assert_true(result == 0 || result == -ENOMEM); /* to populate is not only advice */
	else
		assert_int_equal(result, answer_to(sites.failed));
	if (result && has_sentence && strncmp(weir_error_text(), "cannot ", 7))
		fail_msg("said: %s", weir_error_text());
}

static struct weir_config config;
static weir_pool *pool;
static char path[4096];

/* Something that can be made and unmade. `use` shows that it works. */
struct kind {
	int (*make)(void **made);
	void (*use)(void *made);
	void (*unmake)(void *made);
	bool has_sentence;
};

static void sweep(const struct kind *kind)
{
	unsigned least = 0, survived = 0;
	struct holdings before;
	void *made;

	/* Once for what is allocated but once, and to count. */
	for (int i = 0; i < 2; i++) {
		sites.calls = 0;
		sites.failing = UINT32_MAX;
		sites.stats = false;
		sites.armed = true;
		assert_int_equal(kind->make(&made), 0);
		sites.armed = false;
		least = sites.calls;
		kind->use(made);
		kind->unmake(made);
	}
	assert_true(least > 0);
	before = holdings();
	/* One way around may make more calls than the straight way: until none is left to fail. */
	for (unsigned i = 0;; i++) {
		int result;

		weir_open(NULL, NULL, 0, NULL); /* another sentence, to see that it is replaced */
		sites.calls = 0;
		sites.failing = i;
		sites.failed = SITE_NONE;
		sites.stats = false;
		sites.armed = true;
		result = kind->make(&made);
		sites.armed = false;
		if (sites.failed == SITE_NONE) {
			assert_true(i >= least);
			kind->unmake(made);
			break;
		}
		right_answer(result, kind->has_sentence);
		if (!result) {
			kind->use(made);
			kind->unmake(made);
			survived++;
		}
		nothing_was_left(&before);
		assert_int_equal(kind->make(&made), 0); /* and now, with nothing in the way */
		kind->use(made);
		kind->unmake(made);
		nothing_was_left(&before);
	}
	print_message("%u allocations, %u of them can be done without\n", least, survived);
}

/* ---- kinds ---- */

static void use_object(void *made)
{
	weir_object *object = made;
	unsigned char byte = 0;

	write_byte(object, 1, 77);
	assert_int_equal(weir_sync(object, 0, 0), 0);
	assert_int_equal(weir_advise(object, 0, 0, WEIR_ADV_DONTNEED), 0);
	assert_int_equal(weir_pread(object, &byte, 1, PAGE_SIZE + 9), 1);
	assert_int_equal(byte, 77);
}

static void close_object(void *made)
{
	assert_int_equal(weir_close(made, 0), 0);
}

static int make_pool(void **made)
{
	return weir_create(&config, (weir_pool **)made);
}

static void use_pool(void *made)
{
	weir_object *object = rig_open(made, 4, NULL);

	use_object(object);
	close_object(object);
}

static void destroy_pool(void *made)
{
	assert_int_equal(weir_destroy(made), 0);
}

static int open_file(void **made)
{
	return weir_open(pool, path, WEIR_RDWR, (weir_object **)made);
}

static int open_buffered(void **made)
{
	return weir_open(pool, path, WEIR_RDWR | WEIR_BUFFERED, (weir_object **)made);
}

static struct weir_store_ops hungry;

/* A store that wraps another: on a failure what was made before is the caller's. */
static int open_stores(void **made)
{
	const struct weir_store_ops *memory_ops, *ops;
	void *memory, *store;
	int error = weir_memory_store_create(4 * PAGE_SIZE, &memory_ops, &memory);

	if (error)
		return error;
	hungry = *memory_ops;
	hungry.writeout_frames = 16; /* a reserve to give back */
	error = weir_fault_store_create(&hungry, memory, 1, &ops, &store);
	if (error) {
		memory_ops->close(memory);
		return error;
	}
	error = weir_open_store(pool, ops, store, WEIR_RDWR, (weir_object **)made);
	if (error)
		ops->close(store);
	return error;
}

static int make_queue(void **made)
{
	return weir_queue_create(pool, 16, (weir_queue **)made);
}

static void use_queue(void *made)
{
	weir_object *object = rig_open(pool, 16, NULL);
	struct weir_completion done[16];
	int n = 0;

	for (uint64_t i = 0; i < 16; i++)
		assert_int_equal(weir_queue_pin(made, object, i, WEIR_READ, i), 0);
	while (n < 16)
		n += weir_queue_wait(made, done + n, (unsigned)(16 - n), 1);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(done[i].result, 0);
		assert_int_equal(weir_unpin(&done[i].pin), 0);
	}
	close_object(object);
}

static void destroy_queue(void *made)
{
	assert_int_equal(weir_queue_destroy(made), 0);
}

/* ---- cases ---- */

/* Breaks when a pool that can't be made leaves memory or threads behind, or does not say what was missing. */
static void pools(void **state)
{
	const struct kind kind = {make_pool, use_pool, destroy_pool, true};

	(void)state;
	sweep(&kind);
	config.nodes = 2; /* the second's thread fails when the first's is there */
	config.huge_pages = true;
	sweep(&kind);
}

/* Breaks when an object that can't be opened leaves a descriptor, a flusher or its reserve behind. */
static void objects(void **state)
{
	const struct kind file = {open_file, use_object, close_object, true},
			  buffered = {open_buffered, use_object, close_object, true},
			  stores = {open_stores, use_object, close_object, false};
	struct weir_meminfo before, after;

	(void)state;
	assert_int_equal(weir_create(&config, &pool), 0);
	assert_int_equal(weir_meminfo(pool, WEIR_ALL_NODES, &before), 0);
	sweep(&file);
	sweep(&buffered);
	sweep(&stores);
	assert_int_equal(weir_meminfo(pool, WEIR_ALL_NODES, &after), 0);
	assert_int_equal(after.watermark_min, before.watermark_min);
	assert_int_equal(after.free, before.managed);
	assert_int_equal(weir_destroy(pool), 0);
}

static void queues(void **state)
{
	const struct kind kind = {make_queue, use_queue, destroy_queue, false};

	(void)state;
	assert_int_equal(weir_create(&config, &pool), 0);
	sweep(&kind);
	assert_int_equal(weir_destroy(pool), 0);
}

static void *first_use(void *object)
{
	use_object(object);
	return NULL;
}

/* Breaks when a thread's first pin, or anything else but making and opening, needs memory that may not be there. */
static void nothing_else_allocates(void **state)
{
	weir_object *object;
	weir_queue *queue;
	pthread_t thread;

	(void)state;
	assert_int_equal(weir_create(&config, &pool), 0);
	assert_int_equal(weir_open(pool, path, WEIR_RDWR, &object), 0);
	assert_int_equal(weir_queue_create(pool, 4, &queue), 0);
	sites.calls = 0;
	sites.failing = 1; /* 0 is the thread that we start here; all others would fail */
	sites.armed = true;
	assert_int_equal(pthread_create(&thread, NULL, first_use, object), 0);
	pthread_join(thread, NULL);
	assert_true(weir_reclaim(pool, 4, WEIR_DEFAULT) >= 0);
	assert_int_equal(weir_resize(object, 40 * PAGE_SIZE), 0);
	assert_int_equal(weir_mlock(object, 0, 4 * PAGE_SIZE), 0);
	assert_int_equal(weir_munlock(object, 0, 0), 0);
	assert_int_equal(weir_resize(object, 8 * PAGE_SIZE), 0);
	sites.armed = false;
	assert_int_equal(sites.calls, 1);
	assert_int_equal(weir_queue_destroy(queue), 0);
	assert_int_equal(weir_close(object, 0), 0);
	assert_int_equal(weir_destroy(pool), 0);
}

static int set_up(void **state)
{
	const char *folder = getenv("TMPDIR");
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/weir-alloc.XXXXXX", folder && *folder ? folder : "/var/tmp");
	fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, 8 * PAGE_SIZE) < 0)
		return -1;
	close(fd);
	weir_config_init(&config);
	config.memory_bytes = 4 << 20;
	config.nodes = 1;
	config.huge_pages = false;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pools, set_up, tear_down),
		cmocka_unit_test_setup_teardown(objects, set_up, tear_down),
		cmocka_unit_test_setup_teardown(queues, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_else_allocates, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
