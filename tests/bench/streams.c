/* C connections with R requests on each, all for the same streams of fragments.
 *
 *     ask all -> the heads of all responses -> "ready" on stdout
 *     a line on stdin: the name of a fragment -> SET -> one event on each -> a line of JSON
 *     the end of stdin -> the end
 *
 * Each event has to come as one record of its own.
 */
#include "load.h"

#include <sys/epoll.h>

#include "address.h"
#include "clock.h"
#include "histogram.h"
#include "resp.h"

#define IN_CAPACITY  ((size_t)16384) /* heads and events are short */
#define EVENTS_MAX   256
#define NAME_MAX_LEN 200

struct connection {
    int fd;
    size_t in_len;
    unsigned char in[IN_CAPACITY];
};

static const struct load_options *options;
static struct connection *connections;
static int epoll;
static bool *headed;       /* by stream: its head has come */
static bool *told;         /* by stream: the present event has come */
static char expected[512]; /* the content of the record that is the present event; "": none */
static uint64_t released_ns;
static unsigned long awaited, good, bad; /* heads, or events */
static bool broken;                      /* something failed, and nothing is awaited any more */
static struct histogram latencies;

static void open_all(const struct request *request)
{
    size_t len = options->ids * request->frames.len;
    unsigned char *out = bench_grow(NULL, len);
    unsigned long asked = 0;
    connections = bench_grow(NULL, options->connections * sizeof *connections);
    for (size_t i = 0; i < options->connections; i++) {
        struct connection *connection = &connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};
        for (unsigned id = 1; id <= options->ids; id++)
            request_copy(request, out + (id - 1) * request->frames.len, id,
                         asked++ % options->keys);
        connection->in_len = 0;
        connection->fd = load_open(options->address, out, len);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
            load_fail("epoll_ctl");
    }
    free(out);
}

/* The head and the first bytes: a heartbeat if nothing is ready, or the beginning of a page. */
static bool is_head(const struct frame *frame)
{
    const void *end = memmem(frame->content, frame->content_len, "\r\n\r\n", 4);
    return end && (const char *)end + 4 < (const char *)frame->content + frame->content_len &&
           memcmp(frame->content, "Status: 200 ", 12) == 0;
}

static void take_record(size_t connection, const struct frame *frame, uint64_t now)
{
    size_t stream = connection * options->ids + frame->id - 1;
    bool known = frame->type == FCGI_STDOUT && frame->id >= 1 && frame->id <= options->ids;
    if (known && !headed[stream] && is_head(frame)) {
        headed[stream] = true;
    } else if (known && headed[stream] && !told[stream] && expected[0] != '\0' &&
               frame->content_len == strlen(expected) &&
               memcmp(frame->content, expected, frame->content_len) == 0) {
        told[stream] = true;
        histogram_add(&latencies, now - released_ns);
    } else {
        bad++;
        broken = true;
        return;
    }
    good++;
    awaited--;
}

static void receive(size_t number)
{
    struct connection *connection = &connections[number];
    ssize_t got = recv(connection->fd, connection->in + connection->in_len,
                       IN_CAPACITY - connection->in_len, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        close(connection->fd);
        connection->fd = -1;
        broken = true;
        return;
    }
    uint64_t now = now_ns();
    size_t at = 0;
    struct frame frame;
    connection->in_len += (size_t)got;
    while (frame_read(connection->in + at, connection->in_len - at, &frame) == FRAME_WHOLE) {
        take_record(number, &frame, now);
        at += frame.whole_len;
    }
    connection->in_len -= at;
    memmove(connection->in, connection->in + at, connection->in_len);
}

/* Runs until everything awaited has arrived, or nothing arrives for long; the rest is lost. */
static void await_all(void)
{
    struct epoll_event events[EVENTS_MAX];
    int count;
    while (awaited > 0 && !broken &&
           (count = epoll_wait(epoll, events, EVENTS_MAX, LOAD_STALL_MS)) != 0) {
        if (count < 0 && errno != EINTR)
            load_fail("epoll_wait");
        for (int i = 0; i < count; i++)
            receive(events[i].data.u64);
    }
}

static void release(int redis, const char *name)
{
    unsigned long streams = options->connections * options->ids;
    char key[512];
    snprintf(key, sizeof key, "%s%s", options->key, name);
    snprintf(expected, sizeof expected, "event: %s\ndata: %s\n\n", name, RESP_VALUE);
    memset(told, 0, streams * sizeof *told);
    histogram_clear(&latencies);
    awaited = streams;
    good = bad = 0;
    released_ns = now_ns();
    resp_send_set(redis, key);
    await_all();
    resp_await_ok(redis, key);
    printf("{\"asked\": %lu, \"requests\": %lu, "
           "\"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}, "
           "\"failures\": {\"bad\": %lu, \"lost\": %lu}}\n",
           streams, good, (double)histogram_percentile(&latencies, .5) / 1e3,
           (double)histogram_percentile(&latencies, .99) / 1e3, (double)latencies.max / 1e3, bad,
           awaited);
    fflush(stdout);
}

int streams_run(const struct load_options *wanted, const struct request *request)
{
    options = wanted;
    size_t streams = options->connections * options->ids;
    char name[NAME_MAX_LEN];
    int redis = options->redis ? address_connect(options->redis) : -1;
    bool failed = false;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    headed = calloc(streams, sizeof *headed);
    told = calloc(streams, sizeof *told);
    if (epoll < 0 || !headed || !told)
        load_fail("streams");
    awaited = streams;
    open_all(request);
    await_all();
    failed = broken || awaited > 0;
    printf(failed ? "failed\n" : "ready\n");
    fflush(stdout);

    while (!failed && redis >= 0 && fgets(name, sizeof name, stdin)) {
        name[strcspn(name, "\n")] = '\0';
        release(redis, name);
        failed = broken || awaited > 0;
    }
    while (getchar() != EOF)
        ;
    for (size_t i = 0; i < options->connections; i++)
        if (connections[i].fd >= 0)
            close(connections[i].fd);
    if (redis >= 0)
        close(redis);
    close(epoll);
    free(connections);
    free(headed);
    free(told);
    return failed;
}
