/* SPDX-License-Identifier: MIT
 *
 * syndrome.h - was a fault a write? What aarch64's kernel leaves of that in a signal's context.
 *
 *   uc_mcontext.__reserved   a record after the other, in any order
 *
 *     magic │ size │ ...          of the floating point registers, say: size bytes from its start to the next one
 *     "ESR" │  16  │ syndrome     of a fault, what the processor said of it (ESR_EL1)
 *       0   │   0  │              the end
 *
 * The layout is written down here, and not taken from the kernel's headers, so that any machine can test the reading.
 */
#ifndef WEIR_SYNDROME_H
#define WEIR_SYNDROME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct syndrome_record {
	uint32_t magic;
	uint32_t size;
	uint64_t syndrome; /* of one with SYNDROME_MAGIC */
};
#define SYNDROME_MAGIC 0x45535201u
#define SYNDROME_HEAD offsetof(struct syndrome_record, syndrome)

#define SYNDROME_CLASS_SHIFT 26
#define SYNDROME_CLASS 0x3fu
#define SYNDROME_DATA_ABORT 0x24u /* at an address that user space used; the bits below mean this in that class alone */
#define SYNDROME_WRITE (1u << 6)
#define SYNDROME_UPKEEP (1u << 8) /* of a cache: it says WRITE of itself always, and writes nothing */

static inline bool syndrome_is_write(uint64_t syndrome)
{
	return (syndrome >> SYNDROME_CLASS_SHIFT & SYNDROME_CLASS) == SYNDROME_DATA_ABORT &&
	       (syndrome & (SYNDROME_WRITE | SYNDROME_UPKEEP)) == SYNDROME_WRITE;
}

/* records: 8-byte aligned. Where nothing is said it was a write: that dirties a page too many, while a write that is
 * taken for a read would fault for ever. Signal-safe: yes. */
static inline bool records_say_write(const void *records, size_t bytes)
{
	for (size_t at = 0; at + SYNDROME_HEAD <= bytes;) {
		const struct syndrome_record *record = (const void *)((const char *)records + at);

		if (!record->magic || record->size < SYNDROME_HEAD || record->size > bytes - at)
			break;
		if (record->magic == SYNDROME_MAGIC && record->size >= sizeof(*record))
			return syndrome_is_write(record->syndrome);
		at += record->size;
	}
	return true;
}

#endif
