/* One line a message: "TIME LEVEL room: text". Under syslog the time is left to syslog. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static enum log_level most_detailed = LOG_LEVEL_INFO;
static bool syslog_open;

static const struct {
    const char *name;
    int priority;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

void log_configure(enum log_level most, bool to_syslog)
{
    most_detailed = most;
    if (to_syslog && !syslog_open)
        openlog("workerless", LOG_PID, LOG_DAEMON);
    syslog_open = to_syslog;
}

bool log_enabled(enum log_level level)
{
    return level <= most_detailed;
}

/* Control bytes as \xNN. Cuts where `size` ends. */
static void escape(char *out, size_t size, const char *text)
{
    size_t at = 0;
    for (; *text && at + 5 < size; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == 0x7f)
            at += (size_t)snprintf(out + at, size - at, "\\x%02x", byte);
        else
            out[at++] = *text;
    }
    out[at] = '\0';
}

void log_message(enum log_level level, const char *room, const char *format, ...)
{
    if (!log_enabled(level))
        return;

    char text[1001], safe[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    escape(safe, sizeof safe, text);

    if (syslog_open) {
        syslog(levels[level].priority, "%s: %s", room, safe);
        return;
    }
    struct timespec now;
    struct tm parts;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);

    /* One write a line, so that lines of several processes do not mix. */
    char line[2200];
    int len = snprintf(line, sizeof line, "%s.%03ldZ [%ld] %s %s: %s\n", stamp,
                       now.tv_nsec / 1000000, (long)getpid(), levels[level].name, room, safe);
    if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
        return; /* nowhere left to complain */
}
