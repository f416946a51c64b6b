/* SPDX-License-Identifier: MIT
 *
 * mem.c - the budget comes and goes: mapped, placed, populated, cut into zones.
 *
 * Everything is populated here, descriptors too, so that reclaim never meets a page fault of the kernel's and a pool
 * that was made has its memory. A hollow pool has none at first: even its descriptors get theirs block by block, ahead
 * of what is allocated (zone.c), so that a large budget costs a small program nothing. Before asking for it we look
 * whether the machine and our cgroups have it, as asking for too much would not fail but call the OOM killer.
 */
#include "mem/mem.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mem/machine.h"
#include "mem/zone.h"

#define MIN_NODE_BYTES (128ull << 10)
#define BLOCK_FRAMES (1u << MAX_ORDER)
#define BLOCK_BYTES ((size_t)BLOCK_FRAMES << PAGE_SHIFT)

/* clamp(sqrt(16 * kB), 128, 262144) kB, at most an eighth: Linux calculate_min_free_kbytes. In frames. */
static uint64_t min_free_frames(uint64_t bytes, uint64_t configured)
{
	uint64_t kb = int_sqrt(16 * (bytes >> 10));

	if (configured)
		return MIN(configured, bytes / 8) >> PAGE_SHIFT;
	return MIN(MIN(MAX(kb, 128), 262144) << 10, bytes / 8) >> PAGE_SHIFT;
}

