/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <stdarg.h>

static uint64_t scale(void)
{
	const char *text = getenv("WEIR_BENCH_SCALE");
	uint64_t n = text ? strtoull(text, NULL, 10) : 1;

	return MAX(n, 1);
}

uint64_t scaled_to(uint64_t n, uint64_t least)
{
	return MAX(n / scale(), least);
}

uint64_t scaled_bytes(uint64_t bytes)
{
	return MAX(bytes / scale() / MIB, 4) * MIB;
}

double scaled_seconds(double seconds)
{
	return seconds / (double)scale();
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double median(const double values[RUNS])
{
	double sorted[RUNS];

	memcpy(sorted, values, sizeof(sorted));
	qsort(sorted, RUNS, sizeof(*sorted), by_value);
	return sorted[RUNS / 2];
}

void check(int error, const char *what)
{
	if (error)
		errx(1, "%s: %s (%s)", what, strerror(-error), weir_error_text());
}

weir_pool *bench_pool(uint64_t memory_bytes)
{
	struct weir_config config;
	weir_pool *pool;

	weir_config_init(&config);
	config.memory_bytes = memory_bytes;
	check(weir_create(&config, &pool), "weir_create");
	return pool;
}

static int make_window_pool(uint64_t memory_bytes, bool fault_thread, weir_pool **pool)
{
	struct weir_config config;

	weir_config_init(&config);
	config.memory_bytes = memory_bytes;
	config.windows = true;
	config.fault_thread = fault_thread;
	return weir_create(&config, pool);
}

weir_pool *bench_window_pool(uint64_t memory_bytes, bool fault_thread)
{
	weir_pool *pool;

	check(make_window_pool(memory_bytes, fault_thread, &pool), "weir_create");
	return pool;
}

const char *windows_missing(void)
{
	weir_pool *pool;

	if (make_window_pool(4 * MIB, false, &pool))
		return weir_error_text();
	check(weir_destroy(pool), "weir_destroy");
	return NULL;
}

uint64_t cgroup_memory(void)
{
	return MAX(scaled_bytes(CGROUP_MEMORY), 32 * MIB);
}

weir_object *bench_memory_object(weir_pool *pool, uint64_t bytes)
{
	const struct weir_store_ops *ops;
	weir_object *object;
	void *store;

	check(weir_memory_store_create(bytes, &ops, &store), "weir_memory_store_create");
	check(weir_open_store(pool, ops, store, WEIR_RDWR, &object), "weir_open_store");
	return object;
}

void bench_close(weir_object *object, weir_pool *pool)
{
	check(weir_close(object, WEIR_DISCARD), "weir_close");
	check(weir_destroy(pool), "weir_destroy");
}

const char *named(const char *format, ...)
{
	static char name[160];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(name, sizeof(name), format, arguments);
	va_end(arguments);
	return name;
}

static void put_string(const char *key, const char *text)
{
	printf("\"%s\": \"", key);
	for (; *text; text++)
		printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	printf("\"");
}

static void __attribute__((format(printf, 6, 0)))
row(const char *compare, double target, const char *name, double value, const char *unit, const char *format,
    va_list arguments)
{
	char detail[256];

	vsnprintf(detail, sizeof(detail), format, arguments);
	printf("{");
	put_string("name", name);
	printf(", \"value\": %.6g, \"unit\": \"%s\", \"compare\": \"%s\", \"target\": %.6g, ", value, unit,
	       target == NO_TARGET ? "" : compare, target);
	put_string("detail", detail);
	printf("}\n");
	fflush(stdout);
}

void at_most(double target, const char *name, double value, const char *unit, const char *detail, ...)
{
	va_list arguments;

	va_start(arguments, detail);
	row("max", target, name, value, unit, detail, arguments);
	va_end(arguments);
}

void at_least(double target, const char *name, double value, const char *unit, const char *detail, ...)
{
	va_list arguments;

	va_start(arguments, detail);
	row("min", target, name, value, unit, detail, arguments);
	va_end(arguments);
}

void skipped(const char *name, const char *reason)
{
	printf("{");
	put_string("name", name);
	printf(", ");
	put_string("skip", reason);
	printf("}\n");
	fflush(stdout);
}
