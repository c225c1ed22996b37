/* A connection of a front server: one descriptor and its exchange.
 *
 *     sockets --read--> a batch --> exchanges (records, requests, answers) --write--> sockets
 *
 * Input is handled as soon as everything available, or a full batch, was read. Other events only
 * change states and mark the connection as dirty. One runner, before the loop sleeps, lets every
 * dirty connection write and frees doomed ones: nothing is freed inside its own callback.
 *
 * The exchange decides whether the connection stays open; connection_run, which follows every
 * event, acts on that verdict.
 */
#include "wire/connection.h"

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/budget.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/table.h"
#include "base/timeout.h"
#include "park/waiter.h"
#include "wire/exchange.h"

#define READ_MAX       65536             /* bytes of one read */
#define BATCH_READS    OUTPUT_SPARES     /* reads per batch */
#define BATCH_LEN      8192              /* bytes per batch */
#define WRITE_TURN     ((size_t)1 << 20) /* bytes before others have their turn */
#define LINGER_S       5.0
#define HANG_UP_LOOK_S 1.0
#define DRAIN_GRACE_S  0.25

enum connection_state {
    OPEN,
    HALF_CLOSED, /* the peer has stopped sending; pending requests are answered */
    LINGERING,   /* our side is shut; input is drained so that no reset overtakes the response */
    DOOMED,      /* to be freed by the runner */
};

struct connection {
    UT_hash_handle hh; /* in connections->table, by exchange.requests.connection */
    struct connections *all;
    struct connection *next, *prev; /* in connections->dirty */
    ev_io io;
    struct exchange exchange; /* has the connection's number */
    struct timeout timeout;   /* in the queue of what the connection waits for */
    double stuck_since;       /* since when output is pending, by clock_monotonic(); 0: none is */
    enum connection_state state;
    bool local; /* a unix socket */
    bool dirty;
    bool write_later; /* output is pending: the socket is full, or the turn is over */
    bool sent;        /* the peer has read bytes in this turn */
};

/* Input that was read and not handled yet. The batch is read, then handled, then written, since
 * system calls in between would evict the handling code from the processor's caches. */
struct batch {
    size_t count, len;
    struct {
        struct connection *connection;
        struct slice input; /* in bytes */
    } reads[BATCH_READS];
    char bytes[BATCH_LEN + READ_MAX];
};

struct connections {
    struct ev_loop *loop;
    const struct connection_limits *limits;
    struct request_groups requests;
    struct connection *table; /* by number */
    struct connection *dirty;
    size_t count;
    uint32_t next_number;
    bool draining;
    ev_timer grace;      /* of a drain: connections without any request so far stay open */
    ev_check last_batch; /* after the sockets' callbacks */
    ev_prepare runner;   /* before the loop sleeps */
    struct timeout_queue idle, receiving, sending, lingering, half_closed;
    connections_accepting_fn *accepting;
    void *accepting_context;
    struct batch batch;
};

static void connection_mark(struct connection *connection)
{
    if (connection->dirty)
        return;
    connection->dirty = true;
    DL_APPEND(connection->all->dirty, connection);
}

/* The only place that sets the state, which only moves forward. */
static void connection_set_state(struct connection *connection, enum connection_state state,
                                 const char *why)
{
    static const char *const names[] = {"open", "half closed", "lingering", "doomed"};
    check(state > connection->state);
    log_debug("connection", "%u: %s: %s", connection->exchange.requests.connection, names[state],
              why);
    connection->state = state;
    connection_mark(connection);
}

/* The first reason counts. */
static void connection_doom(struct connection *connection, const char *why)
{
    if (connection->state != DOOMED)
        connection_set_state(connection, DOOMED, why);
}

static void on_request_ready(struct request_group *requests)
{
    connection_mark(container_of(requests, struct connection, exchange.requests));
}

/* --- bytes in --- */

