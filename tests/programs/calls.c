/* SPDX-License-Identifier: MIT
 *
 * calls.c - for tests: system calls of all kinds, by number, with all that they point to paged out, and across a border
 * of pages. It says what they gave; nothing else than under a plain run may come out.
 * usage: calls [file]    it is memory of the heap's, or that of files which are mapped, one for each group of calls
 */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *memory;

void *slot(unsigned n)
{
	return memory + n * SLOT + PAGE - 12;
}

void *with(unsigned n, const void *data, size_t bytes)
{
	memset(memory + n * SLOT, 0, 3 * PAGE);
	return memcpy(slot(n), data, bytes);
}

void *empty(unsigned n)
{
	memset(memory + n * SLOT, 0xaa, 3 * PAGE);
	return slot(n);
}

static void out(void)
{
	madvise(memory, SLOTS * SLOT, MADV_PAGEOUT);
}

long paged(long nr, long a, long b, long c, long d, long e, long f)
{
	madvise(memory, SLOTS * SLOT, MADV_PAGEOUT);
	return syscall(nr, a, b, c, d, e, f);
}

static unsigned made;

long say(const char *name, long result, const void *data, size_t bytes)
{
	uint64_t digest = 0;

	for (size_t i = 0; i < bytes; i++)
		digest = (digest ^ ((const unsigned char *)data)[i]) * 0x100000001b3ull;
	printf("%s: %ld %s %llx\n", name, result, result < 0 ? strerrorname_np(errno) : "", (unsigned long long)digest);
	made++;
	return result;
}

/* ---- data ---- */

