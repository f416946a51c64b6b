/* SPDX-License-Identifier: MIT
 *
 * pin.h - pins, for the other files of this folder.
 */
#ifndef WEIR_PIN_H
#define WEIR_PIN_H

#include "cache/drop.h"
#include "pool.h"

/* What private_[1] of a pin holds: where the pin is kept, with its kind in the low bits. */
#define PIN_KIND 7ull
#define PIN_SLOT 0ull      /* address of the slot; private_[0] is the key in it */
#define PIN_COUNTED 1ull   /* address of the page word; private_[0] has PIN_KEY_WRITE */
#define PIN_EXCLUSIVE 2ull /* address of the slot that names its holder, or 0; private_[0] is the key, also without */

/* Not an errno: look at the word again. */
#define PIN_AGAIN 1
/* Nor this: the page is not in the object's window yet, or not to be written to there. */
#define PIN_TOUCH 2

/* Is the page inside the object? While a resize is under way that is not known yet: waits for it. 0, -ERANGE; -EAGAIN
 * (WEIR_TRY), -ETIMEDOUT: it is still under way. */
int pin_range(const struct weir_object *object, uint64_t page, unsigned flags);
/* Are these flags, on this page, something that could be asked for? 0, -EINVAL, -EROFS, or as pin_range. */
int pin_check(const struct weir_object *object, uint64_t page, unsigned flags);

/* Hold a page that is resident. 0: held. PIN_AGAIN: it is not resident, or loading. -EAGAIN, -EDEADLK,
 * -ETIMEDOUT as weir_pin; with WEIR_TRY it never waits. */
int pin_resident(struct weir_object *object, uint64_t page, unsigned flags, struct weir_pin *pin);

/* Hold a page in its object's window, bringing it in where it is not, for who notes by himself what he holds: the pin
 * is counted in the word, and given back by unpin_counted. flags: 0 or WEIR_WRITE. 0, or as touch_page; -ETIMEDOUT.
 * Blocks: as weir_pin. Signal-safe: yes, outside of the engine. */
int pin_counted(struct weir_object *object, uint64_t page, unsigned flags);

/* Note a use of a page without holding it. 0: it is resident. PIN_AGAIN: it is not. -EAGAIN: it is held exclusively.
 * -ERANGE. Blocks: as readahead_used. */
int pin_note_use(struct weir_object *object, uint64_t page);

/* Give back a pin that is kept in the word. -EINVAL: there is none. */
int unpin_counted(page_word *word);
int unpin_exclusive(page_word *word);

/* Whoever misses a page and reads it himself: take a frame, make the page loading, count it, have the stream that it
 * may be of followed. 0: it is the caller's to read and to finish. PIN_AGAIN: someone else was first. Or as
 * frame_take_wait. */
int miss_begin(struct weir_object *object, uint64_t page, unsigned flags, uint64_t seen, enum counter counter,
	       struct frame **frame);
/* Then read it to `data`; WEIR_OVERWRITE: zeros instead. What load_check wants to know. Blocks: for the read. */
ssize_t miss_read(struct weir_object *object, uint64_t page, struct frame *frame, void *data, unsigned flags);

/* Fill in an exclusive pin. The word alone is what keeps others off; that the holder has a slot too, where one is free,
 * tells himself (pins_mine). record: the calling thread's; NULL: the pin is another's. */
void pin_note_holder(struct thread_record *record, page_word *word, unsigned flags, struct weir_pin *pin);

/* For whoever reads a page in: prepare the pin before the page is published; *word_flags go to load_finish. After its
 * success pin_published, which may still withdraw the pin (-ERANGE: the object was cut meanwhile); after its failure
 * pin_unprepare. counted: not in a slot of this thread, as it is another's. */
void pin_prepare(struct weir_object *object, uint64_t page, struct frame *frame, unsigned flags, bool counted,
		 struct weir_pin *pin, uint64_t *word_flags);
void pin_unprepare(struct weir_pin *pin);
int pin_published(struct weir_object *object, uint64_t page, struct weir_pin *pin);

/* overwrite.c: `data`, a page, becomes the content of one that is absent, which nobody sees before. 0: it is resident
 * and dirty; PIN_AGAIN: it was not absent any more, or can't be had so: by a pin. Errors: as weir_pin. Signals are not
 * held. Blocks: as weir_pin, and for a touch of `data`. */
