/* SPDX-License-Identifier: MIT */
#ifndef CLI_LAUNCH_H
#define CLI_LAUNCH_H

/* weir run. Returns only where the program was not started. */
int launch_main(int argc, char **argv);

#endif
