/* SPDX-License-Identifier: MIT
 *
 * areas.c - swap of a round: none, too little, or enough; files and stores that fail, plain and enciphered.
 *
 * The public way to swap is a file that the pool makes. Stores that fail are given to it from inside: then a page may
 * not go out (it stays, and is right), or not come back just now (-EIO to who wants it, and right the next time).
 */
#include <errno.h>
#include <string.h>

#include "keeper.h"
#include "ops.h"
#include "pool.h"

#ifdef WEIR_HAVE_CRYPTO
#define HAS_CRYPTO true
#else
#define HAS_CRYPTO false
#endif

static uint64_t anon_pages(const struct world *world)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < world->nr_objects; i++)
		if (world->objects[i].kind == KIND_ANON || world->config.windows) /* private windows */
			pages += world->objects[i].max_pages;
	return pages;
}

static int add_file(struct world *world, uint64_t slots, int priority, unsigned flags)
{
	struct weir_swap_config config = {
		.size = sizeof(config),
		.path = world->options->folder,
		.bytes = slots * WEIR_PAGE_SIZE,
		.priority = priority,
		.flags = flags,
	};

	return weir_swap_add(world->pool, &config);
}

static int add_store(struct world *world, struct area *area, int priority, bool encrypt, struct random *random)
{
	struct store store;
	int error;

	area->keeper = keeper_create(area->slots * WEIR_PAGE_SIZE, random_below(random, 2), world->options->plant,
				     random_next(random));
	error = weir_fault_store_create(keeper_ops(area->keeper), area->keeper, world->seed, &store.ops, &store.data);
	if (!error)
		error = swap_add(&world->pool->swap, &store, (uint32_t)area->slots, priority, encrypt);
	area->fault = error ? NULL : store.data;
	return error;
}

static void add_area(struct world *world, struct area *area, struct random *random)
{
	bool file = random_below(random, 2), encrypt = random_below(random, 3) == 0 && HAS_CRYPTO;
	int priority = (int)random_below(random, 3) - 1;
	int error = file ? add_file(world, area->slots, priority, encrypt ? WEIR_SWAP_ENCRYPT : 0)
			 : add_store(world, area, priority, encrypt, random);

	if (error)
		broken(NULL, "a swap area of %llu slots could not be added: %s", (unsigned long long)area->slots,
		       strerror(-error));
}

void areas_add(struct world *world, struct random *random)
{
	uint64_t percent = random_below(random, 10) < 5 ? 20 + random_below(random, 40)
							: 100 + random_below(random, 50);

	world->nr_areas = random_below(random, 10) ? 1 + (unsigned)random_below(random, MAX_AREAS) : 0;
	for (unsigned i = 0; i < world->nr_areas; i++) {
		world->areas[i].slots = anon_pages(world) * percent / 100 / world->nr_areas + 1;
		add_area(world, &world->areas[i], random);
	}
}

/* From here on any anonymous page may be refused, and a private one too. */
void areas_set_rules(struct worker *worker)
{
	struct world *world = worker->world;
	struct area *area = &world->areas[world->nr_areas ? below(worker, world->nr_areas) : 0];
	struct weir_fault_rule rules[3];
	unsigned n = (unsigned)below(worker, 4);

	if (!world->nr_areas || !area->fault)
		return;
	for (unsigned i = 0; i < n; i++)
		rules[i] = some_rule(worker, area->slots);
	for (unsigned i = 0; n && i < world->nr_objects; i++)
		if (world->objects[i].kind == KIND_ANON)
			atomic_store(&world->objects[i].faulty, true);
	atomic_fetch_add(&world->fault_hits, weir_fault_store_hits(area->fault));
	if (weir_fault_store_rules(area->fault, rules, n))
		broken(worker, "weir_fault_store_rules refused %u rules for swap", n);
	note(worker, "fault rules of swap", NULL, 0, area->slots, n, 0);
}

void areas_mend(struct world *world)
{
	for (unsigned i = 0; i < world->nr_areas; i++)
		if (world->areas[i].fault) {
			atomic_fetch_add(&world->fault_hits, weir_fault_store_hits(world->areas[i].fault));
			weir_fault_store_rules(world->areas[i].fault, NULL, 0);
		}
	if (anon_pages(world) && add_file(world, anon_pages(world), 5, 0))
		broken(NULL, "room in swap could not be added in the end: %s", weir_error_text());
}

void areas_forget(struct world *world)
{
	for (unsigned i = 0; i < world->nr_areas; i++)
		if (world->areas[i].keeper)
			keeper_destroy(world->areas[i].keeper);
}
