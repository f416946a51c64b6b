/* SPDX-License-Identifier: MIT
 *
 * error.h - the calling thread's last error as a sentence (weir_error_text).
 */
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

/* Keep the sentence and return `error` (a negative errno), so that callers write return weir_error_set(-EINVAL, ...).
 * Formats with vsnprintf into thread-local storage: for create, open, resize and close only, never in faults or
 * reclaim. */
int weir_error_set(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What an errno means, in English. strerror would translate it, by records that may lie on a heap of ours (weir run), which
 * may be paged out. Lasts; any thread. */
const char *error_words(int error);

#endif
