/* SPDX-License-Identifier: MIT
 * Numbers of the command line, and of the report. */
#include "cli_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "number.h"

static void bytes_understand_units_and_nothing_else(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{"0", 0},
		{"4096", 4096},
		{"64K", 65536},
		{"64k", 65536},
		{"8M", 8u << 20},
		{"8MiB", 8u << 20},
		{"8MB", 8u << 20},
		{"2G", 2ull << 30},
		{"3T", 3ull << 40},
		{"18446744073709551615", UINT64_MAX},
		{"16777215T", 16777215ull << 40},
	};
	static const char *const bad[] = {"",
					  "-1",
					  "+1",
					  " 1",
					  "1 ",
					  "K",
					  "1.5G",
					  "1Q",
					  "1MM",
					  "1Mi",
					  "0x1",
					  "1e3",
					  "18446744073709551616",
					  "16777216T",
					  "1K1"};
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(parse_bytes(good[i].text, &value));
		assert_true(value == good[i].value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse_bytes(bad[i], &value))
			fail_msg("\"%s\" was taken", bad[i]);
}

static void counts_and_decimals_are_strict(void **state)
{
	uint64_t value;
	double real;

	(void)state;
	assert_true(parse_count("18446744073709551615", &value) && value == UINT64_MAX);
	assert_false(parse_count("18446744073709551616", &value));
	assert_false(parse_count("99999999999999999999999", &value));
	assert_false(parse_count("-1", &value));
	assert_false(parse_count("12x", &value));
	assert_true(parse_decimal("0.99", &real) && real > 0.98 && real < 1.0);
	assert_false(parse_decimal("-0.5", &real));
	assert_false(parse_decimal("nan", &real));
	assert_false(parse_decimal("1e999", &real));
	assert_false(parse_decimal("0.9x", &real));
	assert_false(parse_decimal("0x1p0", &real));
	assert_true(parse_decimal("1.5e+2", &real) && real == 150);
}

static void values_are_written_for_people(void **state)
{
	char text[NUMBER_TEXT];

	(void)state;
	assert_string_equal(format_bytes(text, 512), "512 B");
	assert_string_equal(format_bytes(text, 1.5 * (1 << 30)), "1.5 GiB");
	assert_string_equal(format_count(text, 0), "0");
	assert_string_equal(format_count(text, 999), "999");
	assert_string_equal(format_count(text, 1000), "1,000");
	assert_string_equal(format_count(text, UINT64_MAX), "18,446,744,073,709,551,615");
	assert_string_equal(format_duration(text, 999), "999 ns");
	assert_string_equal(format_duration(text, 1500), "1.5 us");
	assert_string_equal(format_duration(text, UINT64_MAX), "18446744073.71 s");
}

/* Breaks when a path with a quote, a newline or Latin-1 bytes makes output that no JSON reader takes. */
static void json_escapes_what_must_be(void **state)
{
	char *text = NULL;
	size_t size;
	struct json json = {.out = open_memstream(&text, &size)};

	(void)state;
	json_open(&json, NULL, '{');
	json_string(&json, "a\"b", "x\\y\n\x01\xff\xc3\xa9\xc0\x80");
	json_real(&json, "r", 0.0 / 0.0);
	json_open(&json, "list", '[');
	json_count(&json, NULL, UINT64_MAX);
	json_string(&json, NULL, NULL);
	json_close(&json, ']');
	json_open(&json, "empty", '{');
	json_close(&json, '}');
	json_close(&json, '}');
	fclose(json.out);
	assert_string_equal(text,
			    "{\n  \"a\\\"b\": \"x\\\\y\\u000a\\u0001\\u00ff\xc3\xa9\\u00c0\\u0080\",\n  \"r\": null,\n"
			    "  \"list\": [\n    18446744073709551615,\n    null\n  ],\n  \"empty\": {}\n}\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_understand_units_and_nothing_else),
		cmocka_unit_test(counts_and_decimals_are_strict),
		cmocka_unit_test(values_are_written_for_people),
		cmocka_unit_test(json_escapes_what_must_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