static void files(void)
{
	struct iovec two[2] = {{slot(1), 5000}, {slot(2), 70000}};
	int fd = (int)CALL(openat, NULL, 0, AT_FDCWD, NAME(0, "data"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	off_t zero = 0;
	int copy;

	for (unsigned i = 0; i < 100000; i++)
		((char *)slot(3))[i] = (char)(i * 7);
	CALL(write, NULL, 0, fd, slot(3), 100000);
	CALL(pwrite64, NULL, 0, fd, NAME(0, "in the middle"), 13, 5000);
	CALL(pread64, slot(0), 100000, fd, empty(0), 100000, 0);
	lseek(fd, 0, SEEK_SET);
	CALL(read, slot(0), 100000, fd, empty(0), 100000);
	empty(1), empty(2);
	CALL(preadv, slot(1), 5000, fd, IS(4, two), 2, 100);
	CALL(pwritev, NULL, 0, fd, slot(4), 2, 100000);
	CALL(preadv2, slot(2), 70000, fd, slot(4), 2, 77, 0, 0);
	CALL(pwritev2, NULL, 0, fd, slot(4), 2, 1000, 0, 0);
	lseek(fd, 0, SEEK_SET);
	CALL(readv, slot(2), 70000, fd, slot(4), 2);
	CALL(writev, NULL, 0, fd, slot(4), 2);
	copy = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0600);
	CALL(sendfile, slot(0), 8, copy, fd, IS(0, zero), 1000);
	IS(1, zero);
	CALL(copy_file_range, slot(0), 8, fd, IS(0, zero), copy, slot(1), 1000, 0);
	CALL(fstat, &((struct stat *)slot(0))->st_size, 8, fd, empty(0));
	CALL(fcntl, NULL, 0, fd, F_SETLK, IS(0, ((struct flock){.l_type = F_WRLCK})));
	CALL(fcntl, slot(0), 4, fd, F_GETLK, IS(0, ((struct flock){.l_type = F_WRLCK})));
	CALL(ioctl, slot(0), 4, fd, FIONREAD, empty(0));
	close(fd);
	close(copy);
}

/* More than is held at once: in parts. */
static void large(void)
{
	size_t bytes = 3 << 20;
	char *from = malloc(bytes), *to = malloc(bytes);
	struct iovec many[200];
	int fd = open("large", O_RDWR | O_CREAT | O_TRUNC, 0600), ends[2];

	for (size_t i = 0; i < bytes; i++)
		from[i] = (char)(i * i >> 7);
	madvise((void *)(((uintptr_t)from + PAGE) & ~(uintptr_t)(PAGE - 1)), bytes - PAGE, MADV_PAGEOUT);
	say("large write", write(fd, from, bytes), NULL, 0);
	say("large pread", pread(fd, to, bytes, 0), to, bytes);
	for (unsigned i = 0; i < 200; i++)
		many[i] = (struct iovec){to + i * 15000, 14000};
	memset(to, 0, bytes);
	say("large preadv", preadv(fd, many, 200, 333), to, bytes);
	say("large pwritev", pwritev(fd, many, 200, 1), NULL, 0);
	say("large read at the end", pread(fd, to, bytes, 200 * 14000), to, bytes);
	say("a pipe", pipe(ends), NULL, 0);
	if (fork() == 0) { /* a pipe's reads may be short; its writes not */
		close(ends[0]);
		_exit(write(ends[1], from, bytes) != (ssize_t)bytes);
	}
	close(ends[1]);
	for (size_t got = 0, n; (n = (size_t)read(ends[0], to + got, bytes - got)) > 0 && n <= bytes;)
		got += n;
	say("large write to a pipe", wait(NULL) > 0, to, bytes);
	close(ends[0]);
	close(fd);
	free(from);
	free(to);
}

/* What the kernel makes up as it is read: a part at a time, each as large as it likes. */
static void kernels_own(void)
{
	size_t bytes = 1 << 20;
	char *data = malloc(bytes);
	int fd = open("/proc/kallsyms", O_RDONLY);
	ssize_t got = read(fd, data, bytes);

	say("a file without a size", got, data, got > 0 ? (size_t)got : 0);
	close(fd);
	free(data);
}

#define RECORD (1u << 20)
#define RECORDS 32

static void append_bytes(int ready)
{
	int fd = open("appended", O_WRONLY | O_APPEND);

	(void)!write(ready, "", 1);
	for (;;)
		(void)!write(fd, "b", 1);
}

/* How many of the records have another's bytes between theirs. */
static int torn(int fd)
{
	char *data = malloc(RECORD);
	size_t run = 0;
	ssize_t got;
	int n = 0;

	lseek(fd, 0, SEEK_SET);
	while ((got = read(fd, data, RECORD)) > 0)
		for (ssize_t i = 0; i < got; i++) {
			n += data[i] == 'b' && run % RECORD != 0;
			run = data[i] == 'b' ? 0 : run + 1;
		}
	free(data);
	return n;
}

/* While another process appends too; by a descriptor that appends, and by a call that does. */
static void appends(void)
{
	int fd = open("appended", O_RDWR | O_CREAT | O_TRUNC, 0600), by_flag = open("appended", O_WRONLY | O_APPEND);
	char *record = malloc(RECORD), byte;
	struct iovec halves[] = {{record, RECORD / 2}, {record + RECORD / 2, RECORD / 2}};
	int ends[2], wrong = pipe(ends);
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		append_bytes(ends[1]);
	memset(record, 'a', RECORD);
	wrong += read(ends[0], &byte, 1) != 1;
	for (unsigned i = 0; i < RECORDS; i++) {
		ssize_t put_in = i % 2 ? write(by_flag, record, RECORD) : pwritev2(fd, halves, 2, -1, RWF_APPEND);

		wrong += put_in != RECORD;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	say("appended", wrong, NULL, 0);
	say("what was torn", torn(fd), NULL, 0);
	close(fd), close(by_flag);
	close(ends[0]), close(ends[1]);
	free(record);
}

static void streams(void)
{
	char *buffer = malloc(1 << 20);
	FILE *file = fopen("stream", "w+");
	char line[64];
	unsigned wrong = 0;

	setvbuf(file, buffer, _IOFBF, 1 << 20);
	for (unsigned i = 0; i < 100000; i++) {
		fprintf(file, "line %u\n", i);
		if (i % 10000 == 0)
			madvise((void *)(((uintptr_t)buffer + PAGE) & ~(uintptr_t)(PAGE - 1)), (1 << 20) - PAGE,
				MADV_PAGEOUT);
	}
	rewind(file);
	for (unsigned i = 0, n; i < 100000; i++)
		wrong += !fgets(line, sizeof(line), file) || sscanf(line, "line %u", &n) != 1 || n != i;
	say("a stream's lines that are wrong", wrong, NULL, 0);
	fclose(file);
	free(buffer);
}

/* ---- sockets ---- */

static void message(struct msghdr *message, unsigned n)
{
	struct iovec part = {slot(n + 1), 3000};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};

	*(int *)(void *)CMSG_DATA(&control.header) = 1;
	*message = (struct msghdr){.msg_iov = IS(n, part),
				   .msg_iovlen = 1,
				   .msg_control = IS(n + 2, control),
				   .msg_controllen = sizeof(control)};
}

static void pairs(void)
{
	struct mmsghdr many[2];
	struct msghdr one;
	int *pair = slot(0), a, b;

	empty(0);
	if (CALL(socketpair, NULL, 0, AF_UNIX, SOCK_DGRAM, 0, slot(0)))
		return;
	a = pair[0], b = pair[1];
	memset(empty(1), 5, 100000);
	CALL(sendto, NULL, 0, a, slot(1), 100000, 0, NULL, 0);
	CALL(recvfrom, slot(2), 100000, b, empty(2), 100001, 0, NULL, NULL);
	message(&one, 3);
	memset(slot(4), 9, 3000);
	CALL(sendmsg, NULL, 0, a, IS(0, one), 0);
	message(&one, 3);
	empty(4);
	CALL(recvmsg, slot(4), 3000, b, IS(0, one), 0);
	message(&many[0].msg_hdr, 3);
	message(&many[1].msg_hdr, 6);
	memset(slot(4), 1, 3000), memset(slot(7), 2, 3000);
	CALL(sendmmsg, NULL, 0, a, IS(0, many), 2, 0);
	empty(4), empty(7);
	CALL(recvmmsg, slot(7), 3000, b, slot(0), 2, 0, NULL);
	close(a);
	close(b);
}

static void names(void)
{
	struct sockaddr_un name = {AF_UNIX, "socket"};
	socklen_t length = sizeof(name);
	int on = 1, one = socket(AF_UNIX, SOCK_STREAM, 0), two = socket(AF_UNIX, SOCK_STREAM, 0);

	unlink("socket");
	CALL(setsockopt, NULL, 0, one, SOL_SOCKET, SO_PASSCRED, IS(0, on), sizeof(on));
	CALL(getsockopt, slot(1), 4, one, SOL_SOCKET, SO_PASSCRED, empty(1), (length = 4, IS(0, length)));
	length = sizeof(name);
	CALL(bind, NULL, 0, one, IS(0, name), sizeof(name));
	listen(one, 4);
	CALL(connect, NULL, 0, two, slot(0), sizeof(name));
	CALL(getpeername, slot(1), 9, two, empty(1), IS(2, length));
	CALL(getsockname, slot(1), 9, one, empty(1), IS(2, length));
	close((int)CALL(accept, slot(2), 4, one, empty(1), IS(2, length)));
	close(one);
	close(two);
}

/* ---- waiting ---- */

static void waits(void)
{
	struct timespec soon = {0, 1000000};
	struct timeval also = {0, 1000};
	struct epoll_event event = {EPOLLIN, {.u64 = 42}};
	int ends[2], epoll = epoll_create1(0);
	uint64_t mask = 1ull << (SIGUSR1 - 1), bits[2] = {0};
	struct {
		void *mask;
		size_t bytes;
	} sized = {IS(5, mask), 8};
	struct pollfd *polled = slot(0);

	if (pipe(ends) || write(ends[1], "x", 1) != 1)
		return;
	bits[0] = 1ull << ends[0];
	struct pollfd one[2] = {{ends[0], POLLIN, 0}, {-1, 0, 0}};
	CALL(poll, &polled->revents, 2, IS(0, one), 2, -1);
	CALL(ppoll, &polled->revents, 2, IS(0, one), 2, IS(1, soon), IS(2, mask), 8);
	CALL(select, slot(1), 8, 64, IS(1, bits), NULL, NULL, IS(2, also));
	CALL(pselect6, slot(1), 8, 64, IS(1, bits), NULL, NULL, IS(2, soon), IS(3, sized));
	CALL(epoll_ctl, NULL, 0, epoll, EPOLL_CTL_ADD, ends[0], IS(0, event));
	CALL(epoll_wait, slot(0), 12, epoll, empty(0), 8, -1);
	CALL(epoll_pwait, slot(0), 12, epoll, empty(0), 8, -1, IS(1, mask), 8);
	CALL(epoll_pwait2, slot(0), 12, epoll, empty(0), 8, IS(1, soon), IS(2, mask), 8);
	CALL(futex, NULL, 0, IS(0, bits), 0 /* wait */, (int)bits[0] + 1, NULL, NULL, 0);
	CALL(futex, NULL, 0, IS(0, bits), 0, (int)bits[0], IS(1, soon), NULL, 0);
	CALL(nanosleep, NULL, 0, IS(0, soon), empty(1));
	CALL(clock_nanosleep, NULL, 0, CLOCK_MONOTONIC, 0, IS(0, soon), empty(1));
	close(ends[0]);
	close(ends[1]);
	close(epoll);
}

static void children(void)
{
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == 0)
		_exit(3);
	say("wait4", PAGED(SYS_wait4, pid, empty(0), 0, empty(1)) == pid, slot(0), 4);
	if ((pid = fork()) == 0)
		_exit(4);
	CALL(waitid, &((siginfo_t *)slot(0))->si_status, 4, P_PID, pid, empty(0), WEXITED, NULL);
}

