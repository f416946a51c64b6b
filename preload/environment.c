/* SPDX-License-Identifier: MIT
 *
 * environment.c - what a program must be started with to have a budget: the variables by which the loader finds this
 * library, and by which it is told. One that is started with others (env -i) would run without limit, and nobody know.
 *
 *   WEIR_*         those that are not there are put back as this process had them
 *   LD_PRELOAD     this library goes before what is there, where it is not among that
 *
 * Who starts it may be a child of vfork: all is made on its stack, in memory of the caller's (WITH_OURS, exec.c).
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "inside.h"

#define KEPT_MAX 32
#define PRELOAD "LD_PRELOAD="
#define NAME "libweir-run.so"

static const char *kept[KEPT_MAX]; /* of start, and never changed: WEIR_NAME=value */
static const char *preload;        /* the library's path; NULL: not known */
static unsigned nr_kept;

static bool begins(const char *text, const char *with, size_t length)
{
	return strncmp(text, with, length) == 0;
}

/* The part of a list of libraries, by colons or blanks, that is this one. */
static char *own_path(const char *list)
{
	for (size_t length; *list; list += length + !!list[length]) {
		const char *last = list;

		length = strcspn(list, ": ");
		for (size_t i = 0; i < length; i++)
			if (list[i] == '/')
				last = list + i + 1;
		if (last + strlen(NAME) == list + length && begins(last, NAME, strlen(NAME)))
			return strndup(list, length);
	}
	return NULL;
}

void environment_keep(void)
{
	for (char **variable = environ; variable && *variable; variable++) {
		if (begins(*variable, "WEIR_", 5) && nr_kept < KEPT_MAX)
			kept[nr_kept] = strdup(*variable), nr_kept += !!kept[nr_kept];
		else if (begins(*variable, PRELOAD, strlen(PRELOAD)) && !preload)
			preload = own_path(*variable + strlen(PRELOAD));
	}
}

/* The variable of the same name as this NAME=value. */
static char *const *find(char *const *environment, const char *variable)
{
	size_t length = strcspn(variable, "=") + 1;

	while (*environment && !begins(*environment, variable, length))
		environment++;
	return environment;
}

static bool loads_us(const char *variable)
{
	return variable && strstr(variable, preload);
}

size_t environment_room(char *const *environment)
{
	const char *variable;
	size_t n = 0;
	bool whole;

	if (!preload)
		return 0;
	variable = *find(environment, PRELOAD);
	whole = loads_us(variable);
	for (unsigned i = 0; i < nr_kept && whole; i++)
		whole = *find(environment, kept[i]);
	if (whole)
		return 0;
	while (environment[n])
		n++;
	return (n + nr_kept + 2) * sizeof(*environment) + strlen(PRELOAD) + strlen(preload) +
	       (variable ? strlen(variable) : 0) + 2;
}

char *const *environment_with(char *const *environment, char **room)
{
	size_t n = 0, place;
	char *text;

	while (environment[n]) {
		room[n] = environment[n];
		n++;
	}
	for (unsigned i = 0; i < nr_kept; i++)
		if (!*find(environment, kept[i]))
			room[n++] = (char *)(uintptr_t)kept[i];
	place = (size_t)(find(environment, PRELOAD) - environment);
	if (!loads_us(environment[place])) {
		text = (char *)&room[n + 2];
		stpcpy(stpcpy(text, PRELOAD), preload);
		if (environment[place] && environment[place][strlen(PRELOAD)])
			strcat(strcat(text, ":"), environment[place] + strlen(PRELOAD));
		room[environment[place] ? place : n++] = text;
	}
	room[n] = NULL;
	return room;
}
