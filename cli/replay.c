/* SPDX-License-Identifier: MIT
 *
 * weir replay: from the command line to the report.
 *
 *   options -> own file opened -> trace loaded -> pool made -> file made -> threads run -> object closed, file verified
 *
 * in this order because what fails cheaply should fail first: a file takes seconds to make.
 */
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "interrupt.h"
#include "json.h"
#include "number.h"
#include "progress.h"
#include "report.h"
#include "run.h"
#include "say.h"

static int list_policies(bool as_json)
{
	struct json json = {.out = stdout};
	const char *name;

	if (as_json) {
		json_open(&json, NULL, '{');
		json_open(&json, "policies", '[');
	}
	for (unsigned i = 0; (name = weir_policy_name(i)) != NULL; i++)
		if (as_json)
			json_string(&json, NULL, name);
		else
			printf("%s%s\n", name, i == 0 ? " (default)" : "");
	if (as_json) {
		json_close(&json, ']');
		json_close(&json, '}');
	}
	return EXIT_OK;
}

static int check_policy(const char *policy)
{
	char names[256] = "";
	const char *name;

	if (!policy)
		return 0;
	for (unsigned i = 0; (name = weir_policy_name(i)) != NULL; i++) {
		size_t used = strlen(names);

		if (strcmp(name, policy) == 0)
			return 0;
		snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "", name);
	}
	return say_error("--policy %s: there is no such policy; there are: %s", policy, names);
}

static int load_trace(struct run *run)
{
	const struct options *options = run->options;
	uint64_t pages = options->file ? run->target.pages : options->size_bytes / WEIR_PAGE_SIZE;

	if (!options->trace)
		return 0;
	if (trace_load(&run->trace, options->trace, options->format, options->map, pages, options->file) < 0)
		return -1;
	if (options->file && run->trace.writes && !options->write_file)
		return say_error("%s: %llu of its accesses are writes, and %s is not written to unless --write-file is "
				 "given too",
				 options->trace, (unsigned long long)run->trace.writes, options->file);
	return 0;
}

static void configure(struct weir_config *config, const struct options *options)
{
	const struct tuning *tuning = &options->tuning;

	weir_config_init(config);
	config->memory_bytes = options->memory_bytes;
	config->policy = options->policy;
	if (tuning->nodes >= 0)
		config->nodes = (unsigned)tuning->nodes;
	if (tuning->swappiness >= 0)
		config->swappiness = (unsigned)tuning->swappiness;
	if (tuning->swap_cluster_max >= 0)
		config->swap_cluster_max = (unsigned)tuning->swap_cluster_max;
	if (tuning->dirty_pct >= 0)
		config->dirty_pct = (unsigned)tuning->dirty_pct;
	if (tuning->dirty_background_pct >= 0)
		config->dirty_background_pct = (unsigned)tuning->dirty_background_pct;
	if (tuning->poll_us >= 0)
		config->poll_us = (unsigned)tuning->poll_us;
	if (tuning->watermark_scale_factor >= 0)
		config->watermark_scale_factor = (unsigned)tuning->watermark_scale_factor;
	if (tuning->min_free_bytes >= 0)
		config->min_free_bytes = (uint64_t)tuning->min_free_bytes;
	config->laptop_mode = tuning->laptop_mode;
	config->huge_pages = config->huge_pages && !tuning->no_huge_pages;
	config->windows = options->window;
	config->fault_thread = options->fault_thread;
	config->io_uring = config->io_uring && !tuning->no_io_uring;
}

static int make_pool(struct run *run)
{
	struct weir_config config;

	configure(&config, run->options);
	if (weir_create(&config, &run->pool) == 0)
		return 0;
	run->pool = NULL;
	return say_error("--memory %llu: %s", (unsigned long long)run->options->memory_bytes, weir_error_text());
}