static void signals(void)
{
	uint64_t mask = 1ull << (SIGUSR1 - 1);
	siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
	struct timespec soon = {0, 1000000};
	int fd;

	CALL(rt_sigprocmask, slot(1), 8, SIG_BLOCK, IS(0, mask), empty(1), 8);
	info.si_value.sival_int = 77;
	CALL(rt_sigqueueinfo, NULL, 0, getpid(), SIGUSR1, IS(0, info));
	CALL(rt_sigpending, slot(0), 8, empty(0), 8);
	CALL(rt_sigtimedwait, &((siginfo_t *)slot(1))->si_value, 4, IS(0, mask), empty(1), IS(2, soon), 8);
	CALL(rt_sigtimedwait, NULL, 0, IS(0, mask), empty(1), IS(2, soon), 8);
	raise(SIGUSR1);
	fd = (int)CALL(signalfd4, NULL, 0, -1, IS(0, mask), 8, 0);
	CALL(read, slot(0), 4, fd, empty(0), 128);
	close(fd);
	CALL(rt_sigprocmask, slot(1), 8, SIG_UNBLOCK, IS(0, mask), empty(1), 8);
	CALL(rt_sigaction, slot(1), 8, SIGUSR2, NULL, empty(1), 8);
}

/* ---- names ---- */

