/* Connecting, sending and receiving. Nothing blocks. */
#include "source/fastcgi_conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/resolve.h"

#define READ_SIZE   (64 << 10)
#define READS_MAX   4    /* in one turn, so that one connection does not hold up the others */
#define TRY_AGAIN_S 0.02 /* while the backlog is full */
#define WHY_ROOM    300

enum conn_state {
    CONN_LOOKING_UP,
    CONN_WAITING, /* for a place in the backlog */
    CONN_CONNECTING,
    CONN_OPEN,
    CONN_IDLE,
    CONN_FAILED, /* `ended` will be called */
};

struct fastcgi_conn {
    struct fastcgi_conn *prev, *next; /* while it is idle */
    struct fastcgi_conns *conns;
    void *user; /* NULL while it is idle */
    enum conn_state state;
    bool is_reused;
    bool has_sent; /* some of the request that it carries */
    int fd;        /* or -1 */
    ev_io io;
    ev_timer timer;       /* WAITING, FAILED */
    struct timeout limit; /* until it is OPEN */
    struct resolve *resolve;
    unsigned attempt;             /* which of the name's addresses is tried */
    char first[INET6_ADDRSTRLEN]; /* the one that was tried first; "": none */
    int error;                    /* of the last one */
    struct slice unsent;
    char why[WHY_ROOM]; /* FAILED */
};

static void conn_set_state(struct fastcgi_conn *conn, enum conn_state state)
{
    struct fastcgi_conns *conns = conn->conns;
    if (conn->state == CONN_IDLE) {
        DL_DELETE(conns->idle, conn);
        conns->idle_count--;
    }
    conn->state = state;
    if (state == CONN_IDLE) {
        DL_PREPEND(conns->idle, conn);
        conns->idle_count++;
    }
    if (state == CONN_OPEN || state == CONN_FAILED)
        timeout_stop(&conn->limit);
}

static void watch(struct fastcgi_conn *conn, int events)
{
    ev_io_stop(conn->conns->loop, &conn->io);
    ev_io_set(&conn->io, conn->fd, events);
    ev_io_start(conn->conns->loop, &conn->io);
}

/* Frees its socket. */
static void disconnect(struct fastcgi_conn *conn)
{
    ev_io_stop(conn->conns->loop, &conn->io);
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

static void start_timer(struct fastcgi_conn *conn, double seconds)
{
    ev_timer_stop(conn->conns->loop, &conn->timer);
    ev_timer_set(&conn->timer, seconds, 0.);
    ev_timer_start(conn->conns->loop, &conn->timer);
}

/* `ended` must not be called now: we may be inside fastcgi_conn_take. */
static void fail_soon(struct fastcgi_conn *conn, const char *problem)
{
    disconnect(conn);
    conn_set_state(conn, CONN_FAILED);
    snprintf(conn->why, sizeof conn->why, "gets no connection to %.110s: %.100s",
             conn->conns->settings->socket, problem);
    start_timer(conn, 0.);
}

static void end(struct fastcgi_conn *conn, enum fastcgi_end how, const char *why)
{
    conn->conns->events->ended(conn->user, how, why);
}

/* --- connecting --- */

static void look_up(struct fastcgi_conn *conn);

/* Only a unix socket says that its backlog is full; over TCP, connecting takes longer then. */
static void wait_for_backlog(struct fastcgi_conn *conn)
{
    struct fastcgi_conns *conns = conn->conns;
    const struct fastcgi_settings *settings = conns->settings;
    disconnect(conn);
    conn_set_state(conn, CONN_WAITING);
    start_timer(conn, TRY_AGAIN_S);
    log_limited(&conns->backlog_full, LOG_LEVEL_WARNING, "source",
                "source \"%.100s\": the backlog of %.110s is full: set connections (now %zu) to at "
                "most the number of its processes (pm.max_children of php-fpm)",
                settings->settings.name, settings->socket, settings->settings.limits.connections);
}

/* A name may have several addresses: each is tried once, and further calls begin with the one that
 * works. */
static void try_next(struct fastcgi_conn *conn, int error)
{
    struct fastcgi_conns *conns = conn->conns;
    if (!conns->address.is_name) {
        fail_soon(conn, strerror(error));
        return;
    }
    disconnect(conn);
    conn->error = error;
    conns->address.len = 0;
    conns->address.attempt = ++conn->attempt;
    look_up(conn);
}

static void conn_connect(struct fastcgi_conn *conn)
{
    const struct fastcgi_address *address = &conn->conns->address;
    const struct sockaddr *to = (const struct sockaddr *)&address->socket;
    int on = 1;
    conn_set_state(conn, CONN_CONNECTING);
    if (!conn->first[0])
        memcpy(conn->first, address->numeric, sizeof conn->first);
    conn->fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (conn->fd < 0) {
        fail_soon(conn, strerror(errno));
        return;
    }
    if (to->sa_family != AF_UNIX)
        setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(conn->fd, to, address->len) == 0 || errno == EINPROGRESS ||
        errno == EINTR) /* it goes on by itself */
        watch(conn, EV_WRITE);
    else if (errno == EAGAIN && to->sa_family == AF_UNIX)
        wait_for_backlog(conn);
    else
        try_next(conn, errno);
}

