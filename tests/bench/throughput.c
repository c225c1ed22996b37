/* C connections with R requests in flight on each (ids 1 to R).
 *
 *     read -> records -> answer of the id -> END_REQUEST: check, count, ask again
 *                                                all that one read asks for -> one write
 *
 * throughput_run does so for a time or a number of requests. release_run asks C times R times for a
 * fragment that does not come, writes its value into Redis, and measures from then on:
 *
 *     ask all, GET_VALUES on each connection -> its answer says that the responder has read what
 *     was before it -> "ready" on stdout -> wait for a line or the end of stdin -> SET -> answers
 *
 * With `busy` it does not sleep while it waits. Waking a sleeping process is work for the
 * responder: with a generator that is faster than the responder, every write would pay for it, and
 * with a slower one, hardly any. So only a busy generator treats fast and slow responders alike.
 */
#include "load.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "address.h"
#include "answer.h"
#include "clock.h"
#include "histogram.h"
#include "resp.h"

#define IN_CAPACITY (4 * FRAME_MAX)
#define EVENTS_MAX  256
#define BUSY_LOOKS  1000 /* some half a millisecond */

struct slot { /* of one request id */
    bool in_flight;
    uint64_t sent_ns;
    struct answer answer;
};

struct connection {
    int fd; /* -1 once it is lost */
    bool writable_watched;
    unsigned in_flight;
    struct slot *slots;
    size_t in_len;
    unsigned char *in; /* IN_CAPACITY bytes */
    unsigned char *out;
    size_t out_len, out_capacity; /* what was not sent yet, from the start of `out` */
};

struct counts {
    unsigned long good, bad_status, bad_record, bad_body, lost;
    unsigned long early; /* answered although it should have been parked */
};

static const struct load_options *options;
static const struct request *request;
static struct answer known; /* the last good answer */
static struct counts counts;
static struct histogram latencies;
static unsigned long asked, in_flight; /* of all connections; asked includes the warm-up */
static uint64_t released_ns;           /* when what was parked was released; else 0 */
static unsigned long barriers;         /* answers to GET_VALUES that are not there yet */

/* The ids that one read finished. They are asked again only after it, so that a second answer to
 * the same request is noticed. */
static unsigned finished[LOAD_IDS_MAX];
static size_t finished_count;

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Room for so many bytes at the end of what is to be sent; the caller fills it. */
static unsigned char *queue_space(struct connection *connection, size_t len)
{
    if (len > connection->out_capacity - connection->out_len) {
        connection->out_capacity = (connection->out_len + len) * 2;
        connection->out = bench_grow(connection->out, connection->out_capacity);
    }
    connection->out_len += len;
    return connection->out + connection->out_len - len;
}

/* Queues the id's next request, if there is one left to ask. */
static void ask(struct connection *connection, unsigned id, uint64_t now)
{
    if (options->requests > 0 && asked >= options->requests)
        return;
    struct slot *slot = &connection->slots[id - 1];
    slot->in_flight = true;
    slot->sent_ns = now;
    slot->answer.len = 0;
    request_copy(request, queue_space(connection, request->frames.len), id, asked % options->keys);
    connection->in_flight++;
    in_flight++;
    asked++;
}

static void lose(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
    counts.lost += connection->in_flight;
    in_flight -= connection->in_flight;
    connection->in_flight = 0;
}

static void watch(int epoll, struct connection *connection, int operation, bool writable)
{
    struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0u),
                                .data.ptr = connection};
    if (epoll_ctl(epoll, operation, connection->fd, &event) != 0)
        load_fail("epoll_ctl");
    connection->writable_watched = writable;
}

static void flush(int epoll, struct connection *connection)
{
    ssize_t sent = send(connection->fd, connection->out, connection->out_len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        lose(connection);
        return;
    }
    if (sent > 0)
        connection->out_len -= (size_t)sent;
    bool left = connection->out_len > 0;
    if (left && sent > 0)
        memmove(connection->out, connection->out + sent, connection->out_len);
    if (left != connection->writable_watched)
        watch(epoll, connection, EPOLL_CTL_MOD, left);
}

static void finish(struct connection *connection, struct slot *slot, const struct frame *end,
                   uint64_t now)
{
    slot->in_flight = false;
    connection->in_flight--;
    in_flight--;
    if (end->content_len != 8 || end->content[4] != FCGI_REQUEST_COMPLETE) {
        counts.bad_record++;
        return;
    }
    switch (answer_check(&slot->answer, &known)) {
    case ANSWER_GOOD:
        counts.good++;
        histogram_add(&latencies, now - (released_ns ? released_ns : slot->sent_ns));
        break;
    case ANSWER_BAD_STATUS:
        counts.bad_status++;
        break;
    case ANSWER_BAD_BODY:
        counts.bad_body++;
        break;
    }
}

