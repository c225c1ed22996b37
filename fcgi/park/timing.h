/* Where the time of a flight goes, for the slow log and the access log. It is noted only if one of
 * them wants to know. */
#ifndef WORKERLESS_PARK_TIMING_H
#define WORKERLESS_PARK_TIMING_H

#include <stdbool.h>

#include "base/log.h"
#include "base/slice.h"
#include "source/source.h"

enum timing_phase {
    TIMING_NONE,
    TIMING_REDIS, /* an answer of the cache is waited for */
    TIMING_LEASE, /* another process generates the fragment */
    TIMING_CALL,  /* our source does */
};

struct timing {
    double began;               /* by clock_monotonic(); 0: nobody wants to know */
    double since;               /* until when it is known how the time was spent */
    float redis, lease, call;   /* seconds in each phase */
    struct source_times source; /* once the call has ended */
    unsigned waited;            /* requests that have joined */
};

/* How long a flight may take before the slow log says so, in seconds, or 0; and whether somebody
 * else wants to know. Flights in progress go on as they began. Call it again when the config has
 * changed. */
void timing_configure(double slow, bool wanted);

/* Only timing.c sets it. */
extern bool timing_is_wanted;

/* `timing` is all zero. */
void timing_begin(struct timing *timing);

/* The time since the last call was spent in that phase. Does nothing if nobody wants to know. */
void timing_add(struct timing *timing, enum timing_phase phase);

static inline bool timing_has_called(const struct timing *timing)
{
    return timing->call > 0;
}

/* A flight that has landed, and how. */
struct timing_flight {
    struct slice key;
    const char *source;  /* its name */
    const char *failure; /* a word, if there was no result; else NULL */
};

/* Writes its line in the slow log, rate-limited, if it took long enough:
 *
 *     slow: a took 3.2 s: Redis lookup 1 ms, lease wait 0 ms, queue 1.2 s, connect 3 ms,
 *     first byte 1.9 s, body 100 ms (source api, 12 requests waited)
 *
 * The times add up to the total: what is left is "other", or "earlier attempts" of the call. */
void timing_log(const struct timing *timing, const struct timing_flight *flight,
                struct log_limit *limit);

#endif