static uint64_t pages_to_make(const struct run *run)
{
	const struct options *options = run->options;

	if (options->size_bytes)
		return options->size_bytes / WEIR_PAGE_SIZE;
	if (options->trace)
		return run->trace.pages;
	return options->memory_bytes / WEIR_PAGE_SIZE * DEFAULT_SIZE_FACTOR;
}

/* There is no return value to tell it by: said here, and the touch goes on with zeros, as the run ends anyway. */
static enum weir_fault_answer touch_failed(const struct weir_fault *fault, void *user)
{
	struct run *run = user;

	if (!atomic_exchange(&run->failed, true))
		say_error("cannot %s page %llu of %s: %s", fault->write ? "write" : "read",
			  (unsigned long long)fault->page, run->target.path, strerror(-fault->error));
	atomic_store(&run->stop, true);
	return WEIR_FAULT_ZERO;
}

static int open_window(struct run *run, bool writable)
{
	void *window;

	if (weir_map(run->object, writable ? PROT_READ | PROT_WRITE : PROT_READ, WEIR_MAP_SHARED, &window) < 0)
		return say_error("%s: %s", run->target.path, weir_error_text());
	weir_set_fault_handler(run->object, touch_failed, run);
	run->window = window;
	return 0;
}

static int open_anon(struct run *run)
{
	const struct options *options = run->options;
	struct weir_swap_config swap = {
		.size = sizeof(swap),
		.path = options->swap,
		.bytes = options->swap_bytes,
		.flags = options->swap_encrypt ? WEIR_SWAP_ENCRYPT : 0,
	};

	if (options->swap[0] && weir_swap_add(run->pool, &swap) < 0)
		return say_error("--swap %s: %s", options->swap, weir_error_text());
	if (weir_anon(run->pool, run->target.bytes, &run->object) < 0) {
		run->object = NULL;
		return say_error("%s", weir_error_text());
	}
	weir_advise(run->object, 0, 0, options->advice); /* only an unknown advice could fail */
	return 0;
}

static int open_object(struct run *run)
{
	const struct options *options = run->options;
	bool writable = run->target.made || options->write_file;
	unsigned flags = (writable ? WEIR_RDWR : WEIR_RDONLY) | (options->buffered ? WEIR_BUFFERED : 0);

	if (weir_open(run->pool, run->target.path, flags, &run->object) < 0) {
		run->object = NULL;
		return say_error("%s", weir_error_text());
	}
	weir_advise(run->object, 0, 0, options->advice); /* only an unknown advice could fail */
	/* Its name goes now: whatever ends this process, nothing is left behind. */
	if (!options->keep)
		target_unlink(&run->target);
	return 0;
}

static int open_journal(struct run *run)
{
	const struct options *options = run->options;
	const char *others[3], **other = others;

	if (options->file)
		*other++ = options->file;
	if (options->trace)
		*other++ = options->trace;
	*other = NULL;
	return journal_open(&run->journal, options->journal, others);
}

static int prepare(struct run *run)
{
	const struct options *options = run->options;

	if (options->file && target_open(&run->target, options->file, options->write_file) < 0)
		return -1;
	if (load_trace(run) < 0)
		return -1;
	run->accesses = options->accesses ? options->accesses : run->trace.count ? run->trace.count : DEFAULT_ACCESSES;
	if (make_pool(run) < 0)
		return -1;
	if (options->anon)
		target_anon(&run->target, pages_to_make(run));
	else if (!options->file && target_make(&run->target, pages_to_make(run), options->seed) < 0)
		return -1;
	if ((options->anon ? open_anon(run) : open_object(run)) < 0)
		return -1;
	if (options->window && open_window(run, run->target.anon || run->target.made || options->write_file) < 0)
		return -1;
	if (open_journal(run) < 0)
		return -1;
	if (options->verify) {
		run->verify = malloc(sizeof(*run->verify));
		if (!run->verify)
			return say_error("no memory to verify");
		if (verify_init(run->verify, &run->target, options->seed) < 0)
			return -1;
	}
	return 0;
}

