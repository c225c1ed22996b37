/* Connects, writes the request, and reads records until the request has ended. */
#include "cli/client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/byte.h"
#include "fastcgi/params.h"
#include "fastcgi/record.h"

#define REQUEST_ID   1
#define READ_SIZE    (64 << 10)
#define TRY_AGAIN_MS 20 /* while the backlog of a unix socket is full */

struct client {
    const struct client_exchange *exchange;
    char *why;
    int fd;
    struct record_decoder decoder;
    struct buffer head; /* until it is complete */
    bool head_done;
    unsigned char end[sizeof(FCGI_EndRequestBody)];
    size_t end_len;
};

__attribute__((format(printf, 3, 4))) static enum client_result
fail(struct client *client, enum client_result result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(client->why, CLIENT_WHY_ROOM, format, arguments);
    va_end(arguments);
    return result;
}

static enum client_result fail_by_silence(struct client *client)
{
    return fail(client, CLIENT_TIMED_OUT, "sends nothing for %.3gs", client->exchange->silence);
}

/* Waits until the socket is ready. Returns false after the time of silence. */
static bool wait_for(const struct client *client, short events)
{
    struct pollfd ready = {.fd = client->fd, .events = events};
    double most = client->exchange->silence * 1000;
    int milliseconds = most < 2e9 ? (int)most : -1;
    int count;
    do
        count = poll(&ready, 1, milliseconds);
    while (count < 0 && errno == EINTR);
    return count != 0;
}

/* --- connecting --- */

/* Connects the socket. Returns CLIENT_DONE, or why not with errno as the reason. */
static enum client_result connect_to(struct client *client, const struct sockaddr *address,
                                     socklen_t len)
{
    double waited = 0;
    client->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client->fd < 0)
        return CLIENT_UNREACHABLE;
    while (connect(client->fd, address, len) != 0) {
        if (errno == EAGAIN) { /* only a unix socket: its backlog is full */
            poll(NULL, 0, TRY_AGAIN_MS);
            waited += TRY_AGAIN_MS / 1000.;
            if (waited >= client->exchange->silence)
                return CLIENT_TIMED_OUT;
            continue;
        }
        if (errno != EINPROGRESS)
            return CLIENT_UNREACHABLE;
        int error = 0;
        socklen_t size = sizeof error;
        if (!wait_for(client, POLLOUT))
            return CLIENT_TIMED_OUT;
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        errno = error;
        return error ? CLIENT_UNREACHABLE : CLIENT_DONE;
    }
    return CLIENT_DONE;
}

static void disconnect(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

/* Says why a connection failed. */
static enum client_result tell_connect(struct client *client, enum client_result result)
{
    if (result == CLIENT_TIMED_OUT)
        fail(client, result, "accepts no connection within %.3gs", client->exchange->silence);
    else if (result != CLIENT_DONE)
        fail(client, result, "%s", strerror(errno));
    return result;
}

/* The address has been checked. "*" and a wildcard address mean this machine. */
static enum client_result connect_tcp(struct client *client, const char *text)
{
    char host[ADDRESS_HOST_ROOM];
    const char *port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    address_split_tcp(text, host, &port);
    int error = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &found);
    if (error)
        return fail(client, CLIENT_UNREACHABLE, "%s", gai_strerror(error));
    enum client_result result = CLIENT_UNREACHABLE;
    for (const struct addrinfo *at = found; at && result != CLIENT_DONE; at = at->ai_next) {
        disconnect(client);
        result = tell_connect(client, connect_to(client, at->ai_addr, at->ai_addrlen));
    }
    freeaddrinfo(found);
    return result;
}

static enum client_result connect_any(struct client *client)
{
    const char *path = address_path(client->exchange->address);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path)
        return connect_tcp(client, client->exchange->address);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return tell_connect(client,
                        connect_to(client, (const struct sockaddr *)&address, sizeof address));
}

/* --- the request --- */

static bool append_variables(struct buffer *out, const struct client_exchange *exchange)
{
    for (size_t i = 0; i < exchange->variable_count; i++) {
        const struct client_variable *variable = &exchange->variables[i];
        size_t most = PARAMS_LENGTHS_MAX + variable->name.len + variable->value.len;
        char *pair = most <= CLIENT_REQUEST_MAX ? alloc_bytes(most) : NULL;
        bool added =
            pair && buffer_append(out, pair, params_encode(pair, variable->name, variable->value),
                                  CLIENT_REQUEST_MAX);
        free(pair);
        if (!added)
            return false;
    }
    return true;
}

static bool encode_request(const struct client_exchange *exchange, struct buffer *out)
{
    struct buffer params = {0};
    bool ok = append_variables(&params, exchange);
    out->capacity = RECORD_BEGIN_LEN + record_stream_len(params.len) + record_stream_len(0);
    ok = ok && (out->data = alloc_bytes(out->capacity));
    if (ok) {
        out->len = record_encode_begin(out->data, REQUEST_ID, false);
        out->len += record_encode_stream(out->data + out->len, FCGI_PARAMS, REQUEST_ID,
                                         buffer_slice(&params));
        out->len += record_encode_stream(out->data + out->len, FCGI_STDIN, REQUEST_ID, SLICE(""));
    }
    buffer_free(&params);
    return ok;
}

static enum client_result send_request(struct client *client)
{
    struct buffer out = {0};
    enum client_result result = CLIENT_DONE;
    if (!encode_request(client->exchange, &out)) {
        buffer_free(&out);
        return fail(client, CLIENT_FAILED, "was not asked: the request is too large");
    }
    for (struct slice rest = buffer_slice(&out); rest.len > 0 && result == CLIENT_DONE;) {
        ssize_t sent = send(client->fd, rest.data, rest.len, MSG_NOSIGNAL);
        if (sent > 0)
            rest = slice_from(rest, (size_t)sent);
        else if (errno == EAGAIN && !wait_for(client, POLLOUT))
            result = fail_by_silence(client);
        else if (errno != EAGAIN && errno != EINTR)
            result = fail(client, CLIENT_FAILED, "closed the connection: %s", strerror(errno));
    }
    buffer_free(&out);
    return result;
}

