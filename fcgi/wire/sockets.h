/* Listening sockets: inherited ones, or those that the config names. */
#ifndef WORKERLESS_WIRE_SOCKETS_H
#define WORKERLESS_WIRE_SOCKETS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SOCKETS_BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */
#define SOCKET_OF_ALL   UINT_MAX

/* An address is "unix:PATH", "tcp:HOST:PORT", "tcp:[V6]:PORT" or "fd:N". A host means all of its
 * addresses, and * means any address. */
struct listener_settings {
    const char *const *addresses;
    size_t count;
    unsigned socket_mode; /* of unix sockets that we create */
};

struct listening_socket {
    int fd;
    unsigned worker; /* that accepts from it, or SOCKET_OF_ALL */
    bool local;      /* a unix socket */
    bool created;    /* by us; otherwise inherited */
    char *unix_path; /* owned: of a socket that we have to remove; else NULL */
};

struct sockets {
    unsigned workers;
    size_t count;
    struct listening_socket list[];
};

/* Returns NULL, or an error message for the user. */
const char *sockets_check_address(const char *address);

/* Opens every socket, for that many workers (at least 1). Sockets inherited from spawn-fcgi,
 * lighttpd (fd 0) or systemd (LISTEN_FDS) replace those of the settings. Returns what the caller
 * owns, or NULL after logging why. */
struct sockets *sockets_open(const struct listener_settings *settings, unsigned workers);

/* Changes the owner of unix sockets that we created. Returns false after logging why. */
bool sockets_give(const struct sockets *sockets, uid_t user, gid_t group);

/* In a worker: closes the sockets of other workers, and leaves unix sockets in place when they are
 * closed, since others use them. */
void sockets_keep(struct sockets *sockets, unsigned worker);

/* Closes the sockets and removes unix sockets that we created. Takes them; NULL is allowed. */
void sockets_close(struct sockets *sockets);

#endif