/* False if the record should not be there. */
static bool take_record(struct connection *connection, const struct frame *frame, uint64_t now)
{
    if (frame->type == FCGI_GET_VALUES_RESULT && barriers > 0) {
        barriers--;
        return true;
    }
    if (frame->id < 1 || frame->id > options->ids)
        return false;
    struct slot *slot = &connection->slots[frame->id - 1];
    if (!slot->in_flight)
        return false;
    if (frame->type == FCGI_STDOUT) {
        answer_append(&slot->answer, frame->content, frame->content_len);
        return true;
    }
    if (frame->type != FCGI_END_REQUEST)
        return false;
    finish(connection, slot, frame, now);
    finished[finished_count++] = frame->id;
    return true;
}

/* False if the peer broke the protocol. */
static bool take_records(struct connection *connection, uint64_t now)
{
    size_t at = 0;
    struct frame frame;
    enum frame_found found;
    finished_count = 0;
    while ((found = frame_read(connection->in + at, connection->in_len - at, &frame)) ==
           FRAME_WHOLE) {
        if (!take_record(connection, &frame, now))
            return false;
        at += frame.whole_len;
    }
    connection->in_len -= at;
    if (connection->in_len > 0 && at > 0)
        memmove(connection->in, connection->in + at, connection->in_len);
    for (size_t i = 0; i < finished_count; i++)
        ask(connection, finished[i], now);
    return found != FRAME_BAD;
}

static void serve(int epoll, struct connection *connection, uint32_t events)
{
    if (connection->fd < 0)
        return;
    if (events & ~(uint32_t)EPOLLOUT) {
        ssize_t got = recv(connection->fd, connection->in + connection->in_len,
                           IN_CAPACITY - connection->in_len, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            lose(connection);
            return;
        }
        if (got > 0) {
            connection->in_len += (size_t)got;
            if (!take_records(connection, now_ns())) {
                counts.bad_record++;
                lose(connection);
                return;
            }
        }
    }
    if (connection->out_len > 0)
        flush(epoll, connection);
}

static void set_nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        load_fail("fcntl");
}

static struct connection *open_connections(int epoll)
{
    struct connection *connections = bench_grow(NULL, options->connections * sizeof *connections);
    for (size_t i = 0; i < options->connections; i++) {
        struct connection *connection = &connections[i];
        *connection = (struct connection){.fd = address_connect(options->address)};
        set_nonblocking(connection->fd);
        connection->slots = bench_grow(NULL, options->ids * sizeof(struct slot));
        memset(connection->slots, 0, options->ids * sizeof(struct slot));
        connection->in = bench_grow(NULL, IN_CAPACITY);
        connection->out_capacity = options->ids * request->frames.len;
        connection->out = bench_grow(NULL, connection->out_capacity);
        watch(epoll, connection, EPOLL_CTL_ADD, false);
    }
    return connections;
}

static void close_connections(struct connection *connections)
{
    for (size_t i = 0; i < options->connections; i++) {
        struct connection *connection = &connections[i];
        if (connection->fd >= 0)
            close(connection->fd);
        for (size_t id = 0; id < options->ids; id++)
            free(connection->slots[id].answer.data);
        free(connection->slots);
        free(connection->in);
        free(connection->out);
    }
    free(connections);
}

static bool failed(void)
{
    return counts.bad_status + counts.bad_record + counts.bad_body + counts.lost + counts.early > 0;
}

static double microseconds(double share)
{
    return (double)histogram_percentile(&latencies, share) / 1e3;
}

static void report(uint64_t from, uint64_t until, double cpu)
{
    double seconds = (double)(until - from) / 1e9;
    printf("{\"requests\": %lu, \"seconds\": %.6f, \"per_second\": %.1f, \"cpu_seconds\": %.6f, "
           "\"asked\": %lu, "
           "\"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"max\": %.1f}, "
           "\"failures\": {\"bad_status\": %lu, \"bad_record\": %lu, \"bad_body\": %lu, "
           "\"lost\": %lu, \"early\": %lu}, "
           "\"params_bytes\": %zu, \"answer_bytes\": %zu, \"body_bytes\": %zu}\n",
           counts.good, seconds, seconds > 0 ? (double)counts.good / seconds : 0., cpu, asked,
           microseconds(.5), microseconds(.9), microseconds(.99), (double)latencies.max / 1e3,
           counts.bad_status, counts.bad_record, counts.bad_body, counts.lost, counts.early,
           request->params_len, known.len, known.len - answer_body_at(&known));
}

