/* SPDX-License-Identifier: MIT */
#include "weir_store.h" /* first, so alone */
#include "weir.h"

int main()
{
	struct weir_pin pin = {}; /* "struct" in C++ too: weir_pin is also the function */
	weir_config config{};

	return pin.data == nullptr && config.memory_bytes == 0 && WEIR_PAGE_SIZE == 4096u ? 0 : 1;
}
