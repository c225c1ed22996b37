/* One line per message, in one of three forms:
 *
 *     TIME [PID] LEVEL room: text
 *     time=TIME level=LEVEL pid=PID area=room message="text"
 *     {"time":"TIME","level":"LEVEL","pid":PID,"area":"room","message":"text"}
 *
 * With syslog, syslog adds the time and the pid.
 *
 * Rate limits work in periods: a period in which messages were left out is followed immediately by
 * another one, which allows fewer; one in which none was left out is not. */
#include "base/log.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/landlock.h"

#define TEXT_MAX      1000 /* bytes of a message before it is escaped */
#define SEQUENCE_MAX  4    /* bytes of a character */
#define NUMBER_LENGTH 27   /* of 2^64 - 1 with its separators and the zero byte */

static enum log_level most_detailed = LOG_LEVEL_INFO;
static enum log_format line_format;
static enum { UNDECIDED, TO_STDERR, TO_SYSLOG, TO_FILE } target;
static int descriptor = STDERR_FILENO; /* of stderr or the file */
static char file_path[PATH_MAX];

static const struct {
    const char *name;
    int priority;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

bool log_stderr_is_null(void)
{
    struct stat here, null;
    return fstat(STDERR_FILENO, &here) == 0 && stat("/dev/null", &null) == 0 &&
           S_ISCHR(here.st_mode) && here.st_rdev == null.st_rdev;
}

void log_configure(enum log_level most, bool to_syslog)
{
    most_detailed = most;
    if (target == TO_FILE)
        close(descriptor);
    descriptor = STDERR_FILENO;
    target = to_syslog || log_stderr_is_null() ? TO_SYSLOG : TO_STDERR;
    if (target == TO_SYSLOG)
        openlog("workerless", LOG_PID, LOG_DAEMON);
}

void log_set_format(enum log_format format)
{
    line_format = format;
}

bool log_goes_to_syslog(void)
{
    if (target == UNDECIDED)
        log_configure(most_detailed, false);
    return target == TO_SYSLOG;
}

bool log_goes_to_stderr(void)
{
    return !log_goes_to_syslog() && target == TO_STDERR;
}

/* Whether only root may write to the directory that has the file. */
static bool directory_is_roots(const char *path)
{
    char directory[PATH_MAX] = ".";
    struct stat status;
    const char *slash = strrchr(path, '/');
    if (slash)
        snprintf(directory, sizeof directory, "%.*s", slash == path ? 1 : (int)(slash - path),
                 path);
    return stat(directory, &status) == 0 && status.st_uid == 0 &&
           (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int log_file_open(const char *path)
{
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    if (geteuid() == 0 && !directory_is_roots(path))
        flags |= O_NOFOLLOW;
    return open(path, flags, 0640);
}

const char *log_file_strerror(int error)
{
    return error == ELOOP ? "root follows no symbolic link in a directory that others may write to"
                          : landlock_strerror(error);
}

bool log_open(const char *path)
{
    int fd = log_file_open(path);
    if (fd < 0) {
        log_error("log", "can't open %s: %s", path, log_file_strerror(errno));
        return false;
    }
    if (target == TO_FILE)
        close(descriptor);
    descriptor = fd;
    if (path != file_path)
        snprintf(file_path, sizeof file_path, "%s", path); /* it fits, since it could be opened */
    target = TO_FILE;
    return true;
}

bool log_reopen(void)
{
    if (target != TO_FILE)
        return false;
    if (log_open(file_path))
        log_info("log", "opened %s again", file_path);
    return true;
}

bool log_give(uid_t user, gid_t group)
{
    struct stat status;
    if (target != TO_FILE || fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) ||
        fchown(descriptor, user, group) == 0)
        return true;
    log_error("log", "can't change the owner of %s: %s", file_path, strerror(errno));
    return false;
}

bool log_enabled(enum log_level level)
{
    return level <= most_detailed;
}

void log_escape(char *out, size_t size, struct slice text)
{
    escape_plain(out, size, text, text.len);
}

/* Formats a number with commas between the thousands. */
static const char *number(char out[NUMBER_LENGTH], unsigned long long value)
{
    char *at = out + NUMBER_LENGTH - 1;
    *at = '\0';
    for (unsigned digits = 0; digits == 0 || value > 0; digits++, value /= 10) {
        if (digits > 0 && digits % 3 == 0)
            *--at = ',';
        *--at = (char)('0' + value % 10);
    }
    return at;
}

#define STAMP_ROOM 64
#define SAFE_ROOM  2048
#define LINE_ROOM  2300

/* "2026-11-28T06:17:27.123Z" */
static void write_stamp(char stamp[STAMP_ROOM])
{
    struct timespec now;
    struct tm parts;
    char seconds[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(stamp, STAMP_ROOM, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

/* Writes the line without its end. An empty stamp: without time and pid. Returns its length. */
static int form_line(char line[LINE_ROOM], const char *stamp, enum log_level level,
                     const char *room, const char *text)
{
    char safe[SAFE_ROOM], start[STAMP_ROOM + 40] = "", pid[40] = "";
    const char *name = levels[level].name;
    if (line_format == LOG_FORMAT_TEXT)
        escape_plain(safe, sizeof safe, slice_of(text), TEXT_MAX);
    else
        escape_json(safe, sizeof safe, slice_of(text), TEXT_MAX);
    switch (line_format) {
    case LOG_FORMAT_TEXT:
        if (*stamp)
            snprintf(start, sizeof start, "%s [%ld] %s ", stamp, (long)getpid(), name);
        return snprintf(line, LINE_ROOM, "%s%s: %s", start, room, safe);
    case LOG_FORMAT_LOGFMT:
        if (*stamp) {
            snprintf(start, sizeof start, "time=%s ", stamp);
            snprintf(pid, sizeof pid, "pid=%ld ", (long)getpid());
        }
        return snprintf(line, LINE_ROOM, "%slevel=%s %sarea=%s message=\"%s\"", start, name, pid,
                        room, safe);
    case LOG_FORMAT_JSON:
        if (*stamp) {
            snprintf(start, sizeof start, "\"time\":\"%s\",", stamp);
            snprintf(pid, sizeof pid, "\"pid\":%ld,", (long)getpid());
        }
        return snprintf(line, LINE_ROOM,
                        "{%s\"level\":\"%s\",%s\"area\":\"%s\",\"message\":\"%s\"}", start, name,
                        pid, room, safe);
    }
    return 0;
}

/* Each line is one write, so that lines of several processes do not mix. A line that would block,
 * since the reader is slow, is dropped and counted: it must not block the loop. (A pipe
 * is writable when it has room for PIPE_BUF bytes, which is more than a line.) */
static void write_line(char line[LINE_ROOM], int len)
{
    static unsigned long lost;
    struct pollfd look = {.fd = descriptor, .events = POLLOUT};
    if (poll(&look, 1, 0) == 0) {
        lost++;
        return;
    }
    if (lost > 0) {
        char note[LINE_ROOM], text[64], stamp[STAMP_ROOM], digits[NUMBER_LENGTH];
        bool plain = line_format == LOG_FORMAT_TEXT;
        snprintf(text, sizeof text,
                 plain ? "(%s log lines were lost here)" : "%s log lines were lost",
                 number(digits, lost));
        write_stamp(stamp);
        int note_len = plain ? snprintf(note, sizeof note, "%s", text)
                             : form_line(note, stamp, LOG_LEVEL_WARNING, "log", text);
        note[note_len] = '\n';
        if (write(descriptor, note, (size_t)note_len + 1) > 0)
            lost = 0;
    }
    line[len] = '\n';
    if (write(descriptor, line, (size_t)len + 1) < 0)
        lost++; /* there is nowhere to report it */
}

/* Escapes and writes the formatted text, which is terminated and may have been truncated. */
static void write_message(enum log_level level, const char *room, const char *text)
{
    char line[LINE_ROOM], stamp[STAMP_ROOM] = "";
    bool to_syslog = log_goes_to_syslog();
    if (!to_syslog)
        write_stamp(stamp);
    int len = form_line(line, stamp, level, room, text);
    if (to_syslog)
        syslog(levels[level].priority, "%s", line);
    else
        write_line(line, len);
}

/* Includes room for a character that begins before the cut and ends after it. */
#define FORMATTED_SIZE (TEXT_MAX + SEQUENCE_MAX)

void log_message(enum log_level level, const char *room, const char *format, ...)
{
    char text[FORMATTED_SIZE];
    va_list arguments;
    if (!log_enabled(level))
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    write_message(level, room, text);
}

/* --- what can recur --- */

static struct log_limit *owing; /* limits with a summary to write */
static struct ev_loop *timer_loop;
static ev_timer timer;

/* Sets the timer to the end of the first period. */
static void set_timer(double now)
{
    struct log_limit *limit, *first = owing;
    if (!timer_loop)
        return;
    ev_timer_stop(timer_loop, &timer);
    if (!owing)
        return;
    DL_FOREACH(owing, limit)
    {
        if (limit->since < first->since)
            first = limit;
    }
    double after = first->since + LOG_LIMIT_S - now;
    ev_timer_set(&timer, after > 0 ? after : 0., 0.);
    ev_timer_start(timer_loop, &timer);
}

static void write_summary(const struct log_limit *limit, double now)
{
    char text[FORMATTED_SIZE], count[NUMBER_LENGTH], length[NUMBER_LENGTH];
    double seconds = now - limit->since;
    snprintf(text, sizeof text, "… and %s more in %s s%s: %s", number(count, limit->left_out),
             number(length, seconds < 1 ? 1 : (unsigned long long)(seconds + 0.5)),
             limit->states ? ", the last one" : " like this one", limit->text);
    write_message(limit->level, limit->room, text);
}

/* Ends the period; the next one begins immediately if this one left messages out. */
static void period_end(struct log_limit *limit, double now)
{
    limit->flooded = limit->left_out > 0;
    if (limit->flooded) {
        write_summary(limit, now);
        DL_DELETE(owing, limit);
        limit->since = now;
    } else {
        limit->since = 0;
        limit->room = NULL; /* the next message is written even if it equals the last one */
    }
    limit->considered = 0;
    limit->left_out = 0;
}

static void leave_out(struct log_limit *limit, double now)
{
    if (limit->left_out++ > 0)
        return;
    DL_APPEND(owing, limit);
    set_timer(now);
}

static void on_timer(struct ev_loop *loop, ev_timer *over, int events)
{
    double now = clock_monotonic();
    struct log_limit *limit, *next;
    (void)loop, (void)over, (void)events;
    for (limit = owing; limit; limit = next) {
        next = limit->next;
        if (now - limit->since >= LOG_LIMIT_S)
            period_end(limit, now);
    }
    set_timer(now);
}

/* Whether a message of this period may still be written; if not, it need not be formatted. */
static bool has_allowance(const struct log_limit *limit)
{
    unsigned burst = limit->states ? LOG_STATE_BURST : LOG_LIMIT_BURST;
    return limit->considered < (limit->flooded ? 1 : burst) || log_enabled(LOG_LEVEL_DEBUG);
}

/* Whether the limit allows a message that begins like this. */
static bool allows(struct log_limit *limit, const char *room, const char *start)
{
    bool repeated = limit->room == room && strcmp(limit->text, start) == 0;
    if (!has_allowance(limit))
        return false;
    limit->considered++;
    return !repeated || log_enabled(LOG_LEVEL_DEBUG);
}

static void begin_message(struct log_limit *limit, double now)
{
    if (limit->since > 0 && now - limit->since >= LOG_LIMIT_S)
        period_end(limit, now);
    if (limit->since == 0)
        limit->since = now;
}

static void handle_message(struct log_limit *limit, double now, enum log_level level,
                           const char *room, const char *text)
{
    char start[sizeof limit->text];
    escape_plain(start, sizeof start, slice_of(text), TEXT_MAX);
    bool allowed = allows(limit, room, start);
    if (allowed)
        write_message(level, room, text);
    else
        leave_out(limit, now);
    if (!allowed && !limit->states)
        return;
    limit->level = level;
    limit->room = room;
    memcpy(limit->text, start, strlen(start) + 1);
}

void log_limited(struct log_limit *limit, enum log_level level, const char *room,
                 const char *format, ...)
{
    char text[FORMATTED_SIZE];
    va_list arguments;
    if (!log_enabled(level))
        return;
    double now = clock_monotonic();
    begin_message(limit, now);
    if (!has_allowance(limit)) {
        leave_out(limit, now);
        return;
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    handle_message(limit, now, level, room, text);
}

void log_state(struct log_limit *limit, enum log_level level, const char *room, const char *format,
               ...)
{
    char text[FORMATTED_SIZE];
    va_list arguments;
    if (!log_enabled(level))
        return;
    double now = clock_monotonic();
    limit->states = true;
    begin_message(limit, now);
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    handle_message(limit, now, level, room, text);
}

void log_limit_end(struct log_limit *limit)
{
    double now = clock_monotonic();
    if (limit->left_out > 0) {
        period_end(limit, now);
        set_timer(now);
    }
    *limit = (struct log_limit){0};
}

void log_attach(struct ev_loop *loop)
{
    timer_loop = loop;
    ev_timer_init(&timer, on_timer, 0., 0.);
    set_timer(clock_monotonic());
}

void log_detach(void)
{
    double now = clock_monotonic();
    while (owing)
        period_end(owing, now);
    set_timer(now);
    timer_loop = NULL;
}
