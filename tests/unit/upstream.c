/* A small HTTP/1.1 server for tests. Its paths:
 *
 *     /html /plain /png /no-type /close, and /STATUS for several    what they say
 *     /429 /503 /500-later   Retry-After, in seconds: 7, 99999, 7
 *     /redirect/N        to /redirect/N-1; /redirect/0 to /html (so N + 1 redirects)
 *     /to-file /to-ftp   redirects to other schemes
 *     /blank             a head whose first line begins with a blank
 *     /blank/tab         that is a tab
 *     /blank/interim     after a 103 without header fields
 *     /blank/case        after a status line in lower case, which libcurl takes too
 *     /to-blank          a redirect to /blank
 *     /to-no-type        a text/html redirect to /no-type
 *     /to/STATUS/URL     a redirect with that status to the percent-encoded URL
 *     /to-big/STATUS/URL the same with a body of 1 MiB
 *     /hold              answers when released
 *     /hold-body         a head and half a body; the rest when released
 *     /cut               half a body, then the connection is closed
 *     /length/N          N bytes, announced
 *     /chunked/N         N bytes in chunks
 *     /long-404          a 404 with a body of 1 GiB
 *     /CODING/short      "compressed" in gzip, br or zstd, if the client accepts it
 *     /CODING/long       10,000 bytes; /br/huge 100,000,000
 *     /garbage           not HTTP
 *     anything else      200 text/plain "ok"
 */
#include "upstream.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 512
#define HEAD_MAX        4096

struct connection {
    struct upstream *upstream;
    pthread_t thread;
    int fd;
};

struct upstream {
    int listener;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    bool released, stopping;
    unsigned connections, requests, at_once, most_at_once, held;
    char latest_head[HEAD_MAX + 1];
    struct connection each[CONNECTIONS_MAX];
};

/* "compressed" and 10,000 times 'a' in each coding; and 100,000,000 times 'a'. */
static const unsigned char gzip_short[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x4b, 0xce, 0xcf, 0x2d, 0x28,
    0x4a, 0x2d, 0x2e, 0x4e, 0x4d, 0x01, 0x00, 0x1e, 0x4b, 0x56, 0x97, 0x0a, 0x00, 0x00, 0x00,
};
static const unsigned char gzip_long[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc1, 0x01, 0x0d, 0x00, 0x00,
    0x00, 0xc2, 0xa0, 0xac, 0xef, 0x5f, 0xc2, 0x1c, 0x6e, 0x40, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0xc0, 0xbf, 0x01, 0x97, 0xd4, 0x7e, 0x46, 0x10, 0x27, 0x00, 0x00,
};
static const unsigned char br_short[] = {0x1b, 0x09, 0x00, 0xf8, 0x25, 0xc7, 0xda,
                                         0xde, 0xa2, 0x93, 0xc8, 0xc6, 0x75};
static const unsigned char br_long[] = {0x1b, 0x0f, 0x27, 0xf8, 0x25, 0xc2, 0xe2,
                                        0xb1, 0x40, 0x20, 0xd9, 0x03, 0x00};
