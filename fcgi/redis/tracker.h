/* The connection by which a server tells of changes.
 *
 * It is subscribed to __redis__:invalidate, and the CLIENT TRACKING (BCAST, by prefix) of the
 * connection for commands is redirected to it: so every change of a key with one of the prefixes is
 * told, whoever made it, though perhaps not what we change ourselves (NOLOOP). This works in RESP2,
 * so with every hiredis.
 */
#ifndef WORKERLESS_REDIS_TRACKER_H
#define WORKERLESS_REDIS_TRACKER_H

#include <stdbool.h>

struct ev_loop;
struct redis_conn_target;
struct redis_events;
struct redis_needs;
struct redis_pipeline;
struct redis_tracker;

/* All is borrowed. The needs have the prefixes; the events `tracking` and `changed` are told; the
 * pipeline is that of the connection for commands; `name` is the server's, for the log. Returns
 * what the caller owns, or NULL when out of memory. */
struct redis_tracker *redis_tracker_new(struct ev_loop *loop, const struct redis_needs *needs,
                                        const struct redis_events *events,
                                        struct redis_pipeline *pipeline, const char *name);

/* The pipeline takes commands. From now on tracking is armed, and armed again when it was lost, by
 * a connection to that target, whose strings are borrowed until redis_tracker_stop. */
void redis_tracker_start(struct redis_tracker *tracker, const struct redis_conn_target *target);

/* Nothing is told any longer. */
void redis_tracker_stop(struct redis_tracker *tracker);

/* Whether changes are told now. */
bool redis_tracker_armed(const struct redis_tracker *tracker);

/* It is stopped, and all commands of the pipeline have been answered. NULL is allowed. */
void redis_tracker_free(struct redis_tracker *tracker);

#endif
