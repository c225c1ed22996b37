/* Events that the Redis client reports to its user. */
#ifndef WORKERLESS_REDIS_EVENTS_H
#define WORKERLESS_REDIS_EVENTS_H

#include "base/slice.h"

struct redis_server;

struct redis_events {
    void *context; /* the user's */
    /* The server accepts commands, for the first time or again. */
    void (*ready)(void *context, struct redis_server *server);
    /* A server that was ready is no longer available. Called once for each `ready`. */
    void (*lost)(void *context);
    /* From now on `changed` reports every change on one of the servers. Earlier changes there are
     * unknown. There is no event for the end of tracking: see redis_server_tracking. */
    void (*tracking)(void *context);
    /* The key with that name was changed, removed or has expired; data is NULL: any key may
     * have. */
    void (*changed)(void *context, struct slice name);
    /* Keys have moved to other servers: any key may have changed without an event. */
    void (*moved)(void *context);
};

#endif