static void paths(void)
{
	struct timespec times[2] = {{1000, 0}, {2000, 0}};
	struct open_how how = {.flags = O_RDONLY};
	int fd;

	CALL(mkdir, NULL, 0, NAME(0, "folder"), 0700);
	CALL(mkdirat, NULL, 0, AT_FDCWD, NAME(0, "other"), 0700);
	CALL(symlink, NULL, 0, NAME(0, "a target with a long name"), NAME(1, "link"));
	CALL(readlink, slot(1), 25, NAME(0, "link"), empty(1), 100);
	CALL(readlinkat, slot(1), 25, AT_FDCWD, NAME(0, "link"), empty(1), 100);
	CALL(creat, NULL, 0, NAME(0, "folder/a"), 0600);
	CALL(rename, NULL, 0, NAME(0, "folder/a"), NAME(1, "folder/b"));
	CALL(link, NULL, 0, NAME(0, "folder/b"), NAME(1, "folder/c"));
	CALL(linkat, NULL, 0, AT_FDCWD, NAME(0, "folder/b"), AT_FDCWD, NAME(1, "folder/d"), 0);
	CALL(renameat2, NULL, 0, AT_FDCWD, NAME(0, "folder/d"), AT_FDCWD, NAME(1, "folder/e"), 0);
	CALL(chmod, NULL, 0, NAME(0, "folder/b"), 0640);
	CALL(fchmodat, NULL, 0, AT_FDCWD, NAME(0, "folder/b"), 0644);
	CALL(truncate, NULL, 0, NAME(0, "folder/b"), 1234);
	CALL(utimensat, NULL, 0, AT_FDCWD, NAME(0, "folder/b"), IS(1, times), 0);
	CALL(access, NULL, 0, NAME(0, "folder/b"), R_OK);
	CALL(access, NULL, 0, NAME(0, "folder/z"), R_OK);
	CALL(faccessat, NULL, 0, AT_FDCWD, NAME(0, "folder/b"), R_OK);
	CALL(stat, &((struct stat *)slot(1))->st_size, 8, NAME(0, "folder/b"), empty(1));
	CALL(lstat, &((struct stat *)slot(1))->st_mode, 4, NAME(0, "link"), empty(1));
	CALL(newfstatat, &((struct stat *)slot(1))->st_nlink, 8, AT_FDCWD, NAME(0, "folder/b"), empty(1), 0);
	CALL(statx, &((struct statx *)slot(1))->stx_size, 8, AT_FDCWD, NAME(0, "folder/b"), 0, STATX_SIZE, empty(1));
	CALL(statfs, slot(1), 8, NAME(0, "folder"), empty(1));
	CALL(setxattr, NULL, 0, NAME(0, "folder/b"), NAME(1, "user.x"), NAME(2, "value"), 5, 0);
	CALL(getxattr, slot(2), 5, NAME(0, "folder/b"), NAME(1, "user.x"), empty(2), 100);
	CALL(listxattr, NULL, 0, NAME(0, "folder/b"), empty(2), 100);
	CALL(removexattr, NULL, 0, NAME(0, "folder/b"), NAME(1, "user.x"));
	close((int)CALL(openat2, NULL, 0, AT_FDCWD, NAME(0, "folder/b"), IS(1, how), sizeof(how)));
	fd = open("folder", O_RDONLY | O_DIRECTORY);
	say("getdents64", PAGED(SYS_getdents64, fd, empty(0), 4000) > 60, NULL, 0);
	CALL(fchdir, NULL, 0, fd);
	say("getcwd", PAGED(SYS_getcwd, empty(0), 4000) > 7, NULL, 0);
	CALL(chdir, NULL, 0, NAME(0, ".."));
	close(fd);
	fd = inotify_init();
	CALL(inotify_add_watch, NULL, 0, fd, NAME(0, "folder"), IN_DELETE);
	CALL(unlink, NULL, 0, NAME(0, "folder/c"));
	CALL(read, slot(0), 4, fd, empty(0), 4096);
	close(fd);
	CALL(unlinkat, NULL, 0, AT_FDCWD, NAME(0, "folder/e"), 0);
	CALL(unlink, NULL, 0, NAME(0, "folder/b"));
	CALL(unlink, NULL, 0, NAME(0, "link"));
	CALL(rmdir, NULL, 0, NAME(0, "folder"));
	CALL(unlinkat, NULL, 0, AT_FDCWD, NAME(0, "other"), AT_REMOVEDIR);
	close((int)CALL(memfd_create, NULL, 0, NAME(0, "a memfd"), 0));
}

