/* Texts about the process itself, for clients that the config lists in `status`.
 *
 * A report is written piece by piece. Each piece is for one kind of text, and escapes what the
 * config or peers have chosen, so that no name can forge a line, a label or a member.
 */
#ifndef WORKERLESS_WEB_REPORT_H
#define WORKERLESS_WEB_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "web/answer.h"

struct service;
struct visit;

/* A longer report is not sent. */
#define REPORT_MAX ((size_t)32 << 20)

struct report { /* all zero: empty */
    struct buffer text;
    bool failed; /* out of memory, or too long */
};

/* Appends formatted text: at most REPORT_TEXT_MAX bytes, of our own words and numbers only. */
#define REPORT_TEXT_MAX 512
void report_text(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes a time in the largest units that say enough: "250ms", "12s", "3h 5m". Returns `out`. */
#define REPORT_DURATION_ROOM 32
const char *report_duration(char out[REPORT_DURATION_ROOM], double seconds);

/* Writes a size in the largest unit that it reaches: "425B", "1.5KiB", "64MiB". Returns `out`. */
#define REPORT_SIZE_ROOM 32
const char *report_size(char out[REPORT_SIZE_ROOM], uint64_t bytes);

/* Appends the value of a label without its quotes (OpenMetrics 1.0, "escaped-string"). */
void report_label(struct report *report, struct slice value);

/* Appends a string with its quotes (RFC 8259 7). */
void report_json(struct report *report, struct slice value);

/* Appends text as log messages show it: on one line, and nothing that a terminal would obey. */
void report_plain(struct report *report, struct slice value);

/* Whether the client may read reports. */
bool report_is_open(const struct service *service, const struct visit *visit);

/* Answers with the report, of that media type, and frees it; if it has failed, with 503. It is sent
 * even if max_unsent is reached, since it shows whether that is the case. */
enum answer_kind report_answer(struct service *service, const struct visit *visit,
                               struct slice type, struct report *report, union answer *answer);

#endif
