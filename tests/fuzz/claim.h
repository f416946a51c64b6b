/* SPDX-License-Identifier: MIT
 *
 * claim.h - what a target says must hold. abort() is how a fuzzer learns that it does not.
 */
#ifndef FUZZ_CLAIM_H
#define FUZZ_CLAIM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define claim(condition, ...) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s does not hold: ", __FILE__, __LINE__, #condition); \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
			abort(); \
		} \
	} while (0)

/* What libFuzzer, or replay.c, calls with one input after the other. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
