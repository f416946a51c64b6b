/* SPDX-License-Identifier: MIT */
#include "fio.h"

#include "file.h"

/* fio's terse output, version 3, has the IOPS of reads in its eighth field, its error in the fifth. */
#define FIELD_ERROR 4
#define FIELD_READ_IOPS 7

const char *fio_missing(void)
{
	return system("fio --version >/dev/null 2>&1") == 0 ? NULL : "fio is not installed (Debian package: fio)";
}

static const char *field(const char *line, unsigned number)
{
	while (number-- && line) {
		line = strchr(line, ';');
		line = line ? line + 1 : NULL;
	}
	return line;
}

double fio_rate(const struct fio_job *job)
{
	char command[512], line[4096] = "";
	const char *iops;
	FILE *output;
	double rate;

	snprintf(command, sizeof(command),
		 "fio --name=bench --output-format=terse --terse-version=3 --ioengine=io_uring --direct=1 --readonly"
		 " --thread --group_reporting --norandommap --randseed=%llu --filename=%s --size=%llu --io_size=%llu"
		 " --rw=%s --bs=%u --iodepth=%u --numjobs=%u",
		 (unsigned long long)job->seed, file_path(job->fd), (unsigned long long)job->file_bytes,
		 (unsigned long long)job->io_bytes, job->pattern, job->block_bytes, job->depth, job->threads);
	output = popen(command, "r");
	if (!output)
		err(1, "cannot start fio");
	/* Warnings may come first; the line of results begins with the version of its format. */
	while (fgets(line, sizeof(line), output) && strncmp(line, "3;", 2))
		;
	while (fgetc(output) != EOF)
		;
	iops = field(line, FIELD_READ_IOPS);
	if (pclose(output) || !iops || atoi(field(line, FIELD_ERROR)))
		errx(1, "fio failed: %s", command);
	rate = atof(iops);
	if (rate <= 0)
		errx(1, "fio read nothing: %s", command);
	return rate;
}