/* Whether the peer of a unix socket has closed both directions, not only its sending one. */
static bool peer_hung_up(const struct connection *connection)
{
    struct pollfd look = {.fd = connection->io.fd};
    return poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR)) != 0;
}

/* The peer has stopped sending. Pending requests are answered if it still reads. */
static void on_end_of_input(struct connection *connection)
{
    bool listens =
        connection->local ? !peer_hung_up(connection) : connection->all->limits->tcp_half_close;
    exchange_end_input(&connection->exchange);
    if (listens && connection->state == OPEN && !exchange_is_quiet(&connection->exchange))
        connection_set_state(connection, HALF_CLOSED, "the peer sends no more");
    else
        connection_doom(connection, "closed by the peer");
}

static void connection_feed(struct connection *connection, struct slice input)
{
    struct exchange *exchange = &connection->exchange;
    while (exchange_feed(exchange, &input)) {
        output_write(&exchange->output, connection->io.fd); /* the peer may be reading */
        if (exchange_is_full(exchange)) {
            connection_doom(connection, "the peer leaves too many replies unread");
            return;
        }
    }
}

/* One read. If there is more input, the loop calls again. */
static void connection_read(struct connection *connection)
{
    struct batch *batch = &connection->all->batch;
    char *input = batch->bytes + batch->len;
    ssize_t len = recv(connection->io.fd, input, READ_MAX, 0);
    if (len > 0 && connection->state == OPEN) {
        batch->reads[batch->count].connection = connection;
        batch->reads[batch->count].input = (struct slice){.data = input, .len = (size_t)len};
        batch->count++;
        batch->len += (size_t)len;
    } else if (len == 0) {
        on_end_of_input(connection);
    } else if (len < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        connection_doom(connection, "reading failed");
    }
}

/* --- bytes out --- */

static void write_turn(struct connection *connection)
{
    struct exchange *exchange = &connection->exchange;
    size_t sent = 0;
    connection->write_later = false;
    for (;;) {
        exchange_fill(exchange);
        if (exchange->verdict == EXCHANGE_BROKEN) {
            connection_doom(connection, exchange->why);
            return;
        }
        size_t queued = exchange->output.queued;
        if (queued == 0)
            return;
        enum output_state state = output_write(&exchange->output, connection->io.fd);
        if (state == OUTPUT_FAILED) {
            connection_doom(connection, "writing failed");
            return;
        }
        sent += queued - exchange->output.queued;
        connection->sent = sent > 0;
        if (state == OUTPUT_BLOCKED || sent > WRITE_TURN) {
            connection->write_later = state == OUTPUT_BLOCKED || exchange_has_more(exchange);
            return;
        }
    }
}

static void connection_write(struct connection *connection)
{
    write_turn(connection);
    if (!connection->write_later)
        connection->stuck_since = 0;
    else if (connection->stuck_since == 0)
        connection->stuck_since = clock_monotonic();
}

/* Everything is answered, and the connection should be closed. If there may be unread input,
 * closing now would make the kernel send a reset that could overtake the response. */
static void connection_close(struct connection *connection)
{
    if (connection->state == OPEN && exchange_expects_input(&connection->exchange)) {
        connection_set_state(connection, LINGERING, "waiting for unread input");
        shutdown(connection->io.fd, SHUT_WR);
    } else {
        connection_doom(connection, "done");
    }
}

/* The timeout depends on what the connection waits for. */
static struct timeout_queue *timeout_for(const struct connection *connection)
{
    struct connections *all = connection->all;
    if (connection->state == LINGERING)
        return &all->lingering;
    if (connection->write_later)
        return &all->sending;
    if (connection->state == HALF_CLOSED)
        return connection->local ? &all->half_closed : NULL;
    if (connection->exchange.inflight.count > 0)
        return NULL; /* each request has its own */
    return record_at_boundary(&connection->exchange.decoder) ? &all->idle : &all->receiving;
}

