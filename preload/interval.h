/* SPDX-License-Identifier: MIT */
#ifndef WEIR_INTERVAL_H
#define WEIR_INTERVAL_H

/* Begin to write a line each interval, if that is wanted, and of this process. 0 or -errno. */
int interval_start(void);

#endif
