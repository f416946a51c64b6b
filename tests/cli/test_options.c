/* SPDX-License-Identifier: MIT
 * The command line of weir replay: what is taken, and the sentence for what is not. */
#include "cli_test.h"

#include "options.h"

static struct options options;

static int parse(const char *line)
{
	static char copy[512];
	char *argv[32] = {"replay"}, *save, *word;
	int argc = 1;

	strcpy(copy, line);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	say_reset_quietly();
	return options_parse(&options, argc, argv);
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(parse(""), 0);
	assert_int_equal(options.memory_bytes, 64u << 20);
	assert_int_equal(options.threads, 1);
	assert_int_equal(options.depth, 1);
	assert_int_equal(options.pattern, PATTERN_ZIPF);
	assert_null(options.trace);
	assert_true(options.tuning.swappiness == -1);
}

static void everything_is_taken(void **state)
{
	(void)state;
	assert_int_equal(
		parse("--trace t.bin --format oracle --map dense --memory 1G --threads 4 --depth 32 --verify --json "
		      "--reclaim nofs,nomemalloc --reclaim-every 10 --progress never --seed 9 --seconds 1.5 "
		      "--advice random"),
		0);
	assert_int_equal(options.advice, WEIR_ADV_RANDOM);
	assert_string_equal(options.trace, "t.bin");
	assert_int_equal(options.format, TRACE_ORACLE);
	assert_int_equal(options.map, MAP_DENSE);
	assert_int_equal(options.memory_bytes, 1u << 30);
	assert_int_equal(options.depth, 32);
	assert_int_equal(options.reclaim_count, 2);
	assert_string_equal(options.reclaim[1], "nomemalloc");
	assert_int_equal(options.progress, PROGRESS_NEVER);
	assert_int_equal(
		parse("--file d --write-file --writes 20 --swappiness 0 --dirty-pct 30 --laptop-mode --nodes 2 "
		      "--min-free 1M --no-io-uring --buffered"),
		0);
	assert_true(options.tuning.swappiness == 0 && options.tuning.dirty_pct == 30 && options.tuning.nodes == 2);
	assert_true(options.tuning.laptop_mode && options.tuning.no_io_uring && options.write_file && options.buffered);
}

static void size_is_cut_to_pages(void **state)
{
	(void)state;
	assert_int_equal(parse("--size 10000"), 0);
	assert_int_equal(options.size_bytes, 8192);
}

/* A memory of 0 is the library's to refuse, with its own sentence. */
static void memory_of_zero_reaches_the_library(void **state)
{
	(void)state;
	assert_int_equal(parse("--memory 0"), 0);
	assert_int_equal(options.memory_bytes, 0);
}

static void each_mistake_has_its_sentence(void **state)
{
	static const struct {
		const char *line, *said;
	} mistakes[] = {
		{"--memory lots", "--memory lots: a number of bytes"},
		{"--memory -1", "--memory -1"},
		{"--memory 99999999999999999999G", "number of bytes"},
		{"--threads 0", "--threads 0: a number from 1 to 256"},
		{"--threads 257", "from 1 to 256"},
		{"--depth 4097", "from 1 to 4096"},
		{"--writes 101", "from 0 to 100"},
		{"--theta -1", "--theta -1"},
		{"--theta 0", "from 0.01 to 10"},
		{"--pattern zigzag", "uniform, zipf, scan, loop and mixed"},
		{"--format xml", "no such choice"},
		{"--map round", "no such choice"},
		{"--advice bad", "no such choice"},
		{"--reclaim hard", "default, nofs, noio and nomemalloc"},
		{"--reclaim nofs,", "default, nofs, noio and nomemalloc"},
		{"--size 100", "4096 bytes to 16T"},
		{"--size 17T", "4096 bytes to 16T"},
		{"--frobnicate", "--frobnicate: there is no such option"},
		{"--verify=yes", "takes no value"},
		{"--memory", "a value is missing"},
		{"trace.txt", "trace.txt: is not an option"},
		{"--trace t --pattern scan", "only one of them"},
		{"--file f --size 1G", "--size is for a file that is made"},
		{"--file f --keep", "kept in any case"},
		{"--write-file", "goes with --file"},
		{"--file f --writes 10", "unless --write-file is given too"},
		{"--journal j", "goes with --sync-every"},
		{"--anon --file f", "memory without a file"},
		{"--anon --keep", "memory without a file"},
		{"--swap s:1M", "goes with --anon"},
		{"--anon --swap-encrypt", "goes with --swap"},
		{"--anon --swap s", "a path and a number of bytes"},
		{"--anon --swap :1M", "a path and a number of bytes"},
		{"--anon --swap s:100", "a path and a number of bytes"},
		{"--anon --swap s:x", "a path and a number of bytes"},
		{"--journal j --sync-every 10", "and --verify"},
		{"--sync-every 0", "--sync-every 0: a number from 1"},
		{"--seconds 1e99", "--seconds 1e99: a number from 0.001 to 1000000"},
		{"--theta 0x1", "--theta 0x1: a number"},
		{"--memory 5X", "number of bytes"},
		{"--memory 1e99", "number of bytes"},
		{"--memory 18446744073709551616", "number of bytes"},
		{"--size 0", "4096 bytes to 16T"},
		{"--size 18446744073709551615", "4096 bytes to 16T"},
		{"--size -1", "number of bytes"},
		{"--memory=", "--memory: its value is empty"},
		{"--trace=", "--trace: its value is empty"},
		{"--threads 0x10", "from 1 to 256"},
		{"--accesses 281474976710657", "from 1 to 281474976710656"},
		{"-x", "-x: there is no such option"},
		{"-xyz", "-x: there is no such option"},
		{"-", "-: is not an option"},
		{"-- --json", "--json: is not an option"},
		{"--no", "--no: there is no such option"},
		{"--format csv", "go with --trace"},
		{"--map dense --pattern scan", "go with --trace"},
		{"--reclaim-every 5", "goes with --reclaim"},
		{"--memory 8M --threads 8 --depth 256", "more than half of --memory"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		if (parse(mistakes[i].line) == 0)
			fail_msg("\"%s\" was taken", mistakes[i].line);
		assert_said(mistakes[i].said);
	}
}

/* Breaks when the mistake ends the parsing: then what reads the JSON would get nothing. */
static void json_is_seen_after_a_mistake(void **state)
{
	(void)state;
	assert_int_equal(parse("--memory 5X --json --depth x"), -1);
	assert_true(options.json);
	assert_said("--memory 5X");
	assert_int_equal(parse("--frobnicate --json"), -1);
	assert_true(options.json);
	assert_int_equal(parse("--memory 5X --trace --json"), -1);
	assert_false(options.json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(everything_is_taken),
		cmocka_unit_test(size_is_cut_to_pages),
		cmocka_unit_test(memory_of_zero_reaches_the_library),
		cmocka_unit_test(each_mistake_has_its_sentence),
		cmocka_unit_test(json_is_seen_after_a_mistake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
