/* A job as workers read it: one object of JSON. workerless-protocol(7) and conf/workers/ have the
 * contract. Pure. */
#ifndef WORKERLESS_SOURCE_QUEUE_JOB_H
#define WORKERLESS_SOURCE_QUEUE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

struct queue_settings;
struct source_request;

#define QUEUE_JOB_MAX ((size_t)128 << 10) /* bytes; the inputs of a request have far less */

struct queue_job {
    const struct queue_settings *settings;
    const struct source_request *request; /* its lease is the job's id */
    const char *value_start;              /* how the keys of values begin */
    int64_t deadline_ms;                  /* since 1970, by the clock of Redis */
};

/* Appends the job. Returns NULL; or why there can be none (static), which leaves a part of it. */
const char *queue_job_write(const struct queue_job *job, struct buffer *out);

/* The value of "priority", which also ends the name of the stream that the job goes into. */
const char *queue_priority(bool awaited);

#endif
