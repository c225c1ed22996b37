/* The reference: a FastCGI responder that only answers, with one constant.
 *
 *     read -> records: skip PARAMS and STDIN, at the end of STDIN copy the answer -> one write
 *
 * One thread on epoll. It keeps connections when asked to, takes any number of interleaved
 * requests, and answers all that one read brought with one write. It decodes no parameters, looks
 * nothing up and keeps no state of a request: any cost of a responder above this is for its own
 * work.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <sys/epoll.h>

#include "address.h"
#include "frames.h"

#define IN_CAPACITY  (2 * FRAME_MAX)
#define EVENTS_MAX   256
#define MPXS_PAIR    "\x0f\x01" FCGI_MPXS_CONNS "1"
#define DEFAULT_HEAD "Content-Type: text/html\r\n\r\n"

struct connection {
    int fd;
    bool keep;     /* the last BEGIN_REQUEST had FCGI_KEEP_CONN */
    unsigned open; /* requests begun and not answered */
    size_t in_len; /* a partial record, at most */
    unsigned char in[IN_CAPACITY];
    unsigned char *rest; /* what the peer has not taken yet; NULL if nothing */
    size_t rest_len, rest_at;
};

static struct frames answer, end_only, values;
static unsigned char *out; /* the answers to one read; of the process, not of a connection */
static size_t out_len, out_capacity;

static void queue_frames(const struct frames *frames, unsigned id)
{
    if (frames->len > out_capacity - out_len) {
        out_capacity = (out_len + frames->len) * 2;
        out = bench_grow(out, out_capacity);
    }
    frames_copy(frames, out + out_len, id);
    out_len += frames->len;
}

static void take_record(struct connection *connection, const struct frame *frame)
{
    switch (frame->type) {
    case FCGI_BEGIN_REQUEST:
        connection->open++;
        connection->keep = frame->content_len >= 3 && (frame->content[2] & FCGI_KEEP_CONN);
        break;
    case FCGI_STDIN:
        if (frame->content_len == 0) {
            connection->open--;
            queue_frames(&answer, frame->id);
        }
        break;
    case FCGI_ABORT_REQUEST:
        connection->open--;
        queue_frames(&end_only, frame->id);
        break;
    case FCGI_GET_VALUES:
        queue_frames(&values, 0);
        break;
    default:
        break;
    }
}

/* False if the bytes are not FastCGI. */
static bool take_records(struct connection *connection)
{
    size_t at = 0;
    struct frame frame;
    enum frame_found found;
    while ((found = frame_read(connection->in + at, connection->in_len - at, &frame)) ==
           FRAME_WHOLE) {
        take_record(connection, &frame);
        at += frame.whole_len;
    }
    connection->in_len -= at;
    if (connection->in_len > 0 && at > 0)
        memmove(connection->in, connection->in + at, connection->in_len);
    return found != FRAME_BAD;
}

static void close_connection(struct connection *connection)
{
    close(connection->fd);
    free(connection->rest);
    free(connection);
}

static void watch(int epoll, struct connection *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(epoll, operation, connection->fd, &event) != 0) {
        perror("epoll_ctl");
        exit(2);
    }
}

/* Writes what was queued; what the peer does not take is kept, and nothing more is read before it
 * is gone. False if the connection is lost. */
static bool send_answers(int epoll, struct connection *connection)
{
    ssize_t sent = send(connection->fd, out, out_len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return false;
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done < out_len) {
        connection->rest_len = out_len - done;
        connection->rest_at = 0;
        connection->rest = bench_grow(NULL, connection->rest_len);
        memcpy(connection->rest, out + done, connection->rest_len);
        watch(epoll, connection, EPOLL_CTL_MOD, EPOLLOUT);
    }
    out_len = 0;
    return true;
}

