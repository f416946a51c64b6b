/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TEST_LATE_H
#define WEIR_TEST_LATE_H

/* "open" is stored to a file that is mapped; at the library's end "shut". 0 or 1. */
int late_map(const char *path);

#endif
