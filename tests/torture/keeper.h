/* SPDX-License-Identifier: MIT
 *
 * keeper.h - a store around a memory store: it keeps it when its object is closed, and can do wrong.
 */
#ifndef TORTURE_KEEPER_H
#define TORTURE_KEEPER_H

#include "torture.h"

struct keeper;

/* async: transfers are served by a thread of the keeper's, in no order. */
struct keeper *keeper_create(uint64_t bytes, bool async, enum plant plant, uint64_t seed);
void keeper_destroy(struct keeper *keeper);
const struct weir_store_ops *keeper_ops(struct keeper *keeper);
/* Around Weir, and around what is wrong with the keeper. */
ssize_t keeper_read(struct keeper *keeper, void *buffer, size_t bytes, uint64_t offset);
uint64_t keeper_size(struct keeper *keeper);

#endif
