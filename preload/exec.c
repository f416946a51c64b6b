/* SPDX-License-Identifier: MIT
 *
 * exec.c - before another program starts, what was stored to mapped files is in them: it may look there, and where it
 * takes our place nobody else could write it any more. And it is told of its budget (environment.c).
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"
#include "shared.h"

/* A list of variables becomes one with which a program has a budget: on the stack, as a child of vfork may call us. */
#define WITH_OURS(envp) \
	do { \
		static char *const none[1]; \
		size_t bytes; \
		if (!envp) /* none, to the kernel */ \
			envp = none; \
		bytes = environment_room(envp); \
		if (bytes) \
			envp = environment_with(envp, __builtin_alloca(bytes)); \
	} while (0)

static void before_another(void)
{
	if (is_ours())
		shared_write_all();
}

/* The C library's own. */
static void *next(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	weir_assert(function);
	return function;
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	before_another();
	WITH_OURS(envp);
	return (int)program_call(SYS_execve, (long)path, (long)argv, (long)envp, 0, 0, 0);
}
EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}
EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	before_another();
	WITH_OURS(envp);
	return (int)program_call(SYS_execveat, fd, (long)"", (long)argv, (long)envp, AT_EMPTY_PATH, 0);
}
EXPORT int execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
	before_another();
	WITH_OURS(envp);
	return (int)program_call(SYS_execveat, fd, (long)path, (long)argv, (long)envp, flags, 0);
}
EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	int (*theirs)(const char *, char *const[], char *const[]);

	before_another();
	WITH_OURS(envp);
	*(void **)&theirs = next("execvpe");
	return theirs(file, argv, envp);
}
EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* The arguments up to the NULL: how many, with it; and they themselves. */
static size_t count_arguments(const char *first, va_list *list)
{
	size_t n = 1;
	va_list copy;

	va_copy(copy, *list);
	while (first) {
		first = va_arg(copy, char *);
		n++;
	}
	va_end(copy);
	return n;
}

static void collect(char **argv, size_t n, const char *first, va_list *list)
{
	argv[0] = (char *)(uintptr_t)first;
	for (size_t i = 1; i < n; i++)
		argv[i] = va_arg(*list, char *);
}

/* On the stack, as a child of vfork may call us; `list` is behind them then. */
#define ARGUMENTS(first) \
	va_list list; \
	char **argv; \
	size_t n; \
	va_start(list, first); \
	n = count_arguments(first, &list); \
	argv = __builtin_alloca(n * sizeof(*argv)); \
	collect(argv, n, first, &list)

EXPORT int execl(const char *path, const char *first, ...)
{
	ARGUMENTS(first);
	va_end(list);
	return execve(path, argv, environ);
}
EXPORT int execlp(const char *file, const char *first, ...)
{
	ARGUMENTS(first);
	va_end(list);
	return execvpe(file, argv, environ);
}
EXPORT int execle(const char *path, const char *first, ...)
{
	ARGUMENTS(first);
	char **envp = va_arg(list, char **);

	va_end(list);
	return execve(path, argv, envp);
}

typedef int (*spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
		     char *const[], char *const[]);

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	before_another();
	WITH_OURS(envp);
	return ((spawn)next("posix_spawn"))(pid, path, actions, attributes, argv, envp);
}
EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	before_another();
	WITH_OURS(envp);
	return ((spawn)next("posix_spawnp"))(pid, file, actions, attributes, argv, envp);
}
EXPORT int system(const char *command)
{
	before_another();
	return ((int (*)(const char *))next("system"))(command);
}
EXPORT FILE *popen(const char *command, const char *mode)
{
	before_another();
	return ((FILE * (*)(const char *, const char *)) next("popen"))(command, mode);
}
