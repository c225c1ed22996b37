/* The buffer, and the ways to write it.
 *
 * A regular file gets all of it at once. Anything else gets pieces of whole lines, each after a look
 * whether it can be written: a pipe that can takes PIPE_BUF bytes. syslog gets one datagram a line,
 * without the C library, whose function waits. */
#include "base/lines.h"

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

#define BUFFER_BYTES ((size_t)64 << 10)
#define FLUSH_S      1.0
#define SYSLOG_PATH  "/dev/log"
#define SYSLOG_START 64 /* bytes before the text of a datagram */

enum progress {
    WRITTEN,
    BLOCKED, /* the reader is slow */
    FAILED,  /* errno says why */
};

struct lines {
    struct ev_loop *loop;
    enum lines_place place;
    char *path; /* owned; NULL: it is no file */
    const char *name;
    enum counter counter;
    int fd;         /* -1: syslog can't be reached at the moment */
    bool is_file;   /* a regular file, which is always writable */
    bool is_socket; /* stderr may be one */
    bool stalled;   /* the last attempt did not write all, so the next one is that of a watcher */
    ev_timer timer; /* active while there is something in the buffer */
    ev_io writable; /* active while BLOCKED */
    int error;      /* of that attempt, as errno; 0: its reader was too slow */
    unsigned long long dropped, said; /* so far; and when the log last said so */
    struct log_limit limit;
    size_t len;
    char text[BUFFER_BYTES];
};

/* `error` is the errno of the last failure; 0: its reader was too slow. */
static void log_trouble(struct lines *lines)
{
    static const char *const names[] = {[LINES_TO_STDERR] = "stderr", [LINES_TO_SYSLOG] = "syslog"};
    lines->said = lines->dropped;
    log_limited(&lines->limit, LOG_LEVEL_WARNING, lines->name,
                "can't write to %s: %s; lines dropped so far: %llu",
                lines->path ? lines->path : names[lines->place],
                lines->error ? strerror(lines->error) : "its reader is too slow", lines->dropped);
}

static void drop(struct lines *lines, unsigned long long count)
{
    lines->dropped += count;
    counter_add(lines->counter, count);
}

/* --- opening --- */

static bool use_descriptor(struct lines *lines, int fd)
{
    struct stat status;
    if (fd < 0)
        return false;
    if (lines->fd > STDERR_FILENO)
        close(lines->fd);
    lines->fd = fd;
    bool known = fstat(fd, &status) == 0;
    lines->is_file = known && S_ISREG(status.st_mode);
    lines->is_socket = known && S_ISSOCK(status.st_mode);
    return true;
}

static bool open_file(struct lines *lines)
{
    return use_descriptor(lines, log_file_open(lines->path));
}

/* The service may start after us, or start again: then each attempt to write comes here. */
static bool connect_syslog(struct lines *lines)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SYSLOG_PATH};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return use_descriptor(lines, fd);
    if (fd >= 0)
        close(fd);
    return false;
}

static bool open_place(struct lines *lines)
{
    switch (lines->place) {
    case LINES_TO_FILE:
        return open_file(lines);
    case LINES_TO_SYSLOG:
        connect_syslog(lines);
        return true;
    case LINES_TO_STDERR:
        return use_descriptor(lines, STDERR_FILENO);
    }
    return false;
}

/* --- writing --- */

static void consume(struct lines *lines, size_t count)
{
    lines->len -= count;
    memmove(lines->text, lines->text + count, lines->len);
}

/* Whole lines of at most that many bytes; or the rest of a line. */
static size_t whole_lines(const struct lines *lines, size_t from, size_t most)
{
    size_t left = lines->len - from;
    if (left <= most)
        return left;
    const char *end = memrchr(lines->text + from, '\n', most);
    return end ? (size_t)(end - (lines->text + from)) + 1 : most;
}

static enum progress progress_of_errno(void)
{
    return errno == EAGAIN || errno == EINTR ? BLOCKED : FAILED;
}

static enum progress write_file(struct lines *lines)
{
    while (lines->len > 0) {
        ssize_t count = write(lines->fd, lines->text, lines->len);
        if (count < 0)
            return progress_of_errno();
        consume(lines, (size_t)count);
    }
    return WRITTEN;
}

/* stderr may be blocking, and is not only ours, so it stays so. */
static enum progress write_pieces(struct lines *lines)
{
    struct pollfd look = {.fd = lines->fd, .events = POLLOUT};
    enum progress progress = WRITTEN;
    size_t done = 0;
    while (done < lines->len) {
        if (poll(&look, 1, 0) <= 0) {
            progress = BLOCKED;
            break;
        }
        const char *piece = lines->text + done;
        size_t len = whole_lines(lines, done, LINES_LINE_MAX);
        ssize_t count = lines->is_socket ? send(lines->fd, piece, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                                         : write(lines->fd, piece, len);
        if (count < 0) {
            progress = progress_of_errno();
            break;
        }
        done += (size_t)count;
    }
    consume(lines, done);
    return progress;
}

/* What a datagram of RFC 3164 begins with. */
static size_t syslog_start(char out[SYSLOG_START])
{
    time_t now = time(NULL);
    struct tm parts;
    char stamp[20];
    localtime_r(&now, &parts);
    strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &parts);
    return (size_t)snprintf(out, SYSLOG_START, "<%d>%s workerless[%ld]: ", LOG_DAEMON | LOG_INFO,
                            stamp, (long)getpid());
}

