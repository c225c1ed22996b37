/* One line a message, to stderr or syslog; what peers sent is escaped, so it can't forge a line. */
#ifndef WORKERLESS_BASE_LOG_H
#define WORKERLESS_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Until it is called: messages up to INFO go to stderr. What would be lost there, as it is
 * /dev/null under spawn-fcgi, goes to syslog in any case. */
void log_configure(enum log_level most, bool to_syslog);

bool log_goes_to_syslog(void);

bool log_enabled(enum log_level level);

/* `room` says where it comes from ("redis", "http"); the message ends without a newline. Control
 * bytes in the formatted text appear as \xNN; text past 1,000 bytes is cut. */
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

#endif
