/* SPDX-License-Identifier: MIT
 *
 * ops_window.c - objects get windows and lose them, and their pages are read and written there.
 *
 * A window may be private: what is written there has versions of its own, and is never seen in the object.
 *
 * A touch that can't be served (no frame, a store that fails) is a SIGBUS, from which the thread jumps back: so nothing
 * is written before the page has been touched to be written, and a pin then keeps it. When the page was written out
 * meanwhile its next write is a fault once more: that one is tried again until it goes through, and no dirty limit is for
 * it. Others may hold as many dirty pages as there may be, and wait for the page's lock.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../sanitizer.h"
#include "ops.h"

static __thread sigjmp_buf escape;
static __thread volatile sig_atomic_t may_escape, must_succeed;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	if (may_escape) {
		may_escape = 0;
		siglongjmp(escape, 1);
	}
	broken(NULL, "a SIGBUS at %p, where the page is pinned", info->si_addr);
}

void window_install(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	sigaction(SIGBUS, &action, NULL);
}

static enum weir_fault_answer answer(const struct weir_fault *fault, void *user)
{
	(void)user;
	if (!must_succeed || (fault->error != -ENOMEM && fault->error != -ETIMEDOUT && fault->error != -EAGAIN))
		return WEIR_FAULT_FAIL;
	usleep(1000);
	return WEIR_FAULT_RETRY;
}

/* Nobody else uses the object; but pins may be kept, and requests be under way. */
int window_close(struct object *object)
{
	int error = object->window ? weir_unmap(object->weir) : 0;

	if (!error) {
		object->window = NULL;
		for (uint64_t page = 0; object->private_window && page < object->max_pages; page++)
			object->pages[page].private_version = NOT_PRIVATE;
		object->private_window = false;
	} else if (error != -EBUSY)
		broken(NULL, "weir_unmap of object %u: %s", object->number, weir_error_text());
	return error;
}

void op_window(struct worker *worker)
{
	struct object *object = &worker->world->objects[below(worker, worker->world->nr_objects)];
	unsigned flags = chance(worker, 35) ? WEIR_MAP_PRIVATE : WEIR_MAP_SHARED;
	bool used, open;
	int error;

	if (!worker->world->config.windows)
		return;
	pthread_rwlock_wrlock(&object->open);
	doing(worker, object, 0);
	used = atomic_load(&object->held) || atomic_load(&object->requested);
	open = !object->window;
	if (open) {
		weir_set_fault_handler(object->weir, answer, NULL);
		error = weir_map(object->weir, PROT_READ | PROT_WRITE, flags, &object->window);
		object->private_window = !error && flags == WEIR_MAP_PRIVATE;
	} else {
		error = window_close(object);
	}
	note(worker, open ? "weir_map" : "weir_unmap", object, 0, object->max_pages, flags, error);
	worker->errors[(unsigned)-error & 255]++;
	if (error && (error != -EBUSY || !used))
		broken(worker, "object %u's window: %s", object->number, weir_error_text());
	pthread_rwlock_unlock(&object->open);
}

/* The page with that number in the window, locked in the shadow; NULL: there is none. */
static void *begin_touch(struct worker *worker, struct object **object, uint64_t *page)
{
	*object = use_object(worker);
	*page = any_page(worker, *object);
	shadow_lock(*object, *page);
	if (!(*object)->window || *page * WEIR_PAGE_SIZE >= atomic_load(&(*object)->bytes))
		return NULL;
	doing(worker, *object, *page);
	return (char *)(*object)->window + *page * WEIR_PAGE_SIZE;
}
static void end_touch(struct object *object, uint64_t page)
{
	shadow_unlock(object, page);
	leave_object(object);
}

static bool copy_out(const volatile uint64_t *data, uint64_t *copy)
{
	if (sigsetjmp(escape, 1))
		return false;
	may_escape = 1;
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		copy[i] = data[i];
	may_escape = 0;
	return true;
}

/* Writes what is there already: but it is a write to the page, which others may be reading through a pin. */
RACES static bool touch_to_write(volatile uint64_t *word)
{
	if (sigsetjmp(escape, 1))
		return false;
	may_escape = 1;
	*word = *word;
	may_escape = 0;
	return true;
}

void op_touch_read(struct worker *worker)
{
	static __thread uint64_t copy[PAGE_WORDS];
	struct object *object;
	uint64_t page;
	void *data = begin_touch(worker, &object, &page);

	if (data) {
		bool there = copy_out(data, copy);

		note(worker, "read in window", object, page, 1, 0, there);
		if (there && object->private_window)
			shadow_check_private(worker, object, page, copy);
		else if (there)
			shadow_check(worker, object, page, copy, "in its window");
	}
	end_touch(object, page);
}

/* All of the page, which no pin keeps: it may go out between two words, and then not come back. */
static bool write_private(struct object *object, uint64_t page, void *data, uint32_t version)
{
	if (sigsetjmp(escape, 1))
		return false;
	may_escape = 1;
	shadow_write_private(object, page, data, version);
	may_escape = 0;
	return true;
}

static void touch_private(struct worker *worker, struct object *object, uint64_t page, void *data)
{
	uint32_t before = object->pages[page].private_version, version = (uint32_t)(worker->op & 0x7fffff) + 1;
	bool done = false, there = touch_to_write(data);

	if (there)
		done = write_private(object, page, data, version);
	object->pages[page].private_version = done ? version : there ? NOT_KNOWN : before;
	note(worker, "write in private window", object, page, 1, there, done);
}

void op_touch_write(struct worker *worker)
{
	struct object *object;
	uint64_t page;
	void *data = begin_touch(worker, &object, &page);
	struct weir_pin pin;
	unsigned saved;
	int error;

	if (data && object->private_window)
		touch_private(worker, object, page, data);
	else if (data && shadow_words(object, page) && touch_to_write(data)) {
		error = weir_pin(object->weir, page, WEIR_READ, &pin);
		note(worker, "weir_pin to touch", object, page, 1, WEIR_READ, error);
		check_error(worker, object, page, WEIR_READ, PAGE_IS_LOCKED, error);
		if (!error) {
			count_pinned(worker, object, page, WEIR_READ);
			if (pin.data != data)
				broken(worker, "a pin of page %llu of object %u is not in its window",
				       (unsigned long long)page, object->number);
			saved = weir_scope_memalloc_save();
			must_succeed = 1;
			write_some_words(worker, object, page, data);
			must_succeed = 0;
			weir_scope_memalloc_restore(saved);
			shadow_check(worker, object, page, data, "in its window, when it was written");
			unpin(worker, object, page, &pin);
		}
	}
	end_touch(object, page);
}
