/* What an entry is good for at a given moment (RFC 5861, and XFetch for early refreshing). Pure. */
#ifndef WORKERLESS_PARK_FRESHNESS_H
#define WORKERLESS_PARK_FRESHNESS_H

#include <stdbool.h>
#include <stdint.h>

struct entry;

/* The terms of one route, in seconds. */
struct freshness {
    double ttl;         /* a result stays fresh so long; 0: it is not cached */
    double jitter;      /* a result's own ttl is shorter by up to this much, at random */
    double stale;       /* so long after its ttl it is served while it is made anew */
    double stale_error; /* so long after its ttl (not after stale) if making it anew fails */
    double negative;    /* a failure is remembered so long; 0: not at all */
    bool early;         /* refreshing begins by chance before the end of the ttl (XFetch) */
};

enum usability {
    USABLE,            /* fresh */
    USABLE_REFRESH,    /* to be served, and to be made anew meanwhile */
    USABLE_ON_FAILURE, /* to be served only if making it anew fails */
    UNUSABLE,
};

/* Whether it may be served without waiting. */
static inline bool usability_serves(enum usability usability)
{
    return usability == USABLE || usability == USABLE_REFRESH;
}

/* `random` is in (0, 1]; with 1 there is no refreshing before the end of the ttl. */
enum usability freshness_judge(const struct freshness *terms, const struct entry *entry,
                               int64_t now_ms, double random);

/* The fresh time of a new result, in milliseconds. `random` is in (0, 1]. */
int64_t freshness_ttl_ms(const struct freshness *terms, double random);

/* How long after its fresh time an entry is of any use, in milliseconds. */
int64_t freshness_extra_ms(const struct freshness *terms);

#endif
