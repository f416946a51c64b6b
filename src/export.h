/* SPDX-License-Identifier: MIT
 *
 * export.h - makes what weir.h declares, and only that, visible outside the shared library.
 *
 * The build includes it before each source file of the library, which is compiled with -fvisibility=hidden.
 * So weir.h needs no export macro, and an internal function that happens to be called weir_* stays hidden.
 */
#pragma GCC visibility push(default)
#include "weir.h"
#pragma GCC visibility pop
