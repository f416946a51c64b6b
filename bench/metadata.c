/* SPDX-License-Identifier: MIT
 *
 * metadata.c - what the pool keeps beside its budget: 256 MiB of frames, and an object of 2 GiB of which every page
 * was touched. A page touched may cost 8 bytes, the page's word; all else is held against the frames. (What the
 * process has resident is watched in disk_read.c, mmap.c, window.c, swap.c and fault.c.)
 */
#include "bench.h"

int main(void)
{
	uint64_t memory = scaled_bytes(DISK_MEMORY), bytes = scaled_bytes(DISK_BYTES), pages = bytes / WEIR_PAGE_SIZE;
	weir_pool *pool = bench_pool(memory);
	weir_object *object = bench_memory_object(pool, bytes);
	struct weir_meminfo info;
	double frames;

	for (uint64_t page = 0; page < pages; page++) {
		struct weir_pin pin;

		check(weir_pin(object, page, WEIR_READ, &pin), "weir_pin");
		weir_unpin(&pin);
	}
	check(weir_meminfo(pool, WEIR_ALL_NODES, &info), "weir_meminfo");
	frames = (double)info.managed;
	at_most(96, "metadata, beside 8 bytes a page touched",
		((double)info.metadata_bytes - 8.0 * (double)pages) / frames, "bytes a frame",
		"%.1f MiB in all, for %.0f frames and %llu pages", (double)info.metadata_bytes / MIB, frames,
		(unsigned long long)pages);
	bench_close(object, pool);
	return 0;
}
