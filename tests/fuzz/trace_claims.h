/* SPDX-License-Identifier: MIT
 *
 * trace_claims.h - all that is claimed of one input, whatever its bytes, read as a trace of the format.
 */
#ifndef FUZZ_TRACE_CLAIMS_H
#define FUZZ_TRACE_CLAIMS_H

#include <stddef.h>
#include <stdint.h>

#include "trace.h"

void trace_claims(const uint8_t *bytes, size_t size, enum trace_format format);

#endif
