/* SPDX-License-Identifier: MIT
 *
 * ring.h - what a store that has a file descriptor may ask of a channel.
 */
#ifndef WEIR_RING_H
#define WEIR_RING_H

#include "store/channel.h"

/* Prepare io on fd. -EOPNOTSUPP: the channel has no ring; the channel then serves the io synchronously. */
int channel_ring_submit(struct weir_channel *channel, int fd, struct weir_io *io);

#endif
