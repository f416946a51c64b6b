/* SPDX-License-Identifier: MIT */
#include "claim.h"
#include "trace_claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	trace_claims(bytes, size, TRACE_ORACLE);
	return 0;
}
