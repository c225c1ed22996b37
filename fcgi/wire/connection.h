/* The connections of all front servers: bytes in, records out. */
#ifndef WORKERLESS_WIRE_CONNECTION_H
#define WORKERLESS_WIRE_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/limits.h"

struct connections;
struct ev_loop;
struct service;
struct settlement;
struct waiter_address;

/* Called with false when max_connections is reached, so that no more may be accepted; and with true
 * whenever a connection has ended, even if the limit was not reached. */
typedef void connections_accepting_fn(void *context, bool accepting);

/* `limits` and `service` are borrowed; limits->max_connections is not 0. Returns what the caller
 * owns, or NULL when out of memory. */
struct connections *connections_new(struct ev_loop *loop, const struct connection_limits *limits,
                                    struct service *service);

/* Sets the callback that says whether more may be accepted. */
void connections_on_accepting(struct connections *connections, connections_accepting_fn *accepting,
                              void *context);

/* The limits have changed, and count from now on for what is in progress, too. */
void connections_limits_changed(struct connections *connections);

/* A listener_accepted_fn, `context` being the connections: takes the descriptor, or returns false
 * when out of memory. `local`: it is a unix socket. */
bool connections_accept(void *context, int fd, bool local);

/* A waiter_settled_fn, `context` being the connections: answers the request at that address. */
void connections_settled(void *context, const struct waiter_address *who,
                         const struct settlement *settlement);

/* From now on a connection is closed as soon as no request is in progress on it, or on its way:
 * bytes that have arrived are read first, and a connection that has not brought any request yet
 * stays open for a moment. */
void connections_drain(struct connections *connections);

/* The number of open connections. */
size_t connections_count(const struct connections *connections);

/* Closes all. NULL is allowed. */
void connections_free(struct connections *connections);

#endif
