/* SPDX-License-Identifier: MIT
 *
 * What is to be undone at the end is undone, once, whichever way the process ends; each end is a child's.
 * What would break these: an end that skips the undoing or runs it twice, a child's end that undoes its parent's, a
 * signal that was ignored and isn't any more, another order than the last first.
 */
#include "cli_test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "at_end.h"

static int out; /* the undoings write here */

static void undo_first(void)
{
	(void)!write(out, "1", 1);
}

static void undo_second(void)
{
	(void)!write(out, "2", 1);
}

static void by_exit(void)
{
	exit(3);
}

static void by_signal(void)
{
	raise(SIGTERM);
	_exit(99);
}

static void by_child(void)
{
	pid_t child = fork();

	if (child == 0)
		exit(0);
	waitpid(child, NULL, 0);
	_exit(4);
}

/* Ignored before the registering: it stays so. */
static void by_ignored_signal(void)
{
	raise(SIGHUP);
	_exit(5);
}

/* Runs `end` in a child that has both registered, the first once more as the last. What was undone is in text; the wait
 * status. */
static int end_by(void (*end)(void), char text[16])
{
	int ends[2], status;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		out = ends[1];
		signal(SIGHUP, SIG_IGN);
		at_end(undo_first);
		at_end(undo_second);
		at_end(undo_first);
		end();
	}
	close(ends[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	n = read(ends[0], text, 15);
	assert_true(n >= 0);
	text[n] = 0;
	close(ends[0]);
	return status;
}

static void exit_undoes_the_last_first(void **state)
{
	char text[16];
	int status = end_by(by_exit, text);

	(void)state;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	assert_string_equal(text, "12");
}

static void a_signal_undoes_and_still_kills(void **state)
{
	char text[16];
	int status = end_by(by_signal, text);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	assert_string_equal(text, "12");
}

static void a_childs_end_undoes_nothing(void **state)
{
	char text[16];
	int status = end_by(by_child, text);

	(void)state;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 4);
	assert_string_equal(text, "");
}

static void an_ignored_signal_stays_ignored(void **state)
{
	char text[16];
	int status = end_by(by_ignored_signal, text);

	(void)state;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 5);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_undoes_the_last_first),
		cmocka_unit_test(a_signal_undoes_and_still_kills),
		cmocka_unit_test(a_childs_end_undoes_nothing),
		cmocka_unit_test(an_ignored_signal_stays_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
