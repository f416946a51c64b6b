/* SPDX-License-Identifier: MIT
 * What processes share of --total: parts, what is never given out twice, and entries of the dead. */
#include "cli_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../preload/ledger.h"

#define MIB (1ull << 20)

static struct ledger *ledger;

static int setup(void **state)
{
	int fd = ledger_create(100 * MIB);

	(void)state;
	assert_true(fd >= 0);
	ledger = ledger_map(fd);
	close(fd);
	return ledger ? 0 : -1;
}

/* An entry as another process would have it. */
static struct ledger_member *entry(unsigned i, uint64_t id, uint64_t wish, uint64_t granted)
{
	struct ledger_member *member = &ledger->members[i];

	atomic_store(&member->id, id);
	atomic_store(&member->wish_bytes, wish);
	atomic_store(&member->granted_bytes, granted);
	return member;
}

/* Breaks when anything that is mapped is taken for a ledger. */
static void only_a_ledger_is_taken_for_one(void **state)
{
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_null(ledger_map(pipes[0]));
	assert_null(ledger_map(-1));
}

/* Breaks when parts are not equal, or what one does not wish is lost, or is given to who does not wish it either. */
static void parts_are_equal_and_what_is_not_wished_goes_to_the_others(void **state)
{
	struct ledger_member *a = entry(0, 1, 100 * MIB, 0), *b, *c, *d;

	(void)state;
	assert_int_equal(ledger_share(ledger, a), 100 * MIB);
	b = entry(7, 2, 100 * MIB, 0);
	assert_int_equal(ledger_share(ledger, a), 50 * MIB);
	assert_int_equal(ledger_share(ledger, b), 50 * MIB);
	c = entry(3, 3, 10 * MIB, 0);
	assert_int_equal(ledger_share(ledger, c), 10 * MIB);
	assert_int_equal(ledger_share(ledger, a), 45 * MIB);
	d = entry(249, 4, 40 * MIB, 0); /* over a quarter, and under a third of what c leaves... */
	assert_int_equal(ledger_share(ledger, d), 30 * MIB);
	assert_int_equal(ledger_share(ledger, a), 30 * MIB);
	atomic_store(&d->wish_bytes, 28 * MIB);
	assert_int_equal(ledger_share(ledger, d), 28 * MIB);
	assert_int_equal(ledger_share(ledger, a), 31 * MIB);
	assert_int_equal(ledger_share(ledger, b), 31 * MIB);
	atomic_store(&a->wish_bytes, 0); /* never less than the least */
	assert_int_equal(ledger_share(ledger, a), 4 * MIB);
	assert_int_equal(ledger_share(ledger, b), 58 * MIB);
	for (unsigned i = 0; i < LEDGER_MEMBERS; i++)
		entry(i, i + 1, 100 * MIB, 0);
	assert_int_equal(ledger_share(ledger, a), 4 * MIB);
}

/* Breaks when the sum of what all have may be over the total. */
static void no_more_is_given_than_there_is(void **state)
{
	struct ledger_member *a = entry(0, 1, 100 * MIB, 0), *b = entry(1, 2, 100 * MIB, 0);

	(void)state;
	assert_int_equal(ledger_grow(ledger, a, 70 * MIB), 70 * MIB);
	assert_int_equal(ledger_grow(ledger, b, 70 * MIB), 30 * MIB);
	assert_int_equal(ledger_grow(ledger, a, 80 * MIB), 70 * MIB);
	ledger_shrink(ledger, a, 20 * MIB);
	assert_int_equal(ledger_grow(ledger, b, 20 * MIB), 30 * MIB);
	assert_int_equal(ledger_grow(ledger, b, 90 * MIB), 80 * MIB);
}

