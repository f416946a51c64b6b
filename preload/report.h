/* SPDX-License-Identifier: MIT */
#ifndef WEIR_RUN_REPORT_H
#define WEIR_RUN_REPORT_H

/* The clock runs from here. */
void report_begin(void);

#endif
