/* A connection of a front server: one descriptor, many requests.
 *
 *     socket --read--> decoder --records--> requests --> service
 *                                                           | answered now, or settled later
 *     socket <-writev-- output <--records-- ANSWERING <-----'
 *
 * What was read is answered at once. Other events only change states and mark the connection as
 * dirty. One runner, before the loop sleeps, lets every dirty connection write, and frees those
 * that are doomed: nothing is freed inside its own callback.
 */
#include "wire/connection.h"

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/table.h"
#include "base/timeout.h"
#include "park/waiter.h"
#include "web/feed.h"
#include "web/service.h"
#include "wire/inflight.h"
#include "wire/output.h"
#include "wire/record.h"
#include "wire/request.h"
#include "wire/values.h"

#define SCRATCH_LEN    65536             /* bytes of one read */
#define READ_ROUNDS    4                 /* reads until the others have their turn */
#define OUTPUT_MARK    65536             /* queued bytes at which answers wait */
#define WRITE_TURN     ((size_t)1 << 20) /* bytes until the others have their turn */
#define REPLIES_MAX    ((size_t)1 << 20) /* queued bytes at which one that only asks is given up */
#define LINGER_S       5.0
#define HANG_UP_LOOK_S 1.0

enum connection_state {
    OPEN,
    FINISHING, /* to be closed when nothing is in flight */
    LINGERING, /* our side is shut; input is drained so that no reset overtakes the answer */
    DOOMED,    /* to be freed by the runner */
};

struct connection {
    UT_hash_handle hh; /* in connections->table, by number */
    struct connections *all;
    struct connection *next, *prev; /* in connections->dirty */
    ev_io io;
    struct record_decoder decoder;
    struct buffer management; /* content of the GET_VALUES that is arriving */
    unsigned char begin[sizeof(FCGI_BeginRequestBody)]; /* the same of a BEGIN_REQUEST */
    struct inflight inflight;
    struct request *answering; /* those with something to send, in the order of their turns */
    struct output output;
    struct timeout timeout; /* in the queue for what the connection waits for */
    uint32_t number;
    uint32_t next_generation;
    enum connection_state state;
    bool local; /* a unix socket */
    bool dirty;
    bool half_closed; /* the peer sends no more; what is in flight is answered */
    bool unread;      /* a request ended before its input had */
    bool write_later; /* output is left: the socket is full, or the turn is over */
    bool sent;        /* the peer has taken bytes in this turn */
    bool answered;    /* a request has ended in this turn */
};

struct connections {
    struct ev_loop *loop;
    const struct connection_limits *limits;
    struct service *service;
    struct connection *table; /* by number */
    struct connection *dirty;
    size_t count;
    uint32_t next_number;
    bool draining;
    ev_prepare runner;
    struct timeout_queue idle, record, sending, lingering, half_closed; /* of connections */
    struct timeout_queue receiving, beats;                              /* of requests */
    connections_room_fn *room;
    void *room_context;
    struct request *youngest;  /* of what was just read: see expect_rest */
    char scratch[SCRATCH_LEN]; /* what was just read, of whichever connection */
};

static void connection_mark(struct connection *connection)
{
    if (connection->dirty)
        return;
    connection->dirty = true;
    DL_APPEND(connection->all->dirty, connection);
}

/* Only ever forward. */
static void connection_set_state(struct connection *connection, enum connection_state state,
                                 const char *why)
{
    static const char *const names[] = {"open", "finishing", "lingering", "doomed"};
    if (state <= connection->state)
        return;
    log_debug("connection", "%u: %s: %s", connection->number, names[state], why);
    connection->state = state;
    connection_mark(connection);
}

static void connection_doom(struct connection *connection, const char *why)
{
    connection_set_state(connection, DOOMED, why);
}

/* --- the requests of a connection --- */

/* Starts the deadline of the request that began last, unless it is over already, as most are: to be
 * called before the next one, and at the end of what was read. */
static void expect_rest(struct connection *connection)
{
    struct request *request = connection->all->youngest;
    if (request && request_receiving(request))
        timeout_start(&connection->all->receiving, &request->arriving.deadline);
    connection->all->youngest = NULL;
}

static struct request *add_request(struct connection *connection, uint16_t id, bool keep_conn)
{
    struct request *request = request_new(id, connection->next_generation++, keep_conn);
    if (!request || !inflight_insert(&connection->inflight, request)) {
        request_free(request);
        return NULL;
    }
    request->arriving.owner = connection;
    expect_rest(connection);
    connection->all->youngest = request;
    return request;
}