/* ---- the process, and time ---- */

static void process(void)
{
	struct itimerspec timer = {{0, 0}, {1000, 0}};
	struct itimerval interval = {{0, 0}, {1000, 0}}, never = {{0, 0}, {0, 0}};
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	struct rlimit limit = {1000, 1000};
	struct iovec here = {slot(2), 100}, there = {slot(3), 100};
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	int made_timer;

	CALL(timerfd_settime, slot(1), 32, fd, 0, IS(0, timer), empty(1));
	CALL(timerfd_gettime, slot(1), 16, fd, empty(1));
	CALL(timer_create, NULL, 0, CLOCK_MONOTONIC, IS(0, event), empty(1));
	memcpy(&made_timer, slot(1), sizeof(made_timer));
	CALL(timer_settime, slot(1), 32, made_timer, 0, IS(0, timer), empty(1));
	CALL(timer_gettime, slot(1), 16, made_timer, empty(1));
	CALL(setitimer, slot(1), 32, ITIMER_REAL, IS(0, interval), empty(1));
	CALL(getitimer, slot(1), 16, ITIMER_REAL, empty(1));
	CALL(setitimer, NULL, 0, ITIMER_REAL, IS(0, never), NULL);
	CALL(clock_gettime, NULL, 0, CLOCK_REALTIME, empty(0));
	CALL(clock_getres, slot(0), 16, CLOCK_REALTIME, empty(0));
	CALL(gettimeofday, slot(1), 8, empty(0), empty(1));
	say("time", PAGED(SYS_time, empty(0)) > 0, NULL, 0);
	say("times", PAGED(SYS_times, empty(0)) > 0, NULL, 0);
	CALL(getrusage, NULL, 0, RUSAGE_SELF, empty(0));
	CALL(getrlimit, slot(0), 16, RLIMIT_STACK, empty(0));
	CALL(prlimit64, slot(1), 8, 0, RLIMIT_MSGQUEUE, IS(0, limit), empty(1));
	CALL(sysinfo, &((uint64_t *)slot(0))[4], 8, empty(0));
	CALL(uname, slot(0), sizeof(struct utsname), empty(0));
	CALL(getcpu, NULL, 0, empty(0), empty(1), NULL);
	CALL(sched_getaffinity, slot(0), 8, 0, 128, empty(0));
	CALL(sched_setaffinity, NULL, 0, 0, 128, slot(0));
	CALL(sched_getparam, slot(0), 4, 0, empty(0));
	CALL(getgroups, NULL, 0, 1000, empty(0));
	CALL(getresuid, slot(1), 4, empty(0), empty(1), empty(2));
	CALL(prctl, NULL, 0, 15 /* PR_SET_NAME */, NAME(0, "renamed"));
	CALL(prctl, slot(0), 8, 16 /* PR_GET_NAME */, empty(0));
	CALL(getrandom, NULL, 0, empty(0), 30000, 0);
	memset(empty(3), 7, 100);
	IS(0, here), IS(1, there), memset(empty(3), 7, 100), empty(2);
	CALL(process_vm_readv, slot(2), 100, getpid(), slot(0), 1, slot(1), 1, 0);
	close(fd);
}