/* --- the response --- */

/* The status of a CGI response (RFC 3875 6.3.3), 200 if the head has none. -1: malformed. */
static int status_of(struct slice head)
{
    while (head.len > 0) {
        const char *end = memchr(head.data, '\n', head.len);
        size_t len = end ? (size_t)(end - head.data) : head.len;
        struct slice line = {.data = head.data, .len = len};
        if (line.len >= 7 && slice_equal_nocase((struct slice){line.data, 7}, SLICE("Status:"))) {
            line = slice_trim(slice_from(line, 7));
            if (line.len < 3 || !byte_is_digit(line.data[0]) || !byte_is_digit(line.data[1]) ||
                !byte_is_digit(line.data[2]))
                return -1;
            return (line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 + line.data[2] - '0';
        }
        head = slice_from(head, end ? len + 1 : len);
    }
    return 200;
}

/* Where the head ends in the text, and the body begins. Returns false if it is not complete. */
static bool find_end(struct slice text, size_t *head_len, size_t *body_at)
{
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.data[i] != '\n')
            continue;
        size_t next = i + 1 + (text.data[i + 1] == '\r');
        if (next >= text.len || text.data[next] != '\n')
            continue;
        *head_len = i + 1;
        *body_at = next + 1;
        return true;
    }
    return false;
}

static enum client_result pass_body(struct client *client, struct slice body)
{
    return body.len == 0 || client->exchange->body(client->exchange->context, body)
               ? CLIENT_DONE
               : CLIENT_STOPPED;
}

static enum client_result on_stdout(struct client *client, struct slice content)
{
    size_t head_len, body_at;
    if (client->head_done)
        return pass_body(client, content);
    if (!buffer_append(&client->head, content.data, content.len, CLIENT_HEAD_MAX + READ_SIZE))
        return fail(client, CLIENT_FAILED, "sends a head that is too long");
    struct slice text = buffer_slice(&client->head);
    if (!find_end(text, &head_len, &body_at))
        return text.len < CLIENT_HEAD_MAX
                   ? CLIENT_DONE
                   : fail(client, CLIENT_FAILED, "sends a head that is too long");
    struct slice head = {.data = text.data, .len = head_len};
    int status = status_of(head);
    if (status < 0)
        return fail(client, CLIENT_FAILED, "sends a malformed response");
    client->head_done = true;
    if (!client->exchange->head(client->exchange->context, status, head))
        return CLIENT_STOPPED;
    return pass_body(client, slice_from(text, body_at));
}

static enum client_result on_content(struct client *client, struct slice content)
{
    const struct record_header *header = &client->decoder.header;
    if (header->request_id != REQUEST_ID)
        return CLIENT_DONE;
    if (header->type == FCGI_STDOUT)
        return on_stdout(client, content);
    if (header->type != FCGI_END_REQUEST)
        return CLIENT_DONE;
    for (size_t i = 0; i < content.len && client->end_len < sizeof client->end; i++)
        client->end[client->end_len++] = (unsigned char)content.data[i];
    return CLIENT_DONE;
}

/* Handles the bytes. *over: the request has ended. */
static enum client_result on_bytes(struct client *client, struct slice bytes, bool *over)
{
    enum client_result result = CLIENT_DONE;
    struct slice content;
    while (result == CLIENT_DONE) {
        switch (record_decode(&client->decoder, &bytes, &content)) {
        case RECORD_NEED_MORE:
            return CLIENT_DONE;
        case RECORD_START:
            break;
        case RECORD_CONTENT:
            result = on_content(client, content);
            break;
        case RECORD_END:
            *over = client->end_len == sizeof client->end;
            if (*over)
                return CLIENT_DONE;
            break;
        case RECORD_BAD:
            return fail(client, CLIENT_FAILED, "does not speak FastCGI");
        }
    }
    return result;
}

static enum client_result judge_end(struct client *client)
{
    if (client->end[4] != FCGI_REQUEST_COMPLETE)
        return fail(client, CLIENT_FAILED, "has rejected the request (protocol status %u)",
                    client->end[4]);
    if (!client->head_done)
        return fail(client, CLIENT_FAILED, "sends an empty response");
    return CLIENT_DONE;
}

static enum client_result receive(struct client *client)
{
    static char bytes[READ_SIZE];
    enum client_result result = CLIENT_DONE;
    for (bool over = false; !over && result == CLIENT_DONE;) {
        ssize_t got = recv(client->fd, bytes, sizeof bytes, 0);
        if (got > 0)
            result = on_bytes(client, (struct slice){bytes, (size_t)got}, &over);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return fail(client, CLIENT_FAILED,
                        "closed the connection before its response was "
                        "complete");
        else if (errno == EAGAIN && !wait_for(client, POLLIN))
            return fail_by_silence(client);
    }
    return result == CLIENT_DONE ? judge_end(client) : result;
}

enum client_result client_exchange(const struct client_exchange *exchange,
                                   char why[CLIENT_WHY_ROOM])
{
    struct client client = {.exchange = exchange, .why = why, .fd = -1};
    enum client_result result = connect_any(&client);
    if (result == CLIENT_DONE)
        result = send_request(&client);
    if (result == CLIENT_DONE)
        result = receive(&client);
    disconnect(&client);
    buffer_free(&client.head);
    return result;
}
