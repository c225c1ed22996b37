/* One line a message: "TIME LEVEL room: text". Under syslog the time is left to syslog. */
#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static enum log_level most_detailed = LOG_LEVEL_INFO;
static enum { UNDECIDED, TO_STDERR, TO_SYSLOG } target;

static const struct {
    const char *name;
    int priority;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

static bool stderr_is_null(void)
{
    struct stat here, null;
    return fstat(STDERR_FILENO, &here) == 0 && stat("/dev/null", &null) == 0 &&
           S_ISCHR(here.st_mode) && here.st_rdev == null.st_rdev;
}

void log_configure(enum log_level most, bool to_syslog)
{
    most_detailed = most;
    target = to_syslog || stderr_is_null() ? TO_SYSLOG : TO_STDERR;
    if (target == TO_SYSLOG)
        openlog("workerless", LOG_PID, LOG_DAEMON);
}

bool log_goes_to_syslog(void)
{
    if (target == UNDECIDED)
        log_configure(most_detailed, false);
    return target == TO_SYSLOG;
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

/* One write a line, so that lines of several processes do not mix. A line that would have to wait
 * for whoever reads stderr is lost, and counted: the loop does not stand still for it. (A pipe is
 * writable when it has room for PIPE_BUF bytes, which is more than a line.) */
static void write_line(const char *line, size_t len)
{
    static unsigned long lost;
    struct pollfd look = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&look, 1, 0) == 0) {
        lost++;
        return;
    }
    if (lost > 0) {
        char note[64];
        int note_len = snprintf(note, sizeof note, "(%lu log lines were lost here)\n", lost);
        if (write(STDERR_FILENO, note, (size_t)note_len) > 0)
            lost = 0;
    }
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nowhere left to complain */
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

    if (log_goes_to_syslog()) {
        syslog(levels[level].priority, "%s: %s", room, safe);
        return;
    }
    struct timespec now;
    struct tm parts;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);

    char line[2200];
    int len = snprintf(line, sizeof line, "%s.%03ldZ [%ld] %s %s: %s\n", stamp,
                       now.tv_nsec / 1000000, (long)getpid(), levels[level].name, room, safe);
    write_line(line, (size_t)len);
}