static void on_resolved(void *caller, const char *numeric, const char *error)
{
    struct fastcgi_conn *conn = caller;
    struct fastcgi_address *address = &conn->conns->address;
    conn->resolve = NULL;
    if (!numeric)
        fail_soon(conn, error);
    else if (conn->first[0] && strcmp(numeric, conn->first) == 0)
        fail_soon(conn, strerror(conn->error)); /* all have been tried */
    else if (!fastcgi_address_learn(address, numeric, clock_monotonic()))
        fail_soon(conn, "its address is unknown");
    else
        conn_connect(conn);
}

static void look_up(struct fastcgi_conn *conn)
{
    struct fastcgi_conns *conns = conn->conns;
    conn_set_state(conn, CONN_LOOKING_UP);
    conn->resolve =
        resolve_start(conns->loop, conns->address.host, conn->attempt, on_resolved, conn);
    if (!conn->resolve)
        fail_soon(conn, "its host can't be looked up: out of memory");
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct fastcgi_conn *conn = timer->data;
    (void)loop;
    (void)events;
    if (conn->state == CONN_WAITING)
        conn_connect(conn);
    else
        end(conn, FASTCGI_UNREACHABLE, conn->why);
}

static void on_limit(void *context, struct timeout *limit)
{
    struct fastcgi_conns *conns = context;
    struct fastcgi_conn *conn = container_of(limit, struct fastcgi_conn, limit);
    char why[WHY_ROOM];
    if (conns->address.is_name) { /* further calls try another address */
        conns->address.len = 0;
        conns->address.attempt = conn->attempt + 1;
    }
    snprintf(why, sizeof why, "gets no connection to %.110s within connect_timeout = %gs",
             conns->settings->socket, conns->settings->connect_timeout);
    end(conn, FASTCGI_UNANSWERED, why);
}

/* --- the open connection --- */

/* A server that has answered early may not read any more. So what can't be sent is no failure: the
 * response, or the end of the connection, will tell. */
static void send_rest(struct fastcgi_conn *conn)
{
    ssize_t sent = send(conn->fd, conn->unsent.data, conn->unsent.len, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (sent >= 0) {
        conn->unsent = slice_from(conn->unsent, (size_t)sent);
        conn->has_sent = true;
    }
    if (sent < 0 || conn->unsent.len == 0)
        watch(conn, EV_READ);
}

static void receive(struct fastcgi_conn *conn)
{
    static char scratch[READ_SIZE];
    char why[WHY_ROOM];
    for (int i = 0; i < READS_MAX; i++) {
        ssize_t len = recv(conn->fd, scratch, sizeof scratch, 0);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (len <= 0) {
            snprintf(why, sizeof why, "did not answer completely: %s",
                     len == 0 || errno == ECONNRESET ? "the connection was closed"
                                                     : strerror(errno));
            end(conn, FASTCGI_CLOSED, why);
            return;
        }
        struct slice bytes = {.data = scratch, .len = (size_t)len};
        if (!conn->conns->events->received(conn->user, bytes) || len < READ_SIZE)
            return;
    }
}

static void conn_connected(struct fastcgi_conn *conn)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error) {
        try_next(conn, error);
        return;
    }
    conn_set_state(conn, CONN_OPEN);
    watch(conn, EV_READ | EV_WRITE);
    conn->conns->events->opened(conn->user);
    send_rest(conn);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct fastcgi_conn *conn = io->data;
    (void)loop;
    if (conn->state == CONN_IDLE) { /* it ends, or has something that nobody has asked for */
        fastcgi_conn_close(conn);
        return;
    }
    if (conn->state == CONN_CONNECTING) {
        conn_connected(conn);
        return;
    }
    check(conn->state == CONN_OPEN);
    if ((events & EV_READ) && conn->is_reused && !conn->has_sent) { /* as if it were idle */
        end(conn, FASTCGI_CLOSED, "did not answer: its connection had ended, or was out of step");
        return;
    }
    if (events & EV_WRITE)
        send_rest(conn);
    if (events & EV_READ)
        receive(conn);
}

