/* Whether an entry may be served at a given moment (RFC 5861, and XFetch for early refresh).
 * Pure. */
#ifndef WORKERLESS_PARK_FRESHNESS_H
#define WORKERLESS_PARK_FRESHNESS_H

#include <stdbool.h>
#include <stdint.h>

struct entry;
struct source_terms;

/* The terms of one route, in seconds. */
struct freshness {
    double ttl;         /* how long a result is fresh; 0: not cached */
    double jitter;      /* shortens each ttl by a random time up to this */
    double stale;       /* how long after the ttl it is served while it is refreshed */
    double stale_error; /* how long after the ttl (not after stale) if the refresh fails */
    double negative;    /* how long a failure is cached; 0: not at all */
    bool early;         /* refresh at a random time before the end of the ttl (XFetch) */
    /* The source does not say whether a result may be shared, so markers of an earlier source do not
     * count. */
    bool always_shared;

    /* Which of the times in the source's response count. All false and 0: none. */
    bool ttl_by_source;      /* its lifetime counts; `ttl` is for results without one */
    bool stale_by_source;    /* its stale-while-revalidate counts, if there is one */
    bool error_by_source;    /* its stale-if-error counts, if there is one */
    double ttl_min, ttl_max; /* limits for its lifetime */
    double revalidate;       /* how long Redis keeps a result after it can last be served */

    double default_ttl;      /* only for the config, which makes it `ttl` */
    double browser_ttl;      /* how long browsers may use an answer, if the next one is true */
    bool browser_ttl_is_set; /* else as long as it is fresh */
};

enum usability {
    USABLE,            /* fresh */
    USABLE_REFRESH,    /* serve it, and refresh it meanwhile */
    USABLE_ON_FAILURE, /* serve it only if the refresh fails */
    UNUSABLE,
    UNCACHEABLE, /* a marker: each request gets its own call */
};

/* Whether it may be served without waiting. */
static inline bool usability_serves(enum usability usability)
{
    return usability == USABLE || usability == USABLE_REFRESH;
}

/* `random` is in (0, 1]; with 1 there is no early refresh. */
enum usability freshness_judge(const struct freshness *terms, const struct entry *entry,
                               int64_t now_ms, double random);

/* How long a new result is fresh, in milliseconds. `said` is what the response says about it;
 * NULL: nothing. `random` is in (0, 1]. */
int64_t freshness_ttl_ms(const struct freshness *terms, const struct source_terms *said,
                         double random);

/* Whether a result has stale times of its own, because of what its response says. Sets both times,
 * in milliseconds after its fresh time. */
bool freshness_stale_ms(const struct freshness *terms, const struct source_terms *said,
                        int64_t *stale_ms, int64_t *stale_error_ms);

/* How long after its fresh time an entry without stale times of its own may still be used, in
 * milliseconds. */
int64_t freshness_extra_ms(const struct freshness *terms);

#endif
