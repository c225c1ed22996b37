/* One line a message, to stderr, syslog or a file; what peers sent is escaped, so it can't forge a
 * line. */
#ifndef WORKERLESS_BASE_LOG_H
#define WORKERLESS_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/escape.h"
#include "base/slice.h"

struct ev_loop;

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* How a message is written: as text for people, or with its level, area (`room`) and message as the
 * fields of logfmt or JSON. */
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/* From now on. It is LOG_FORMAT_TEXT at first. */
void log_set_format(enum log_format format);

/* Before it is called, messages up to INFO go to stderr. If stderr is /dev/null, as under
 * spawn-fcgi, messages always go to syslog. */
void log_configure(enum log_level most, bool to_syslog);

/* From now on messages go to that file, which is created if necessary, and appended to. If it can't
 * be opened, this is logged where messages went before, and false returned. */
bool log_open(const char *path);

/* Opens a log file, and does not wait for the reader of a pipe. Whoever may write to the directory
 * must not choose which file root writes to, and gives away: there, root follows no symbolic link.
 * Returns the descriptor, or -1 with errno set. */
int log_file_open(const char *path);

/* Why that has failed, in words. */
const char *log_file_strerror(int error);

/* Opens the file of log_open again, since the old one may have been moved. If that fails, the old
 * one is used further. Returns false if the log is no file. */
bool log_reopen(void);

/* Whether stderr is /dev/null, so that nobody would see what is written there. */
bool log_stderr_is_null(void);

/* Changes the owner of the file of log_open, if there is one. Returns false after logging why. */
bool log_give(uid_t user, gid_t group);

bool log_goes_to_syslog(void);
bool log_goes_to_stderr(void);

bool log_enabled(enum log_level level);

/* `room` says where the message comes from ("redis", "http"); the message has no newline. In the
 * formatted text, control characters (C0, C1), characters that change the direction of text, line
 * and paragraph separators, and bytes that are not UTF-8 are written as \xNN, one for each byte; in
 * the other formats as JSON writes them. The text is cut at 1,000 bytes, but never within a character. */
void log_message(enum log_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...)   log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                          \
            log_message(LOG_LEVEL_DEBUG, __VA_ARGS__);                                             \
    } while (0)

#define LOG_ESCAPED_LEN ESCAPED_LEN /* bytes of an escaped byte */

/* Writes the text, terminated, as log_message writes it, and cuts it before the first character for
 * which `size` has no room. */
void log_escape(char *out, size_t size, struct slice text);

/* --- rate limits --- */

#define LOG_LIMIT_S     10  /* the length of a period, in seconds */
#define LOG_LIMIT_BURST 5   /* messages written in the first period; in later ones: 1 */
#define LOG_STATE_BURST 20  /* the same for log_state */
#define LOG_LIMIT_TEXT  240 /* bytes of a message that its summary repeats */

/* Keeps messages that peers can cause repeatedly from filling the log. Use a limit of its own for
 * each kind of message that must not be hidden by another one (for example for each source and kind
 * of failure). All zero at first. Only log.c uses the members. */
struct log_limit {
    struct log_limit *next, *prev; /* in the list of limits with a summary to write */
    double since;                  /* start of the period, by clock_monotonic(); 0: none */
    unsigned considered;           /* messages of this period within the limit */
    unsigned long left_out;        /* messages of this period over the limit */
    bool flooded;                  /* the previous period left messages out */
    bool states;                   /* the summary repeats the last message, which is `text` */
    enum log_level level;          /* of the last written message, as are the next two */
    const char *room;              /* NULL: none was written */
    char text[LOG_LIMIT_TEXT + 1];
};

/* As log_message, unless the limit is reached; then the message is only counted. The first message
 * is written immediately, and so are the next few unless they repeat the previous one. After that,
 * at most one message is written every 10 seconds, and a summary:
 *
 *     … and 1,570 more in 10 s like this one: MESSAGE
 *
 * The summary is written when the period ends (see log_attach), but not later than the next message
 * of this limit, or by log_limit_end. A period in which nothing was left out resets the limit. With
 * debug messages enabled, everything is written. `room` must outlive the limit. */
void log_limited(struct log_limit *limit, enum log_level level, const char *room,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same for messages that each replace the previous one, such as "server down" and "server
 * back". The summary repeats the last one, and more messages are written before the limit is
 * reached:
 *
 *     … and 498 more in 10 s, the last one: MESSAGE
 */
void log_state(struct log_limit *limit, enum log_level level, const char *room, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/* Writes the pending summary, if any, and resets the limit. Call it before the memory of a limit is
 * freed. May be called twice. */
void log_limit_end(struct log_limit *limit);

/* From now on summaries are written when their period ends, by a timer that is active only while a
 * summary is pending. The loop is borrowed until log_detach, which writes all pending summaries.
 * Without a loop, a summary is written before the next message of its limit. */
void log_attach(struct ev_loop *loop);
void log_detach(void);

#endif
