/* SPDX-License-Identifier: MIT
 *
 * stores_last.c - for tests: a program that ends after something was stored to a mapped file. usage: stores_last HOW FILE
 */
#include <stdlib.h>
#include <string.h>

#include "late.h"

int main(int argc, char **argv)
{
	if (argc < 3 || late_map(argv[2]))
		return 1;
	if (!strcmp(argv[1], "quick"))
		quick_exit(0);
	return 0;
}
