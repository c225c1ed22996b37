/* The connection over which a server reports changes of keys.
 *
 * It is subscribed to __redis__:invalidate, and the CLIENT TRACKING (BCAST, by prefix) of the
 * connection for commands is redirected to it. So the server reports every change of a key with one
 * of the prefixes, whoever made it, except perhaps our own (NOLOOP). This uses RESP2, so it works
 * with every hiredis.
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

/* Borrows its arguments. `needs` has the prefixes; of the events, `tracking` and `changed` are
 * used; the pipeline is that of the connection for commands; `name` is the server's name for the
 * log. Returns what the caller owns, or NULL when out of memory. */
struct redis_tracker *redis_tracker_new(struct ev_loop *loop, const struct redis_needs *needs,
                                        const struct redis_events *events,
                                        struct redis_pipeline *pipeline, const char *name);

/* The pipeline accepts commands. From now on tracking is armed, and rearmed whenever it is lost,
 * over a connection to that target, whose strings are borrowed until redis_tracker_stop. */
void redis_tracker_start(struct redis_tracker *tracker, const struct redis_conn_target *target);

/* Stops tracking: no event follows. */
void redis_tracker_stop(struct redis_tracker *tracker);

/* Whether changes are reported now. */
bool redis_tracker_armed(const struct redis_tracker *tracker);

/* Call it when tracking is stopped and the pipeline has answered every command. NULL is allowed. */
void redis_tracker_free(struct redis_tracker *tracker);

#endif