static void system_v(void)
{
	struct sembuf up = {0, 1, 0};
	struct {
		long type;
		char text[20000];
	} *message = slot(0);
	int queue = msgget(IPC_PRIVATE, 0600), set = semget(IPC_PRIVATE, 1, 0600);

	if (queue < 0 || set < 0)
		return;
	memset(empty(0), 3, 5000);
	message->type = 4;
	CALL(msgsnd, NULL, 0, queue, slot(0), 5000, 0);
	CALL(msgrcv, slot(1), 5008, queue, empty(1), 20000, 4, 0);
	CALL(msgctl, NULL, 0, queue, IPC_STAT, empty(0));
	CALL(semop, NULL, 0, set, IS(0, up), 1);
	msgctl(queue, IPC_RMID, NULL);
	semctl(set, 0, IPC_RMID);
}

/* ---- programs ---- */

static void programs(void)
{
	char *const list[] = {NAME(0, "/bin/echo"), NAME(1, "words from paged-out memory"), NAME(2, "and more"), NULL};
	char *const environment[] = {NAME(3, "A=b"), NULL};
	char **vector = IS(4, list), **variables = IS(5, environment);
	FILE *output;
	char line[100] = "";
	pid_t pid;

	fflush(stdout);
	out();
	pid = vfork();
	if (pid == 0) {
		execve(vector[0], vector, variables);
		_exit(9);
	}
	waitpid(pid, NULL, 0);
	out();
	pid = fork();
	if (pid == 0) {
		out();
		execve(vector[0], vector, variables);
		_exit(9);
	}
	waitpid(pid, NULL, 0);
	out();
	say("system", system(NAME(6, "echo from a shell")), NULL, 0);
	output = popen(NAME(6, "echo from a pipe"), "r");
	out();
	say("popen", output && fgets(line, sizeof(line), output) && pclose(output) == 0, line, sizeof(line));
}

/* A file of its own: what is mapped to be stored to is the kernel's after a fork. */
static char *mapped(unsigned n)
{
	char name[20];
	void *address;
	int fd;

	snprintf(name, sizeof(name), "memory.%u", n);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, SLOTS * SLOT))
		return NULL;
	address = mmap(NULL, SLOTS * SLOT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return address == MAP_FAILED ? NULL : address;
}

int main(int argc, char **argv)
{
	void (*const groups[])(void) = {files,    large,   kernels_own, appends, streams, pairs,    names,   waits,
					children, signals, pointers,    paths,   process, system_v, programs};
	bool in_file = argc > 1 && strcmp(argv[1], "file") == 0;

	if (!in_file)
		memory = mmap(NULL, SLOTS * SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (in_file)
			memory = mapped(i);
		groups[i]();
		if (in_file)
			munmap(memory, SLOTS * SLOT);
	}
	printf("%u calls\n", made);
	return 0;
}
