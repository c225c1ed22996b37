/* What the user of the client is told. */
#ifndef WORKERLESS_REDIS_EVENTS_H
#define WORKERLESS_REDIS_EVENTS_H

#include "base/slice.h"

struct redis_server;

struct redis_events {
    void *context; /* the user's */
    /* The server takes commands again after a time in which it did not. */
    void (*ready)(void *context, struct redis_server *server);
    /* A server that was ready is gone. Called once for each `ready`. */
    void (*lost)(void *context);
    /* From now on `changed` tells of every change on one of the servers. What changed there before
     * is unknown. That this has ended is not told: see redis_server_tracking. */
    void (*tracking)(void *context);
    /* The key with that name has changed, expired or is gone; data is NULL: any key may have. */
    void (*changed)(void *context, struct slice name);
    /* Keys are on other servers than before: any key may have changed unseen. */
    void (*moved)(void *context);
};

#endif
