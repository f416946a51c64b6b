/* SPDX-License-Identifier: MIT
 *
 * anon.c - memory without a file: weir_anon, and weir_swap_add for the room where it goes when frames are short.
 */
#include <string.h>

#include "cache/hold.h"
#include "fault/open.h"
#include "observe/error.h"
#include "reclaim/reclaim.h"
#include "store/anon.h"

int weir_anon(weir_pool *pool, uint64_t bytes, weir_object **object)
{
	uint64_t rounded = object_pages_of(bytes) << PAGE_SHIFT;
	struct store store;
	int error;

	if (!object)
		return weir_error_set(-EINVAL, "weir_anon needs a place for the object");
	if (bytes > OBJECT_MAX_BYTES)
		return weir_error_set(-EFBIG, "cannot make an anonymous object of %llu bytes: at most %llu",
				      (unsigned long long)bytes, (unsigned long long)OBJECT_MAX_BYTES);
	error = anon_create(&pool->swap, rounded, object_capacity(rounded), &store);
	if (error)
		return weir_error_set(error, "cannot map an anonymous object of %llu bytes: %s",
				      (unsigned long long)bytes, error_words(-error));
	error = object_open(pool, &store, WEIR_RDWR, object);
	if (error)
		store_close(&store);
	return error;
}

int weir_swap_add(weir_pool *pool, const struct weir_swap_config *config)
{
	HOLD_SIGNALS(pool); /* it takes swap's locks, which a touch may need */
	int error = swap_add_file(&pool->swap, config);

	if (error)
		return error;
	/* What had to stay can go now. */
	for (unsigned i = 0; i < pool->mem.nr_nodes; i++) {
		atomic_store(&pool->kswapd[i].failures, 0);
		kswapd_wake(pool, i);
	}
	return 0;
}
