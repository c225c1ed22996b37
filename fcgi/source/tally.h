/* What a source does, and what it has done since it was created. */
#ifndef WORKERLESS_SOURCE_TALLY_H
#define WORKERLESS_SOURCE_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "source/source.h"

#define SOURCE_STATUSES (SOURCE_CANCELLED + 1)

struct source_tally {
    uint64_t started;                /* calls, those included that were queued or refused */
    uint64_t ended[SOURCE_STATUSES]; /* calls, by enum source_status */
    struct histogram duration; /* of calls that ran and were not cancelled, without the queue */
    struct histogram queued;   /* of calls that left the queue and ran: their time in it */
};

/* A source at the moment. Everything is borrowed from it. */
struct source_view {
    const char *name, *type;
    const char *breaker; /* "closed": it is called; "open": it is not; "trying": one call runs */
    double pause_s;      /* while "open": how long yet */
    size_t running, queued;
    const struct source_tally *tally;
    const struct source_backlog *backlog; /* NULL: its type has none */
};

/* Shorter names than those of the enum, for metrics; by enum source_status. */
extern const char *const source_status_names[SOURCE_STATUSES];

/* The words that `breaker` may have; NULL ends them. */
extern const char *const source_breaker_names[];

struct source_view source_look(const struct source *source);

#endif
