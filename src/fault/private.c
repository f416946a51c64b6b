/* SPDX-License-Identifier: MIT
 *
 * private.c - private windows: what is written there goes to swap, and not to the object.
 *
 * The window belongs to an anonymous object beside the first one (`copy`), which differs from others in one thing:
 * pages that were never written there are not zeros but the first object's. A file's are read past its frames, but for
 * what is resident in them, which may be newer than the store. Those of anonymous memory are always read through them:
 * a slot of swap that no page of the object is being read from may be given to another page meanwhile.
 */
#include "fault/private.h"

#include <string.h>

#include "fault/open.h"
#include "fault/pin.h"
#include "observe/error.h"
#include "store/anon.h"

/* As long as it waits for a frame, he who touches the window does: with WEIR_WAIT. */
static ssize_t read_through(struct weir_object *object, uint64_t page, void *data)
{
	struct weir_pin pin;
	int error = weir_pin(object, page, WEIR_READ | WEIR_WAIT, &pin);

	if (error)
		return error == -ERANGE ? 0 : error;
	memcpy(data, pin.data, PAGE_SIZE);
	weir_unpin(&pin);
	return PAGE_SIZE;
}

static ssize_t read_original(void *original, uint64_t page, void *data)
{
	struct weir_object *object = original;
	struct iovec iov = {data, PAGE_SIZE};
	ssize_t got;

	if (!object->anon && word_state(word_load(&object->words[page])) == PAGE_ABSENT)
		got = store_read(&object->store, &iov, 1, page << PAGE_SHIFT);
	else
		got = read_through(object, page, data);
	/* Less than there is: it grew meanwhile, or is just being cut, and who pins waits for that. */
	if (got >= 0 && (size_t)got < object_page_bytes(object, page))
		got = read_through(object, page, data);
	if (got < 0)
		return got;
	if ((size_t)got < object_page_bytes(object, page))
		return -ESTALE;
	got = (ssize_t)MIN((size_t)got, object_page_bytes(object, page)); /* a page's rest is zeros */
	memset((char *)data + got, 0, PAGE_SIZE - (size_t)got);
	return object_page_bytes(object, page) ? (ssize_t)PAGE_SIZE : -ESTALE; /* it was cut: as past the end */
}

int private_map(struct weir_object *object, int prot, void **address)
{
	struct weir_object *copy;
	int error = weir_anon(object->pool, atomic_load(&object->bytes), &copy);

	if (error)
		return error;
	copy->original = object;
	anon_over(copy->anon, read_original, object);
	weir_set_fault_handler(copy, atomic_load(&object->fault_handler), atomic_load(&object->fault_handler_user));
	error = weir_map(copy, prot, WEIR_MAP_SHARED, address);
	if (error) {
		weir_close(copy, 0);
		return error;
	}
	object->copy = copy;
	return 0;
}

int private_unmap(struct weir_object *object)
{
	struct weir_object *copy = object->copy;
	int error = weir_unmap(copy);

	if (error)
		return error;
	object->copy = NULL;
	return weir_close(copy, WEIR_DISCARD);
}
