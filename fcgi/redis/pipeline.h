/* Commands on one connection: each is answered exactly once, and within the timeout.
 *
 * They are answered in order, so the oldest one's deadline is enough. When it passes, the user of the
 * pipeline is told, and closes the connection: hiredis then answers all that is pending with NULL.
 */
#ifndef WORKERLESS_REDIS_PIPELINE_H
#define WORKERLESS_REDIS_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>

#include "redis/reply.h"

struct ev_loop;
struct redis_conn;
struct redis_pipeline;
struct redis_settings;

struct redis_pipeline_events {
    /* The oldest command has no answer, and no byte has moved for the timeout. */
    void (*stuck)(void *context);
    /* A command was answered by an error; the one who sent it has been told. */
    void (*refused)(void *context, const struct redisReply *error);
};

/* The settings and the events are borrowed. Returns what the caller owns, or NULL when out of memory. */
struct redis_pipeline *redis_pipeline_new(struct ev_loop *loop,
                                          const struct redis_settings *settings,
                                          const struct redis_pipeline_events *events,
                                          void *context);

/* Its connection is closed, so every command has been answered. NULL is allowed. */
void redis_pipeline_free(struct redis_pipeline *pipeline);

/* The connection that commands go to from now on, which is open and borrowed; NULL: none. */
void redis_pipeline_use(struct redis_pipeline *pipeline, struct redis_conn *conn);

/* Sends a command. `answered` is called exactly once, never before this returns. False: there is no
 * connection, no memory, or settings->max_pending is reached; it was not sent, and `answered` is never called. */
bool redis_pipeline_send(struct redis_pipeline *pipeline, int argc, const char **argv,
                         const size_t *lens, redis_reply_fn *answered, void *caller);

/* The same for words, at most REDIS_WORDS_MAX. */
bool redis_pipeline_send_words(struct redis_pipeline *pipeline, redis_reply_fn *answered,
                               void *caller, int count, const char **words);

/* Whether a command waits for its answer. */
bool redis_pipeline_busy(const struct redis_pipeline *pipeline);

#endif
