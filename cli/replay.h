/* SPDX-License-Identifier: MIT */
#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

/* `weir replay`; argv[0] is "replay". The exit status. */
int replay_main(int argc, char **argv);

#endif
