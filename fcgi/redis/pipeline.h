/* Commands on one connection: each is answered exactly once, and within the timeout.
 *
 * Answers come in order, so one deadline, that of the oldest command, is enough. When it passes,
 * the user of the pipeline is told and closes the connection; hiredis then answers every pending
 * command with NULL.
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
    /* The oldest command has no answer, and no byte has moved within the timeout. */
    void (*stuck)(void *context);
    /* A command was answered with an error. Its sender has been told already. */
    void (*refused)(void *context, const struct redisReply *error);
};

/* The settings and the events are borrowed. Returns what the caller owns, or NULL when out of
 * memory. */
struct redis_pipeline *redis_pipeline_new(struct ev_loop *loop,
                                          const struct redis_settings *settings,
                                          const struct redis_pipeline_events *events,
                                          void *context);

/* Call it when the connection is closed, so every command has been answered. NULL is allowed. */
void redis_pipeline_free(struct redis_pipeline *pipeline);

/* Sends commands over this connection from now on. It is open, and borrowed; NULL: none. */
void redis_pipeline_use(struct redis_pipeline *pipeline, struct redis_conn *conn);

/* Sends a command. `answered` is called exactly once, never before this returns. Returns false, and
 * never calls `answered`, if the command was not sent: there is no connection, no memory, or
 * settings->max_pending is reached. */
bool redis_pipeline_send(struct redis_pipeline *pipeline, int argc, const char **argv,
                         const size_t *lens, redis_reply_fn *answered, void *caller);

/* The same for terminated words, at most REDIS_WORDS_MAX. */
bool redis_pipeline_send_words(struct redis_pipeline *pipeline, redis_reply_fn *answered,
                               void *caller, int count, const char **words);

/* Whether a command has not been answered yet. */
bool redis_pipeline_busy(const struct redis_pipeline *pipeline);

#endif
