/* SPDX-License-Identifier: MIT
 * Whether a fault was a write, as an aarch64 signal's context says it: made up here, so that any machine tests it. */
#include "fault/syndrome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define FLOATS_MAGIC 0x46508001u /* FPSIMD_MAGIC */
#define FLOATS_BYTES 528u
#define OTHER_MAGIC 0x53564501u /* SVE_MAGIC */

/* Of a load and a store of what is not mapped, third level, as Linux 6 leaves them. */
#define A_LOAD 0x92000007u
#define A_STORE 0x92000047u

struct context {
	_Alignas(16) char records[4096]; /* the size of uc_mcontext.__reserved; zeros: the end is anywhere */
	size_t used;
};

static void add_sized(struct context *context, uint32_t magic, uint32_t size, uint32_t moves, uint64_t syndrome)
{
	struct syndrome_record record = {magic, size, syndrome};

	memset(context->records + context->used, 0xff, moves); /* what is in a record looks like nothing else */
	memcpy(context->records + context->used, &record, sizeof(record));
	context->used += moves;
}

static void add(struct context *context, uint32_t magic, uint32_t size, uint64_t syndrome)
{
	add_sized(context, magic, size, size, syndrome);
}

static bool says_write(const struct context *context)
{
	return records_say_write(context->records, sizeof(context->records));
}

/* Breaks when loads are taken for stores, or stores for loads. */
static void the_write_bit_decides(void **state)
{
	struct context load = {.used = 0}, store = {.used = 0};

	(void)state;
	add(&load, SYNDROME_MAGIC, 16, A_LOAD);
	add(&store, SYNDROME_MAGIC, 16, A_STORE);
	assert_false(says_write(&load));
	assert_true(says_write(&store));
}

/* Breaks when the record is looked for in one place alone. */
static void it_is_found_behind_others(void **state)
{
	struct context load = {.used = 0};

	(void)state;
	add(&load, FLOATS_MAGIC, FLOATS_BYTES, UINT64_MAX);
	add(&load, OTHER_MAGIC, 16, A_STORE);
	add(&load, SYNDROME_MAGIC, 16, A_LOAD);
	assert_false(says_write(&load));
}

/* Breaks when a context without the record is no write: a store would fault for ever. */
static void without_it_a_fault_is_a_write(void **state)
{
	struct context empty = {.used = 0}, others = {.used = 0};

	(void)state;
	add(&others, FLOATS_MAGIC, FLOATS_BYTES, A_LOAD);
	assert_true(says_write(&empty));
	assert_true(says_write(&others));
}

/* Breaks when what lies behind the end is read: it is of an earlier signal on the same stack. */
static void nothing_counts_behind_the_end(void **state)
{
	struct context context = {.used = 0};

	(void)state;
	add(&context, FLOATS_MAGIC, FLOATS_BYTES, 0);
	add_sized(&context, 0, 0, 16, 0);
	add(&context, SYNDROME_MAGIC, 16, A_LOAD);
	assert_true(says_write(&context));
}

/* Breaks when a record that can't be is believed: a walk that stays where it is, or leaves the context. */
static void sizes_that_cannot_be_end_it(void **state)
{
	static const uint32_t sizes[] = {0, 4, 4097, UINT32_MAX};
	struct context last = {.used = 0}, cut = {.used = 0};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct context context = {.used = 0};

		add_sized(&context, FLOATS_MAGIC, sizes[i], 16, 0);
		add(&context, SYNDROME_MAGIC, 16, A_LOAD);
		assert_true(says_write(&context));
	}
	add(&last, FLOATS_MAGIC, 4080, 0);
	add(&last, SYNDROME_MAGIC, 16, A_LOAD);
	assert_false(says_write(&last)); /* the last place there is */
	add(&cut, FLOATS_MAGIC, 4088, 0);
	add_sized(&cut, SYNDROME_MAGIC, 8, 0, 0);
	assert_true(says_write(&cut));
}

/* Breaks when the write bit is believed where it is something else: of an instruction fetch, or of a cache's upkeep,
 * which would dirty a page, or fail in a window that may only be read. */
static void only_a_data_abort_has_a_write_bit(void **state)
{
	(void)state;
	assert_true(syndrome_is_write(A_STORE));
	assert_false(syndrome_is_write(0x82000047u));         /* class 0x20: an instruction's */
	assert_false(syndrome_is_write(0x56000040u));         /* class 0x15: a system call */
	assert_false(syndrome_is_write(0x92000147u));         /* a store that is a cache's upkeep */
	assert_true(syndrome_is_write(1ull << 32 | A_STORE)); /* ISS2 is above the class */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_write_bit_decides),         cmocka_unit_test(it_is_found_behind_others),
		cmocka_unit_test(without_it_a_fault_is_a_write), cmocka_unit_test(nothing_counts_behind_the_end),
		cmocka_unit_test(sizes_that_cannot_be_end_it),   cmocka_unit_test(only_a_data_abort_has_a_write_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