static void save_answer(void)
{
    FILE *out = fopen(options->save, "wb");
    if (!out || fwrite(known.data, 1, known.len, out) != known.len || fclose(out) != 0)
        load_fail(options->save);
}

/* As epoll_wait, and 0 for a stall. */
static int wait_for_events(int epoll, struct epoll_event *events)
{
    for (int look = 0; options->busy && look < BUSY_LOOKS; look++) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, 0);
        if (count != 0)
            return count;
    }
    return epoll_wait(epoll, events, EVENTS_MAX, LOAD_STALL_MS);
}

/* Returns how many events there are, and 0 for a stall: then all that is in flight is lost. */
static int await_events(int epoll, struct epoll_event *events)
{
    int count;
    do
        count = wait_for_events(epoll, events);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        load_fail("epoll_wait");
    if (count == 0)
        counts.lost += in_flight;
    return count;
}

static void serve_events(int epoll, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++)
        serve(epoll, events[i].data.ptr, events[i].events);
}

static int start(const struct load_options *wanted, const struct request *asked_for)
{
    options = wanted;
    request = asked_for;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        load_fail("epoll_create1");
    return epoll;
}

/* `last`: a record to be sent behind the requests of each connection, or NULL. */
static void ask_all(int epoll, struct connection *connections, const struct frames *last)
{
    uint64_t now = now_ns();
    for (size_t i = 0; i < options->connections; i++) {
        struct connection *connection = &connections[i];
        for (unsigned id = 1; id <= options->ids; id++)
            ask(connection, id, now);
        if (last) {
            memcpy(queue_space(connection, last->len), last->data, last->len);
            barriers++;
        }
        if (connection->out_len > 0)
            flush(epoll, connection);
    }
}

/* Failures of the warm-up stay counted; its answers and latencies do not. */
int throughput_run(const struct load_options *wanted, const struct request *asked_for)
{
    int epoll = start(wanted, asked_for), count;
    struct connection *connections = open_connections(epoll);
    uint64_t now = now_ns(), from = now + (uint64_t)(options->warm_up_seconds * 1e9);
    uint64_t end = options->requests > 0 ? UINT64_MAX : from + (uint64_t)(options->seconds * 1e9);
    bool warm = from == now;
    double cpu = cpu_seconds();
    struct epoll_event events[EVENTS_MAX];
    ask_all(epoll, connections, NULL);
    while (in_flight > 0 && now < end && (count = await_events(epoll, events)) > 0) {
        now = now_ns();
        if (!warm && now >= from) {
            warm = true;
            from = now;
            if (options->requests == 0)
                end = from + (uint64_t)(options->seconds * 1e9);
            counts.good = 0;
            histogram_clear(&latencies);
            cpu = cpu_seconds();
        }
        serve_events(epoll, events, count);
    }
    report(from, now_ns(), cpu_seconds() - cpu);
    if (options->save)
        save_answer();
    close_connections(connections);
    close(epoll);
    return failed();
}

int release_run(const struct load_options *wanted, const struct request *asked_for)
{
    static const char pair[] = "\x0f\0" FCGI_MPXS_CONNS;
    struct load_options once = *wanted;
    struct frames barrier = {0};
    struct epoll_event events[EVENTS_MAX];
    once.requests = once.connections * once.ids; /* each id once */
    int epoll = start(&once, asked_for), count, redis = address_connect(once.redis);
    struct connection *connections = open_connections(epoll);
    frames_add_record(&barrier, FCGI_GET_VALUES, pair, sizeof pair - 1);
    ask_all(epoll, connections, &barrier);
    while (barriers > 0 && (count = await_events(epoll, events)) > 0)
        serve_events(epoll, events, count);
    printf("ready\n");
    fflush(stdout);
    while (getchar() != '\n' && !feof(stdin))
        ;

    counts.early = counts.good;
    counts.good = 0;
    histogram_clear(&latencies);
    double cpu = cpu_seconds();
    released_ns = now_ns();
    resp_send_set(redis, once.key);
    while (in_flight > 0 && (count = await_events(epoll, events)) > 0)
        serve_events(epoll, events, count);
    report(released_ns, now_ns(), cpu_seconds() - cpu);
    resp_await_ok(redis, once.key);
    close(redis);
    free(barrier.data);
    free(barrier.headers);
    close_connections(connections);
    close(epoll);
    return failed();
}