static int start_workers(struct run *run)
{
	unsigned threads = run->options->threads, started = 0;

	run->workers = aligned_alloc(64, threads * sizeof(*run->workers));
	if (!run->workers)
		return say_error("no memory for %u threads", threads);
	memset(run->workers, 0,
	       threads * sizeof(*run->workers)); /* so that all can be destroyed if one can't be made */
	for (unsigned i = 0; i < threads; i++)
		if (worker_init(&run->workers[i], run, i) < 0)
			return -1;
	atomic_store(&run->unfinished, threads);
	while (started < threads &&
	       pthread_create(&run->workers[started].thread, NULL, worker_main, &run->workers[started]) == 0)
		started++;
	if (started == threads)
		return 0;
	atomic_store(&run->stop, true);
	for (unsigned i = 0; i < started; i++)
		pthread_join(run->workers[i].thread, NULL);
	return say_error("cannot start thread %u of %u", started + 1, threads);
}

static void show_progress(const struct run *run, uint64_t start_ns)
{
	uint64_t done = run_accesses_done(run), hits, misses;
	double seconds = (double)(run_clock_ns() - start_ns) / 1e9, rate = (double)done / seconds, left;
	char count[NUMBER_TEXT], per_second[NUMBER_TEXT];

	hits = run->window ? done : weir_counter(run->pool, "pin_hit");
	misses = weir_counter(run->pool, run->window ? "pgmajfault" : "pin_miss");
	if (run->window)
		hits -= misses < hits ? misses : hits;
	left = rate > 0 ? (double)(run->accesses - done) / rate : 0;
	if (run->options->seconds > 0 && run->options->seconds - seconds < left)
		left = run->options->seconds - seconds;
	progress_show("%3.0f %%  %s accesses, %s/s, %.1f %% hits, %.0f s left",
		      100.0 * (double)done / (double)run->accesses, format_count(count, done),
		      format_count(per_second, (uint64_t)rate),
		      hits + misses ? 100.0 * (double)hits / (double)(hits + misses) : 0.0, left < 0 ? 0 : left);
}

/* Until the workers are done, time is up, or a signal arrives. */
static void watch(struct run *run, uint64_t start_ns)
{
	const struct timespec pause = {.tv_nsec = 10000000};

	while (atomic_load(&run->unfinished)) {
		double seconds = (double)(run_clock_ns() - start_ns) / 1e9;

		if (interrupt_signal() || (run->options->seconds > 0 && seconds >= run->options->seconds))
			atomic_store(&run->stop, true);
		if (progress_due())
			show_progress(run, start_ns);
		nanosleep(&pause, NULL);
	}
	progress_clear();
}

static int execute(struct run *run, struct reclaimer *reclaimer, struct report *report)
{
	uint64_t start_ns = run_clock_ns();
	int result;

	if (start_workers(run) < 0)
		return -1;
	result = reclaimer_start(reclaimer, run);
	if (result < 0)
		atomic_store(&run->stop, true);
	watch(run, start_ns);
	for (unsigned i = 0; i < run->options->threads; i++)
		pthread_join(run->workers[i].thread, NULL);
	reclaimer_stop(reclaimer);
	report_take_workers(report, start_ns);
	return atomic_load(&run->failed) ? -1 : result;
}

static int verify_anon(struct run *run)
{
	char *scratch = aligned_alloc(WEIR_PAGE_SIZE, WEIR_PAGE_SIZE);
	int error = 0;

	if (!scratch)
		return say_error("no memory for a buffer of 4 KiB");
	for (uint64_t page = 0; page < run->target.pages && !error && !interrupt_signal(); page++) {
		struct weir_pin pin;

		error = weir_pin(run->object, page, WEIR_READ | WEIR_WAIT, &pin);
		if (error)
			break;
		verify_last(run->verify, page, pin.data, scratch);
		weir_unpin(&pin);
		if (page % 1024 == 0 && progress_due())
			progress_show("verifying: %llu %%", (unsigned long long)(page * 100 / run->target.pages));
	}
	free(scratch);
	progress_clear();
	return error ? say_error("cannot read %s to verify it: %s", run->target.path, strerror(-error)) : 0;
}

