/* The streams of one queue source in Redis: adds jobs, moves, removes and counts them.
 *
 * If the option `jobs` is J, the streams are {NAMESPACE:J}:visitors, for jobs that requests wait for,
 * {NAMESPACE:J}:refreshes, for the others, and {NAMESPACE:J}:dead, for jobs that were given up. The
 * hash tag puts them into one slot of a Cluster, so a script can use all of them. Each function sends
 * one script, follows redirections, and never blocks.
 */
#ifndef WORKERLESS_SOURCE_QUEUE_STREAMS_H
#define WORKERLESS_SOURCE_QUEUE_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct queue_command;
struct queue_streams;
struct source_environment;

#define QUEUE_ID_MAX 41 /* bytes of an entry's id: two numbers of 64 bits, and a dash */

enum queue_outcome {
    QUEUE_DONE,
    QUEUE_FULL,    /* the job was not added: there are too many */
    QUEUE_TAKEN,   /* the job was not moved: a worker has it, or it is gone */
    QUEUE_AWAY,    /* Redis could not be asked, or did not answer in time */
    QUEUE_REFUSED, /* by an error of Redis */
};

/* How many jobs there are. */
struct queue_depth {
    uint64_t visitors, refreshes, dead;
    uint64_t workers;   /* that were seen within the time that was asked for */
    uint64_t oldest_ms; /* age of the oldest job that is not finished */
};

struct queue_answer { /* borrowed for the call */
    enum queue_outcome outcome;
    struct slice id;          /* of the job that was added or moved */
    const char *error;        /* REFUSED: what Redis says */
    struct queue_depth depth; /* of queue_streams_look */
};

/* Called once, never before the function that asked has returned. */
typedef void queue_answer_fn(void *caller, const struct queue_answer *answer);

/* The environment has a Redis. The name is copied; it has no braces. Returns what the caller owns,
 * or NULL when out of memory. */
struct queue_streams *queue_streams_new(const struct source_environment *environment,
                                        const char *jobs);

/* Commands that were sent are not taken back, but nobody gets their answers. NULL is allowed. */
void queue_streams_free(struct queue_streams *streams);

/* Adds the job, which is copied, unless `most` jobs are unfinished: those of visitors for an awaited
 * job, those of both streams for a refresh. To make room, entries are trimmed that workers have
 * acknowledged but not deleted. Creates the streams and the group of workers if they are missing.
 * Returns what queue_streams_abandon takes, which is valid until the answer; or NULL if the command
 * can't be sent: then `answered` is not called. */
struct queue_command *queue_streams_add(struct queue_streams *streams, struct slice job,
                                        bool awaited, size_t most, queue_answer_fn *answered,
                                        void *caller);

/* Moves a refresh to the stream of visitors, unless a worker has the job. Returns the same as
 * queue_streams_add. */
struct queue_command *queue_streams_move(struct queue_streams *streams, const char *id,
                                         queue_answer_fn *answered, void *caller);

/* Nobody wants the answer any more: `answered` is not called, and once the job has been added or moved,
 * it is removed. */
void queue_streams_abandon(struct queue_command *command);

/* Removes a job, whether a worker has it or not. Best effort. */
void queue_streams_remove(struct queue_streams *streams, bool awaited, const char *id);

/* Counts the jobs, and the workers that were seen within `seen_ms`. Returns false if the command can't
 * be sent; then `answered` is not called. */
bool queue_streams_look(struct queue_streams *streams, int64_t seen_ms, queue_answer_fn *answered,
                        void *caller);

#endif
