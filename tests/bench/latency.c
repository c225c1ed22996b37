/* How soon a parked request is answered once its result is there. Prints one line of JSON.
 *
 *     source    at intervals the next fragment is requested from A, which calls us: the upstream.
 *               We answer each call after the delay.
 *                   ask A -> call comes (-> ask B) ... delay ... answer the call -> A's, B's answer
 *               A's time runs from just before the call is answered until all of A's answer is
 *               there; B's (it shares A's Redis and waits for what A stores) until all of B's is.
 *     written   all fragments are requested from A, and wait; "ready" on stdout; after a line or
 *               the end of stdin each is written to Redis, one after the other.
 *                   SET -> A's answer
 *               The time runs from just before SET is sent until all of A's answer is there.
 *
 * All time stamps are of one thread of one process, so they are comparable. It has little to do: it
 * sleeps between events, and each answer is small. The time of its own wake-ups is counted as the
 * daemon's.
 *
 * Exit status: 0 if nothing failed, 1 if something did, 2 if it could not run.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <sys/epoll.h>

#include "address.h"
#include "answer.h"
#include "clock.h"
#include "histogram.h"
#include "request.h"
#include "resp.h"
#include "upstream.h"

#define EVENTS_MAX  64
#define KEYS_MAX    65535 /* the number of a fragment is its request's id, less one */
#define STALL_NS    (10ull * SECOND_NS)
#define IN_CAPACITY (4 * FRAME_MAX)

enum target_name { A, B, TARGETS };

struct fragment { /* one that is requested: what happened when; 0: not yet */
    uint64_t asked_ns, called_ns, caused_ns;
    struct answer answers[TARGETS];
    bool ended[TARGETS];
    unsigned calls;
};

static struct target {   /* a responder, and the connection to it */
    const char *address; /* NULL: there is none */
    int fd;
    unsigned long answered;
    struct histogram waited; /* from the cause to the answer */
    size_t in_len;
    unsigned char in[IN_CAPACITY];
} targets[TARGETS];

static struct request request;
static struct fragment *fragments;
static struct answer known;
static struct histogram before; /* from the asking to the call */
static int epoll;
static int barriers;         /* answers to GET_VALUES that are not there yet */
static unsigned long called; /* how many calls came, repeated ones too */
static unsigned long *queue; /* numbers in the order of the calls; to be answered */
static size_t queue_at, queue_end;
static unsigned long bad, early, repeated;

static const char *upstream_address, *redis_address, *redis_key, *path = "/fragment/a-%";
static unsigned long count = 100;
static uint64_t interval_ns = 2000000, delay_ns = 20000000;

