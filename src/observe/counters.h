/* SPDX-License-Identifier: MIT
 *
 * counters.h - event counters, per node, with the kernel's names where the meaning is the kernel's.
 *
 * Counting is a relaxed add to the stripe of the thread's CPU, so that threads share no line; reading sums the stripes
 * and stops nothing. Signal-safe. What can be looked up (free frames, list lengths) is not counted: see
 * gauges.c.
 */
#ifndef WEIR_COUNTERS_H
#define WEIR_COUNTERS_H

#include "base/base.h"

/* clang-format off */
#define WEIR_COUNTERS(C) \
	C(PIN_HIT, "pin_hit")                    /* pins of pages that were resident */ \
	C(PIN_MISS, "pin_miss")                  /* pins that read, or waited for a read */ \
	C(PGMAJFAULT, "pgmajfault")              /* touches of windows, and pins there, that read */ \
	C(PGMINFAULT, "pgminfault")              /* of those: pages that lay in a slot */ \
	C(PGWPFAULT, "pgwpfault")                /* first writes to pages in windows */ \
	C(PGUNMAP, "pgunmap")                    /* pages that went from a window to their slots */ \
	C(FAULT_AROUND, "fault_around")          /* neighbours mapped with a page */ \
	C(BYTES_READ, "bytes_read")              /* from stores */ \
	C(BYTES_WRITTEN, "bytes_written")        /* to stores */ \
	C(READ_POLLED, "read_polled")            /* reads of a page that was missed which ended before their reader slept */ \
	C(READ_ERROR, "read_error") \
	C(WRITE_ERROR, "write_error")            /* pages whose writeback failed */ \
	C(SYNC_ERROR, "sync_error")              /* stores that could not make durable what they had taken */ \
	C(NR_REDIRTIED, "nr_redirtied")          /* pages dirty again after that */ \
	C(PGALLOC, "pgalloc") \
	C(PGFREE, "pgfree") \
	C(PGALLOC_FAIL, "pgalloc_fail")          /* allocations that ended with -ENOMEM */ \
	C(PGACTIVATE, "pgactivate") \
	C(PGDEACTIVATE, "pgdeactivate") \
	C(PGREFILL, "pgrefill")                  /* active pages looked at */ \
	C(PGROTATED, "pgrotated")                /* kept: back to the head of their list */ \
	C(PGSCAN_KSWAPD, "pgscan_kswapd") \
	C(PGSCAN_DIRECT, "pgscan_direct") \
	C(PGSCAN_NOMEMALLOC, "pgscan_nomemalloc") \
	C(PGSCAN_FLUSHER, "pgscan_flusher")      /* looked at when their write was done */ \
	C(PGSCAN_ANON, "pgscan_anon")            /* the same by kind of page */ \
	C(PGSCAN_FILE, "pgscan_file") \
	C(PGSTEAL_ANON, "pgsteal_anon") \
	C(PGSTEAL_FILE, "pgsteal_file") \
	C(PGSTEAL_KSWAPD, "pgsteal_kswapd") \
	C(PGSTEAL_DIRECT, "pgsteal_direct") \
	C(PGSTEAL_NOMEMALLOC, "pgsteal_nomemalloc") \
	C(PGSTEAL_FLUSHER, "pgsteal_flusher") \
	C(ALLOCSTALL, "allocstall")              /* direct reclaims, and NOMEMALLOC calls on their own */ \
	C(ALLOCSTALL_NS, "allocstall_ns")        /* what direct reclaims took, but for NOMEMALLOC calls */ \
	C(RECLAIM_NESTED, "reclaim_nested")      /* NOMEMALLOC calls from a reclaiming context */ \
	C(RECLAIM_WAKE_FLUSHER, "reclaim_wake_flusher") /* escalations of a reclaim that fell short */ \
	C(RECLAIM_NAP, "reclaim_nap") \
	C(PGSCAN_DIRECT_THROTTLE, "pgscan_direct_throttle") /* reclaimers held back under min/2 */ \
	C(DIRECT_THROTTLE_NS, "direct_throttle_ns") /* for how long */ \
	C(PAGEOUTRUN, "pageoutrun")              /* runs of the background reclaimer */ \
	C(SLABS_SCANNED, "slabs_scanned") \
	C(SHRINK_SKIPPED, "shrink_skipped") \
	C(NR_VMSCAN_WRITE, "nr_vmscan_write")    /* pages that reclaim sent to be written */ \
	C(NR_DIRTIED, "nr_dirtied") \
	C(NR_WRITTEN, "nr_written") \
	C(BALANCE_DIRTY_PAUSE, "balance_dirty_pause") /* times that a writer was slowed or held */ \
	C(BALANCE_DIRTY_MS, "balance_dirty_ms") \
	C(PSWPIN, "pswpin")                      /* pages read from swap */ \
	C(PSWPOUT, "pswpout")                    /* pages sent to be written to it */ \
	C(SWAP_FULL, "swap_full")                /* times that no slot could be had */ \
	C(SAME_FILLED, "same_filled")            /* pages kept as the one word that they repeat, without a slot */ \
	C(WORKINGSET_REFAULT_ANON, "workingset_refault_anon") \
	C(WORKINGSET_REFAULT_FILE, "workingset_refault_file") \
	C(WORKINGSET_ACTIVATE_ANON, "workingset_activate_anon") \
	C(WORKINGSET_ACTIVATE_FILE, "workingset_activate_file") \
	C(WORKINGSET_RESTORE_ANON, "workingset_restore_anon") \
	C(WORKINGSET_RESTORE_FILE, "workingset_restore_file") \
	C(UNEVICTABLE_PGS_CULLED, "unevictable_pgs_culled") \
	C(UNEVICTABLE_PGS_RESCUED, "unevictable_pgs_rescued") \
	C(READAHEAD, "readahead")                /* pages read ahead of a pin */ \
	C(READAHEAD_HIT, "readahead_hit")        /* of those: used */ \
	C(READAHEAD_MAPPED, "readahead_mapped")  /* of those: put into a window; nobody sees if they are used */ \
	C(READAHEAD_WASTE, "readahead_waste")    /* of those: evicted unused */ \
	C(WRITE_AROUND, "write_around")          /* pages made writable with one that was written to */ \
	C(WRITE_EXPECTED, "write_expected")      /* pages that were read in for a reader, and made writable at once */ \
	/* Touches and pins that had to read, reads of queues apart: how long from the miss until the page was there,
	 * frame and read together; and how many took less than so many us, and not less than half of that. */ \
	C(FAULT_NS, "fault_ns") \
	C(FAULT_UNDER_1US, "fault_under_1us") \
	C(FAULT_UNDER_2US, "fault_under_2us") \
	C(FAULT_UNDER_4US, "fault_under_4us") \
	C(FAULT_UNDER_8US, "fault_under_8us") \
	C(FAULT_UNDER_16US, "fault_under_16us") \
	C(FAULT_UNDER_32US, "fault_under_32us") \
	C(FAULT_UNDER_64US, "fault_under_64us") \
	C(FAULT_UNDER_128US, "fault_under_128us") \
	C(FAULT_UNDER_256US, "fault_under_256us") \
	C(FAULT_UNDER_512US, "fault_under_512us") \
	C(FAULT_UNDER_1024US, "fault_under_1024us") \
	C(FAULT_UNDER_2048US, "fault_under_2048us") \
	C(FAULT_UNDER_4096US, "fault_under_4096us") \
	C(FAULT_UNDER_8192US, "fault_under_8192us") \
	C(FAULT_UNDER_16384US, "fault_under_16384us") \
	C(FAULT_UNDER_32768US, "fault_under_32768us") \
	C(FAULT_UNDER_65536US, "fault_under_65536us") \
	C(FAULT_UNDER_131072US, "fault_under_131072us") \
	C(FAULT_UNDER_262144US, "fault_under_262144us") \
	C(FAULT_UNDER_524288US, "fault_under_524288us") \
	C(FAULT_LONGER, "fault_longer")
