/* The settings of the queue source. */
#ifndef WORKERLESS_SOURCE_QUEUE_SETTINGS_H
#define WORKERLESS_SOURCE_QUEUE_SETTINGS_H

#include <stddef.h>

#include "source/source.h"

#define QUEUE_JOBS_MAX 100 /* bytes of the streams' name */

struct queue_settings {
    struct source_settings settings;
    const char *jobs;  /* the name of the streams, as workers know it */
    double timeout;    /* seconds from the call to the job's deadline */
    double visibility; /* seconds after which a silent worker counts as dead */
    size_t attempts;   /* how often a job is given to a worker */
};

#endif
