/* Connections to a FastCGI server, each of which carries one request at a time, and the idle ones
 * that are kept.
 *
 *     fastcgi_conn_take --> LOOKING_UP <-> CONNECTING --> OPEN --> fastcgi_conn_keep --> IDLE
 *                 |         an address of      ^  |        ^ |                            | |
 *                 |         the host's name    |  v        | '--> ended()                 | '--> closed
 *                 |                          WAITING       '-- fastcgi_conn_take ---------'     by the
 *                 |         for a place in the backlog                                          server
 *                 '--> FAILED --> ended()
 *
 * A connection that is no longer wanted is closed: servers do not read ABORT_REQUEST while they work.
 */
#ifndef WORKERLESS_SOURCE_FASTCGI_CONN_H
#define WORKERLESS_SOURCE_FASTCGI_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <ev.h>

#include "base/log.h"
#include "base/slice.h"
#include "base/timeout.h"
#include "source/fastcgi_address.h"
#include "source/fastcgi_settings.h"

struct fastcgi_conn;

enum fastcgi_end {
    FASTCGI_UNREACHABLE, /* no connection could be made */
    FASTCGI_UNANSWERED,  /* no connection was made within connect_timeout */
    FASTCGI_CLOSED,      /* the server has closed it, or it broke */
};

/* Called from the loop, never from the functions below. */
struct fastcgi_conn_events {
    /* The connection can be used now. */
    void (*opened)(void *user);
    /* More bytes of the response; valid during the call. Returns false if the connection has been
     * closed or kept meanwhile. */
    bool (*received)(void *user, struct slice bytes);
    /* The connection has ended, and is to be closed by the callee. `why` completes a sentence that
     * begins with the script. */
    void (*ended)(void *user, enum fastcgi_end end, const char *why);
};

/* The connections of a source. */
struct fastcgi_conns {
    struct ev_loop *loop;
    const struct fastcgi_settings *settings;
    const struct fastcgi_conn_events *events;
    struct timeout_queue limits; /* connect_timeout */
    struct fastcgi_conn *idle;
    size_t idle_count;
    struct log_limit backlog_full;
    struct fastcgi_address address;
};

/* `settings` and `events` are borrowed. The struct must not move. */
void fastcgi_conns_init(struct fastcgi_conns *conns, struct ev_loop *loop,
                        const struct fastcgi_settings *settings,
                        const struct fastcgi_conn_events *events);

/* Call it when no connection is taken. Closes the idle ones. */
void fastcgi_conns_end(struct fastcgi_conns *conns);

/* Closes all idle connections, since the server has probably closed them, too. */
void fastcgi_conns_drop_idle(struct fastcgi_conns *conns);

/* Takes an idle connection or makes a new one, and sends `bytes` on it, which are borrowed until it
 * is closed or kept. `user` is passed to the events. Returns NULL when out of memory. */
struct fastcgi_conn *fastcgi_conn_take(struct fastcgi_conns *conns, struct slice bytes, void *user);

/* Whether it has carried another request before. */
bool fastcgi_conn_is_reused(const struct fastcgi_conn *conn);

/* Keeps it for another request if all has been sent and there is room for it; otherwise closes it. */
void fastcgi_conn_keep(struct fastcgi_conn *conn);

/* Closes it. NULL is allowed. */
void fastcgi_conn_close(struct fastcgi_conn *conn);

#endif
