/* SPDX-License-Identifier: MIT
 * Reading traces: the three formats, how they are told apart, numbering, and what is refused with which sentence. */
#include "cli_test.h"

#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "trace.h"

static char path[] = "/tmp/weir-test-trace.XXXXXX";
static struct trace trace;

static void put(const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

static int load_bytes(const void *bytes, size_t n, enum trace_format format, enum trace_map map, uint64_t file_pages)
{
	put(bytes, n);
	trace_free(&trace);
	say_reset_quietly();
	return trace_load(&trace, path, format, map, file_pages, "data.bin");
}

static int load(const char *text, uint64_t file_pages)
{
	return load_bytes(text, strlen(text), TRACE_AUTO, MAP_AUTO, file_pages);
}

static void assert_accesses(const char *expected)
{
	char got[1024] = "";

	for (size_t i = 0; i < trace.count && strlen(got) < 900; i++)
		sprintf(got + strlen(got), "%llu%s ", (unsigned long long)trace_page(trace.entries[i]),
			trace_op(trace.entries[i]) == OP_WRITE  ? "w"
			: trace_op(trace.entries[i]) == OP_READ ? "r"
								: "");
	assert_string_equal(got, expected);
}

static void text_takes_ops_comments_blanks_and_crlf(void **state)
{
	(void)state;
	assert_int_equal(load("# a trace\n\n3\n5 r\n  7\tW # hot\n5,write\r\n\r\n0 R\n3", 0), 0);
	assert_int_equal(trace.format, TRACE_TEXT);
	assert_accesses("3 5r 7w 5w 0r 3 ");
	assert_int_equal(trace.pages, 8);
	assert_int_equal(trace.writes, 2);
}

static void text_mistakes_name_line_and_remedy(void **state)
{
	static const struct {
		const char *text, *said;
	} mistakes[] = {
		{"1\n2\nhello\n", ":3: \"hello\" is not a page number"},
		{"1\n-5\n", ":2: \"-5\" is negative"},
		{"18446744073709551616\n", ":1: \"18446744073709551616\" is too large"},
		{"4 x\n", "neither r nor w"},
		{"4 r 5\n", "goes on after"},
		{"4.5\n", "is not a page number"},
		{"1\n99\n100\n",
		 ":3: page 100 is beyond the end of data.bin, which has 100 pages: give a larger --file"},
		{"", "has no accesses"},
		{"# nothing\n", "has no accesses"},
		{"12\x1b[2J\n", "is not a page number"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		if (load_bytes(mistakes[i].text, strlen(mistakes[i].text), TRACE_TEXT, MAP_AUTO, 100) == 0)
			fail_msg("\"%s\" was taken", mistakes[i].text);
		assert_said(mistakes[i].said);
		assert_null(trace.entries);
	}
	assert_null(strchr(say_first(), 27)); /* no control characters of the trace reach the terminal */
}

static void a_page_beyond_any_file_asks_for_dense(void **state)
{
	(void)state;
	assert_int_equal(load("4294967295\n", 0), 0);
	assert_true(trace.pages == (uint64_t)1 << 32);
	assert_int_equal(load("4294967296\n", 0), -1);
	assert_said("--map dense");
	assert_int_equal(load_bytes("9999999999999\n7\n9999999999999 w\n", 31, TRACE_TEXT, MAP_DENSE, 0), 0);
	assert_accesses("0 1 0w ");
	assert_int_equal(trace.pages, 2);
	assert_int_equal(load_bytes("5\n6\n7\n", 6, TRACE_TEXT, MAP_DENSE, 2), -1);
	assert_said("more different pages than data.bin");
}

/* The longest line that is taken, one more, and one that would not fit in memory if it were kept. */
static void long_lines_are_refused_without_being_kept(void **state)
{
	size_t big = 64u << 20;
	char *text = malloc(big);

	(void)state;
	memset(text, ' ', big);
	text[0] = '8';
	text[INPUT_MAX_LINE] = '\n';
	assert_int_equal(load_bytes(text, INPUT_MAX_LINE + 1, TRACE_AUTO, MAP_AUTO, 0), 0);
	assert_accesses("8 ");
	text[INPUT_MAX_LINE] = ' ';
	text[INPUT_MAX_LINE + 1] = '\n';
	assert_int_equal(load_bytes(text, INPUT_MAX_LINE + 2, TRACE_AUTO, MAP_AUTO, 0), -1);
	assert_said(":1: the line is longer than 4096 bytes");
	text[INPUT_MAX_LINE] = '\r'; /* which is not of the line */
	assert_int_equal(load_bytes(text, INPUT_MAX_LINE + 2, TRACE_AUTO, MAP_AUTO, 0), 0);
	text[INPUT_MAX_LINE] = ' ';
	assert_int_equal(load_bytes(text, INPUT_MAX_LINE + 1, TRACE_AUTO, MAP_AUTO, 0), -1);
	memset(text, '7', big);
	assert_int_equal(load_bytes(text, big, TRACE_AUTO, MAP_AUTO, 0), -1);
	assert_said(":1: the line is longer than 4096 bytes");
	free(text);
}

/* Breaks when a line that straddles two fills of the buffer is cut or read twice. */
static void lines_across_buffers_are_whole(void **state)
{
	FILE *out = fopen(path, "w");
	const size_t lines = 200000;

	(void)state;
	for (size_t i = 0; i < lines; i++)
		fprintf(out, "%zu\n", i % 1000 * 1000003);
	fclose(out);
	trace_free(&trace);
	assert_int_equal(trace_load(&trace, path, TRACE_AUTO, MAP_AUTO, 0, NULL), 0);
	assert_int_equal(trace.count, lines);
	for (size_t i = 0; i < lines; i++)
		assert_true(trace_page(trace.entries[i]) == i % 1000 * 1000003);
}

static void csv_finds_columns_and_expands_to_pages(void **state)
{
	(void)state;
	assert_int_equal(load("Timestamp,Size,\"Offset\",Op,latency\n1,4096,8192,R,5\n2,1,4095,write,5\n# note\n"
			      "3,8192,100,w,5\n4,0,0,r,5\n",
			      0),
			 0);
	assert_int_equal(trace.format, TRACE_CSV);
	assert_accesses("2r 0w 0w 1w 2w ");
	assert_int_equal(trace.writes, 4);
	assert_int_equal(load("offset\r\n0\r\n40960\r\n", 0), 0);
	assert_accesses("0 10 ");
}

static void csv_mistakes_name_line_and_remedy(void **state)
{
	static const struct {
		const char *text, *said;
	} mistakes[] = {
		{"time,size\n1,2\n", ":1: no column is called \"offset\""},
		{"offset,size\n1\n", ":2: 1 fields where the header names 2"},
		{"offset,size\n-4096,1\n", ":2: offset \"-4096\" is negative"},
		{"offset,size\n0,1\nx,1\n", ":3: offset \"x\" is not a number"},
		{"offset,size\n18446744073709551615,4096\n", "together over 2^64"},
		{"offset,size\n0,1073741825\n", "over 1 GiB"},
		{"offset,size\n99999999999999999999,1\n", "is not a number"},
		{"offset,op\n0,trim\n", "op \"trim\" is neither"},
		{"offset,size\n409600,1\n", "page 100 is beyond the end of data.bin"},
		{"offset,size\n405504,8192\n", "page 100 is beyond the end of data.bin"},
		{"offset\n", "has no accesses"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		if (load_bytes(mistakes[i].text, strlen(mistakes[i].text), TRACE_CSV, MAP_AUTO, 100) == 0)
			fail_msg("\"%s\" was taken", mistakes[i].text);
		assert_said(mistakes[i].said);
	}
	assert_int_equal(load_bytes("offset,op\n0,r\0garbage\n", 22, TRACE_CSV, MAP_AUTO, 100), -1);
	assert_said("zero byte");
}

/* Breaks when what follows a # or comes before it decides, or another line than the first that says something. */
static void text_and_csv_are_told_by_their_first_line(void **state)
{
	static const struct {
		const char *text;
		enum trace_format format;
	} cases[] = {
		{"3 # offset 12288\n4\n", TRACE_TEXT},
		{"# time,offset\n3\n", TRACE_TEXT},
		{"5,write\n", TRACE_TEXT},
		{"\n \n# a note, by hand\n OFFSET\n0\n", TRACE_CSV},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (load(cases[i].text, 0) < 0)
			fail_msg("\"%s\": %s", cases[i].text, say_first());
		assert_int_equal(trace.format, cases[i].format);
	}
	assert_int_equal(load("# a note, by hand\ntime,size\n1,2\n", 0), -1);
	assert_said(":2: no column is called \"offset\"");
}

/* Breaks when all bytes that happen to have been read decide: then a pipe and a file would be told differently. */
static void only_the_first_4096_bytes_tell_the_format(void **state)
{
	char text[6000];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "7\n", 2);
	text[INPUT_MAX_LINE] = 0;
	assert_int_equal(load_bytes(text, sizeof(text), TRACE_AUTO, MAP_AUTO, 0), -1);
	assert_said(":2049: \"?\" is not a page number");
	text[INPUT_MAX_LINE - 1] = 0;
	assert_int_equal(load_bytes(text, sizeof(text), TRACE_AUTO, MAP_AUTO, 0), 0);
	assert_int_equal(trace.format, TRACE_ORACLE);
}

static void byte_order_marks_are_understood(void **state)
{
	static const char utf16[] = "\xff\xfe"
				    "7\0\n\0"
				    "8\0\n\0",
			  bare[] = "7\0\n\0"
				   "8\0\n";

	(void)state;
	assert_int_equal(load("\xef\xbb\xbf"
			      "3\n4 w\n",
			      0),
			 0);
	assert_accesses("3 4w ");
	assert_int_equal(load("\xef\xbb\xbfoffset,op\n4096,r\n", 0), 0);
	assert_accesses("1r ");
	assert_int_equal(load("\xef\xbb\xbf", 0), -1);
	assert_said("no accesses");
	assert_int_equal(load_bytes(utf16, 10, TRACE_AUTO, MAP_AUTO, 0), -1);
	assert_said("the trace is UTF-16: give it as iconv");
	assert_int_equal(load_bytes(bare, 8, TRACE_TEXT, MAP_AUTO, 0), -1);
	assert_said("the trace is UTF-16");
}

static void control_characters_are_not_repeated(void **state)
{
	static const char *const texts[] = {
		"offset,op\n0,\x1b[2J\n",
		"offset\n\x1b]0;x\x07\n",
		"offset,size\n0,-\x9b\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(load_bytes(texts[i], strlen(texts[i]), TRACE_CSV, MAP_AUTO, 100), -1);
		for (const char *p = say_first(); *p; p++)
			assert_true(*p >= ' ' && *p < 127);
	}
	assert_int_equal(load_bytes("1\n\0\n", 4, TRACE_TEXT, MAP_AUTO, 100), -1);
	assert_said(":2: \"?\" is not a page number");
}

/* Breaks when a name is cut before the line's number, or the sentence before its remedy. */
static void long_names_keep_their_line(void **state)
{
	char name[PATH_MAX] = "/tmp/";

	(void)state;
	for (int i = 0; i < 1500; i++)
		strcat(name, "./");
	strcat(name, path + strlen("/tmp/"));
	put("1\nx\n", 4);
	trace_free(&trace);
	say_reset_quietly();
	assert_int_equal(trace_load(&trace, name, TRACE_TEXT, MAP_AUTO, 0, NULL), -1);
	assert_said(path + strlen("/tmp/"));
	assert_said(":2: \"x\" is not a page number: a line is a page number, then optionally r or w");
}

/* Breaks when a trace grows until the kernel kills someone: a line of CSV may be a quarter of a million accesses. */
static void a_trace_over_the_memory_is_refused(void **state)
{
	(void)state;
	trace_max_bytes = 1 << 20;
	assert_int_equal(load("offset,size\n0,536870912\n", 0), 0);
	assert_int_equal(trace.count, 131072);
	assert_int_equal(load("offset,size\n0,536870912\n0,1\n", 0), -1);
	assert_said("the trace does not fit in memory after 131072 accesses, 8 bytes each: give a part of it");
	trace_max_bytes = 0;
}

static size_t oracle(unsigned char *out, const uint64_t *objects, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t object = htole64(objects[i]);

		memset(out + i * 24, 0, 24);
		out[i * 24] = (unsigned char)i;
		memcpy(out + i * 24 + 4, &object, 8);
		out[i * 24 + 12] = 1;
	}
	return n * 24;
}

static void oracle_ids_are_pages_where_they_fit(void **state)
{
	unsigned char bytes[24 * 6];
	static const uint64_t small[] = {3, 1, 3, 0, 2, 4}, large[] = {UINT64_MAX, 7, 1ull << 63, 7, UINT64_MAX, 9};
	size_t n = oracle(bytes, small, 6);

	(void)state;
	assert_int_equal(load_bytes(bytes, n, TRACE_AUTO, MAP_AUTO, 0), 0);
	assert_int_equal(trace.format, TRACE_ORACLE);
	assert_false(trace.dense);
	assert_accesses("3 1 3 0 2 4 ");
	assert_int_equal(load_bytes(bytes, n, TRACE_AUTO, MAP_DENSE, 0), 0);
	assert_accesses("0 1 0 2 3 4 ");
	n = oracle(bytes, large, 6);
	assert_int_equal(load_bytes(bytes, n, TRACE_AUTO, MAP_AUTO, 0), 0);
	assert_true(trace.dense);
	assert_accesses("0 1 2 1 0 3 ");
	assert_int_equal(trace.pages, 4);
	assert_int_equal(load_bytes(bytes, n, TRACE_AUTO, MAP_NONE, 100), -1);
	assert_said("record 1: page 18446744073709551615 is beyond the end of data.bin");
	assert_int_equal(load_bytes(bytes, n, TRACE_AUTO, MAP_AUTO, 3), -1);
	assert_said("more different pages");
}

static void a_cut_off_record_is_an_error(void **state)
{
	unsigned char bytes[48];
	static const uint64_t objects[] = {1, 2};

	(void)state;
	oracle(bytes, objects, 2);
	assert_int_equal(load_bytes(bytes, 47, TRACE_AUTO, MAP_AUTO, 0), -1);
	assert_said("record at byte 24 is cut off: a record has 24 bytes, 23 are left");
}

/* Breaks when the table loses an id as it grows. */
static void many_ids_keep_their_numbers(void **state)
{
	struct id_map map = {0};

	(void)state;
	for (uint64_t i = 0; i < 100000; i++)
		assert_int_equal(id_map_number(&map, i * i * 7919), i);
	for (uint64_t i = 0; i < 100000; i++)
		assert_int_equal(id_map_number(&map, i * i * 7919), i);
	assert_int_equal(map.count, 100000);
	id_map_free(&map);
}

static void what_cannot_be_opened_or_is_compressed_is_said(void **state)
{
	static const struct {
		const char *bytes, *said;
	} compressed[] = {
		{"\x28\xb5\x2f\xfd\x04\x58\x31\0\0\0\0", "zstdcat FILE | weir"},
		{"\xfd\x37zXZ\0\0\4\xe6\xd6\xb4", "xzcat FILE | weir"},
		{"BZh91AY&SY\xf7", "bzcat FILE | weir"},
		{"\x04\x22\x4d\x18\x64\x40\xa7\2\0\0\x80", "lz4cat FILE | weir"},
		{"PK\x03\x04\x14\0\0\0\x08\0\xf7", "unzip -p FILE | weir"},
	};

	(void)state;
	trace_free(&trace);
	say_reset_quietly();
	assert_int_equal(trace_load(&trace, "/nonexistent/trace", TRACE_AUTO, MAP_AUTO, 0, NULL), -1);
	assert_said("/nonexistent/trace: cannot open the trace: No such file");
	say_reset_quietly();
	assert_int_equal(trace_load(&trace, "/tmp", TRACE_AUTO, MAP_AUTO, 0, NULL), -1);
	assert_said("is a directory");
	assert_int_equal(load_bytes("\x1f\x8b\x08\x00\x00", 5, TRACE_AUTO, MAP_AUTO, 0), -1);
	assert_said("zcat FILE | weir replay --trace -");
	for (size_t i = 0; i < sizeof(compressed) / sizeof(compressed[0]); i++) {
		assert_int_equal(load_bytes(compressed[i].bytes, 12, TRACE_TEXT, MAP_AUTO, 0), -1);
		assert_said(compressed[i].said);
	}
}

/* Breaks when two bytes are enough for gzip: they may be the low half of a time stamp. */
static void an_oracle_trace_may_start_like_gzip(void **state)
{
	unsigned char bytes[24];
	static const uint64_t objects[] = {5};

	(void)state;
	oracle(bytes, objects, 1);
	memcpy(bytes, "\x1f\x8b\x34\x12", 4);
	assert_int_equal(load_bytes(bytes, 24, TRACE_ORACLE, MAP_NONE, 0), 0);
	assert_accesses("5 ");
}

static int make_path(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int remove_path(void **state)
{
	(void)state;
	trace_free(&trace);
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_takes_ops_comments_blanks_and_crlf),
		cmocka_unit_test(text_mistakes_name_line_and_remedy),
		cmocka_unit_test(a_page_beyond_any_file_asks_for_dense),
		cmocka_unit_test(long_lines_are_refused_without_being_kept),
		cmocka_unit_test(lines_across_buffers_are_whole),
		cmocka_unit_test(csv_finds_columns_and_expands_to_pages),
		cmocka_unit_test(csv_mistakes_name_line_and_remedy),
		cmocka_unit_test(text_and_csv_are_told_by_their_first_line),
		cmocka_unit_test(only_the_first_4096_bytes_tell_the_format),
		cmocka_unit_test(byte_order_marks_are_understood),
		cmocka_unit_test(control_characters_are_not_repeated),
		cmocka_unit_test(long_names_keep_their_line),
		cmocka_unit_test(a_trace_over_the_memory_is_refused),
		cmocka_unit_test(oracle_ids_are_pages_where_they_fit),
		cmocka_unit_test(a_cut_off_record_is_an_error),
		cmocka_unit_test(many_ids_keep_their_numbers),
		cmocka_unit_test(an_oracle_trace_may_start_like_gzip),
		cmocka_unit_test(what_cannot_be_opened_or_is_compressed_is_said),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}
