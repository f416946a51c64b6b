/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <string.h>

#include "trace.h"

#define RECORD_BYTES 24
#define OBJECT_AT 4

int trace_read_oracle(struct trace_loader *loader)
{
	const char *record;
	int more;

	while ((more = input_record(loader->input, RECORD_BYTES, &record)) > 0) {
		uint64_t object;

		memcpy(&object, record + OBJECT_AT, sizeof(object));
		if (trace_add(loader, le64toh(object), OP_UNKNOWN) < 0)
			return -1;
	}
	return more;
}