static void connection_watch(struct connection *connection)
{
    struct ev_loop *loop = connection->all->loop;
    int wanted =
        (connection->state == HALF_CLOSED ? 0 : EV_READ) | (connection->write_later ? EV_WRITE : 0);
    if (wanted != (connection->io.events & (EV_READ | EV_WRITE)) ||
        (wanted != 0) != !!ev_is_active(&connection->io)) {
        ev_io_stop(loop, &connection->io);
        ev_io_set(&connection->io, connection->io.fd, wanted);
        if (wanted != 0)
            ev_io_start(loop, &connection->io);
    }

    struct timeout_queue *queue = timeout_for(connection);
    if (!queue)
        timeout_stop(&connection->timeout);
    else if (queue != connection->timeout.queue ||
             (queue == &connection->all->sending && connection->sent) ||
             (queue == &connection->all->idle && connection->exchange.answered))
        timeout_start(queue, &connection->timeout);
    connection->sent = connection->exchange.answered = false;
}

static bool connection_answers(const struct connection *connection)
{
    return connection->state == OPEN || connection->state == HALF_CLOSED;
}

/* Whether closing the connection might lose a request: a part of it has arrived, or it has arrived
 * and is not read yet, or the front server has just connected to send one. */
static bool may_bring_request(const struct connection *connection)
{
    const struct exchange *exchange = &connection->exchange;
    char byte;
    return !record_at_boundary(&exchange->decoder) ||
           recv(connection->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0 ||
           (exchange->requests.next_generation == 0 && ev_is_active(&connection->all->grace));
}

/* Whether a quiet connection is to be closed. */
static bool is_finished(const struct connection *connection)
{
    return connection->exchange.verdict == EXCHANGE_CLOSE_WHEN_QUIET ||
           (connection->all->draining && !may_bring_request(connection));
}

/* One turn of a connection with input, or of a dirty one. */
static void connection_run(struct connection *connection)
{
    const struct exchange *exchange = &connection->exchange;
    if (connection_answers(connection)) {
        connection_write(connection);
        if (connection_answers(connection) && exchange_is_quiet(exchange) &&
            is_finished(connection))
            connection_close(connection);
    }
    if (connection->state != DOOMED)
        connection_watch(connection);
}

/* --- a turn of the loop --- */

/* Nothing is freed here, so all connections of the batch still exist. */
static void answer_batch(struct connections *all)
{
    struct batch *batch = &all->batch;
    clock_hold();
    for (size_t i = 0; i < batch->count; i++)
        connection_feed(batch->reads[i].connection, batch->reads[i].input);
    for (size_t i = 0; i < batch->count; i++)
        if (!batch->reads[i].connection->dirty) /* dirty ones are left to the runner */
            connection_run(batch->reads[i].connection);
    batch->count = batch->len = 0;
    clock_release();
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct connection *connection = io->data;
    struct connections *all = connection->all;
    (void)loop;
    if ((events & EV_READ) && connection->state != DOOMED)
        connection_read(connection);
    if (events & EV_WRITE)
        connection_mark(connection);
    if (all->batch.count == BATCH_READS || all->batch.len >= BATCH_LEN)
        answer_batch(all);
}

/* All readable sockets of this turn were read. */
static void on_check(struct ev_loop *loop, ev_check *last_batch, int events)
{
    struct connections *all = last_batch->data;
    (void)loop, (void)events;
    if (all->batch.count > 0)
        answer_batch(all);
}

/* --- timeouts --- */

static struct connection *connection_of(struct timeout *timeout)
{
    return container_of(timeout, struct connection, timeout);
}

static void on_idle_timeout(void *context, struct timeout *timeout)
{
    (void)context;
    connection_doom(connection_of(timeout), "idle");
}

static void on_receive_timeout(void *context, struct timeout *timeout)
{
    (void)context;
    connection_doom(connection_of(timeout), "a record did not arrive in time");
}

static void on_send_timeout(void *context, struct timeout *timeout)
{
    (void)context;
    connection_doom(connection_of(timeout), "the peer does not read");
}

static void on_linger_timeout(void *context, struct timeout *timeout)
{
    (void)context;
    connection_doom(connection_of(timeout), "the linger time is over, but the peer still sends");
}

/* Without a read watcher, we are not told that the peer has closed completely. */
static void on_half_closed_timeout(void *context, struct timeout *timeout)
{
    struct connection *connection = connection_of(timeout);
    (void)context;
    if (peer_hung_up(connection))
        connection_doom(connection, "closed by the peer");
    connection_mark(connection);
}

static void mark_all(struct connections *all)
{
    struct connection *connection, *next;
    HASH_ITER(hh, all->table, connection, next)
    {
        connection_mark(connection);
    }
}

static void on_grace_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    mark_all(timer->data);
}

