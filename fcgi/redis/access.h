/* Whether the server's ACL lets us do what we need, found out by commands that change nothing.
 *
 * It is asked at each connect, whenever it has denied something, and then until it permits all of
 * it: so it is known without requests, and known to be over without them.
 */
#ifndef WORKERLESS_REDIS_ACCESS_H
#define WORKERLESS_REDIS_ACCESS_H

#include <stdbool.h>

struct ev_loop;
struct redis_access;
struct redis_needs;
struct redis_pipeline;

/* All is borrowed. The needs have the commands to find it out by, which go to the pipeline; `name`
 * is the server's, for the log. Returns what the caller owns, or NULL when out of memory. */
struct redis_access *redis_access_new(struct ev_loop *loop, const struct redis_needs *needs,
                                      struct redis_pipeline *pipeline, const char *name);

/* After the pipeline has answered what it was asked. NULL is allowed. */
void redis_access_free(struct redis_access *access);

/* The server is ready: asks. */
void redis_access_start(struct redis_access *access);

/* The server is not usable any longer. Nothing is known to be denied. */
void redis_access_stop(struct redis_access *access);

/* A command was denied: asks what else is, once a second at most. */
void redis_access_doubt(struct redis_access *access);

/* Whether something that we need is denied. */
bool redis_access_denied(const struct redis_access *access);

#endif
