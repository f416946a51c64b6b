/* SPDX-License-Identifier: MIT
 *
 * top_screen.h - the screen of `weir top`, as 24 lines of at most 80 characters of ASCII.
 */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

#include "attach.h"

#define SCREEN_ROWS 24
#define SCREEN_COLUMNS 80

struct screen {
	char line[SCREEN_ROWS][SCREEN_COLUMNS + 1]; /* end with 0; no blanks at the end */
};

/* pool: one of attach->pools. Rates are of the time between the snapshots. */
void top_screen_draw(struct screen *screen, const struct attach *attach, unsigned pool, const struct snapshot *before,
		     const struct snapshot *now);

#endif