/* After END_REQUEST was queued, or because the peer is gone. */
static void remove_request(struct connection *connection, struct request *request)
{
    if (request->listed)
        DL_DELETE(connection->answering, request);
    if (!request->input_ended)
        connection->unread = true;
    if (!request->keep_conn)
        connection_set_state(connection, FINISHING, "a request was its last");
    if (connection->all->youngest == request)
        connection->all->youngest = NULL;
    connection->answered = true;
    inflight_remove(&connection->inflight, request);
    request_free(request);
}

/* To be called after everything that may change a request's state. */
static void note_state(struct connection *connection, struct request *request,
                       enum request_state before)
{
    if (request->state == before && before != REQUEST_STREAMING)
        return;
    if (before != REQUEST_STREAMING && request->state == REQUEST_STREAMING)
        request->stream.owner = connection;
    if (!request->listed && request_has_output(request)) {
        request->listed = true;
        DL_APPEND(connection->answering, request);
    }
}

/* --- records out --- */

/* Queues a record of the answer that is next. False if there is none, or the mark is reached. */
static bool take_turn(struct connection *connection)
{
    struct request *request = connection->answering;
    if (!request || connection->output.queued >= OUTPUT_MARK)
        return false;
    switch (request_emit(request, &connection->output)) {
    case REQUEST_DONE:
        remove_request(connection, request);
        return true;
    case REQUEST_MORE:
        DL_DELETE(connection->answering, request);
        DL_APPEND(connection->answering, request);
        return true;
    case REQUEST_WAITS:
        DL_DELETE(connection->answering, request);
        request->listed = false;
        timeout_start(&connection->all->beats, &request->stream.beat);
        return true;
    case REQUEST_NO_MEMORY:
        break;
    }
    connection_doom(connection, "out of memory");
    return false;
}

/* --- records in --- */

/* Records that no request accounts for: a peer that asks without reading is given up. */
static bool may_reply(struct connection *connection)
{
    if (connection->output.queued >= REPLIES_MAX)
        output_write(&connection->output, connection->io.fd); /* perhaps it does read */
    if (connection->output.queued < REPLIES_MAX)
        return true;
    connection_doom(connection, "replies pile up unread");
    return false;
}

/* NULL: the connection is given up. */
static char *reply_room(struct connection *connection, size_t len)
{
    if (!may_reply(connection))
        return NULL;
    char *room = output_reserve(&connection->output, len);
    if (!room)
        connection_doom(connection, "out of memory");
    return room;
}

static void end_unknown_role(struct connection *connection, uint16_t id)
{
    char *out = reply_room(connection, RECORD_END_LEN);
    if (out)
        record_encode_end(out, id, FCGI_UNKNOWN_ROLE);
}

/* A request too many is answered without being kept; its later records find no request. */
static void refuse_begin(struct connection *connection, uint16_t id)
{
    struct request request = {.id = id};
    request_refuse(&request, 503);
    if (may_reply(connection) && request_emit(&request, &connection->output) != REQUEST_DONE)
        connection_doom(connection, "out of memory");
}

static void on_begin(struct connection *connection)
{
    uint16_t id = connection->decoder.header.request_id;
    struct record_begin begin = record_decode_begin(connection->begin);
    if (inflight_find(&connection->inflight, id)) {
        connection_doom(connection, "BEGIN_REQUEST with an id that is in use");
        return;
    }

    bool refused = true;
    if (begin.role != FCGI_RESPONDER)
        end_unknown_role(connection, id);
    else if (connection->inflight.count >= connection->all->limits->max_connection_requests ||
             !add_request(connection, id, begin.keep_conn))
        refuse_begin(connection, id);
    else
        refused = false;
    if (refused && !begin.keep_conn) {
        connection->unread = true;
        connection_set_state(connection, FINISHING, "a request was its last");
    }
}

static void answer_get_values(struct connection *connection)
{
    char answer[VALUES_ANSWER_MAX];
    size_t len =
        values_answer(buffer_slice(&connection->management), connection->all->limits, answer);
    buffer_free(&connection->management);
    if (len == 0) {
        connection_doom(connection, "malformed GET_VALUES");
        return;
    }
    char *out = reply_room(connection, len);
    if (out)
        memcpy(out, answer, len);
}

static void answer_unknown_type(struct connection *connection, uint8_t type)
{
    char *out = reply_room(connection, RECORD_UNKNOWN_LEN);
    if (out)
        record_encode_unknown_type(out, type);
}

static void abort_request(struct connection *connection, struct request *request)
{
    if (may_reply(connection) && !request_emit_end(request, &connection->output))
        connection_doom(connection, "out of memory");
    remove_request(connection, request);
}

