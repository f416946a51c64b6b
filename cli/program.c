/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "say.h"

#define SCRIPTS_MAX 5   /* interpreters that are scripts themselves: as many as the kernel follows */
#define SEGMENTS_MAX 64 /* more than any linker makes */

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#endif

/* ---- where ---- */

static bool runnable(const char *path, int *error)
{
	struct stat st;

	if (stat(path, &st)) {
		*error = *error == EACCES ? EACCES : errno;
		return false;
	}
	if (!S_ISDIR(st.st_mode) && access(path, X_OK) == 0)
		return true;
	*error = EACCES;
	return false;
}

static int not_found(const char *name, int error)
{
	if (error == EACCES)
		say_error("run: %s: it may not be executed", name);
	else
		say_error("run: %s: %s", name, error == ENOENT ? "there is no such program" : strerror(error));
	return error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}

int program_find(const char *name, char path[PATH_MAX])
{
	const char *list = getenv("PATH"), *end;
	int error = ENOENT;

	if (strchr(name, '/')) {
		if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX)
			return not_found(name, ENAMETOOLONG);
		return runnable(path, &error) ? 0 : not_found(name, error);
	}
	for (list = list ? list : "/bin:/usr/bin"; *name; list = end + 1) {
		end = strchrnul(list, ':');
		if (snprintf(path, PATH_MAX, "%.*s%s%s", (int)(end - list), list, end > list ? "/" : "", name) <
			    PATH_MAX &&
		    runnable(path, &error))
			return 0;
		if (!*end)
			break;
	}
	return not_found(name, error);
}

/* ---- what ---- */

static int refuse(const char *path, const char *why)
{
	say_error("run: %s can't be taken over: %s", path, why);
	return EXIT_NOT_RUNNABLE;
}

/* What the header of an ELF file says. NULL: nothing against it. */
static const char *judge_header(const Elf64_Ehdr *header, size_t bytes)
{
	if (bytes > EI_CLASS && header->e_ident[EI_CLASS] == ELFCLASS32)
		return "it is a 32-bit program, and the library that would be loaded into it is of 64 bits";
	if (bytes < sizeof(*header))
		return "it is no whole ELF file";
	if (header->e_machine != MACHINE)
		return "it is for another kind of processor";
	if (header->e_phentsize != sizeof(Elf64_Phdr))
		return "it is no ELF file as it should be";
	return NULL;
}

/* Notes of the Go linker bear the name "Go". */
static bool is_go_note(int fd, const Elf64_Phdr *segment)
{
	struct {
		Elf64_Nhdr header;
		char name[4];
	} note;

	return segment->p_type == PT_NOTE && pread(fd, &note, sizeof(note), (off_t)segment->p_offset) == sizeof(note) &&
	       note.header.n_namesz == 4 && memcmp(note.name, "Go\0", 4) == 0;
}

static const char *judge_segments(int fd, const Elf64_Ehdr *header)
{
	Elf64_Phdr segments[SEGMENTS_MAX];
	unsigned n = header->e_phnum < SEGMENTS_MAX ? header->e_phnum : SEGMENTS_MAX;
	char loader[PATH_MAX] = "";

	if (pread(fd, segments, n * sizeof(segments[0]), (off_t)header->e_phoff) != (ssize_t)(n * sizeof(segments[0])))
		return "it is no whole ELF file";
	for (unsigned i = 0; i < n; i++) {
		if (is_go_note(fd, &segments[i]))
			return "it is a Go program, whose runtime asks the kernel for memory past the C library";
		if (segments[i].p_type == PT_INTERP && segments[i].p_filesz < sizeof(loader) &&
		    pread(fd, loader, segments[i].p_filesz, (off_t)segments[i].p_offset) < 0)
			return "it can't be read";
	}
	if (!loader[0])
		return "it is linked statically, so nothing can be loaded into it";
	return strstr(loader, "ld-linux") ? NULL : "it is for another C library than glibc";
}

/* Rights that come with the file: the loader then ignores what is to be loaded. */
static const char *judge_rights(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID)))
		return "it is setuid or setgid, and the loader loads nothing into such programs";
	if (fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return "it has capabilities of its own, and the loader loads nothing into such programs";
	return NULL;
}

/* The interpreter that a first line "#!/path argument" names; false: it is no script. */
static bool script(int fd, char interpreter[PATH_MAX])
{
	char line[256] = "";
	ssize_t got = pread(fd, line, sizeof(line) - 1, 0);
	size_t start, length;

	if (got < 3 || line[0] != '#' || line[1] != '!')
		return false;
	start = 2 + strspn(line + 2, " \t");
	length = strcspn(line + start, " \t\r\n");
	snprintf(interpreter, PATH_MAX, "%.*s", (int)length, line + start);
	return true;
}

static const char *judge(int fd)
{
	Elf64_Ehdr header;
	ssize_t got = pread(fd, &header, sizeof(header), 0);
	const char *why;

	if (got < SELFMAG || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return "it is neither an ELF file nor a script";
	why = judge_header(&header, (size_t)got);
	if (!why)
		why = judge_segments(fd, &header);
	return why ? why : judge_rights(fd);
}

int program_check(const char *path)
{
	char at[PATH_MAX], next[PATH_MAX];
	const char *why = "its interpreters are scripts of scripts of scripts";

	snprintf(at, sizeof(at), "%s", path);
	for (unsigned i = 0; i < SCRIPTS_MAX; i++) {
		int fd = open(at, O_RDONLY | O_CLOEXEC);
		bool is_script;

		if (fd < 0) /* it may be executed all the same; the loader will look */
			return errno == EACCES ? 0 : refuse(at, strerror(errno));
		is_script = script(fd, next);
		if (!is_script)
			why = judge(fd);
		close(fd);
		if (!is_script)
			return why ? refuse(at, why) : 0;
		snprintf(at, sizeof(at), "%s", next);
	}
	return refuse(path, why);
}
