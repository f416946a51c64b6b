/* SPDX-License-Identifier: MIT
 *
 * rw.c - weir_pread and weir_pwrite: copies through pins, a page at a time; but a whole page that is not in memory
 * comes in as what is written (overwrite.c).
 */
#include <string.h>

#include "fault/pin.h"

ssize_t weir_pread(weir_object *object, void *buffer, size_t bytes, uint64_t offset)
{
	uint64_t size = weir_size(object);
	size_t done = 0;

	if (offset + bytes < offset || (ssize_t)bytes < 0)
		return -EINVAL;
	if (offset >= size)
		return 0;
	bytes = (size_t)MIN((uint64_t)bytes, size - offset);
	while (done < bytes) {
		size_t in_page = (offset + done) & (PAGE_SIZE - 1), n = MIN(PAGE_SIZE - in_page, bytes - done);
		struct weir_pin pin;
		int error = weir_pin(object, (offset + done) >> PAGE_SHIFT, WEIR_READ, &pin);

		if (error == -ERANGE)
			break; /* cut meanwhile: the end is here now */
		if (error)
			return done ? (ssize_t)done : error;
		memcpy((char *)buffer + done, (char *)pin.data + in_page, n);
		weir_unpin(&pin);
		done += n;
	}
	return (ssize_t)done;
}

static int write_page(struct weir_object *object, uint64_t page, size_t in_page, const void *data, size_t n)
{
	struct weir_pin pin;
	int error = PIN_AGAIN;

	if (n == PAGE_SIZE && word_state(word_load(&object->words[page])) == PAGE_ABSENT)
		error = overwrite_absent(object, page, data);
	if (error != PIN_AGAIN)
		return error;
	error = weir_pin(object, page, WEIR_WRITE, &pin);
	if (error)
		return error;
	memcpy((char *)pin.data + in_page, data, n);
	return weir_unpin(&pin);
}

ssize_t weir_pwrite(weir_object *object, const void *buffer, size_t bytes, uint64_t offset)
{
	size_t done = 0;
	int error;

	if (offset + bytes < offset || (ssize_t)bytes < 0)
		return -EINVAL;
	if (!object->writable)
		return -EROFS;
	if (!bytes)
		return 0;
	error = object_grow(object, offset + bytes);
	if (error)
		return error;
	while (done < bytes) {
		size_t in_page = (offset + done) & (PAGE_SIZE - 1), n = MIN(PAGE_SIZE - in_page, bytes - done);

		error = write_page(object, (offset + done) >> PAGE_SHIFT, in_page, (const char *)buffer + done, n);
		if (error == -ERANGE && !(error = object_grow(object, offset + bytes)))
			continue; /* cut meanwhile */
		if (error)
			return done ? (ssize_t)done : error;
		done += n;
	}
	return (ssize_t)done;
}