/* Write back and close; what cannot be written is dropped after saying so. */
static int close_object(struct run *run)
{
	int result = 0;

	if (run->window)
		weir_unmap(run->object); /* nobody has pins any more */
	run->window = NULL;
	if (run->object && weir_close(run->object, 0) < 0) {
		result = say_error("%s: closing: %s", run->target.path, weir_error_text());
		weir_close(run->object, WEIR_DISCARD);
	}
	run->object = NULL;
	return result;
}

static int finish(struct run *run, struct report *report)
{
	bool anon = run->target.anon;
	uint64_t start_ns = run_clock_ns();
	int result;

	weir_meminfo(run->pool, WEIR_ALL_NODES, &report->memory);
	if (anon) /* closing leaves nothing of it: neither what was in swap, nor what could be read again */
		report_take_pool(report);
	result = anon && run->verify ? verify_anon(run) : 0;
	if (close_object(run) < 0)
		result = -1;
	report->close_seconds = (double)(run_clock_ns() - start_ns) / 1e9;
	report->peak_rss_bytes = report_peak_rss();
	if (!anon)
		report_take_pool(report);
	if (run->verify && !anon && result == 0)
		result = verify_file(run->verify);
	if (run->verify && atomic_load(&run->verify->errors))
		result = -1;
	return result;
}

static void clean_up(struct run *run)
{
	close_object(run);
	if (run->pool)
		weir_destroy(run->pool);
	if (!run->options->keep)
		target_unlink(&run->target);
	if (run->verify)
		verify_destroy(run->verify);
	free(run->verify);
	journal_close(&run->journal);
	target_close(&run->target);
	for (unsigned i = 0; run->workers && i < run->options->threads; i++)
		worker_destroy(&run->workers[i]);
	free(run->workers);
	trace_free(&run->trace);
}

static int replay(const struct options *options)
{
	static struct report report; /* too large for a stack */
	static struct run run;
	static struct reclaimer reclaimer;
	int result;

	run.options = options;
	run.target.fd = -1;
	run.journal.fd = -1;
	report.run = &run;
	report.reclaimer = &reclaimer;
	report.policy = options->policy ? options->policy : weir_policy_name(0);

	result = prepare(&run);
	if (result == 0)
		result = execute(&run, &reclaimer, &report);
	if (result == 0)
		result = finish(&run, &report);
	report.signal = interrupt_signal();
	progress_clear();
	if (result < 0 && report.signal && !say_first())
		say_error("ended by %s before there was anything to report", strsignal(report.signal));
	/* Also a run that failed its verification has its numbers; one that could not run to its end has none. */
	if (result == 0 || (run.verify && atomic_load(&run.verify->errors) && report.counter_count)) {
		if (options->json)
			report_print_json(&report);
		else
			report_print(&report);
	} else {
		say_failure(options->json);
	}
	clean_up(&run);
	if (report.signal)
		return 128 + report.signal;
	return result < 0 ? EXIT_FAILED : EXIT_OK;
}

int replay_main(int argc, char **argv)
{
	static struct options options;

	if (options_parse(&options, argc, argv) < 0) {
		say_failure(options.json);
		return EXIT_USAGE;
	}
	if (options.help) {
		fputs(options_help, stdout);
		return EXIT_OK;
	}
	if (options.list_policies)
		return list_policies(options.json);
	if (check_policy(options.policy) < 0) {
		say_failure(options.json);
		return EXIT_USAGE;
	}
	interrupt_install();
	progress_start(options.progress == PROGRESS_ALWAYS ||
		       (options.progress == PROGRESS_AUTO && isatty(STDERR_FILENO)));
	return replay(&options);
}