static enum progress write_syslog(struct lines *lines)
{
    char text[SYSLOG_START + LINES_LINE_MAX];
    enum progress progress = WRITTEN;
    size_t start = syslog_start(text), done = 0;
    if (lines->fd < 0 && !connect_syslog(lines))
        return FAILED;
    while (done < lines->len) {
        const char *line = lines->text + done, *end = memchr(line, '\n', lines->len - done);
        size_t len = (size_t)(end - line);
        memcpy(text + start, line, len);
        if (send(lines->fd, text, start + len, MSG_NOSIGNAL) < 0) {
            progress = progress_of_errno();
            break;
        }
        done += len + 1;
    }
    consume(lines, done);
    if (progress == FAILED) {
        int error = errno;
        close(lines->fd);
        lines->fd = -1;
        errno = error;
    }
    return progress;
}

static void flush(struct lines *lines)
{
    enum progress progress = lines->len == 0                   ? WRITTEN
                             : lines->place == LINES_TO_SYSLOG ? write_syslog(lines)
                             : lines->is_file                  ? write_file(lines)
                                                               : write_pieces(lines);
    if (progress != WRITTEN)
        lines->error = progress == FAILED ? errno : 0;
    lines->stalled = progress != WRITTEN;
    if (progress == FAILED || lines->dropped > lines->said)
        log_trouble(lines);
    ev_io_stop(lines->loop, &lines->writable);
    if (progress == BLOCKED && !lines->is_file) {
        ev_io_set(&lines->writable, lines->fd, EV_WRITE);
        ev_io_start(lines->loop, &lines->writable);
    }
}

static void set_timer(struct lines *lines)
{
    if (lines->len == 0 || ev_is_active(&lines->timer))
        return;
    ev_timer_set(&lines->timer, FLUSH_S, 0.);
    ev_timer_start(lines->loop, &lines->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct lines *lines = timer->data;
    (void)loop, (void)events;
    flush(lines);
    set_timer(lines);
}

static void on_writable(struct ev_loop *loop, ev_io *writable, int events)
{
    (void)loop, (void)events;
    flush(writable->data);
}

/* --- the interface --- */

struct lines *lines_open(struct ev_loop *loop, enum lines_place place, const char *path,
                         const char *name, enum counter dropped)
{
    struct lines *lines = alloc_bytes(sizeof *lines);
    if (!lines) {
        log_error(name, "out of memory");
        return NULL;
    }
    memset(lines, 0, offsetof(struct lines, text));
    lines->loop = loop;
    lines->place = place;
    lines->name = name;
    lines->counter = dropped;
    lines->fd = -1;
    if (place == LINES_TO_FILE && !(lines->path = alloc_copy(path, strlen(path)))) {
        log_error(name, "out of memory");
        free(lines);
        return NULL;
    }
    if (!open_place(lines)) {
        log_error(name, "can't open %s: %s", path, log_file_strerror(errno));
        free(lines->path);
        free(lines);
        return NULL;
    }
    ev_timer_init(&lines->timer, on_timer, 0., 0.);
    lines->timer.data = lines;
    ev_init(&lines->writable, on_writable);
    lines->writable.data = lines;
    return lines;
}

char *lines_begin(struct lines *lines)
{
    if (sizeof lines->text - lines->len < LINES_LINE_MAX && !lines->stalled)
        flush(lines);
    if (sizeof lines->text - lines->len < LINES_LINE_MAX) {
        drop(lines, 1);
        return NULL;
    }
    return lines->text + lines->len;
}

void lines_end(struct lines *lines, size_t len)
{
    check(len <= sizeof lines->text - lines->len);
    lines->len += len;
    set_timer(lines);
}

bool lines_reopen(struct lines *lines)
{
    if (lines->place != LINES_TO_FILE)
        return false;
    flush(lines);
    ev_io_stop(lines->loop, &lines->writable);
    if (open_file(lines)) {
        lines->stalled = false;
        log_info(lines->name, "opened %s again", lines->path);
    } else {
        log_error(lines->name, "can't open %s: %s", lines->path, log_file_strerror(errno));
    }
    return true;
}

/* The lines in the buffer, the last of which may have been begun. */
static unsigned long long count_lines(const struct lines *lines)
{
    unsigned long long count = 0;
    for (size_t i = 0; i < lines->len; i++)
        count += lines->text[i] == '\n';
    return count;
}

void lines_close(struct lines *lines)
{
    if (!lines)
        return;
    flush(lines);
    if (lines->len > 0) {
        drop(lines, count_lines(lines));
        log_trouble(lines);
    }
    ev_timer_stop(lines->loop, &lines->timer);
    ev_io_stop(lines->loop, &lines->writable);
    log_limit_end(&lines->limit);
    if (lines->fd > STDERR_FILENO)
        close(lines->fd);
    free(lines->path);
    free(lines);
}
