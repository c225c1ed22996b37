/* Accepts the connections of front servers. */
#ifndef WORKERLESS_WIRE_LISTENER_H
#define WORKERLESS_WIRE_LISTENER_H

#include <stdbool.h>

struct ev_loop;
struct listeners;
struct sockets;

/* Takes the accepted descriptor, which is non-blocking and close-on-exec. `local`: it is a unix
 * socket. Returns false when out of memory; then the listener still owns the descriptor, and closes
 * it. */
typedef bool listener_accepted_fn(void *context, int fd, bool local);

/* Takes the sockets, also if it fails. Nothing is accepted yet. Returns what the caller owns, or
 * NULL when out of memory. */
struct listeners *listeners_new(struct ev_loop *loop, struct sockets *sockets,
                                listener_accepted_fn *accepted, void *context);

/* Starts or resumes accepting. */
void listeners_start(struct listeners *listeners);

/* Stops accepting. Peers wait in the backlog. */
void listeners_pause(struct listeners *listeners);

/* Accepts the connections that wait in the backlogs of sockets that we created, since closing those
 * would reset them; unless accepting is paused. Inherited sockets are left to other processes. */
void listeners_finish(struct listeners *listeners);

/* Closes the sockets, as sockets_close does. NULL is allowed. */
void listeners_close(struct listeners *listeners);

#endif
