/* Accepting connections from listening sockets.
 *
 * Without free descriptors or memory, or at max_connections, accepting pauses: peers wait in the
 * backlog, and the loop does not spin. It resumes when a connection has ended, or after a moment.
 *
 * Workers share sockets: a connection wakes all that wait, since libev does not set EPOLLEXCLUSIVE,
 * and the first of them gets it. Of 4,000 connections to idle workers, one at a time, 11 woke a worker
 * in vain if there were 4 of them, and 691 if there were 8; under load, at most 1 in 20
 * (COUNTER_ACCEPTED_NONE). share.h keeps one from taking too many.
 */
#include "wire/listener.h"

#include <errno.h>
#include <ev.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/counters.h"
#include "base/figures.h"
#include "base/log.h"
#include "base/slice.h"
#include "wire/share.h"
#include "wire/sockets.h"

#define ACCEPT_ROUND 64 /* connections accepted before other watchers have their turn */
#define PAUSE_S      1.0

struct listener {
    struct listeners *all;
    ev_io io;
    const struct listening_socket *socket;
};

struct listeners {
    struct ev_loop *loop;
    struct sockets *sockets;
    struct share share; /* of the sockets that other workers accept from, too */
    ev_timer moment;    /* while connections are left to them */
    ev_timer pause;
    bool wanted; /* listeners_start was called, listeners_pause was not */
    listener_accepted_fn *accepted;
    void *context;
    const char *web_servers; /* FCGI_WEB_SERVER_ADDRS: who may connect by TCP; NULL: everybody */
    struct log_limit refusals, failures; /* rejected peers; failures to accept */
    size_t count;
    struct listener listener[];
};

/* --- accepting --- */

static bool is_shared(const struct listener *listener)
{
    return listener->socket->worker == SOCKET_OF_ALL && figures_workers() > 0;
}

static void watch_all(struct listeners *all, bool on)
{
    for (size_t i = 0; i < all->count; i++) {
        struct listener *listener = &all->listener[i];
        if (!on)
            ev_io_stop(all->loop, &listener->io);
        else if (!is_shared(listener) || !ev_is_active(&all->moment))
            ev_io_start(all->loop, &listener->io);
    }
}

/* Pauses for a moment; only listeners_start ends the pause earlier. */
static void pause_accepting(struct listeners *all)
{
    watch_all(all, false);
    ev_timer_stop(all->loop, &all->pause);
    ev_timer_set(&all->pause, PAUSE_S, 0.);
    ev_timer_start(all->loop, &all->pause);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct listeners *all = timer->data;
    (void)loop, (void)events;
    if (all->wanted)
        watch_all(all, true);
}

/* FastCGI 1.0, section 3.2: a comma-separated list of the addresses of the web servers. */
static bool peer_allowed(struct listeners *all, const struct sockaddr_storage *peer, socklen_t len)
{
    char host[NI_MAXHOST];
    if (!all->web_servers)
        return true;
    if (getnameinfo((const struct sockaddr *)peer, len, host, sizeof host, NULL, 0,
                    NI_NUMERICHOST) != 0)
        return false;
    struct slice rest = slice_of(all->web_servers);
    while (rest.len > 0) {
        size_t item = strcspn(rest.data, ",");
        if (slice_equal(slice_trim((struct slice){rest.data, item}), slice_of(host)))
            return true;
        rest = slice_from(rest, item < rest.len ? item + 1 : item);
    }
    log_limited(&all->refusals, LOG_LEVEL_WARNING, "listener",
                "rejected a connection from %s: not in FCGI_WEB_SERVER_ADDRS", host);
    return false;
}

/* Accepts one connection. Returns false if there is none, or none can be accepted now. */
static bool accept_one(struct listener *listener)
{
    struct listeners *all = listener->all;
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int on = 1;
    int fd = accept4(listener->io.fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED)
            return true;
        if (errno != EAGAIN && errno != EWOULDBLOCK) { /* out of descriptors or memory */
            log_limited(&all->failures, LOG_LEVEL_WARNING, "listener",
                        "accept failed: %s; new connections have to wait", strerror(errno));
            pause_accepting(all);
        }
        return false;
    }
    if (!listener->socket->local) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        if (!peer_allowed(all, &peer, len)) {
            close(fd);
            return true;
        }
    }
    counter_add(COUNTER_ACCEPTED, 1);
    if (!all->accepted(all->context, fd, listener->socket->local)) {
        log_limited(&all->failures, LOG_LEVEL_WARNING, "listener",
                    "out of memory; new connections have to wait");
        close(fd);
        pause_accepting(all);
        return false;
    }
    return true;
}

