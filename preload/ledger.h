/* SPDX-License-Identifier: MIT
 *
 * ledger.h - how much of `--total` each process of a `weir run` has: a page that they share.
 *
 * Every process has one entry, which it alone changes. Nobody waits for a lock, and nobody who dies leaves one: what he
 * had is found by the next one who looks, as his process is not there any more.
 */
#ifndef WEIR_LEDGER_H
#define WEIR_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LEDGER_MEMBERS 250
#define LEDGER_LEAST_BYTES (4ull << 20) /* what a process starts with at least */

struct ledger_member {
	_Atomic uint64_t id; /* process id, and when it was started; 0: free */
	_Atomic uint64_t granted_bytes, wish_bytes;
};

struct ledger {
	uint64_t magic, total_bytes;
	_Atomic uint32_t changes; /* a futex: goes up when somebody comes, goes, or has given something up */
	struct ledger_member members[LEDGER_MEMBERS];
};

/* A new one: its descriptor (not close-on-exec), or -errno. */
int ledger_create(uint64_t total_bytes);
/* Map it. NULL: that is no ledger. */
struct ledger *ledger_map(int fd);

/* The calling process becomes a member that would have as much as `wish`, and has nothing yet; one that has called exec
 * is still the same. `fd`: the ledger's, which stays open, and no other of it is closed: by locks on it the others see
 * that the process lives, also from other PID namespaces. -1: by /proc alone. NULL: there is no room. */
struct ledger_member *ledger_join(struct ledger *ledger, int fd, uint64_t wish_bytes);
void ledger_leave(struct ledger *ledger, struct ledger_member *member);
/* Entries of who is not there any more become free. */
void ledger_bury(struct ledger *ledger);

/* The member's part: the same for all; what one does not wish of his the others have, in the same way. Never less than
 * LEDGER_LEAST_BYTES. */
uint64_t ledger_share(const struct ledger *ledger, const struct ledger_member *member);
/* Have as much as `wanted`, or what there is of it. Returns what the member has then: never less than it had. */
uint64_t ledger_grow(struct ledger *ledger, struct ledger_member *member, uint64_t wanted);
/* Have less, now that the memory is given up. */
void ledger_shrink(struct ledger *ledger, struct ledger_member *member, uint64_t bytes);

/* Until something changes, or so long. */
void ledger_wait(struct ledger *ledger, uint32_t seen, unsigned ms);
void ledger_wake(struct ledger *ledger);

#endif