static void send_bytes(const struct target *target, const unsigned char *bytes, size_t len)
{
    if (send(target->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        address_fail(target->address, "takes no request");
}

static void ask(const struct target *target, unsigned long number)
{
    static unsigned char *out;
    if (!out)
        out = bench_grow(NULL, request.frames.len);
    request_copy(&request, out, (unsigned)number + 1, number);
    send_bytes(target, out, request.frames.len);
}

static void take_end(struct target *target, struct fragment *fragment, uint64_t now)
{
    size_t name = (size_t)(target - targets);
    if (fragment->ended[name])
        address_fail(target->address, "answers twice");
    fragment->ended[name] = true;
    target->answered++;
    if (answer_check(&fragment->answers[name], &known) != ANSWER_GOOD)
        bad++;
    else if (!fragment->caused_ns)
        early++;
    else
        histogram_add(&target->waited, now - fragment->caused_ns);
}

static void take_record(struct target *target, const struct frame *frame, uint64_t now)
{
    if (frame->type == FCGI_GET_VALUES_RESULT && barriers > 0) {
        barriers--;
        return;
    }
    if (frame->id < 1 || frame->id > count)
        address_fail(target->address, "answers what was not asked");
    struct fragment *fragment = &fragments[frame->id - 1];
    if (frame->type == FCGI_STDOUT)
        answer_append(&fragment->answers[target - targets], frame->content, frame->content_len);
    else if (frame->type == FCGI_END_REQUEST)
        take_end(target, fragment, now);
}

static void receive(struct target *target)
{
    ssize_t got =
        recv(target->fd, target->in + target->in_len, IN_CAPACITY - target->in_len, MSG_DONTWAIT);
    uint64_t now = now_ns();
    if (got <= 0)
        address_fail(target->address, "has closed the connection");
    target->in_len += (size_t)got;
    size_t at = 0;
    struct frame frame;
    while (frame_read(target->in + at, target->in_len - at, &frame) == FRAME_WHOLE) {
        take_record(target, &frame, now);
        at += frame.whole_len;
    }
    target->in_len -= at;
    memmove(target->in, target->in + at, target->in_len);
}

static void on_called(unsigned long number)
{
    struct fragment *fragment = &fragments[number];
    called++;
    if (fragment->calls++ > 0) {
        repeated++;
        return;
    }
    fragment->called_ns = now_ns();
    histogram_add(&before, fragment->called_ns - fragment->asked_ns);
    queue[queue_end++] = number;
    if (targets[B].address) /* now A has the lease */
        ask(&targets[B], number);
}

/* Handles events until then. */
static void serve_until(uint64_t until)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now = now_ns();
    int timeout_ms = until > now ? (int)((until - now + 999999) / 1000000) : 0;
    int ready = epoll_wait(epoll, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < ready; i++) {
        if (upstream_serve(events[i].data.fd))
            continue;
        for (int name = A; name < TARGETS; name++)
            if (targets[name].address && targets[name].fd == events[i].data.fd)
                receive(&targets[name]);
    }
}

static bool all_answered(void)
{
    for (int name = A; name < TARGETS; name++)
        if (targets[name].address && targets[name].answered < count)
            return false;
    return true;
}

/* Answers the calls that are due. Returns when the next one is due. */
static uint64_t answer_calls(void)
{
    while (queue_at < queue_end) {
        struct fragment *fragment = &fragments[queue[queue_at]];
        if (fragment->called_ns + delay_ns > now_ns())
            return fragment->called_ns + delay_ns;
        fragment->caused_ns = now_ns();
        upstream_answer(queue[queue_at++]);
    }
    return UINT64_MAX;
}

static void run_source(void)
{
    uint64_t next_ns = now_ns(), give_up = next_ns + count * interval_ns + delay_ns + STALL_NS;
    unsigned long asked = 0;
    upstream_start(epoll, upstream_address, count, on_called);
    while (!all_answered() && now_ns() < give_up) {
        if (asked < count && now_ns() >= next_ns) {
            fragments[asked].asked_ns = now_ns();
            ask(&targets[A], asked++);
            next_ns += interval_ns;
        }
        uint64_t due = answer_calls();
        if (asked < count && next_ns < due)
            due = next_ns;
        serve_until(due < give_up ? due : give_up);
    }
}

/* Requests all, and waits until A has read that. */
static void park_all(void)
{
    static const char pair[] = "\x0f\0" FCGI_MPXS_CONNS;
    struct frames barrier = {0};
    uint64_t give_up = now_ns() + STALL_NS;
    for (unsigned long number = 0; number < count; number++)
        ask(&targets[A], number);
    frames_add_record(&barrier, FCGI_GET_VALUES, pair, sizeof pair - 1);
    barriers = 1;
    send_bytes(&targets[A], barrier.data, barrier.len);
    while (barriers > 0 && now_ns() < give_up)
        serve_until(give_up);
    free(barrier.data);
    free(barrier.headers);
}

static void write_one(int redis, unsigned long number)
{
    char key[512];
    snprintf(key, sizeof key, "%s%0*lu", redis_key, NUMBER_DIGITS, number);
    fragments[number].caused_ns = now_ns();
    resp_send_set(redis, key);
    resp_await_ok(redis, key);
}

static void run_written(void)
{
    int redis = address_connect(redis_address);
    park_all();
    printf("ready\n");
    fflush(stdout);
    while (getchar() != '\n' && !feof(stdin))
        ;
    for (unsigned long number = 0; number < count && early == 0; number++) {
        uint64_t give_up = now_ns() + STALL_NS;
        write_one(redis, number);
        while (!fragments[number].ended[A] && now_ns() < give_up)
            serve_until(give_up);
        if (!fragments[number].ended[A])
            break;
        for (uint64_t pause = now_ns() + interval_ns; now_ns() < pause;)
            serve_until(pause);
    }
    close(redis);
}

static void print_times(const char *name, const struct histogram *histogram)
{
    printf("\"%s\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}, ", name,
           (double)histogram_percentile(histogram, .5) / 1e3,
           (double)histogram_percentile(histogram, .99) / 1e3, (double)histogram->max / 1e3);
}

/* Returns how much failed. */
static unsigned long report(void)
{
    unsigned long lost = 0;
    for (int name = A; name < TARGETS; name++)
        lost += targets[name].address ? count - targets[name].answered : 0;
    printf("{\"asked\": %lu, \"calls\": %lu, ", count, called);
    print_times("before_us", &before);
    print_times("waited_us", &targets[A].waited);
    if (targets[B].address)
        print_times("waited_at_b_us", &targets[B].waited);
    printf("\"failures\": {\"bad\": %lu, \"early\": %lu, \"repeated_calls\": %lu, "
           "\"lost\": %lu}}\n",
           bad, early, repeated, lost);
    return bad + early + repeated + lost;
}

static void usage(void)
{
    fprintf(stderr,
            "usage: latency -s ADDRESS [options] source | written\n"
            "  -s  unix:PATH or tcp:HOST:PORT of A\n"
            "  -u  path to ask for (default /fragment/a-%%); %% stands for an 8-digit number\n"
            "  -n  how many fragments (default 100)\n"
            "  -i  microseconds from one to the next (default 2000)\n"
            "source:\n"
            "  -l  tcp:HOST:PORT that A calls for them\n"
            "  -d  microseconds until a call is answered (default 20000)\n"
            "  -p  address of B\n"
            "written:\n"
            "  -r  unix:PATH or tcp:HOST:PORT of Redis\n"
            "  -k  the key there, without the number at its end\n");
    exit(2);
}

static unsigned long number_within(const char *text, unsigned long most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || value < 1 || value > most)
        usage();
    return value;
}