static bool send_rest(int epoll, struct connection *connection)
{
    ssize_t sent = send(connection->fd, connection->rest + connection->rest_at,
                        connection->rest_len - connection->rest_at, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    connection->rest_at += (size_t)sent;
    if (connection->rest_at == connection->rest_len) {
        free(connection->rest);
        connection->rest = NULL;
        watch(epoll, connection, EPOLL_CTL_MOD, EPOLLIN);
    }
    return true;
}

/* False when the connection is over. */
static bool serve(int epoll, struct connection *connection)
{
    if (connection->rest) {
        if (!send_rest(epoll, connection))
            return false;
    } else {
        ssize_t got = recv(connection->fd, connection->in + connection->in_len,
                           IN_CAPACITY - connection->in_len, 0);
        if (got <= 0)
            return got < 0 && errno == EAGAIN;
        connection->in_len += (size_t)got;
        if (!take_records(connection))
            return false;
        if (out_len > 0 && !send_answers(epoll, connection))
            return false;
    }
    return connection->keep || connection->open > 0 || connection->in_len > 0 || connection->rest;
}

static void accept_one(int epoll, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    address_no_delay(fd);
    struct connection *connection = bench_grow(NULL, sizeof *connection);
    connection->fd = fd;
    connection->keep = true; /* until a request says otherwise */
    connection->open = 0;
    connection->in_len = 0;
    connection->rest = NULL;
    watch(epoll, connection, EPOLL_CTL_ADD, EPOLLIN);
} /* NOLINT(clang-analyzer-unix.Malloc): epoll has it now */

static void run(int listener)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS_MAX] = {{.events = EPOLLIN, .data.ptr = NULL}};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]) != 0) {
        perror("epoll");
        exit(2);
    }
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection)
                accept_one(epoll, listener);
            else if (!serve(epoll, connection)) {
                out_len = 0;
                close_connection(connection);
            }
        }
    }
}

/* The content of the STDOUT stream: the file, or the usual head and `body_bytes` times an x. */
static void build_answer(const char *file, size_t body_bytes)
{
    struct frames content = {0};
    if (file) {
        char part[65536];
        size_t got;
        FILE *in = fopen(file, "rb");
        if (!in) {
            perror(file);
            exit(2);
        }
        while ((got = fread(part, 1, sizeof part, in)) > 0)
            frames_append(&content, part, got);
        fclose(in);
    } else {
        frames_append(&content, DEFAULT_HEAD, sizeof DEFAULT_HEAD - 1);
        for (size_t i = 0; i < body_bytes; i++)
            frames_append(&content, "x", 1);
    }
    static const unsigned char complete[8] = {0, 0, 0, 0, FCGI_REQUEST_COMPLETE, 0, 0, 0};
    frames_add_stream(&answer, FCGI_STDOUT, content.data, content.len);
    frames_add_record(&answer, FCGI_END_REQUEST, complete, sizeof complete);
    frames_add_record(&end_only, FCGI_END_REQUEST, complete, sizeof complete);
    frames_add_record(&values, FCGI_GET_VALUES_RESULT, MPXS_PAIR, sizeof MPXS_PAIR - 1);
    free(content.data);
}

static void usage(void)
{
    fprintf(stderr, "usage: null_responder -s ADDRESS [-f FILE | -b BYTES]\n"
                    "  -s  unix:PATH or tcp:HOST:PORT\n"
                    "  -f  answer with the file: CGI head, empty line, body\n"
                    "  -b  answer with a body of so many bytes (default 20)\n");
    exit(2);
}

int main(int argc, char **argv)
{
    const char *address = NULL, *file = NULL;
    size_t body_bytes = 20;
    int option;
    while ((option = getopt(argc, argv, "s:f:b:")) != -1) {
        if (option == 's')
            address = optarg;
        else if (option == 'f')
            file = optarg;
        else if (option == 'b')
            body_bytes = strtoul(optarg, NULL, 10);
        else
            usage();
    }
    if (!address || optind != argc)
        usage();
    build_answer(file, body_bytes);
    out_capacity = answer.len;
    out = bench_grow(NULL, out_capacity);
    int listener = address_listen(address);
    /* Another event may have taken the connection that epoll told of. */
    if (fcntl(listener, F_SETFL, O_NONBLOCK) != 0) {
        perror(address);
        return 2;
    }
    run(listener);
}
