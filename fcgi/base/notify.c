/* The protocol of sd_notify(3), which needs no library. */
#include "base/notify.h"

#include <errno.h>
#include <ev.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define MESSAGE_MAX 256
#define READY_S     1    /* how long to wait until the manager takes the first message */
#define FEWEST_S    0.01 /* between two messages to the watchdog */

static int fd = -1;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_len;
static struct log_limit failures;
static ev_timer timer;
static struct ev_loop *timer_loop; /* NULL: there is no watchdog */

/* Returns false if it is no address of a unix socket. */
static bool set_address(const char *name)
{
    size_t len = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, name, len + 1);
    if (name[0] == '@') /* an abstract name has no zero byte at its end, but one at its beginning */
        address.sun_path[0] = '\0';
    address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
    return true;
}

void notify_open(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct timeval most = {.tv_sec = READY_S};
    if (!name || !*name || fd >= 0)
        return;
    if (!set_address(name)) {
        log_warning("notify", "can't use NOTIFY_SOCKET = %s: not the address of a unix socket",
                    name);
        return;
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        log_warning("notify", "can't notify the service manager: %s", strerror(errno));
    else
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
}

static void tell(const char *message, int flags)
{
    ssize_t sent;
    if (fd < 0)
        return;
    do
        sent = sendto(fd, message, strlen(message), flags | MSG_NOSIGNAL,
                      (const struct sockaddr *)&address, address_len);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        log_limited(&failures, LOG_LEVEL_WARNING, "notify", "can't notify the service manager: %s",
                    strerror(errno));
}

static void tell_state(const char *state, const char *status, int flags)
{
    char message[MESSAGE_MAX];
    snprintf(message, sizeof message, "%s\nSTATUS=%s", state, status);
    tell(message, flags);
}

void notify_ready(const char *status)
{
    tell_state("READY=1", status, 0);
}

/* systemd compares the time with that of its signal. */
void notify_reloading(void)
{
    char message[MESSAGE_MAX];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    tell(message, MSG_DONTWAIT);
}

void notify_stopping(const char *status)
{
    tell_state("STOPPING=1", status, MSG_DONTWAIT);
}

void notify_status(const char *status)
{
    char message[MESSAGE_MAX];
    snprintf(message, sizeof message, "STATUS=%s", status);
    tell(message, MSG_DONTWAIT);
}

double notify_watch_interval(void)
{
    const char *pid = getenv("WATCHDOG_PID"), *usec = getenv("WATCHDOG_USEC");
    double interval = usec ? strtod(usec, NULL) / 1e6 / 2 : 0;
    if (fd < 0 || !(interval > 0) || (pid && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    return interval < FEWEST_S ? FEWEST_S : interval;
}

void notify_alive(void)
{
    tell("WATCHDOG=1", MSG_DONTWAIT);
}

static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop, (void)watcher, (void)events;
    notify_alive();
}

void notify_watch(struct ev_loop *loop)
{
    double interval = notify_watch_interval();
    if (timer_loop || interval <= 0)
        return;
    timer_loop = loop;
    ev_timer_init(&timer, on_timer, interval, interval);
    ev_timer_start(loop, &timer);
}

void notify_close(void)
{
    if (timer_loop)
        ev_timer_stop(timer_loop, &timer);
    timer_loop = NULL;
    log_limit_end(&failures);
    if (fd >= 0)
        close(fd);
    fd = -1;
}