/* --- all connections --- */

static void connection_free(struct connection *connection)
{
    struct connections *all = connection->all;
    exchange_free(&connection->exchange);
    timeout_stop(&connection->timeout);
    ev_io_stop(all->loop, &connection->io);
    close(connection->io.fd);
    if (connection->dirty)
        DL_DELETE(all->dirty, connection);
    HASH_DEL(all->table, connection);
    all->count--;
    counter_sub(COUNTER_CONNECTIONS, 1);
    free(connection);
}

/* Lets every dirty connection write, and frees doomed ones. Returns how many. */
static size_t run_dirty(struct connections *all)
{
    size_t ended = 0;
    while (all->dirty) {
        struct connection *connection = all->dirty;
        DL_DELETE(all->dirty, connection);
        connection->dirty = false;
        connection_run(connection);
        if (connection->state == DOOMED) {
            connection_free(connection);
            ended++;
        }
    }
    return ended;
}

/* The stuck connection with the highest cost: bytes times the seconds since its output was last
 * empty. So a peer that reads only now and then does not pass as one that keeps up, and one that
 * keeps up is not closed because of a large response. NULL: none is stuck. */
static struct connection *worst_of(const struct connections *all)
{
    struct connection *worst = NULL;
    double most = -1, now = clock_monotonic();
    for (struct timeout *timeout = all->sending.oldest; timeout; timeout = timeout->next) {
        struct connection *connection = connection_of(timeout);
        double cost =
            (double)exchange_unsent(&connection->exchange) * (now - connection->stuck_since);
        if (cost > most) {
            worst = connection;
            most = cost;
        }
    }
    return worst;
}

/* If unsent responses exceed their budget, closes a connection that does not read. Returns false if
 * they are within it, or no connection is stuck. */
static bool shed_worst(struct connections *all)
{
    static struct log_limit limit;
    struct connection *worst = budget_exceeded(BUDGET_UNSENT) ? worst_of(all) : NULL;
    if (!worst)
        return false;
    log_limited(&limit, LOG_LEVEL_WARNING, "connection",
                "unread responses exceed max_unsent: closing the slow reader that has used the "
                "most memory");
    connection_doom(worst, "unread responses exceed max_unsent");
    return true;
}

static void connections_run(struct connections *all)
{
    size_t ended = 0;
    if (!all->dirty && !budget_exceeded(BUDGET_UNSENT))
        return;
    clock_hold();
    do
        ended += run_dirty(all);
    while (shed_worst(all));
    clock_release();
    if (ended > 0 && all->accepting)
        all->accepting(all->accepting_context, true);
}

static void on_prepare(struct ev_loop *loop, ev_prepare *runner, int events)
{
    (void)loop, (void)events;
    connections_run(runner->data);
}