static int check_size(const struct mem_config *config, unsigned nodes, const char **what)
{
	uint64_t available;

	if (config->bytes < nodes * MIN_NODE_BYTES) {
		*what = config->bytes ? "the budget must be at least 128 KiB for each node" : "the budget is 0";
		return -EINVAL;
	}
	if (config->bytes >> PAGE_SHIFT > UINT32_MAX - BLOCK_FRAMES) {
		*what = "the budget is over 16 TiB";
		return -EINVAL;
	}
	if (config->min_free_bytes >> PAGE_SHIFT > (config->bytes >> PAGE_SHIFT) / 8) {
		*what = "min_free_bytes is more than an eighth of the budget";
		return -EINVAL;
	}
	available = machine_available_bytes();
	if (config->bytes + config->bytes / 64 > available) {
		*what = "the machine, or the cgroup, has less memory available than that; ask for less";
		return -ENOMEM;
	}
	return 0;
}

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* MADV_POPULATE_WRITE (Linux 5.14) fails where a touch would kill. */
int mem_populate(void *base, size_t bytes)
{
#ifdef MADV_POPULATE_WRITE
	if (madvise(base, bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -ENOMEM;
#endif
	for (size_t i = 0; i < bytes; i += PAGE_SIZE)
		((volatile char *)base)[i] = 0;
	return 0;
}

/* Address space aligned to the largest block, so that huge pages and buddies fit. */
static char *map_aligned(size_t bytes)
{
	char *p = map(bytes + BLOCK_BYTES), *base;
	size_t before;

	if (!p)
		return NULL;
	base = (char *)(((uintptr_t)p + BLOCK_BYTES - 1) & ~(BLOCK_BYTES - 1));
	before = (size_t)(base - p);
	if (before)
		munmap(p, before);
	if (before < BLOCK_BYTES)
		munmap(base + bytes, BLOCK_BYTES - before);
	return base;
}

static void bind_to_node(char *base, size_t bytes, unsigned node)
{
	unsigned long mask = 1ul << node;
	const int mpol_preferred = 1;

	/* Preferred: a node that is full is no reason to fail. */
	syscall(SYS_mbind, base, bytes, mpol_preferred, &mask, 8 * sizeof(mask), 0);
}

/* The frames of node i: equal parts, whole blocks where there are enough of them. */
static void node_range(const struct mem *mem, unsigned i, uint32_t *first, uint32_t *last)
{
	uint32_t unit = mem->nr_frames >= 2 * mem->nr_nodes * BLOCK_FRAMES ? BLOCK_FRAMES : 1;
	uint64_t units = mem->nr_frames / unit;

	*first = (uint32_t)(units * i / mem->nr_nodes) * unit;
	*last = i + 1 == mem->nr_nodes ? mem->nr_frames : (uint32_t)(units * (i + 1) / mem->nr_nodes) * unit;
}

static size_t page_round(size_t bytes)
{
	return (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

static int map_budget(struct mem *mem, const struct mem_config *config)
{
	mem->base = map_aligned(mem->bytes);
	if (!mem->base)
		return -ENOMEM;
	madvise(mem->base, mem->bytes, MADV_DONTFORK);
	madvise(mem->base, mem->bytes, config->huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (unsigned i = 0; mem->numa && i < mem->nr_nodes; i++) {
		uint32_t first, last;

		node_range(mem, i, &first, &last);
		bind_to_node(mem->base + ((size_t)first << PAGE_SHIFT), (size_t)(last - first) << PAGE_SHIFT, i);
	}
	return config->hollow ? 0 : mem_populate(mem->base, mem->bytes);
}

/* The pages that hold `bytes` from p on. */
static int populate_around(void *p, size_t bytes)
{
	uintptr_t from = (uintptr_t)p & ~(PAGE_SIZE - 1), to = page_round((uintptr_t)p + bytes);

	return mem_populate((void *)from, to - from);
}

int mem_populate_descriptors(struct mem *mem, uint32_t first, uint32_t last)
{
	int error = populate_around(&mem->frames[first], (last - first) * sizeof(*mem->frames));

	return error ? error : populate_around(&mem->versions[first], (last - first) * sizeof(*mem->versions));
}

static int map_metadata(struct mem *mem, unsigned cpus)
{
	size_t frames = page_round(mem->nr_frames * sizeof(struct frame));
	size_t versions = page_round(mem->nr_frames * sizeof(*mem->versions));
	size_t zones = page_round(mem->nr_nodes * (sizeof(struct zone) + cpus * sizeof(struct pcp)));
	char *p = map(frames + versions + zones);

	if (!p)
		return -ENOMEM;
	mem->metadata_bytes = frames + versions + zones;
	mem->frames = (struct frame *)p;
	if (mem->hollow)
		madvise(p, mem->metadata_bytes, MADV_NOHUGEPAGE); /* or the first of them would bring them all */
	mem->versions = (_Atomic uint32_t *)(p + frames);
	if (!mem->hollow && mem_populate(p, mem->metadata_bytes))
		return -ENOMEM;
	p += frames + versions;
	if (mem_populate(p, zones))
		return -ENOMEM;
	for (unsigned i = 0; i < mem->nr_nodes; i++, p += sizeof(struct zone))
		mem->zones[i] = (struct zone *)p;
	for (unsigned i = 0; i < mem->nr_nodes; i++, p += cpus * sizeof(struct pcp)) {
		uint32_t first, last;

		node_range(mem, i, &first, &last);
		zone_init(mem->zones[i], mem, i, first, last - first);
		pcp_init(mem->zones[i], (struct pcp *)p, cpus);
	}
	return 0;
}

/* min by size; low and high as Linux __setup_per_zone_wmarks. The zone's lock is held. */
static void set_watermarks(struct mem *mem, struct zone *zone, uint64_t budget, uint64_t min)
{
	uint64_t part = budget * zone->nr / mem->nr_frames;

	zone->base_min = MAX(min * zone->nr / mem->nr_frames, 4);
	zone->gap = MAX(zone->base_min / 4, part * mem->watermark_scale_factor / 10000);
	zone->gap = MAX(zone->gap, 1);
	zone_set_watermarks(zone);
	pcp_set_high(zone, part);
}

bool mem_set_watermarks(struct mem *mem, uint64_t budget_frames)
{
	uint64_t min = min_free_frames(budget_frames << PAGE_SHIFT, mem->min_free_bytes);
	uint64_t reserved = atomic_load(&mem->nr_reserved);

	if (reserved && min + reserved > budget_frames / 4)
		return false;
	for (unsigned i = 0; i < mem->nr_nodes; i++) {
		zone_lock(mem->zones[i], true);
		set_watermarks(mem, mem->zones[i], budget_frames, min);
		zone_unlock(mem->zones[i]);
	}
	return true;
}

/* What is reserved is there from the start. */
static int ready_all(struct mem *mem)
{
	bool ready = true;

	for (unsigned i = 0; i < mem->nr_nodes; i++) {
		zone_lock(mem->zones[i], true);
		ready &= zone_ready(mem->zones[i], 0);
		zone_unlock(mem->zones[i]);
	}
	return ready ? 0 : -ENOMEM;
}

int mem_init(struct mem *mem, const struct mem_config *config, const char **what)
{
	unsigned machine_nodes = machine_numa_nodes();
	int error;

	*mem = (struct mem){0};
	mem->nr_nodes = config->nodes ? config->nodes : MIN(machine_nodes, (unsigned)WEIR_MAX_NODES);
	mem->numa = mem->nr_nodes > 1 && mem->nr_nodes == machine_nodes;
	error = check_size(config, mem->nr_nodes, what);
	if (error)
		return error;
	mem->nr_frames = (uint32_t)(config->bytes >> PAGE_SHIFT);
	mem->bytes = (uint64_t)mem->nr_frames << PAGE_SHIFT;
	mem->hollow = config->hollow;
	mem->min_free_bytes = config->min_free_bytes;
	mem->watermark_scale_factor = config->watermark_scale_factor;
	error = map_budget(mem, config);
	if (!error)
		error = map_metadata(mem, machine_cpus());
	if (!error) {
		mem_set_watermarks(mem, mem->nr_frames);
		error = ready_all(mem);
	}
	if (error) {
		*what = "the kernel refused to map or populate it (address space limit, overcommit, or memory)";
		mem_destroy(mem);
		return error;
	}
	return 0;
}

void mem_destroy(struct mem *mem)
{
	if (mem->frames)
		munmap(mem->frames, mem->metadata_bytes);
	if (mem->base)
		munmap(mem->base, mem->bytes);
	*mem = (struct mem){0};
}

/* Claimed as a whole before it is spread: of two that ask at once for what only one can have, one is refused. */
static bool reserve_claim(struct mem *mem, uint64_t n)
{
	uint64_t base = 0, reserved = atomic_load(&mem->nr_reserved);

	for (unsigned i = 0; i < mem->nr_nodes; i++)
		base += mem->zones[i]->base_min;
	do
		if (base + reserved + n > mem_managed_all(mem) / 4)
			return false;
	while (!atomic_compare_exchange_weak(&mem->nr_reserved, &reserved, reserved + n));
	return true;
}

int mem_reserve_adjust(struct mem *mem, long frames)
{
	uint64_t n = (uint64_t)(frames < 0 ? -frames : frames);

	if (frames > 0 && !reserve_claim(mem, n))
		return -ENOSPC;
	for (unsigned i = 0; i < mem->nr_nodes; i++) {
		struct zone *zone = mem->zones[i];
		uint64_t part = n / mem->nr_nodes + (i < n % mem->nr_nodes);

		zone_lock(zone, true);
		weir_assert(frames > 0 || zone->reserved >= part);
		zone->reserved = frames > 0 ? zone->reserved + part : zone->reserved - part;
		zone_set_watermarks(zone);
		zone_unlock(zone);
	}
	if (frames < 0)
		atomic_fetch_sub(&mem->nr_reserved, n);
	return 0;
}

struct frame *frame_of_address(const struct mem *mem, const void *address)
{
	uintptr_t offset = (uintptr_t)address - (uintptr_t)mem->base;

	return offset < mem->bytes ? &mem->frames[offset >> PAGE_SHIFT] : NULL;
}

unsigned mem_local_node(const struct mem *mem)
{
	unsigned cpu = 0, node = 0;

	if (mem->nr_nodes == 1)
		return 0;
	getcpu(&cpu, &node);
	return mem->numa ? node % mem->nr_nodes : cpu % mem->nr_nodes;
}
