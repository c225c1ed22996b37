/* Sockets of the bench programs, by the addresses that workerless takes: unix:PATH, tcp:HOST:PORT,
 * tcp:[V6]:PORT. Both functions end the program with a message if they fail.
 */
#ifndef WORKERLESS_BENCH_ADDRESS_H
#define WORKERLESS_BENCH_ADDRESS_H

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

static inline void address_fail(const char *text, const char *why)
{
    fprintf(stderr, "%s: %s\n", text, why);
    exit(2);
}

static inline struct address address_parse(const char *text)
{
    struct address address = {0};
    if (strncmp(text, "unix:", 5) == 0) {
        struct sockaddr_un local = {.sun_family = AF_UNIX};
        if (strlen(text + 5) >= sizeof local.sun_path)
            address_fail(text, "the path is too long");
        memcpy(local.sun_path, text + 5, strlen(text + 5) + 1);
        memcpy(&address.storage, &local, sizeof local);
        address.len = sizeof local;
        return address;
    }
    char host[256];
    const char *colon = strrchr(text, ':');
    if (strncmp(text, "tcp:", 4) != 0 || colon < text + 4 ||
        (size_t)(colon - text - 4) >= sizeof host)
        address_fail(text, "neither unix:PATH nor tcp:HOST:PORT");
    size_t len = (size_t)(colon - text - 4);
    const char *from = text + 4;
    if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
        from++;
        len -= 2;
    }
    memcpy(host, from, len);
    host[len] = '\0';

    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, colon + 1, &hints, &found);
    if (error)
        address_fail(text, gai_strerror(error));
    memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    address.len = found->ai_addrlen;
    freeaddrinfo(found);
    return address;
}

static inline int address_socket(const char *text, const struct address *address)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        address_fail(text, strerror(errno));
    return fd;
}

static inline void address_no_delay(int fd)
{
    int on = 1;
    /* Fails on a unix socket, which does not delay. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* A connected, blocking socket; waits while the backlog is full. */
static inline int address_connect(const char *text)
{
    struct address address = address_parse(text);
    int fd = address_socket(text, &address);
    if (connect(fd, (struct sockaddr *)&address.storage, address.len) != 0)
        address_fail(text, strerror(errno));
    address_no_delay(fd);
    return fd;
}

/* A listening, blocking socket. */
static inline int address_listen(const char *text)
{
    struct address address = address_parse(text);
    int fd = address_socket(text, &address), on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address.storage, address.len) != 0 || listen(fd, 4096) != 0)
        address_fail(text, strerror(errno));
    return fd;
}

#endif