struct connections *connections_new(struct ev_loop *loop, const struct connection_limits *limits,
                                    struct service *service)
{
    struct connections *all = alloc_zeroed(sizeof *all);
    if (!all)
        return NULL;
    all->loop = loop;
    all->limits = limits;
    request_groups_init(&all->requests, loop, limits, service, on_request_ready);
    timeout_queue_init(&all->idle, loop, limits->idle_timeout, on_idle_timeout, all);
    timeout_queue_init(&all->receiving, loop, limits->receive_timeout, on_receive_timeout, all);
    timeout_queue_init(&all->sending, loop, limits->send_timeout, on_send_timeout, all);
    timeout_queue_init(&all->lingering, loop, LINGER_S, on_linger_timeout, all);
    timeout_queue_init(&all->half_closed, loop, HANG_UP_LOOK_S, on_half_closed_timeout, all);
    ev_timer_init(&all->grace, on_grace_over, DRAIN_GRACE_S, 0.);
    all->grace.data = all;
    ev_check_init(&all->last_batch, on_check);
    all->last_batch.data = all;
    ev_set_priority(&all->last_batch, EV_MINPRI); /* after the sockets */
    ev_check_start(loop, &all->last_batch);
    ev_prepare_init(&all->runner, on_prepare);
    all->runner.data = all;
    ev_set_priority(&all->runner, EV_MINPRI); /* after the flights' runner */
    ev_prepare_start(loop, &all->runner);
    return all;
}

void connections_on_accepting(struct connections *connections, connections_accepting_fn *accepting,
                              void *context)
{
    connections->accepting = accepting;
    connections->accepting_context = context;
}

void connections_limits_changed(struct connections *connections)
{
    const struct connection_limits *limits = connections->limits;
    timeout_queue_set(&connections->idle, limits->idle_timeout);
    timeout_queue_set(&connections->receiving, limits->receive_timeout);
    timeout_queue_set(&connections->sending, limits->send_timeout);
    request_groups_limits_changed(&connections->requests);
    if (connections->accepting)
        connections->accepting(connections->accepting_context,
                               connections->count < limits->max_connections);
}

static struct connection *connections_find(struct connections *all, uint32_t number)
{
    struct connection *connection;
    HASH_FIND(hh, all->table, &number, sizeof number, connection);
    return connection;
}

bool connections_accept(void *context, int fd, bool local)
{
    struct connections *all = context;
    struct connection *connection = alloc_zeroed(sizeof *connection);
    if (!connection)
        return false;
    do
        all->next_number++;
    while (connections_find(all, all->next_number));
    exchange_init(&connection->exchange, &all->requests, all->next_number);
    HASH_ADD(hh, all->table, exchange.requests.connection,
             sizeof connection->exchange.requests.connection, connection);
    if (!connection->hh.tbl) {
        free(connection);
        return false;
    }
    connection->all = all;
    connection->local = local;
    ev_io_init(&connection->io, on_io, fd, EV_READ);
    connection->io.data = connection;
    connection_mark(connection);
    counter_add(COUNTER_CONNECTIONS, 1);
    if (++all->count >= all->limits->max_connections && all->accepting)
        all->accepting(all->accepting_context, false);
    return true;
}

void connections_settled(void *context, const struct waiter_address *who,
                         const struct settlement *settlement)
{
    struct connection *connection = connections_find(context, who->connection);
    if (!connection)
        return;
    exchange_settle(&connection->exchange, who, settlement);
    connection_mark(connection);
}

void connections_drain(struct connections *connections)
{
    connections->draining = true;
    ev_timer_start(connections->loop, &connections->grace);
    mark_all(connections);
}

size_t connections_count(const struct connections *connections)
{
    return connections->count;
}

void connections_free(struct connections *connections)
{
    if (!connections)
        return;
    struct connection *connection, *next;
    HASH_ITER(hh, connections->table, connection, next)
    {
        connection_free(connection);
    }
    struct timeout_queue *queues[] = {&connections->idle, &connections->receiving,
                                      &connections->sending, &connections->lingering,
                                      &connections->half_closed};
    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++)
        timeout_queue_stop(queues[i]);
    request_groups_stop(&connections->requests);
    ev_timer_stop(connections->loop, &connections->grace);
    ev_check_stop(connections->loop, &connections->last_batch);
    ev_prepare_stop(connections->loop, &connections->runner);
    free(connections);
}