/* --- of a source --- */

void fastcgi_conns_init(struct fastcgi_conns *conns, struct ev_loop *loop,
                        const struct fastcgi_settings *settings,
                        const struct fastcgi_conn_events *events)
{
    *conns = (struct fastcgi_conns){.loop = loop, .settings = settings, .events = events};
    timeout_queue_init(&conns->limits, loop, settings->connect_timeout, on_limit, conns);
    fastcgi_address_init(&conns->address, settings->socket);
}

void fastcgi_conns_drop_idle(struct fastcgi_conns *conns)
{
    while (conns->idle)
        fastcgi_conn_close(conns->idle);
}

void fastcgi_conns_end(struct fastcgi_conns *conns)
{
    fastcgi_conns_drop_idle(conns);
    timeout_queue_stop(&conns->limits);
    log_limit_end(&conns->backlog_full);
}

static struct fastcgi_conn *conn_new(struct fastcgi_conns *conns)
{
    struct fastcgi_conn *conn = alloc_zeroed(sizeof *conn);
    if (!conn)
        return NULL;
    conn->conns = conns;
    conn->fd = -1;
    conn->state = CONN_LOOKING_UP;
    conn->attempt = conns->address.attempt;
    ev_io_init(&conn->io, on_io, -1, 0);
    ev_timer_init(&conn->timer, on_timer, 0., 0.);
    conn->io.data = conn->timer.data = conn;
    return conn;
}

struct fastcgi_conn *fastcgi_conn_take(struct fastcgi_conns *conns, struct slice bytes, void *user)
{
    struct fastcgi_conn *conn = conns->idle ? conns->idle : conn_new(conns);
    if (!conn)
        return NULL;
    conn->user = user;
    conn->unsent = bytes;
    if (conn->state == CONN_IDLE) {
        conn_set_state(conn, CONN_OPEN);
        conn->is_reused = true;
        conn->has_sent = false;
        watch(conn, EV_READ | EV_WRITE);
        return conn;
    }
    timeout_start(&conns->limits, &conn->limit);
    if (fastcgi_address_is_known(&conns->address, clock_monotonic()))
        conn_connect(conn);
    else
        look_up(conn);
    return conn;
}

bool fastcgi_conn_is_reused(const struct fastcgi_conn *conn)
{
    return conn->is_reused;
}

void fastcgi_conn_keep(struct fastcgi_conn *conn)
{
    struct fastcgi_conns *conns = conn->conns;
    if (conn->state != CONN_OPEN || conn->unsent.len > 0 ||
        conns->idle_count >= conns->settings->keep_connections) {
        fastcgi_conn_close(conn);
        return;
    }
    conn->user = NULL;
    conn_set_state(conn, CONN_IDLE);
    watch(conn, EV_READ);
}

void fastcgi_conn_close(struct fastcgi_conn *conn)
{
    if (!conn)
        return;
    if (conn->state == CONN_IDLE)
        conn_set_state(conn, CONN_OPEN);
    disconnect(conn);
    ev_timer_stop(conn->conns->loop, &conn->timer);
    timeout_stop(&conn->limit);
    resolve_cancel(conn->resolve);
    free(conn);
}