/* Returns the mode. */
static const char *take_options(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "s:u:n:i:l:d:p:r:k:")) != -1) {
        switch (option) {
        case 's':
            targets[A].address = optarg;
            break;
        case 'u':
            path = optarg;
            break;
        case 'n':
            count = number_within(optarg, KEYS_MAX);
            break;
        case 'i':
            interval_ns = number_within(optarg, 1000000) * 1000;
            break;
        case 'l':
            upstream_address = optarg;
            break;
        case 'd':
            delay_ns = number_within(optarg, 10000000) * 1000;
            break;
        case 'p':
            targets[B].address = optarg;
            break;
        case 'r':
            redis_address = optarg;
            break;
        case 'k':
            redis_key = optarg;
            break;
        default:
            usage();
        }
    }
    if (!targets[A].address || optind != argc - 1)
        usage();
    return argv[optind];
}

static void connect_targets(void)
{
    for (int name = A; name < TARGETS; name++) {
        struct target *target = &targets[name];
        struct epoll_event event = {.events = EPOLLIN};
        if (!target->address)
            continue;
        target->fd = event.data.fd = address_connect(target->address);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, target->fd, &event) != 0)
            address_fail("epoll_ctl", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    const char *mode = take_options(argc, argv);
    bool source = strcmp(mode, "source") == 0, written = strcmp(mode, "written") == 0;
    if (!(source && upstream_address) &&
        !(written && redis_address && redis_key && !targets[B].address))
        usage();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        address_fail("epoll_create1", strerror(errno));
    request = request_build(path);
    fragments = calloc(count, sizeof *fragments);
    queue = bench_grow(NULL, count * sizeof *queue);
    if (!fragments)
        address_fail("latency", "out of memory");
    connect_targets();
    if (source)
        run_source();
    else
        run_written();
    return report() > 0;
}
