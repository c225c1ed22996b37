/* What became of the requests for the fragments of each route: counts of this process.
 *
 * Each request for one fragment, and each fragment of a stream, that a route exists for is counted
 * once, when its outcome is known.
 */
#ifndef WORKERLESS_PARK_TALLY_H
#define WORKERLESS_PARK_TALLY_H

#include <stdint.h>

#include "park/waiter.h"

/* constant, name, what it means */
/* clang-format off */
#define ROUTE_OUTCOME_TABLE(X) \
    X(HIT,       "hit")       /* a fresh result from memory or Redis */ \
    X(STALE,     "stale")     /* a stale result */ \
    X(COLLAPSED, "collapsed") /* a result of a call that another request had started */ \
    X(MISS,      "miss")      /* a result of a call that was started for it */ \
    X(NOT_READY, "not_ready") /* none yet: 202 */ \
    X(NOT_FOUND, "not_found") /* the source knows no such fragment */ \
    X(FAILED,    "failed")    /* the source failed, without a stale result; or stream_to_templates */ \
    X(TIMED_OUT, "timed_out") /* the same, by a timeout */ \
    X(BUSY,      "busy")      /* the source was not called: a full queue, or an open breaker */ \
    X(REFUSED,   "refused")   /* a limit of this process was reached, or it had no memory */ \
    X(SHUTDOWN,  "shutdown")  /* the process is about to stop */ \
    X(LEFT,      "left")      /* the request ended before that */
/* clang-format on */

enum route_outcome {
#define CONSTANT(constant, name) ROUTE_##constant,
    ROUTE_OUTCOME_TABLE(CONSTANT)
#undef CONSTANT
        ROUTE_OUTCOMES
};

extern const char *const route_outcome_names[ROUTE_OUTCOMES];
extern const enum route_outcome route_outcomes_of_kinds[]; /* by enum settlement_kind */

struct route_tally {
    uint64_t counts[ROUTE_OUTCOMES];
};

/* The tally for a pattern of fragments, the same for all routes that ever have it: so it goes on
 * when the config changes. It belongs to the process (base/figures.h) and is never freed. Returns NULL
 * when out of memory. */
struct route_tally *route_tally_of(const char *pattern);

/* NULL is allowed: nothing is counted. */
static inline void route_tally_add(struct route_tally *tally, enum route_outcome outcome)
{
    if (tally)
        tally->counts[outcome]++;
}

/* The outcome of a settlement of that kind (settlement->kind, unless it could not be answered with
 * that). */
static inline enum route_outcome route_outcome_of(const struct settlement *settlement,
                                                  enum settlement_kind kind)
{
    if (kind != SETTLED_ENTRY)
        return route_outcomes_of_kinds[kind];
    if (settlement->hit)
        return settlement->stale_hit ? ROUTE_STALE : ROUTE_HIT;
    if (settlement->stale)
        return ROUTE_STALE;
    return settlement->collapsed ? ROUTE_COLLAPSED : ROUTE_MISS;
}

#endif
