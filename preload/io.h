/* SPDX-License-Identifier: MIT
 *
 * io.h - system calls about files, of the program's.
 */
#ifndef WEIR_IO_H
#define WEIR_IO_H

/* The one place from which they are made: as syscall(2), -1 and errno. A cancellation point where the C library's is. */
long io_call(long nr, long a, long b, long c, long d, long e, long f);

#endif
