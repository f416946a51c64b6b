/* SPDX-License-Identifier: MIT */
#ifndef CLI_TOP_H
#define CLI_TOP_H

/* `weir top`; argv[0] is "top". The exit status. */
int top_main(int argc, char **argv);

#endif
