/* SPDX-License-Identifier: MIT
 *
 * fault_thread.h - threads that serve the faults of those who touch windows.
 */
#ifndef WEIR_FAULT_THREAD_H
#define WEIR_FAULT_THREAD_H

#include "pool.h"

/* Errors: -ENOMEM, -EMFILE, -EAGAIN. */
int fault_threads_start(weir_pool *pool);
void fault_threads_stop(weir_pool *pool);

#endif
