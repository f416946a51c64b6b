/* SPDX-License-Identifier: MIT
 *
 * stat_formats.c - `weir stat` for programs: JSON and the Prometheus text format
 * (https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "stat.h"

/* ---- JSON ---- */

static void json_values(struct json *json, const char *key, const struct attached_pool *pool,
			const struct snapshot *now, enum weir_stats_kind kind)
{
	json_open(json, key, '{');
	for (unsigned i = 0; i < pool->header.nr_values; i++)
		if (pool->names[i].kind == kind)
			json_count(json, pool->names[i].name, now->values[i]);
	json_close(json, '}');
}

static void json_rates(struct json *json, const struct attached_pool *pool, const struct snapshot *before,
		       const struct snapshot *now)
{
	double elapsed = attach_seconds_between(before, now);

	json_real(json, "interval_s", elapsed);
	json_open(json, "per_second", '{');
	for (unsigned i = 0; i < pool->header.nr_values; i++)
		if (pool->names[i].kind == WEIR_STATS_COUNTER) {
			uint64_t then = before->values[i], value = now->values[i];

			json_real(json, pool->names[i].name,
				  elapsed > 0 && value > then ? (double)(value - then) / elapsed : 0);
		}
	json_close(json, '}');
}

static void json_pool(struct json *json, const struct attached_pool *pool, const struct snapshot *before,
		      const struct snapshot *now)
{
	json_open(json, NULL, '{');
	json_count(json, "pool", pool->header.pool);
	json_string(json, "version", pool->header.version);
	json_string(json, "policy", pool->header.policy);
	json_count(json, "memory_bytes", pool->header.memory_bytes);
	json_count(json, "nodes", pool->header.nodes);
	json_real(json, "uptime_s", (double)(int64_t)(now->taken_ns - pool->header.start_ns) * 1e-9);
	json_bool(json, "answered", now->answered);
	json_values(json, "gauges", pool, now, WEIR_STATS_GAUGE);
	json_values(json, "counters", pool, now, WEIR_STATS_COUNTER);
	if (before)
		json_rates(json, pool, before, now);
	json_close(json, '}');
}

void stat_print_json(const struct stat_output *output)
{
	struct json json = {.out = stdout};

	json_open(&json, NULL, '{');
	json_count(&json, "pid", output->attach->pid);
	json_string(&json, "process", output->attach->name);
	json_open(&json, "pools", '[');
	for (unsigned i = 0; i < output->n; i++)
		json_pool(&json, &output->attach->pools[output->first + i], output->before ? &output->before[i] : NULL,
			  &output->now[i]);
	json_close(&json, ']');
	json_close(&json, '}');
}

/* ---- Prometheus ---- */

static void put_label(const char *key, const char *value)
{
	printf("%s=\"", key);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			putchar('\\');
		putchar(*value);
	}
	putchar('"');
}

/* {pid="1",process="x",pool="1" - what follows closes it. */
static void put_labels(const struct stat_output *output, const struct attached_pool *pool)
{
	printf("{pid=\"%u\",", output->attach->pid);
	put_label("process", output->attach->name);
	printf(",pool=\"%u\"", pool->header.pool);
}

static const struct attached_pool *pool_of(const struct stat_output *output, unsigned i)
{
	return &output->attach->pools[output->first + i];
}

static void put_pools(const struct stat_output *output)
{
	printf("# HELP weir_pool_info A pool of Weir.\n# TYPE weir_pool_info gauge\n");
	for (unsigned i = 0; i < output->n; i++) {
		printf("weir_pool_info");
		put_labels(output, pool_of(output, i));
		putchar(',');
		put_label("version", pool_of(output, i)->header.version);
		putchar(',');
		put_label("policy", pool_of(output, i)->header.policy);
		printf("} 1\n");
	}
	printf("# HELP weir_memory_bytes The memory budget.\n# TYPE weir_memory_bytes gauge\n");
	for (unsigned i = 0; i < output->n; i++) {
		printf("weir_memory_bytes");
		put_labels(output, pool_of(output, i));
		printf("} %" PRIu64 "\n", pool_of(output, i)->header.memory_bytes);
	}
}

/* Those are the histogram. */
static bool is_of_histogram(const char *name)
{
	return strncmp(name, "fault_under_", 12) == 0 || strcmp(name, "fault_longer") == 0 ||
	       strcmp(name, "fault_ns") == 0;
}

static int number_in(const struct attached_pool *pool, const char *name)
{
	for (unsigned i = 0; i < pool->header.nr_values; i++)
		if (strcmp(pool->names[i].name, name) == 0)
			return (int)i;
	return -1;
}

/* A family is in one piece, of all pools that have it. */
static void put_family(const struct stat_output *output, const struct weir_stats_name *name)
{
	bool counter = name->kind == WEIR_STATS_COUNTER;
	const char *suffix = counter ? "_total" : "";

	printf("# TYPE weir_%s%s %s\n", name->name, suffix, counter ? "counter" : "gauge");
	for (unsigned i = 0; i < output->n; i++) {
		int number = number_in(pool_of(output, i), name->name);

		if (number < 0)
			continue;
		printf("weir_%s%s", name->name, suffix);
		put_labels(output, pool_of(output, i));
		printf("} %" PRIu64 "\n", output->now[i].values[number]);
	}
}

static bool came_before(const struct stat_output *output, unsigned pool, unsigned number)
{
	const char *name = pool_of(output, pool)->names[number].name;

	for (unsigned i = 0; i < pool; i++)
		if (number_in(pool_of(output, i), name) >= 0)
			return true;
	return number_in(pool_of(output, pool), name) != (int)number;
}

static void put_histogram(const struct stat_output *output)
{
	static const char family[] = "weir_fault_latency_seconds";

	printf("# HELP %s Touches and pins that had to read.\n# TYPE %s histogram\n", family, family);
	for (unsigned i = 0; i < output->n; i++) {
		const struct attached_pool *pool = pool_of(output, i);
		uint64_t counts[ATTACH_FAULT_BUCKETS], sum = 0;

		attach_fault_histogram(pool, &output->now[i], counts);
		for (unsigned j = 0; j < ATTACH_FAULT_BUCKETS; j++) {
			sum += counts[j];
			printf("%s_bucket", family);
			put_labels(output, pool);
			if (j < ATTACH_FAULT_BUCKETS - 1)
				printf(",le=\"%.6f\"} %" PRIu64 "\n", (double)(1u << j) * 1e-6, sum);
			else
				printf(",le=\"+Inf\"} %" PRIu64 "\n", sum);
		}
		printf("%s_sum", family);
		put_labels(output, pool);
		printf("} %.9f\n%s_count", (double)attach_value(pool, &output->now[i], "fault_ns") * 1e-9, family);
		put_labels(output, pool);
		printf("} %" PRIu64 "\n", sum);
	}
}

void stat_print_prometheus(const struct stat_output *output)
{
	put_pools(output);
	for (unsigned i = 0; i < output->n; i++)
		for (unsigned j = 0; j < pool_of(output, i)->header.nr_values; j++)
			if (!is_of_histogram(pool_of(output, i)->names[j].name) && !came_before(output, i, j))
				put_family(output, &pool_of(output, i)->names[j]);
	put_histogram(output);
}
