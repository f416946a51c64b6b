/* SPDX-License-Identifier: MIT
 *
 * ends.c - for tests: ends of threads, processes, mappings, descriptors. usage: ends WHICH [arguments]
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int status_of(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

/* ---- threads: main leaves by pthread_exit, and a worker is the last; in a child of fork too ---- */

static pthread_t main_thread;

static void *last_one(void *unused)
{
	(void)unused;
	pthread_join(main_thread, NULL);
	printf("the last one\n");
	return NULL;
}

static void leave_main(void)
{
	pthread_t thread;

	main_thread = pthread_self();
	if (!pthread_create(&thread, NULL, last_one, NULL))
		pthread_exit(NULL);
}

static int threads(char **arguments)
{
	pid_t pid = fork();

	(void)arguments;
	if (pid)
		printf("child: %d\n", status_of(pid));
	leave_main();
	return 1;
}

/* ---- stderr is closed: the program's data has its number ---- */

static int data(char **arguments)
{
	int fd = open(arguments[0], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	pid_t pid;

	if (fd != STDERR_FILENO || write(fd, "data\n", 5) != 5)
		return 1;
	pid = fork();
	if (!pid)
		exit(0);
	return status_of(pid);
}

/* ---- a child of vfork ends by _exit, and its parent goes on ---- */

static int vfork_child(char **arguments)
{
	pid_t pid = vfork();

	(void)arguments;
	if (!pid)
		_exit(7);
	printf("child: %d\n", WEXITSTATUS(status_of(pid)));
	return 5;
}

/* ---- little stack ---- */

static void end_here(int signal)
{
	(void)signal;
	_exit(3);
}

/* An alternate stack of 8 KiB, with nothing to grow into. */
static int alternate(char **arguments)
{
	struct sigaction action = {.sa_handler = end_here, .sa_flags = SA_ONSTACK};
	char *memory = mmap(NULL, 3 << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_sp = memory + (1 << 12), .ss_size = 2 << 12};

	(void)arguments;
	if (memory == MAP_FAILED || mprotect(memory, 1 << 12, PROT_NONE) || sigaltstack(&stack, NULL))
		return 1;
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	return 2;
}

static int file;

static void *on_little_stack(void *unused)
{
	pid_t pid;

	(void)unused;
	if (write(file, "hello", 5) != 5)
		return (void *)1;
	pid = fork();
	if (!pid)
		_exit(0);
	return (void *)(intptr_t)status_of(pid);
}

/* A thread with 16 KiB writes to a mapped file, and forks. */
static int stack(char **arguments)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *result;
	char *mapped;

	file = open(arguments[0], O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (file < 0 || ftruncate(file, 4 << 20))
		return 1;
	mapped = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (mapped == MAP_FAILED)
		return 1;
	mapped[0] = 'x';
	pthread_attr_init(&attr);
	if (pthread_attr_setstacksize(&attr, 16 << 10) || pthread_create(&thread, &attr, on_little_stack, NULL))
		return 1;
	pthread_join(thread, &result);
	printf("%.5s, child: %d\n", mapped, (int)(intptr_t)result);
	return result != NULL;
}

/* ---- raw calls, of what is the engine's and of what is the program's ---- */

static int raw_calls(char **arguments)
{
	size_t bytes = 1 << 20;
	char *memory = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int closed = 0;

	(void)arguments;
	for (int fd = 900; fd < 1024; fd++)
		closed += !syscall(SYS_close, fd);
	memset(memory, 7, 2 * bytes);
	printf("%d closed, unmapped: %ld\n", closed, syscall(SYS_munmap, memory, bytes));
	if (mmap(memory, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != memory)
		return 1;
	printf("%d %d\n", memory[0], memory[bytes]);
	printf("protected: %ld\n", syscall(SYS_mprotect, memory + bytes, bytes, PROT_NONE));
	return 0;
}

/* ---- ranges: larger than any arena, and with a hole ---- */

static int ranges(char **arguments)
{
	size_t bytes = 1 << 20;
	void *large = mmap(NULL, 1ul << 43, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *memory = mmap(NULL, 4 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int error;

	(void)arguments;
	munmap(memory + bytes, bytes);
	error = mprotect(memory, 4 * bytes, PROT_READ | PROT_WRITE) ? errno : 0;
	printf("8 TiB: %d, over a hole: %s\n", large != MAP_FAILED, strerror(error));
	return 0;
}

/* ---- reserved: a heap as GHC's run time has it, parts of a TiB and a bit that is reserved at once ---- */

static int reserved(char **arguments)
{
	size_t part = 1 << 20, n = 40, wrong = 0;
	char *heap = mmap(NULL, (1ul << 40) + part, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)arguments;
	for (size_t i = 0; i < n; i++)
		if (mmap(heap + i * part, part, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) == MAP_FAILED)
			return 1;
	for (size_t at = 0; at < n * part; at += 4096)
		memcpy(heap + at, &at, sizeof(at));
	for (size_t at = 0; at < n * part; at += 4096)
		wrong += memcmp(heap + at, &at, sizeof(at)) != 0;
	printf("reserved: %zu wrong\n", wrong);
	return 0;
}

/* ---- mremap: to a size that can't be, and of what is gone ---- */

static const char *remapped(char *memory, size_t bytes, size_t new_bytes)
{
	errno = 0;
	return mremap(memory, bytes, new_bytes, MREMAP_MAYMOVE) == MAP_FAILED ? strerror(errno) : "done";
}

static int remap(char **arguments)
{
	size_t bytes = 4 << 20;
	volatile size_t most = SIZE_MAX;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arguments;
	memset(memory, 7, bytes);
	printf("too large: %s, %s, ", remapped(memory, bytes, most), remapped(memory, most, bytes));
	printf("%d %d\n", memory[0], memory[bytes - 1]);
	munmap(memory + bytes / 2, bytes / 2);
	printf("with a hole: %s, ", remapped(memory, bytes, 2 * bytes));
	printf("%s\n", remapped(memory, bytes, bytes / 4));
	munmap(memory, bytes / 4);
	printf("freed: %s, ", remapped(memory, bytes / 4, bytes));
	printf("%s\n", remapped(memory, bytes / 4, bytes / 8));
	return 0;
}

/* What has room once only, and can't grow where it is. */
static int moves(char **arguments)
{
	size_t bytes = 24 << 20, words = bytes / sizeof(uint64_t), wrong = 0;
	uint64_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *moved;
	void *behind = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arguments;
	for (size_t i = 0; i < words; i++)
		memory[i] = (i + 1) * 0x9e3779b97f4a7c15ull;
	moved = mremap(memory, bytes, bytes + (2 << 20), MREMAP_MAYMOVE);
	if (moved == MAP_FAILED || behind == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < words + (2 << 20) / sizeof(uint64_t); i++)
		wrong += moved[i] != (i < words ? (i + 1) * 0x9e3779b97f4a7c15ull : 0);
	printf("moved: %zu wrong\n", wrong);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(char **arguments);
} all[] = {{"threads", threads}, {"data", data},        {"vfork", vfork_child}, {"alternate", alternate},
	   {"stack", stack},     {"raw", raw_calls},    {"ranges", ranges},     {"remap", remap},
	   {"moves", moves},     {"reserved", reserved}};

int main(int n, char **arguments)
{
	for (size_t i = 0; n > 1 && i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(arguments[1], all[i].name) == 0)
			return all[i].run(&arguments[2]);
	return 99;
}