/* Those that belong to a request. With id 0 they mean nothing and are ignored; any other type gets
 * UNKNOWN_TYPE (FastCGI 1.0, section 4.2). */
static bool is_application_type(uint8_t type)
{
    return type >= FCGI_BEGIN_REQUEST && type <= FCGI_DATA;
}

/* A record's content: to whom it goes. */
static void on_content(struct connection *connection, struct slice bytes)
{
    const struct record_header *header = &connection->decoder.header;
    const struct connection_limits *limits = connection->all->limits;
    if (header->type == FCGI_BEGIN_REQUEST) {
        size_t end = sizeof connection->begin - connection->decoder.content_left;
        memcpy(connection->begin + end - bytes.len, bytes.data, bytes.len);
        return;
    }
    if (header->type == FCGI_GET_VALUES && header->request_id == FCGI_NULL_REQUEST_ID) {
        if (!buffer_append(&connection->management, bytes.data, bytes.len, FCGI_MAX_LENGTH))
            connection_doom(connection, "out of memory");
        return;
    }

    struct request *request = inflight_find(&connection->inflight, header->request_id);
    if (!request)
        return;
    enum request_state before = request->state;
    if (header->type == FCGI_PARAMS && before == REQUEST_PARAMS)
        request_add_params(request, bytes, limits);
    else if (header->type == FCGI_STDIN && before == REQUEST_STDIN)
        request_add_input(request, bytes, limits);
    else if (header->type == FCGI_STDIN && before == REQUEST_PARAMS)
        request_refuse(request, 400);
    note_state(connection, request, before);
}

/* The end of a record that belongs to a request. An empty record ends its stream. */
static void on_request_record(struct connection *connection, const struct record_header *header)
{
    struct request *request = inflight_find(&connection->inflight, header->request_id);
    if (!request)
        return;
    if (header->type == FCGI_ABORT_REQUEST) {
        abort_request(connection, request);
        return;
    }
    if (header->content_len > 0)
        return;
    enum request_state before = request->state;
    if (header->type == FCGI_PARAMS && before == REQUEST_PARAMS) {
        request_end_params(request, connection->all->limits, connection->all->service);
    } else if (header->type == FCGI_STDIN) {
        request->input_ended = true;
        if (before == REQUEST_STDIN)
            request_end_input(request, connection->all->service, connection->number);
        else if (before == REQUEST_PARAMS)
            request_refuse(request, 400);
    }
    note_state(connection, request, before);
}

static void on_record_start(struct connection *connection)
{
    const struct record_header *header = &connection->decoder.header;
    if (header->type != FCGI_BEGIN_REQUEST)
        return;
    if (header->request_id == FCGI_NULL_REQUEST_ID)
        connection_doom(connection, "BEGIN_REQUEST with id 0");
    else if (header->content_len != sizeof(FCGI_BeginRequestBody))
        connection_doom(connection, "BEGIN_REQUEST of a wrong length");
}

static void on_record_end(struct connection *connection)
{
    const struct record_header *header = &connection->decoder.header;
    if (header->type == FCGI_BEGIN_REQUEST)
        on_begin(connection);
    else if (header->request_id != FCGI_NULL_REQUEST_ID)
        on_request_record(connection, header);
    else if (header->type == FCGI_GET_VALUES)
        answer_get_values(connection);
    else if (!is_application_type(header->type))
        answer_unknown_type(connection, header->type);
}

static void connection_feed(struct connection *connection, struct slice input)
{
    struct slice content;
    while (connection->state != DOOMED) {
        switch (record_decode(&connection->decoder, &input, &content)) {
        case RECORD_NEED_MORE:
            return;
        case RECORD_START:
            on_record_start(connection);
            break;
        case RECORD_CONTENT:
            on_content(connection, content);
            break;
        case RECORD_END:
            on_record_end(connection);
            take_turn(connection); /* what it is about is still in the processor's cache */
            break;
        case RECORD_BAD:
            connection_doom(connection, "not FastCGI 1");
            break;
        }
    }
}

/* --- bytes in --- */

/* Whether the peer of a unix socket has closed both directions, not only its sending one. */
static bool peer_hung_up(const struct connection *connection)
{
    struct pollfd look = {.fd = connection->io.fd};
    return poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR)) != 0;
}

