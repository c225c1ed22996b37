/* Where connections come from: an inherited socket, or those that the config names. */
#ifndef WORKERLESS_WIRE_LISTENER_H
#define WORKERLESS_WIRE_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

struct ev_loop;
struct listeners;

/* An address is "unix:PATH", "tcp:HOST:PORT", "tcp:[V6]:PORT" or "fd:N". A host stands for all of
 * its addresses, and * for any. */
struct listener_settings {
    const char *const *addresses;
    size_t count;
    unsigned socket_mode; /* of unix sockets that we make */
};

/* Takes the accepted descriptor: non-blocking, close-on-exec. `local`: it is a unix socket.
 * False: out of memory; the descriptor is still the listener's, who closes it. */
typedef bool listener_accepted_fn(void *context, int fd, bool local);

/* Returns NULL, or what is wrong with the address, in the user's words. */
const char *listener_check_address(const char *address);

/* Opens every socket; those inherited from spawn-fcgi, lighttpd (fd 0) or systemd (LISTEN_FDS) are
 * used instead of the settings' if there are any. Nothing is accepted yet. Returns what the caller
 * owns, or NULL after logging why. */
struct listeners *listeners_open(struct ev_loop *loop, const struct listener_settings *settings,
                                 listener_accepted_fn *accepted, void *context);

/* Starts, or starts again, to accept. */
void listeners_start(struct listeners *listeners);

/* Stops accepting. Peers wait in the backlog. */
void listeners_pause(struct listeners *listeners);

/* Closes the sockets; removes unix sockets that we made. NULL is allowed. */
void listeners_close(struct listeners *listeners);

#endif
