/* C connections with R requests on each, for a fragment that does not arrive.
 *
 *     write all -> GET_VALUES on each connection, whose answer says that the peer has read what
 *     was before it -> "ready" on stdout -> wait for a line or the end of stdin -> count what came
 */
#include "load.h"

#include "address.h"

static bool receive_exactly(int fd, unsigned char *bytes, size_t len)
{
    return recv(fd, bytes, len, MSG_WAITALL) == (ssize_t)len;
}

/* A connection on which everything was sent, once the peer has read it. False if anything but the
 * answer to GET_VALUES arrived, or nothing within the time of a stall. */
static bool await_barrier(int fd)
{
    unsigned char record[FRAME_MAX];
    if (!receive_exactly(fd, record, FCGI_HEADER_LEN) || record[1] != FCGI_GET_VALUES_RESULT)
        return false;
    size_t rest = ((size_t)record[4] << 8) + record[5] + record[6];
    return rest == 0 || receive_exactly(fd, record + FCGI_HEADER_LEN, rest);
}

int load_open(const char *address, const unsigned char *out, size_t len)
{
    struct timeval limit = {.tv_sec = LOAD_STALL_MS / 1000};
    int fd = address_connect(address);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        load_fail("setsockopt");
    for (size_t at = 0; at < len;) {
        ssize_t sent = send(fd, out + at, len - at, MSG_NOSIGNAL);
        if (sent < 0)
            break; /* the barrier will not arrive */
        at += (size_t)sent;
    }
    return fd;
}

int park_run(const struct load_options *options, const struct request *request)
{
    static const char pair[] = "\x0f\0" FCGI_MPXS_CONNS;
    struct frames barrier = {0};
    unsigned long asked = 0, parked_count = 0;
    int *fds = bench_grow(NULL, options->connections * sizeof *fds);
    bool *parked = bench_grow(NULL, options->connections * sizeof *parked);
    frames_add_record(&barrier, FCGI_GET_VALUES, pair, sizeof pair - 1);
    size_t requests_len = options->ids * request->frames.len;
    unsigned char *out = bench_grow(NULL, requests_len + barrier.len);
    frames_copy(&barrier, out + requests_len, 0);
    for (size_t i = 0; i < options->connections; i++) {
        for (unsigned id = 1; id <= options->ids; id++)
            request_copy(request, out + (id - 1) * request->frames.len, id,
                         asked++ % options->keys);
        fds[i] = load_open(options->address, out, requests_len + barrier.len);
    }
    for (size_t i = 0; i < options->connections; i++)
        parked[i] = await_barrier(fds[i]);
    printf("ready\n");
    fflush(stdout);

    while (getchar() != '\n' && !feof(stdin))
        ;
    for (size_t i = 0; i < options->connections; i++) {
        char byte;
        /* Neither an answer nor an end of the stream is there. */
        bool silent = recv(fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
        if (parked[i] && silent)
            parked_count += options->ids;
        close(fds[i]);
    }
    printf("{\"asked\": %lu, \"parked\": %lu, \"params_bytes\": %zu}\n", asked, parked_count,
           request->params_len);
    free(barrier.data);
    free(barrier.headers);
    free(out);
    free(fds);
    free(parked);
    return parked_count != asked;
}