/* The peer sends no more. What is in flight is answered if it still listens. */
static void on_end_of_input(struct connection *connection)
{
    bool listens =
        connection->local ? !peer_hung_up(connection) : connection->all->limits->tcp_half_close;
    for (uint32_t i = connection->inflight.count; i-- > 0;) {
        struct request *request = connection->inflight.requests[i];
        if (request_receiving(request)) /* it will never be complete */
            remove_request(connection, request);
    }
    if (listens && connection->state < LINGERING &&
        (connection->inflight.count > 0 || connection->output.queued > 0)) {
        connection->half_closed = true;
        connection_set_state(connection, FINISHING, "the peer sends no more");
    } else {
        connection_doom(connection, "closed by the peer");
    }
}

static void connection_read(struct connection *connection)
{
    char *scratch = connection->all->scratch;
    for (int round = 0; round < READ_ROUNDS && connection->state != DOOMED; round++) {
        ssize_t len = recv(connection->io.fd, scratch, SCRATCH_LEN, 0);
        if (len > 0) {
            if (connection->state != LINGERING)
                connection_feed(connection, (struct slice){.data = scratch, .len = (size_t)len});
            request_keep_params();
            expect_rest(connection);
            if (len < SCRATCH_LEN)
                return;
        } else if (len == 0) {
            on_end_of_input(connection);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            connection_doom(connection, "reading failed");
        }
    }
}

/* --- bytes out --- */

static void connection_write(struct connection *connection)
{
    size_t sent = 0;
    connection->write_later = false;
    for (;;) {
        while (take_turn(connection))
            continue;
        size_t queued = connection->output.queued;
        if (connection->state == DOOMED || queued == 0)
            return;
        enum output_state state = output_write(&connection->output, connection->io.fd);
        if (state == OUTPUT_FAILED) {
            connection_doom(connection, "writing failed");
            return;
        }
        sent += queued - connection->output.queued;
        connection->sent = sent > 0;
        if (state == OUTPUT_BLOCKED || sent > WRITE_TURN) {
            connection->write_later = state == OUTPUT_BLOCKED || connection->answering != NULL;
            return;
        }
    }
}

/* All is answered and the connection is not wanted any longer. If there may be input that nobody
 * reads, closing at once would make the kernel send a reset that could overtake the answer. */
static void connection_close(struct connection *connection)
{
    if (!connection->half_closed &&
        (connection->unread || !record_at_boundary(&connection->decoder))) {
        connection_set_state(connection, LINGERING, "there may be input left");
        shutdown(connection->io.fd, SHUT_WR);
    } else {
        connection_doom(connection, "done");
    }
}

/* What the connection waits for decides how long it may. */
static struct timeout_queue *timeout_for(const struct connection *connection)
{
    struct connections *all = connection->all;
    if (connection->state == LINGERING)
        return &all->lingering;
    if (connection->write_later)
        return &all->sending;
    if (connection->half_closed)
        return connection->local ? &all->half_closed : NULL;
    if (connection->inflight.count > 0)
        return NULL; /* each request has its own */
    return record_at_boundary(&connection->decoder) ? &all->idle : &all->record;
}

static void connection_watch(struct connection *connection)
{
    struct ev_loop *loop = connection->all->loop;
    int wanted = (connection->half_closed ? 0 : EV_READ) | (connection->write_later ? EV_WRITE : 0);
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
             (queue == &connection->all->idle && connection->answered))
        timeout_start(queue, &connection->timeout);
    connection->sent = connection->answered = false;
}

/* One turn of a dirty connection. */
static void connection_run(struct connection *connection)
{
    if (connection->state < LINGERING) {
        connection_write(connection);
        bool wanted = connection->state == OPEN && !connection->all->draining;
        if (connection->state < LINGERING && !wanted && connection->inflight.count == 0 &&
            connection->output.queued == 0)
            connection_close(connection);
    }
    if (connection->state != DOOMED)
        connection_watch(connection);
}

/* The answers go out at once, and not when all other connections were read: a front server on
 * another core goes on with the first while we are at the next. */
static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct connection *connection = io->data;
    (void)loop;
    clock_hold();
    if ((events & EV_READ) && connection->state != DOOMED)
        connection_read(connection);
    if (connection->state != DOOMED)
        connection_run(connection);
    clock_release();
}

/* --- timeouts --- */

static struct connection *connection_of(struct timeout *timeout)
{
    return (struct connection *)((char *)timeout - offsetof(struct connection, timeout));
}

static void on_idle_timeout(void *context, struct timeout *timeout)
{
    (void)context;
    connection_doom(connection_of(timeout), "idle");
}

static void on_record_timeout(void *context, struct timeout *timeout)
{
    (void)context;
    connection_doom(connection_of(timeout), "a record did not arrive in time");
}

