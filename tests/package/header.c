/* SPDX-License-Identifier: MIT
 * weir.h compiles alone, with all warnings, as the standard C (header.c) or C++ (header.cpp) of a user. */
#include "weir.h"

int main(void)
{
	struct weir_pin pin = {0};
	struct weir_config config = {0};

	return pin.data == NULL && config.memory_bytes == 0 && WEIR_PAGE_SIZE == 4096u ? 0 : 1;
}