/* Many grow and shrink at once, each in a process of its own, and look at the sum meanwhile. */
static void racers_never_have_more_than_the_total_together(void **state)
{
	enum { RACERS = 4, ROUNDS = 20000 };
	int status;

	(void)state;
	for (unsigned i = 0; i < RACERS; i++)
		entry(i, i + 1, 100 * MIB, 0);
	for (unsigned i = 0; i < RACERS; i++) {
		if (fork())
			continue;
		/* Each until it was alone: who is off the processor may have it for all of the rounds. */
		for (unsigned round = 0, held = 0; round < ROUNDS || !held; round++) {
			struct ledger_member *mine = &ledger->members[i];
			uint64_t got = ledger_grow(ledger, mine, 60 * MIB);

			/* Whoever has over half of it is alone: he says so, and nobody else may. */
			if (got > 50 * MIB) {
				if (atomic_fetch_add(&ledger->members[200].granted_bytes, 1) != 0)
					_exit(1);
				held++;
				atomic_fetch_sub(&ledger->members[200].granted_bytes, 1);
			}
			ledger_shrink(ledger, mine, 0);
		}
		_exit(0);
	}
	for (unsigned i = 0; i < RACERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
}

/* Breaks when a process that is killed keeps what it had, or one that only waits to be reaped. */
static void what_the_dead_had_is_free(void **state)
{
	struct ledger_member *mine = ledger_join(ledger, -1, 100 * MIB), *again;
	int ready[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_non_null(mine);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct ledger_member *member = ledger_join(ledger, -1, 100 * MIB);

		byte = member && ledger_grow(ledger, member, 90 * MIB) == 90 * MIB;
		(void)!write(ready[1], &byte, 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 1);
	ledger_bury(ledger);
	assert_int_equal(ledger_grow(ledger, mine, 100 * MIB), 10 * MIB);
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	ledger_bury(ledger); /* a zombie */
	assert_int_equal(ledger_grow(ledger, mine, 100 * MIB), 100 * MIB);
	waitpid(pid, NULL, 0);
	again = ledger_join(ledger, -1, 8 * MIB); /* as after exec: the same process, which has nothing yet */
	assert_ptr_equal(again, mine);
	assert_int_equal(atomic_load(&mine->granted_bytes), 0);
	ledger_leave(ledger, mine);
	assert_int_equal(atomic_load(&mine->id), 0);
}

/* Breaks when who can't be found in /proc, as from another PID namespace, is taken for dead, or for another of the same
 * number; or keeps what it had when it is dead. */
static void who_is_in_another_namespace_is_seen(void **state)
{
	int fd = ledger_create(100 * MIB), ready[2];
	struct ledger_member *mine, *others;
	uint64_t not_in_proc = 1ull << 32 | 0x12345678;
	pid_t pid;

	(void)state;
	ledger = ledger_map(fd);
	mine = ledger_join(ledger, fd, 100 * MIB);
	assert_non_null(mine);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		others = ledger_join(ledger, fd, 100 * MIB);
		(void)!write(ready[1], &others, sizeof(others));
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &others, sizeof(others)), sizeof(others));
	assert_non_null(others);
	assert_ptr_not_equal(others, mine);
	atomic_store(&others->id, not_in_proc);
	ledger_bury(ledger);
	assert_int_equal(atomic_load(&others->id), not_in_proc);
	atomic_store(&others->id, atomic_load(&mine->id));
	atomic_store(&mine->id, 0);
	mine = ledger_join(ledger, fd, 100 * MIB);
	assert_non_null(mine);
	assert_ptr_not_equal(mine, others);
	atomic_store(&others->id, not_in_proc);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ledger_bury(ledger);
	assert_int_equal(atomic_load(&others->id), 0);
	assert_int_not_equal(atomic_load(&mine->id), 0);
	ledger_leave(ledger, mine);
	close(fd);
}

/* Joins again and again, as after exec; false: it did not stay the same member. */
static bool joins_often(int fd, _Atomic unsigned *entry_plus_one)
{
	struct ledger_member *mine = ledger_join(ledger, fd, 100 * MIB);
	bool same = mine;

	atomic_store(entry_plus_one, (unsigned)(mine - ledger->members) + 1);
	while (!atomic_load(&entry_plus_one[1]))
		;
	for (unsigned round = 0; same && round < 20000; round++)
		same = ledger_join(ledger, fd, 100 * MIB) == mine;
	return same;
}

/* Breaks when who calls exec can be taken for dead for an instant, by those who see him by his lock alone: one of these
 * waits for it, and has it as soon as it is given up. */
static void who_calls_exec_is_seen_all_the_while(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	_Atomic unsigned *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = ledger_create(100 * MIB), status;
	pid_t pid;

	(void)state;
	assert_true(words != MAP_FAILED);
	ledger = ledger_map(fd);
	pid = fork();
	if (!pid) {
		bool same = joins_often(fd, words);

		atomic_store(&words[2], 1);
		_exit(!same);
	}
	while (!atomic_load(&words[0]))
		;
	lock.l_start = atomic_load(&words[0]) - 1;
	atomic_store(&words[1], 1);
	assert_int_equal(fcntl(fd, F_SETLKW, &lock), 0);
	assert_int_equal(atomic_load(&words[2]), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	munmap(words, 4096);
	close(fd);
}

/* Breaks when who has no descriptor left takes the others for dead. */
static void who_cannot_look_buries_nobody(void **state)
{
	struct ledger_member *mine = ledger_join(ledger, -1, 100 * MIB);
	struct rlimit before, none;

	(void)state;
	assert_non_null(mine);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	ledger_bury(ledger);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_not_equal(atomic_load(&mine->id), 0);
	ledger_leave(ledger, mine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_a_ledger_is_taken_for_one, setup),
		cmocka_unit_test_setup(parts_are_equal_and_what_is_not_wished_goes_to_the_others, setup),
		cmocka_unit_test_setup(no_more_is_given_than_there_is, setup),
		cmocka_unit_test_setup(racers_never_have_more_than_the_total_together, setup),
		cmocka_unit_test_setup(what_the_dead_had_is_free, setup),
		cmocka_unit_test_setup(who_is_in_another_namespace_is_seen, setup),
		cmocka_unit_test_setup(who_calls_exec_is_seen_all_the_while, setup),
		cmocka_unit_test_setup(who_cannot_look_buries_nobody, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
