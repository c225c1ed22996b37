/* Checks whether the server's ACL permits what we need, by commands that change nothing.
 *
 * The check runs at each connect and whenever the ACL has denied something, and is repeated until
 * everything is permitted. So neither a denial nor its end needs a request to be noticed.
 */
#ifndef WORKERLESS_REDIS_ACCESS_H
#define WORKERLESS_REDIS_ACCESS_H

#include <stdbool.h>

struct ev_loop;
struct redis_access;
struct redis_needs;
struct redis_pipeline;

/* Borrows its arguments. The probes in `needs` are sent through the pipeline; `name` is the
 * server's name for the log. Returns what the caller owns, or NULL when out of memory. */
struct redis_access *redis_access_new(struct ev_loop *loop, const struct redis_needs *needs,
                                      struct redis_pipeline *pipeline, const char *name);

/* Call it when the pipeline has answered every command. NULL is allowed. */
void redis_access_free(struct redis_access *access);

/* The server is ready: starts the check. */
void redis_access_start(struct redis_access *access);

/* The server is no longer usable: forgets what was denied. */
void redis_access_stop(struct redis_access *access);

/* A command was denied: checks what else is, at most once a second. */
void redis_access_doubt(struct redis_access *access);

/* Whether something that we need is denied. */
bool redis_access_denied(const struct redis_access *access);

#endif
