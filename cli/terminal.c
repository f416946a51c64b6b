/* SPDX-License-Identifier: MIT */
#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l\033[H\033[2J"
#define LEAVE "\033[?25h\033[?1049l"

static struct termios as_it_was, ours;
static bool has_keys;
static volatile sig_atomic_t entered;

static void put(const char *sequence)
{
	ssize_t ignored = write(STDOUT_FILENO, sequence, strlen(sequence));

	(void)ignored;
}

bool terminal_is_there(void)
{
	const char *kind = getenv("TERM");

	return isatty(STDOUT_FILENO) && kind && *kind && strcmp(kind, "dumb") != 0;
}

/* Signal-safe, as the next. */
static void switch_on(void)
{
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &ours);
	put(ENTER);
}

static void switch_off(void)
{
	put(LEAVE);
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &as_it_was);
}

/* ctrl-Z: stops here, goes on when it is continued. */
static void on_stop(int number)
{
	int error = errno;

	(void)number;
	if (entered)
		switch_off();
	kill(getpid(), SIGSTOP);
	if (entered)
		switch_on();
	errno = error;
}

void terminal_enter(void)
{
	struct sigaction action = {.sa_handler = on_stop};

	has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &as_it_was) == 0;
	ours = as_it_was;
	ours.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* ISIG stays: ctrl-C is SIGINT */
	ours.c_cc[VMIN] = 1;
	ours.c_cc[VTIME] = 0;
	sigaction(SIGTSTP, &action, NULL);
	switch_on();
	entered = 1;
}

void terminal_leave(void)
{
	if (!entered)
		return;
	entered = 0;
	switch_off();
}

int terminal_keys(void)
{
	return has_keys ? STDIN_FILENO : -1;
}

void terminal_size(unsigned *columns, unsigned *rows)
{
	struct winsize size;

	*columns = 80;
	*rows = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
		*columns = size.ws_col;
		*rows = size.ws_row;
	}
}