static void on_receive_timeout(void *context, struct timeout *deadline)
{
    struct request *request =
        (struct request *)((char *)deadline - offsetof(struct request, arriving.deadline));
    struct connection *connection = request->arriving.owner;
    enum request_state before = request->state;
    (void)context;
    request_refuse(request, 408);
    note_state(connection, request, before);
    connection_mark(connection);
}

static void on_beat(void *context, struct timeout *beat)
{
    struct request *request =
        (struct request *)((char *)beat - offsetof(struct request, stream.beat));
    struct connection *connection = request->stream.owner;
    (void)context;
    feed_beat(request->stream.feed);
    note_state(connection, request, REQUEST_STREAMING);
    connection_mark(connection);
}

static void on_send_timeout(void *context, struct timeout *timeout)
{
    (void)context;
    connection_doom(connection_of(timeout), "the peer does not read");
}

static void on_linger_timeout(void *context, struct timeout *timeout)
{
    (void)context;
    connection_doom(connection_of(timeout), "done, though the peer still sends");
}

/* Without a watcher for reading, nobody tells us that the peer has gone altogether. */
static void on_half_closed_timeout(void *context, struct timeout *timeout)
{
    struct connection *connection = connection_of(timeout);
    (void)context;
    if (peer_hung_up(connection))
        connection_doom(connection, "closed by the peer");
    connection_mark(connection);
}

/* --- all connections --- */

static void connection_free(struct connection *connection)
{
    struct connections *all = connection->all;
    while (connection->inflight.count > 0)
        remove_request(connection, connection->inflight.requests[connection->inflight.count - 1]);
    inflight_free(&connection->inflight);
    timeout_stop(&connection->timeout);
    ev_io_stop(all->loop, &connection->io);
    close(connection->io.fd);
    buffer_free(&connection->management);
    output_free(&connection->output);
    if (connection->dirty)
        DL_DELETE(all->dirty, connection);
    HASH_DEL(all->table, connection);
    all->count--;
    free(connection);
}

static void connections_run(struct connections *all)
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
    if (ended > 0 && all->room)
        all->room(all->room_context, true);
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
    all->service = service;
    timeout_queue_init(&all->idle, loop, limits->idle_timeout, on_idle_timeout, all);
    timeout_queue_init(&all->receiving, loop, limits->receive_timeout, on_receive_timeout, all);
    timeout_queue_init(&all->record, loop, limits->receive_timeout, on_record_timeout, all);
    timeout_queue_init(&all->sending, loop, limits->send_timeout, on_send_timeout, all);
    timeout_queue_init(&all->beats, loop, limits->heartbeat, on_beat, all);
    timeout_queue_init(&all->lingering, loop, LINGER_S, on_linger_timeout, all);
    timeout_queue_init(&all->half_closed, loop, HANG_UP_LOOK_S, on_half_closed_timeout, all);
    ev_prepare_init(&all->runner, on_prepare);
    all->runner.data = all;
    ev_set_priority(&all->runner, EV_MINPRI); /* after the flights' runner */
    ev_prepare_start(loop, &all->runner);
    return all;
}

void connections_on_room(struct connections *connections, connections_room_fn *room, void *context)
{
    connections->room = room;
    connections->room_context = context;
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
        connection->number = ++all->next_number;
    while (connections_find(all, connection->number));
    HASH_ADD(hh, all->table, number, sizeof connection->number, connection);
    if (!connection->hh.tbl) {
        free(connection);
        return false;
    }
    connection->all = all;
    connection->local = local;
    ev_io_init(&connection->io, on_io, fd, EV_READ);
    connection->io.data = connection;
    connection_mark(connection);
    if (++all->count >= all->limits->max_connections && all->room)
        all->room(all->room_context, false);
    return true;
}

void connections_settled(void *context, const struct waiter_address *who,
                         const struct settlement *settlement)
{
    struct connection *connection = connections_find(context, who->connection);
    struct request *request =
        connection ? inflight_find(&connection->inflight, who->request_id) : NULL;
    if (!request || request->generation != who->generation)
        return;
    enum request_state before = request->state;
    request_settle(request, who, settlement);
    note_state(connection, request, before);
    connection_mark(connection);
}

void connections_drain(struct connections *connections)
{
    struct connection *connection, *next;
    connections->draining = true;
    HASH_ITER(hh, connections->table, connection, next)
    {
        connection_mark(connection);
    }
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
    struct timeout_queue *queues[] = {&connections->idle,      &connections->record,
                                      &connections->sending,   &connections->lingering,
                                      &connections->receiving, &connections->half_closed,
                                      &connections->beats};
    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++)
        timeout_queue_stop(queues[i]);
    ev_prepare_stop(connections->loop, &connections->runner);
    free(connections);
}
