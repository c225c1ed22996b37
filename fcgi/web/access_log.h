/* The access log: a line for each request, when its answer is known. Off by default.
 *
 *     access_log_begin --> access_log_fragment --> answered now: access_log_answer --> line
 *                                            '--> parked, or a stream: access_log_keep
 *                                                   '--> settled, left, streamed --> line
 *
 * It is one for the process, like the log. While it is off, a request costs a look at
 * access_log_on. */
#ifndef WORKERLESS_WEB_ACCESS_LOG_H
#define WORKERLESS_WEB_ACCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct access_record;
struct ev_loop;
struct response;
struct settlement;
struct web_request;

#define ACCESS_LOG_FILE "file:" /* begins `place` if the log is a file */

struct access_settings {
    const char *place;  /* "off", "stderr", "syslog" or "file:PATH"; owned by the config */
    const char *format; /* for access_format_read; likewise */
    double share;       /* of the requests that get a line, 0 to 1; failures always do */
};

/* Sets it up; call it again when the config has changed. All is copied but the loop, which is
 * borrowed until access_log_end. If it fails, this is logged, false returned, and everything stays
 * as it was. */
bool access_log_configure(struct ev_loop *loop, const struct access_settings *settings);

/* Whether it is open or can be opened; if not, this is logged. It is closed again. */
bool access_log_try(const struct access_settings *settings);

/* Opens its file again. Returns false if it has none. */
bool access_log_reopen(void);

/* Writes what there is, and turns it off. */
void access_log_end(void);

/* Only access_log.c sets it. */
extern bool access_log_on;

/* A complete request is about to be answered. It is borrowed until the next of these: answer, keep
 * or begin. */
void access_log_begin(const struct web_request *request);

/* It is for a fragment of that route. The pattern is borrowed, likewise; the key is copied. */
void access_log_note(const char *pattern, struct slice key);

static inline void access_log_fragment(const char *pattern, struct slice key)
{
    if (access_log_on)
        access_log_note(pattern, key);
}

/* It has been answered. */
void access_log_answer(const struct response *response);

/* It is not answered yet. Returns what the caller owns; or NULL, if it can't be kept: then its line
 * counts as dropped. */
struct access_record *access_log_keep(void);

/* These end a record, and write its line. NULL is allowed: it has none. */
void access_log_settled(struct access_record *record, const struct settlement *settlement,
                        const struct response *response);
void access_log_left(struct access_record *record); /* the request ended before it was settled */
void access_log_streamed(struct access_record *record, uint64_t bytes);

/* A fragment of a stream. */
struct access_part {
    struct slice name;
    const char *pattern, *outcome; /* NULL: no route has it */
    int status;
    size_t bytes; /* of its body */
};

/* Writes a line for it, with what the record says of the request. */
void access_log_part(const struct access_record *record, const struct access_part *part);

/* A request was rejected before it was complete, so nothing else is known of it. */
void access_log_rejected(int status);

#endif