/* --- sharing --- */

static uint64_t connections_of_others(void)
{
    uint64_t count = 0;
    for (unsigned part = 0; part < figures_parts(); part++) {
        const uint64_t *values = counters_of(part);
        if (values && values != counter_values)
            count += values[COUNTER_CONNECTIONS];
    }
    return count;
}

static bool has_more_than_its_share(void)
{
    uint64_t mine = counter_values[COUNTER_CONNECTIONS];
    return share_is_exceeded(mine, mine + connections_of_others(), figures_workers());
}

static void leave_to_others(struct listeners *all)
{
    for (size_t i = 0; i < all->count; i++)
        if (is_shared(&all->listener[i]))
            ev_io_stop(all->loop, &all->listener[i].io);
    ev_timer_set(&all->moment, SHARE_MOMENT_S, 0.);
    ev_timer_start(all->loop, &all->moment);
}

static void on_moment_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct listeners *all = timer->data;
    (void)loop, (void)events;
    share_waited(&all->share);
    if (all->wanted && !ev_is_active(&all->pause))
        watch_all(all, true);
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
{
    struct listener *listener = io->data;
    struct listeners *all = listener->all;
    bool shared = is_shared(listener);
    uint64_t others = shared ? connections_of_others() : 0;
    (void)loop, (void)events;
    for (int i = 0; i < ACCEPT_ROUND && ev_is_active(io); i++) {
        uint64_t mine = counter_values[COUNTER_CONNECTIONS];
        if (shared && !share_take(&all->share, mine, mine + others, figures_workers())) {
            leave_to_others(all);
            return;
        }
        if (accept_one(listener))
            continue;
        if (i == 0)
            counter_add(COUNTER_ACCEPTED_NONE, 1);
        return;
    }
}

struct listeners *listeners_new(struct ev_loop *loop, struct sockets *sockets,
                                listener_accepted_fn *accepted, void *context)
{
    struct listeners *all = alloc_zeroed(sizeof *all + sockets->count * sizeof(struct listener));
    if (!all) {
        sockets_close(sockets);
        return NULL;
    }
    all->loop = loop;
    all->sockets = sockets;
    all->accepted = accepted;
    all->context = context;
    all->web_servers = getenv("FCGI_WEB_SERVER_ADDRS");
    all->count = sockets->count;
    ev_timer_init(&all->pause, on_pause_over, 0., 0.);
    all->pause.data = all;
    ev_timer_init(&all->moment, on_moment_over, 0., 0.);
    all->moment.data = all;
    for (size_t i = 0; i < all->count; i++) {
        struct listener *listener = &all->listener[i];
        listener->all = all;
        listener->socket = &sockets->list[i];
        ev_io_init(&listener->io, on_connection, listener->socket->fd, EV_READ);
        listener->io.data = listener;
    }
    return all;
}

void listeners_start(struct listeners *listeners)
{
    listeners->wanted = true;
    ev_timer_stop(listeners->loop, &listeners->pause);
    if (ev_is_active(&listeners->moment) && !has_more_than_its_share())
        ev_timer_stop(listeners->loop, &listeners->moment);
    watch_all(listeners, true);
}

void listeners_pause(struct listeners *listeners)
{
    listeners->wanted = false;
    watch_all(listeners, false);
}

void listeners_finish(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        struct listener *listener = &listeners->listener[i];
        for (int k = 0; listener->socket->created && listeners->wanted && k < SOCKETS_BACKLOG; k++)
            if (!accept_one(listener))
                break;
    }
}

void listeners_close(struct listeners *listeners)
{
    if (!listeners)
        return;
    watch_all(listeners, false);
    ev_timer_stop(listeners->loop, &listeners->pause);
    ev_timer_stop(listeners->loop, &listeners->moment);
    sockets_close(listeners->sockets);
    log_limit_end(&listeners->refusals);
    log_limit_end(&listeners->failures);
    free(listeners);
}
