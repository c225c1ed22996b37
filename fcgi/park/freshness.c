/* When to serve and when to refresh. Pure. */
#include "park/freshness.h"

#include <math.h>

#include "cache/entry.h"
#include "source/source.h"

/* XFetch: each request may trigger a refresh, with a probability that grows towards the end of the
 * ttl, and earlier for costly results. So one request refreshes a hot key before all have to wait.
 * (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, 2015.) */
static bool refresh_early(const struct entry *entry, int64_t now_ms, double random)
{
    double ahead_ms = (double)entry->cost_ms * -log(random);
    return (double)now_ms + ahead_ms >= (double)entry->fresh_until_ms;
}

enum usability freshness_judge(const struct freshness *terms, const struct entry *entry,
                               int64_t now_ms, double random)
{
    int64_t stale_ms = now_ms - entry->fresh_until_ms;
    bool failure = entry->status >= 400;
    if (entry_is_marker(entry))
        return stale_ms < 0 && !terms->always_shared ? UNCACHEABLE : UNUSABLE;
    if (stale_ms < 0)
        return terms->early && !failure && refresh_early(entry, now_ms, random) ? USABLE_REFRESH
                                                                                : USABLE;
    if (failure)
        return UNUSABLE;
    if (entry->has_stale) {
        if (stale_ms < entry->stale_ms)
            return USABLE_REFRESH;
        return stale_ms < entry->stale_error_ms ? USABLE_ON_FAILURE : UNUSABLE;
    }
    if ((double)stale_ms < terms->stale * 1000)
        return USABLE_REFRESH;
    return (double)stale_ms < terms->stale_error * 1000 ? USABLE_ON_FAILURE : UNUSABLE;
}

/* Whether the source's lifetime counts. */
static bool has_lifetime(const struct freshness *terms, const struct source_terms *said)
{
    return terms->ttl_by_source && said && said->fresh_ms != SOURCE_NOT_SAID;
}

int64_t freshness_ttl_ms(const struct freshness *terms, const struct source_terms *said,
                         double random)
{
    double ttl = terms->ttl;
    if (has_lifetime(terms, said)) {
        ttl = (double)said->fresh_ms / 1000;
        ttl = ttl > terms->ttl_max ? terms->ttl_max : ttl;
        ttl = ttl < terms->ttl_min ? terms->ttl_min : ttl;
    }
    double jitter = terms->jitter < ttl ? terms->jitter : ttl;
    return (int64_t)((ttl - jitter * (1 - random)) * 1000);
}

/* A result whose lifetime is the source's has stale times of its own even if they are the route's:
 * otherwise nobody would know, after a failure has prolonged it, where its lifetime ended. */
bool freshness_stale_ms(const struct freshness *terms, const struct source_terms *said,
                        int64_t *stale_ms, int64_t *stale_error_ms)
{
    *stale_ms = (int64_t)(terms->stale * 1000);
    *stale_error_ms = (int64_t)(terms->stale_error * 1000);
    if (!said)
        return false;
    if (said->must_revalidate) {
        *stale_ms = *stale_error_ms = 0;
        return true;
    }
    bool stale = terms->stale_by_source && said->stale_ms != SOURCE_NOT_SAID;
    bool error = terms->error_by_source && said->stale_error_ms != SOURCE_NOT_SAID;
    if (stale)
        *stale_ms = said->stale_ms;
    if (error)
        *stale_error_ms = said->stale_error_ms;
    return stale || error || has_lifetime(terms, said);
}

int64_t freshness_extra_ms(const struct freshness *terms)
{
    return (int64_t)((terms->stale > terms->stale_error ? terms->stale : terms->stale_error) *
                     1000);
}
