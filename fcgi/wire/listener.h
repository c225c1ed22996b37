/* Listening sockets: inherited ones, or those that the config names. */
#ifndef WORKERLESS_WIRE_LISTENER_H
#define WORKERLESS_WIRE_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

struct ev_loop;
struct listeners;

/* An address is "unix:PATH", "tcp:HOST:PORT", "tcp:[V6]:PORT" or "fd:N". A host means all of its
 * addresses, and * means any address. */
struct listener_settings {
    const char *const *addresses;
    size_t count;
    unsigned socket_mode; /* of unix sockets that we create */
};

/* Takes the accepted descriptor, which is non-blocking and close-on-exec. `local`: it is a unix
 * socket. Returns false when out of memory; then the listener still owns the descriptor, and closes
 * it. */
typedef bool listener_accepted_fn(void *context, int fd, bool local);

/* Returns NULL, or an error message for the user. */
const char *listener_check_address(const char *address);

/* Opens every socket. Sockets inherited from spawn-fcgi, lighttpd (fd 0) or systemd (LISTEN_FDS)
 * replace those of the settings. Nothing is accepted yet. Returns what the caller
 * owns, or NULL after logging why. */
struct listeners *listeners_open(struct ev_loop *loop, const struct listener_settings *settings,
                                 listener_accepted_fn *accepted, void *context);

/* Starts or resumes accepting. */
void listeners_start(struct listeners *listeners);

/* Stops accepting. Peers wait in the backlog. */
void listeners_pause(struct listeners *listeners);

/* Accepts the connections that wait in the backlogs of sockets that we created, since closing those
 * would reset them; unless accepting is paused. Inherited sockets are left to other processes. */
void listeners_finish(struct listeners *listeners);

/* Closes the sockets and removes unix sockets that we created. NULL is allowed. */
void listeners_close(struct listeners *listeners);

#endif
