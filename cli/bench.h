/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

/* `weir bench`; argv[0] is "bench". The exit status. */
int bench_main(int argc, char **argv);

#endif
