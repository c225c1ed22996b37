/* The connection by which a server tells of changes.
 *
 * It is subscribed to __redis__:invalidate, and the CLIENT TRACKING (BCAST, by prefix) of the
 * server's connection for commands is redirected to it: so every change of a key of ours is heard of, whoever
 * made it, though perhaps not what we change ourselves (NOLOOP). This works in RESP2, so with
 * every hiredis.
 */
#ifndef WORKERLESS_REDIS_TRACKER_H
#define WORKERLESS_REDIS_TRACKER_H

#include <stdbool.h>

struct ev_loop;
struct redis_server;
struct redis_events;
struct redis_tracker;

/* The server and its owner, who is told, are borrowed. Returns what the caller owns, or NULL when out
 * of memory. */
struct redis_tracker *redis_tracker_new(struct ev_loop *loop, const char *name_space,
                                        struct redis_server *server,
                                        const struct redis_events *owner);

/* The server is ready: from now on tracking is armed, and armed again when it was lost. */
void redis_tracker_start(struct redis_tracker *tracker);

/* The server is down. Nothing is told any longer. */
void redis_tracker_stop(struct redis_tracker *tracker);

/* Whether changes are told now. */
bool redis_tracker_armed(const struct redis_tracker *tracker);

/* It is stopped, and no command of the server's is pending. NULL is allowed. */
void redis_tracker_free(struct redis_tracker *tracker);

#endif