static const unsigned char br_huge[] = {
    0xcb, 0xff, 0xff, 0x3f, 0xf8, 0x25, 0xc2, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x8f, 0xff, 0xff,
    0x7f, 0xf0, 0x4b, 0x00, 0xc4, 0x61, 0x11, 0x80, 0xee, 0xfd, 0x1f, 0xff, 0xff, 0xff, 0xe0, 0x97,
    0x00, 0x88, 0xc3, 0x02, 0x00, 0xdd, 0xfb, 0x3f, 0xfe, 0xff, 0xff, 0xc1, 0x2f, 0x01, 0x10, 0x87,
    0x05, 0x00, 0xba, 0xf7, 0x7f, 0xfc, 0xff, 0xff, 0x83, 0x5f, 0x02, 0x20, 0x0e, 0x0b, 0x00, 0x74,
    0xef, 0xff, 0xf8, 0xff, 0xff, 0x07, 0xbf, 0x04, 0x40, 0x1c, 0x16, 0x00, 0xe8, 0xde, 0xff, 0xf1,
    0xff, 0xff, 0x0f, 0x7e, 0x09, 0x80, 0x38, 0x2c, 0x00, 0xd0, 0xbd, 0xff, 0xe3, 0xff, 0xff, 0x1f,
    0xfc, 0x12, 0x00, 0x71, 0x58, 0x00, 0xa0, 0x7b, 0xff, 0xc7, 0xff, 0xff, 0x3f, 0xf8, 0x25, 0x00,
    0xe2, 0xb0, 0x00, 0x40, 0xf7, 0xfe, 0x8f, 0xff, 0xff, 0x7f, 0xf0, 0x4b, 0x00, 0xc4, 0x61, 0x01,
    0x80, 0xee, 0xfd, 0x1f, 0xff, 0xff, 0xff, 0xe0, 0x97, 0x00, 0x88, 0xc3, 0x02, 0x00, 0xdd, 0xfb,
    0xbf, 0xfc, 0x07, 0xaf, 0xc3, 0x2f, 0x01, 0x10, 0x87, 0x05, 0x00, 0xba, 0xd8, 0x75,
};
static const unsigned char zstd_short[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68, 0x51,
                                           0x00, 0x00, 0x63, 0x6f, 0x6d, 0x70, 0x72,
                                           0x65, 0x73, 0x73, 0x65, 0x64};
static const unsigned char zstd_long[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68, 0x45, 0x00, 0x00,
                                          0x08, 0x61, 0x01, 0x00, 0x0c, 0x87, 0x07, 0x42};

static const struct coded {
    const char *path, *coding, *header; /* in Accept-Encoding, and in Content-Encoding */
    const unsigned char *bytes;
    size_t len;
} coded[] = {
#define CODED(path, coding, header, bytes)                                                         \
    {                                                                                              \
        path, coding, header, bytes, sizeof bytes                                                  \
    }
    CODED("/gzip/short", "gzip", "gzip", gzip_short),
    CODED("/gzip/long", "gzip", "gzip", gzip_long),
    CODED("/gzip/wrong", "gzip", "gzip", br_huge),
    CODED("/gzip/many", "gzip", "gzip, gzip, gzip, gzip, gzip, gzip, gzip", gzip_short),
    CODED("/br/short", "br", "br", br_short),
    CODED("/br/long", "br", "br", br_long),
    CODED("/br/huge", "br", "br", br_huge),
    CODED("/zstd/short", "zstd", "zstd", zstd_short),
    CODED("/zstd/long", "zstd", "zstd", zstd_long),
    CODED("/unknown/short", "", "no-such-coding", gzip_short),
};

