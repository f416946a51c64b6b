/* SPDX-License-Identifier: MIT
 *
 * json.h - writes one JSON value to a stream, indented. Keys are NULL for the elements of an array.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	unsigned depth;
	bool comma; /* something came before at this depth */
};

void json_open(struct json *json, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *json, char bracket);                 /* '}' or ']' */
/* text: bytes that are not UTF-8 are written as the characters of their numbers; NULL as null. */
void json_string(struct json *json, const char *key, const char *text);
void json_count(struct json *json, const char *key, uint64_t value);
/* Not finite: null. */
void json_real(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);

#endif
