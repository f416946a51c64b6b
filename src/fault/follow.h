/* SPDX-License-Identifier: MIT
 *
 * follow.h - an object over a file that is changed behind its back, and whose window may be the kernel's one day.
 */
#ifndef WEIR_FOLLOW_H
#define WEIR_FOLLOW_H

#include "pool.h"

/* The object's length becomes the store's, which others have made longer or shorter. Pages that were cut off go, dirty
 * ones too; of the last page of before, what is beyond the length of before is the store's. Read-only objects too.
 * Errors: -EBUSY (a page that was cut off is pinned; or as weir_resize), -EFBIG (more than it has room for), the
 * store's. Blocks: yes. Allocates: no. */
int object_follow(struct weir_object *object);

/* Room for so many bytes, before anybody uses the object. Errors: -EBUSY (somebody did), -EFBIG, -ENOMEM (all is as it
 * was). Allocates: address space. */
int object_reserve(struct weir_object *object, uint64_t bytes);

/* Write what is dirty of [first, last) and wait for it, and for what was being written before; durable or not. Errors:
 * the store's, also of writes in the background since the last one. Blocks: yes. Allocates: no. */
int object_write_back(struct weir_object *object, uint64_t first, uint64_t last);
/* The same, by whoever is not asked whether the data is safe: errors are kept for the next who is. */
void object_settle(struct weir_object *object, uint64_t first, uint64_t last);

/* Drop [first, last), in whatever state it is: what is dirty there is lost. Waits for writes and reads under way.
 * -EBUSY: a page is pinned. With `clean`: one is dirty; nothing is lost. */
int object_forget(struct weir_object *object, uint64_t first, uint64_t last, bool clean);

/* The store has other bytes in that page than it had: `read` fills in those of now, up to PAGE_SIZE of them, and zeros
 * follow. Nothing happens where the page is not in memory; or is dirty (false): then it has the last word; or is pinned
 * in a window (false); or could not be read (false). Who touches it meanwhile waits. */
typedef ssize_t (*page_read)(void *user, uint64_t page, char *data);
bool object_renew(struct weir_object *object, uint64_t page, page_read read, void *user);

/* The window goes, and `replace` puts something else in all of its place, whose content is the store's: called once all
 * that is dirty was written and no page can be had. Who touches the window meanwhile waits, and then finds what is there
 * now. Errors: -EINVAL (no window), -EBUSY (pins are held), the store's, those of replace; then the window is as it
 * was. Blocks: yes. */
typedef int (*window_replace)(char *base, size_t bytes, void *user);
int window_give_up(struct weir_object *object, window_replace replace, void *user);

#endif