static bool send_bytes(int fd, const void *bytes, size_t len)
{
    const char *next = bytes;
    while (len > 0) {
        ssize_t sent = send(fd, next, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        next += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool send_text(int fd, const char *text)
{
    return send_bytes(fd, text, strlen(text));
}

/* A complete response. `headers` are lines with their ends. */
static bool answer(int fd, const char *status, const char *headers, const char *body)
{
    char response[2048];
    int len = snprintf(response, sizeof response, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s",
                       status, headers, strlen(body), body);
    return send_bytes(fd, response, (size_t)len);
}

static bool redirect(int fd, const char *location)
{
    char headers[256];
    snprintf(headers, sizeof headers, "Location: %s\r\nContent-Type: text/html\r\n", location);
    return answer(fd, "302 Found", headers, "<p>elsewhere</p>");
}

/* N times 'x', in one piece or in chunks of up to 1,000. False if the client has closed. */
static bool send_many(int fd, long count, bool chunked)
{
    char run[1000], size[16];
    memset(run, 'x', sizeof run);
    while (count > 0) {
        size_t len = count < (long)sizeof run ? (size_t)count : sizeof run;
        snprintf(size, sizeof size, "%zx\r\n", len);
        if ((chunked && !send_text(fd, size)) || !send_bytes(fd, run, len) ||
            (chunked && !send_text(fd, "\r\n")))
            return false;
        count -= (long)len;
    }
    return !chunked || send_text(fd, "0\r\n\r\n");
}

/* `text` is STATUS/URL; the URL may be empty. */
static bool redirect_to(int fd, const char *text, long body_len)
{
    char *url, location[1024], head[1200];
    long status = strtol(text, &url, 10);
    size_t len = 0;
    for (url += *url == '/'; *url && len + 1 < sizeof location; url++) {
        char hex[] = {url[0], url[0] ? url[1] : '\0', url[0] && url[1] ? url[2] : '\0', '\0'};
        bool encoded = hex[0] == '%' && hex[1] && hex[2];
        location[len++] = encoded ? (char)strtol(hex + 1, NULL, 16) : url[0];
        url += encoded ? 2 : 0;
    }
    location[len] = '\0';
    snprintf(head, sizeof head, "HTTP/1.1 %ld Elsewhere\r\nContent-Length: %ld\r\n%s%s%s\r\n",
             status, body_len, len > 0 ? "Location: " : "", location, len > 0 ? "\r\n" : "");
    return send_text(fd, head) && send_many(fd, body_len, false);
}

static bool answer_length(int fd, const char *status, long count)
{
    char head[128];
    snprintf(head, sizeof head,
             "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %ld\r\n\r\n", status,
             count);
    return send_text(fd, head) && send_many(fd, count, false);
}

static bool answer_coded(int fd, const char *request, const struct coded *answer_in)
{
    char head[256];
    size_t len = answer_in->len;
    const char *accepted = strstr(request, "Accept-Encoding: ");
    if (!accepted || !strstr(accepted, answer_in->coding))
        return answer(fd, "406 Not Acceptable", "", "");
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: %s\r\n"
             "Content-Length: %zu\r\n\r\n",
             answer_in->header, len);
    return send_text(fd, head) && send_bytes(fd, answer_in->bytes, len);
}

static void hold(struct upstream *upstream)
{
    pthread_mutex_lock(&upstream->lock);
    upstream->held++;
    while (!upstream->released && !upstream->stopping)
        pthread_cond_wait(&upstream->changed, &upstream->lock);
    upstream->held--;
    pthread_mutex_unlock(&upstream->lock);
}

static bool answer_path(struct upstream *upstream, int fd, const char *path, const char *request)
{
    static const struct {
        const char *path, *status, *headers, *body;
    } plain[] = {
        {"/html", "200 OK", "Content-Type: text/html; charset=utf-8\r\n", "<p>hello</p>"},
        {"/plain", "200 OK", "content-type:  text/plain \r\n", "hello"},
        {"/png", "200 OK", "Content-Type: image/png\r\n", "\x89PNG"},
        {"/no-type", "200 OK", "", "<b>untyped</b>"},
        {"/blank-type", "200 OK", "X-A: b\r\nContent-Type : text/plain\r\n", "<b>"},
        {"/201", "201 Created", "Content-Type: text/plain\r\n", "made"},
        {"/203", "203 Non-Authoritative Information", "Content-Type: text/plain\r\n", "other"},
        {"/206", "206 Partial Content", "Content-Type: text/plain\r\n", "part"},
        {"/429", "429 Too Many Requests", "Retry-After: 7\r\n", ""},
        {"/503", "503 Service Unavailable", "Retry-After: 99999\r\n", ""},
        {"/502", "502 Bad Gateway", "", ""},
        {"/500-later", "500 Oops", "Retry-After: 7\r\n", ""},
        {"/404", "404 Not Found", "Content-Type: text/html\r\n", "<p>no</p>"},
        {"/410", "410 Gone", "", ""},
        {"/500", "500 Oops", "Content-Type: text/html\r\n", "<p>oops</p>"},
        {"/close", "200 OK", "Connection: close\r\n", "bye"},
    };
    char location[64];
    long number = 0;
    const char *last_slash = strrchr(path, '/');
    if (last_slash)
        number = strtol(last_slash + 1, NULL, 10);

    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(path, plain[i].path) == 0)
            return answer(fd, plain[i].status, plain[i].headers, plain[i].body);
    if (strcmp(path, "/204") == 0)
        return send_text(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    if (strcmp(path, "/blank") == 0)
        return answer(fd, "200 OK", " X-Folded: where nothing is to fold\r\n", "<b>blank</b>");
    if (strcmp(path, "/blank/tab") == 0)
        return answer(fd, "200 OK", "\tX-Folded: likewise\r\n", "<b>blank</b>");
    if (strcmp(path, "/blank/interim") == 0)
        return send_text(fd, "HTTP/1.1 103 Early Hints\r\n\r\n") &&
               answer(fd, "200 OK", " X-Folded: likewise\r\n", "<b>blank</b>");
    if (strcmp(path, "/blank/case") == 0)
        return send_text(fd, "http/1.1 200 OK\r\n X-Folded: likewise\r\nContent-Type: text/html\r\n"
                             "Content-Length: 5\r\n\r\nblank");
    if (strcmp(path, "/to-blank") == 0)
        return redirect(fd, "/blank");
    if (strcmp(path, "/205") == 0)
        return answer(fd, "205 Reset Content", "", "");
    if (strcmp(path, "/304") == 0)
        return send_text(fd, "HTTP/1.1 304 Not Modified\r\n\r\n");
    if (strncmp(path, "/redirect/", 10) == 0) {
        snprintf(location, sizeof location, "/redirect/%ld", number - 1);
        return redirect(fd, number > 0 ? location : "/html");
    }
    if (strcmp(path, "/to-file") == 0)
        return redirect(fd, "file:///etc/hostname");
    if (strcmp(path, "/to-ftp") == 0)
        return redirect(fd, "ftp://127.0.0.1:1/x");
    if (strcmp(path, "/to-no-type") == 0)
        return redirect(fd, "/no-type");
    if (strncmp(path, "/to/", 4) == 0)
        return redirect_to(fd, path + 4, 9);
    if (strncmp(path, "/to-big/", 8) == 0)
        return redirect_to(fd, path + 8, 1L << 20);
    if (strcmp(path, "/hold") == 0) {
        hold(upstream);
        return answer(fd, "200 OK", "Content-Type: text/plain\r\n", "released");
    }
    if (strcmp(path, "/hold-body") == 0) {
        if (!send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf"))
            return false;
        hold(upstream);
        return send_text(fd, "half");
    }
    if (strcmp(path, "/cut") == 0)
        return send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf") && false;
    if (strncmp(path, "/length/", 8) == 0)
        return answer_length(fd, "200 OK", number);
    if (strncmp(path, "/chunked/", 9) == 0)
        return send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") &&
               send_many(fd, number, true);
    if (strcmp(path, "/long-404") == 0)
        return answer_length(fd, "404 Not Found", 1L << 30);
    for (size_t i = 0; i < sizeof coded / sizeof *coded; i++)
        if (strcmp(path, coded[i].path) == 0)
            return answer_coded(fd, request, &coded[i]);
    if (strcmp(path, "/garbage") == 0)
        return send_text(fd, "this is no HTTP\r\n\r\n") && false;
    return answer(fd, "200 OK", "Content-Type: text/plain\r\n", "ok");
}

/* One request from its head on. False when the connection is over. */
static bool serve(struct upstream *upstream, int fd, char *request)
{
    char path[1024] = "";
    pthread_mutex_lock(&upstream->lock);
    snprintf(upstream->latest_head, sizeof upstream->latest_head, "%s", request);
    upstream->requests++;
    if (++upstream->at_once > upstream->most_at_once)
        upstream->most_at_once = upstream->at_once;
    pthread_mutex_unlock(&upstream->lock);

    sscanf(request, "GET %1023s", path);
    path[strcspn(path, "?")] = '\0';
    bool keep = answer_path(upstream, fd, path, request) && strcmp(path, "/close") != 0;

    pthread_mutex_lock(&upstream->lock);
    upstream->at_once--;
    pthread_mutex_unlock(&upstream->lock);
    return keep;
}

/* Reads one head after the other; curl never sends a body here, and never two heads at once. */
static void *connection_run(void *context)
{
    struct connection *connection = context;
    char request[HEAD_MAX + 1];
    size_t len = 0;
    for (;;) {
        ssize_t got = recv(connection->fd, request + len, HEAD_MAX - len, 0);
        if (got <= 0)
            break;
        len += (size_t)got;
        request[len] = '\0';
        if (!strstr(request, "\r\n\r\n"))
            continue;
        if (!serve(connection->upstream, connection->fd, request))
            break;
        len = 0;
    }
    shutdown(connection->fd, SHUT_RDWR);
    return NULL;
}

static void *accept_run(void *context)
{
    struct upstream *upstream = context;
    for (;;) {
        int fd = accept(upstream->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        pthread_mutex_lock(&upstream->lock);
        if (upstream->connections == CONNECTIONS_MAX)
            errx(1, "upstream: too many connections");
        struct connection *connection = &upstream->each[upstream->connections];
        *connection = (struct connection){.upstream = upstream, .fd = fd};
        if (pthread_create(&connection->thread, NULL, connection_run, connection) != 0)
            errx(1, "upstream: no thread");
        upstream->connections++;
        pthread_mutex_unlock(&upstream->lock);
    }
}

struct upstream *upstream_start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_len = sizeof address;
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (!upstream)
        err(1, "upstream");
    upstream->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (upstream->listener < 0 ||
        bind(upstream->listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(upstream->listener, 128) < 0 ||
        getsockname(upstream->listener, (struct sockaddr *)&address, &address_len) < 0)
        err(1, "upstream");
    upstream->port = ntohs(address.sin_port);
    pthread_mutex_init(&upstream->lock, NULL);
    pthread_cond_init(&upstream->changed, NULL);
    if (pthread_create(&upstream->thread, NULL, accept_run, upstream) != 0)
        errx(1, "upstream: no thread");
    return upstream;
}

void upstream_stop(struct upstream *upstream)
{
    shutdown(upstream->listener, SHUT_RDWR);
    pthread_join(upstream->thread, NULL);
    close(upstream->listener);

    pthread_mutex_lock(&upstream->lock);
    upstream->stopping = true;
    pthread_cond_broadcast(&upstream->changed);
    pthread_mutex_unlock(&upstream->lock);
    for (unsigned i = 0; i < upstream->connections; i++) {
        shutdown(upstream->each[i].fd, SHUT_RDWR);
        pthread_join(upstream->each[i].thread, NULL);
        close(upstream->each[i].fd);
    }
    pthread_cond_destroy(&upstream->changed);
    pthread_mutex_destroy(&upstream->lock);
    free(upstream);
}

unsigned upstream_port(const struct upstream *upstream)
{
    return upstream->port;
}

static unsigned read_locked(struct upstream *upstream, const unsigned *value)
{
    pthread_mutex_lock(&upstream->lock);
    unsigned copy = *value;
    pthread_mutex_unlock(&upstream->lock);
    return copy;
}

unsigned upstream_connections(struct upstream *upstream)
{
    return read_locked(upstream, &upstream->connections);
}

unsigned upstream_requests(struct upstream *upstream)
{
    return read_locked(upstream, &upstream->requests);
}

unsigned upstream_most_at_once(struct upstream *upstream)
{
    return read_locked(upstream, &upstream->most_at_once);
}

unsigned upstream_held(struct upstream *upstream)
{
    return read_locked(upstream, &upstream->held);
}

void upstream_release(struct upstream *upstream)
{
    pthread_mutex_lock(&upstream->lock);
    upstream->released = true;
    pthread_cond_broadcast(&upstream->changed);
    pthread_mutex_unlock(&upstream->lock);
}

void upstream_latest(struct upstream *upstream, char *head, size_t room)
{
    pthread_mutex_lock(&upstream->lock);
    snprintf(head, room, "%s", upstream->latest_head);
    pthread_mutex_unlock(&upstream->lock);
}

bool upstream_saw(struct upstream *upstream, const char *text)
{
    pthread_mutex_lock(&upstream->lock);
    bool saw = strstr(upstream->latest_head, text) != NULL;
    pthread_mutex_unlock(&upstream->lock);
    return saw;
}