/* clang-format on */

enum counter {
#define C(id, name) COUNT_##id,
	WEIR_COUNTERS(C)
#undef C
		NR_COUNTERS,
	/* Tallies: what is now, so they go up and down, each stripe as it happens and round through 0; the sum of all
	 * is what counts. Shown as gauges. */
	TALLY_LOADING = NR_COUNTERS,
	TALLY_DIRTY,
	TALLY_WRITEBACK,
	NR_TALLIES
};

struct counter_stripe {
	_Atomic uint64_t value[NR_TALLIES];
} __attribute__((aligned(CACHE_LINE)));

struct counters {
	struct counter_stripe *stripes; /* by CPU, then by node */
	unsigned nr_cpus, nr_nodes;
	size_t mapped_bytes;
};

extern const char *const counter_names[NR_COUNTERS];

/* Errors: -ENOMEM. Allocates: yes (creation only). */
int counters_init(struct counters *counters, unsigned cpus, unsigned nodes);
void counters_destroy(struct counters *counters);
void counters_add(struct counters *counters, unsigned node, enum counter counter, uint64_t n);
/* A fault took so long. */
void counters_add_fault(struct counters *counters, unsigned node, uint64_t ns);
uint64_t counters_read(const struct counters *counters, unsigned node, enum counter counter);

#endif
