/* One line a message, to stderr or syslog; what peers sent is escaped, so it can't forge a line. */
#ifndef WORKERLESS_BASE_LOG_H
#define WORKERLESS_BASE_LOG_H

#include <stdbool.h>

struct ev_loop;

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Until it is called: messages up to INFO go to stderr. What would be lost there, as it is
 * /dev/null under spawn-fcgi, goes to syslog in any case. */
void log_configure(enum log_level most, bool to_syslog);

bool log_goes_to_syslog(void);

bool log_enabled(enum log_level level);

/* `room` says where it comes from ("redis", "http"); the message ends without a newline. In the
 * formatted text, control characters (C0, C1), those that change the direction of text, line and
 * paragraph separators and bytes that are not UTF-8 appear as \xNN, one for each byte. The text is
 * cut at 1,000 bytes, but never within a character. */
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

/* --- what can recur --- */

#define LOG_LIMIT_S     10  /* the length of a period, in seconds */
#define LOG_LIMIT_BURST 5   /* messages that can be written in the first period; later ones: 1 */
#define LOG_STATE_BURST 20  /* the same of log_state */
#define LOG_LIMIT_TEXT  240 /* bytes of a message that its summary repeats */

/* Keeps a message that peers can cause again and again from filling the log. Whoever logs such a
 * message owns one of these for each thing that must not hide another (for each source and kind of
 * failure, say). All zero: fresh. Only log.c touches the members. */
struct log_limit {
    struct log_limit *next, *prev; /* in the list of limits that owe a summary */
    double since;                  /* start of the period, by clock_monotonic(); 0: none runs */
    unsigned considered;           /* messages of this period that could be written */
    unsigned long left_out;        /* messages of this period that were not */
    bool flooded;                  /* the period before left messages out */
    bool states;                   /* the summary tells the last message: text is that */
    enum log_level level;          /* of the message written last, as the following */
    const char *room;              /* NULL: none was written */
    char text[LOG_LIMIT_TEXT + 1];
};

/* As log_message, unless the limit is reached; then it only counts. The first message is written at
 * once. So are the next few unless they repeat the one before. After that one message is written
 * every 10 seconds at most, and a summary:
 *
 *     … and 1,570 more in 10 s like this one: MESSAGE
 *
 * The summary is written when the period ends (see log_attach), before the next message of this
 * limit at the latest, or by log_limit_end. A period in which nothing was left out ends the flood.
 * While debug messages are on, everything is written. `room` must outlive the limit. */
void log_limited(struct log_limit *limit, enum log_level level, const char *room,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same for messages that each replace the one before, such as that a server is gone, and that
 * it is back. The summary tells how things stand, and more messages are written until then:
 *
 *     … and 498 more in 10 s, the last one: MESSAGE
 */
void log_state(struct log_limit *limit, enum log_level level, const char *room, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/* Writes the summary that the limit owes, if any, and makes it fresh. Must be called before the
 * memory of a limit is freed. May be called twice. */
void log_limit_end(struct log_limit *limit);

/* From now on summaries are written when their period ends, by a timer in the loop that is active
 * only while a summary is owed. Borrowed until log_detach, which writes all that are owed. Without
 * a loop summaries come later, but they come. */
void log_attach(struct ev_loop *loop);
void log_detach(void);

#endif