int overwrite_absent(struct weir_object *object, uint64_t page, const void *data);

/* queue.c: reap other threads' queues whose owners are busy elsewhere, for whoever waits for a page of theirs. */
void queues_help(weir_pool *pool);

/* resize.c: object_drop, where reads that a queue has under way are waited for too. */
int object_empty(struct weir_object *object, uint64_t first, uint64_t last, enum drop_mode mode);
/* resize.c: pages from that of byte `low` on are not to be had until resize_end; of those before page `end` none is just
 * loaded or mapped. object->resize held. Blocks. */
void resize_begin(struct weir_object *object, uint64_t low, uint64_t end);
void resize_end(struct weir_object *object);
/* resize.c: is a page of [first, last), all frozen, pinned? What looks like a pin may be one that is about to see that:
 * so it looks again; but not for long. */
bool object_stays_pinned(struct weir_object *object, uint64_t first, uint64_t last);
/* resize.c: its end comes to `bytes`, and the store's, unless that is there already. Frozen from there on. Errors: as
 * weir_resize. */
int object_cut_frozen(struct weir_object *object, uint64_t bytes);
/* resize.c: others have made the store longer: so many bytes. What they put behind the old end is read, where the page
 * is resident. Frozen from the old end on. Errors: as weir_resize. */
int object_lengthen_frozen(struct weir_object *object, uint64_t bytes);
/* resize.c: of a page that is BUSY by the caller's doing the bytes from there on become these; it is as dirty or clean as
 * it was. -EBUSY: they are others, and the page is pinned in a window. */
int set_busy(struct weir_object *object, uint64_t page, size_t from, const char *bytes, size_t n);
/* resize.c: of an anonymous object: what the pages hold is given up, in memory and in swap. -EBUSY: some are pinned. */
int object_discard(struct weir_object *object, uint64_t first, uint64_t last);
/* resize.c: its work, where the object is frozen and no page of these is pinned. Errors: the store's. */
int object_discard_frozen(struct weir_object *object, uint64_t first, uint64_t last);
/* resize.c: make the object at least so long. Errors: as weir_resize. Blocks: yes. */
int object_grow(struct weir_object *object, uint64_t bytes);
/* map.c: all of [first, last) that is mapped goes to the frames' slots. The object is frozen, and no page of these
 * pinned. */
void window_empty(struct weir_object *object, uint64_t first, uint64_t last);
/* map.c: may a window have that protection? 0, -EINVAL, -EROFS, with a sentence. */
int window_check_prot(const struct weir_object *object, int prot, unsigned flags);
/* protect.c: the pages are not to be had, until window_unbar; with `discard` what they hold is given up (anonymous
 * objects).
 * -EBUSY: some are pinned; -ENOMEM. */
int window_bar(struct weir_object *object, uint64_t first, uint64_t last, bool discard);
int window_unbar(struct weir_object *object, uint64_t first, uint64_t last, int prot);
/* protect.c: bar all pages, none of which was ever touched, until window_unbar: as PROT_NONE, which the caller sees to.
 * -ENOMEM. */
int window_bar_all(struct weir_object *object);
/* protect.c: as if window_unbar was called for all. The object is frozen. */
void window_unbar_all(struct weir_object *object);
/* sync.c: write the dirty pages of [first, last) and wait for them, and for what was in writeback before; durable or
 * not. object->resize held. Errors: of background writeback, once; -EAGAIN (the hook). */
int object_write_and_wait(struct weir_object *object, uint64_t first, uint64_t last);
/* The same, by whoever is not asked whether the data is safe: errors are kept for weir_sync to tell. 0 or -EAGAIN (the
 * hook). */
int object_write_keep_errors(struct weir_object *object, uint64_t first, uint64_t last);
/* And where one of these could not be written the error, which is kept too. */
int object_write_pages(struct weir_object *object, uint64_t first, uint64_t last);
/* A byte range as pages [*first, *last), bytes 0: to the end. -EINVAL: it overflows or starts past the end. */
int object_range(const struct weir_object *object, uint64_t offset, uint64_t bytes, uint64_t *first, uint64_t *last);

#endif
