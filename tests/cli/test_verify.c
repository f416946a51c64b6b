/* SPDX-License-Identifier: MIT
 * --verify must find what it is for: each kind of wrong page is planted, and must be said as what it is. */
#include "cli_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "content.h"
#include "target.h"
#include "verify.h"
#include "weir.h"

#define SEED 11u
#define PAGES 600u

static struct target target;
static struct verify verify;
static _Alignas(4096) unsigned char page[WEIR_PAGE_SIZE], scratch[WEIR_PAGE_SIZE];

static int make(void **state)
{
	(void)state;
	say_reset_quietly();
	return target_make(&target, PAGES, SEED) < 0 || verify_init(&verify, &target, SEED) < 0 ? -1 : 0;
}

static int remove_all(void **state)
{
	(void)state;
	target_unlink(&target);
	verify_destroy(&verify);
	target_close(&target);
	return 0;
}

static void store(const void *data, uint64_t number)
{
	FILE *file = fopen(target.path, "r+");

	assert_non_null(file);
	assert_int_equal(fseek(file, (long)(number * WEIR_PAGE_SIZE), SEEK_SET), 0);
	assert_int_equal(fwrite(data, 1, WEIR_PAGE_SIZE, file), WEIR_PAGE_SIZE);
	fclose(file);
}

static void a_file_as_made_is_right(void **state)
{
	(void)state;
	assert_int_equal(verify_file(&verify), 0);
	assert_int_equal(verify.file_checked, PAGES);
	assert_int_equal(verify.errors, 0);
	for (unsigned i = 0; i < PAGES; i += 97) {
		assert_int_equal(target_read(&target, page, WEIR_PAGE_SIZE, i * WEIR_PAGE_SIZE), WEIR_PAGE_SIZE);
		verify_page(&verify, i, page, scratch);
	}
	assert_int_equal(verify.errors, 0);
}

static void another_pages_bytes_are_said_so(void **state)
{
	(void)state;
	content_fill(page, SEED, 6, 0);
	verify_page(&verify, 5, page, scratch);
	assert_int_equal(verify.errors, 1);
	assert_said("page 5 of");
	assert_said("version 0 of page 6");
}

static void one_bit_is_found_wherever_it_is(void **state)
{
	unsigned found = 0;

	(void)state;
	content_fill(page, SEED, 5, 0);
	for (unsigned bit = 0; bit < WEIR_PAGE_SIZE * 8; bit += 7, found++) {
		page[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_false(content_matches(page, WEIR_PAGE_SIZE, SEED, 5, 0));
		page[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	assert_true(content_matches(page, WEIR_PAGE_SIZE, SEED, 5, 0));
	assert_true(found > 4000);
}

static void a_lost_write_is_found_in_the_pool_and_in_the_file(void **state)
{
	(void)state;
	content_fill(page, SEED, 9, 0);
	verify_write(&verify, 9, page, scratch);
	assert_int_equal(verify.errors, 0);
	content_fill(page, SEED, 9, 0);
	verify_page(&verify, 9, page, scratch); /* the old version comes back */
	assert_int_equal(verify.errors, 1);
	assert_said("version 1 was expected, it holds version 0 of page 9");
	assert_int_equal(verify_file(&verify), 0);
	assert_int_equal(verify.errors, 2); /* nobody stored it */
	content_fill(page, SEED, 9, 1);
	store(page, 9);
	assert_int_equal(verify_file(&verify), 0);
	assert_int_equal(verify.errors, 2);
}

/* Half of a page new, half old: what a torn write leaves. */
static void a_torn_page_is_found(void **state)
{
	unsigned char old[WEIR_PAGE_SIZE];

	(void)state;
	content_fill(page, SEED, 3, 0);
	memcpy(old, page, sizeof(old));
	verify_write(&verify, 3, page, scratch);
	memcpy(page + 2048, old + 2048, 2048);
	store(page, 3);
	assert_int_equal(verify_file(&verify), 0);
	assert_int_equal(verify.errors, 1);
	assert_said("it differs from byte 2064 on"); /* where that sector has its version */
}

/* A file of the user's: unwritten pages must be as a plain read gives them, with zeros after the end of the file. */
static void a_users_file_is_compared_with_a_plain_read(void **state)
{
	struct verify own;
	struct target file;

	(void)state;
	assert_int_equal(truncate(target.path, 3 * WEIR_PAGE_SIZE + 100), 0);
	assert_int_equal(target_open(&file, target.path, false), 0);
	assert_int_equal(file.pages, 4);
	assert_int_equal(verify_init(&own, &file, 99), 0);
	content_fill(page, SEED, 2, 0);
	verify_page(&own, 2, page, scratch);
	content_fill(page, SEED, 3, 0);
	memset(page + 100, 0, WEIR_PAGE_SIZE - 100);
	verify_page(&own, 3, page, scratch);
	assert_int_equal(own.errors, 0);
	page[101] = 1; /* a stray byte behind the end */
	verify_page(&own, 3, page, scratch);
	assert_int_equal(own.errors, 1);
	assert_said("it differs from what the file holds");
	assert_int_equal(verify_file(&own), 0);
	assert_int_equal(own.file_checked, 0); /* nothing was written */
	verify_destroy(&own);
	target_close(&file);
}

static void targets_that_cannot_be_are_said(void **state)
{
	struct target file;

	(void)state;
	assert_int_equal(target_open(&file, "/nonexistent", false), -1);
	assert_said("/nonexistent: No such file or directory: without --file one is made");
	say_reset_quietly();
	assert_int_equal(target_open(&file, "/tmp", false), -1);
	assert_said("/tmp: is a directory");
	say_reset_quietly();
	assert_int_equal(target_open(&file, "/dev/null", false), -1);
	assert_said("is a special file");
	say_reset_quietly();
	assert_int_equal(truncate(target.path, 0), 0);
	assert_int_equal(target_open(&file, target.path, false), -1);
	assert_said("is empty");
	say_reset_quietly();
	assert_int_equal(target_make(&file, (uint64_t)1 << 32, 1), -1);
	assert_said("a file of 16.0 TiB is needed");
	assert_int_equal(file.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_as_made_is_right, make, remove_all),
		cmocka_unit_test_setup_teardown(another_pages_bytes_are_said_so, make, remove_all),
		cmocka_unit_test_setup_teardown(one_bit_is_found_wherever_it_is, make, remove_all),
		cmocka_unit_test_setup_teardown(a_lost_write_is_found_in_the_pool_and_in_the_file, make, remove_all),
		cmocka_unit_test_setup_teardown(a_torn_page_is_found, make, remove_all),
		cmocka_unit_test_setup_teardown(a_users_file_is_compared_with_a_plain_read, make, remove_all),
		cmocka_unit_test_setup_teardown(targets_that_cannot_be_are_said, make, remove_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
