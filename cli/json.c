/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <math.h>

/* Bytes of the UTF-8 sequence at p, 0 where there is none (bad, overlong or a surrogate). */
static int sequence(const unsigned char *p)
{
	int n = *p < 0x80 ? 1 : (*p & 0xe0) == 0xc0 ? 2 : (*p & 0xf0) == 0xe0 ? 3 : (*p & 0xf8) == 0xf0 ? 4 : 0;

	for (int i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((n == 2 && *p < 0xc2) || (n == 3 && *p == 0xe0 && p[1] < 0xa0) || (n == 3 && *p == 0xed && p[1] > 0x9f) ||
	    (n == 4 && *p == 0xf0 && p[1] < 0x90) || (n == 4 && (*p > 0xf4 || (*p == 0xf4 && p[1] > 0x8f))))
		return 0;
	return n;
}

static void put_text(FILE *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	putc('"', out);
	while (*p) {
		int n = sequence(p);

		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f || n == 0)
			fprintf(out, "\\u%04x", *p);
		else
			fwrite(p, 1, (size_t)n, out);
		p += n ? n : 1;
	}
	putc('"', out);
}

static void start(struct json *json, const char *key)
{
	if (json->comma)
		putc(',', json->out);
	if (json->depth) {
		putc('\n', json->out);
		for (unsigned i = 0; i < json->depth; i++)
			fputs("  ", json->out);
	}
	json->comma = true;
	if (key) {
		put_text(json->out, key);
		fputs(": ", json->out);
	}
}

void json_open(struct json *json, const char *key, char bracket)
{
	start(json, key);
	putc(bracket, json->out);
	json->depth++;
	json->comma = false;
}

void json_close(struct json *json, char bracket)
{
	bool empty = !json->comma;

	json->depth--;
	if (!empty) {
		putc('\n', json->out);
		for (unsigned i = 0; i < json->depth; i++)
			fputs("  ", json->out);
	}
	putc(bracket, json->out);
	json->comma = true;
	if (json->depth == 0)
		putc('\n', json->out);
}

void json_string(struct json *json, const char *key, const char *text)
{
	start(json, key);
	if (text)
		put_text(json->out, text);
	else
		fputs("null", json->out);
}

void json_count(struct json *json, const char *key, uint64_t value)
{
	start(json, key);
	fprintf(json->out, "%llu", (unsigned long long)value);
}

void json_real(struct json *json, const char *key, double value)
{
	start(json, key);
	if (isfinite(value))
		fprintf(json->out, "%.6f", value);
	else
		fputs("null", json->out);
}

void json_bool(struct json *json, const char *key, bool value)
{
	start(json, key);
	fputs(value ? "true" : "false", json->out);
}
