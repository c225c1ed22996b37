/* One connection to a Redis server or a Sentinel: its name looked up, TLS, AUTH, and how it ends.
 *
 *     redis_conn_open --> look the host up --> connect --> TLS --> AUTH --> what its user sends
 *                                  |              |         |       |              |
 *                                  '--------------'--- lost '-------'--------------'
 *
 * hiredis keeps what is sent before the connection stands, so commands are accepted as soon as the
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
    const char *path;      /* of a unix socket; NULL: by TCP */
    const char *host;      /* a name or an address; the one that the certificate must be for */
    const char *literal;   /* the host's address if it is known; NULL: the host is looked up */
    int port;
    unsigned attempt;           /* which of the name's addresses is used: see base/resolve.h */
    struct redis_tls *tls;      /* borrowed; NULL: without TLS */
    const char *user;           /* NULL or "": the default user */
    const char *password;       /* NULL or "": no AUTH */
    enum redis_guard_rule rule; /* what its replies may be */
    size_t reply_max; /* bytes of a reply, those that hiredis takes for elements included */
    bool is_urgent;   /* what has come is read before anything else in a turn of the loop */
};

enum redis_conn_loss {
    REDIS_CONN_FAILED,  /* it never stood, or there was an error */
    REDIS_CONN_CLOSED,  /* it stood, and the server has closed it */
    REDIS_CONN_REFUSED, /* the server has refused the AUTH */
};

/* `user` is whose connection it is. */
struct redis_conn_events {
    /* Commands are accepted. Not called if they were as soon as redis_conn_open returned. */
    void (*opened)(void *user);
    /* The connection has ended by itself, and is freed; commands without an answer are answered
     * with NULL before that or after. The reason lives during the call. */
    void (*lost)(void *user, const char *reason, enum redis_conn_loss loss);
};

#define REDIS_CONN_WHY_MAX 128

/* Begins to connect. The target is copied; the events are borrowed. No event comes before this
 * returns. Returns what the caller owns until it is lost; or NULL, and `why` says why. */
struct redis_conn *redis_conn_open(struct ev_loop *loop, const struct redis_conn_target *target,
                                   const struct redis_conn_events *events, void *user,
                                   char why[REDIS_CONN_WHY_MAX]);

/* Ends it without an event. Commands without an answer are answered with NULL. NULL is allowed. */
void redis_conn_close(struct redis_conn *conn);

/* Whether commands are accepted: whether the host's address is known. */
bool redis_conn_is_open(const struct redis_conn *conn);

/* The address of the host; empty for a unix socket, or while it is not known. */
const char *redis_conn_literal(const struct redis_conn *conn);

/* For commands; only while it is open. */
struct redisAsyncContext *redis_conn_context(const struct redis_conn *conn);

/* In a callback of such a command: whose connection it is. NULL: it has ended, and the reply is of
 * no use to anybody. */
void *redis_conn_user(const struct redisAsyncContext *context);

#endif
