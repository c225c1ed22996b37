/* One connection to a Redis server or a Sentinel: host lookup, TLS, AUTH, and its end.
 *
 *     redis_conn_open --> look the host up --> connect --> TLS --> AUTH --> its user's commands
 *                                  |              |         |       |              |
 *                                  '--------------'--- lost '-------'--------------'
 *
 * hiredis queues commands until the connection is established, so they are accepted as soon as the
 * host's address is known.
 */
#ifndef WORKERLESS_REDIS_CONN_H
#define WORKERLESS_REDIS_CONN_H

#include <stdbool.h>
#include <stddef.h>

#include "redis/guard.h"

struct ev_loop;
struct redis_conn;
struct redis_tls;
struct redisAsyncContext;

struct redis_conn_target { /* strings are borrowed until the connection has ended */
    const char *path;      /* of a unix socket; NULL: use TCP */
    const char *host;      /* a name or an address; the certificate must name it */
    const char *literal;   /* the host's address, if known; NULL: look the host up */
    int port;
    unsigned attempt;           /* selects one of the host's addresses: see base/resolve.h */
    struct redis_tls *tls;      /* borrowed; NULL: no TLS */
    const char *user;           /* NULL or "": the default user */
    const char *password;       /* NULL or "": no AUTH */
    enum redis_guard_rule rule; /* which replies are accepted */
    size_t reply_max; /* bytes of a reply, including what hiredis allocates for elements */
    bool is_urgent;   /* its input is read before anything else in a turn of the loop */
};

enum redis_conn_loss {
    REDIS_CONN_FAILED,  /* it was never established, or there was an error */
    REDIS_CONN_CLOSED,  /* it was established, and the server has closed it */
    REDIS_CONN_REFUSED, /* the server has rejected AUTH */
};

/* `user` is the owner of the connection, as given to redis_conn_open. */
struct redis_conn_events {
    /* Commands are accepted from now on. Not called if they were accepted from the start. */
    void (*opened)(void *user);
    /* The connection has ended by itself and is freed. Pending commands are answered with NULL
     * before this or after it. `reason` is valid during the call. */
    void (*lost)(void *user, const char *reason, enum redis_conn_loss loss);
};

#define REDIS_CONN_WHY_MAX 128

/* Starts to connect. The target is copied; the events are borrowed. No event comes before this
 * returns. Returns a connection that the caller owns until it is lost; or NULL with the reason in
 * `why`. */
struct redis_conn *redis_conn_open(struct ev_loop *loop, const struct redis_conn_target *target,
                                   const struct redis_conn_events *events, void *user,
                                   char why[REDIS_CONN_WHY_MAX]);

/* Closes it without an event. Pending commands are answered with NULL. NULL is allowed. */
void redis_conn_close(struct redis_conn *conn);

/* Whether commands are accepted, that is, the host's address is known. */
bool redis_conn_is_open(const struct redis_conn *conn);

/* The address of the host; empty for a unix socket, or while it is unknown. */
const char *redis_conn_literal(const struct redis_conn *conn);

/* The context to send commands with; call it only while the connection is open. */
struct redisAsyncContext *redis_conn_context(const struct redis_conn *conn);

/* For the callback of such a command: the owner of the connection; NULL: the connection has ended,
 * so the reply is to be ignored. */
void *redis_conn_user(const struct redisAsyncContext *context);

#endif
