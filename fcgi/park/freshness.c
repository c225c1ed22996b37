/* When to serve and when to refresh. Pure. */
#include "park/freshness.h"

#include <math.h>

#include "cache/entry.h"

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
        return stale_ms < 0 ? UNSHARED : UNUSABLE;
    if (stale_ms < 0)
        return terms->early && !failure && refresh_early(entry, now_ms, random) ? USABLE_REFRESH
                                                                                : USABLE;
    if (failure)
        return UNUSABLE;
    if ((double)stale_ms < terms->stale * 1000)
        return USABLE_REFRESH;
    return (double)stale_ms < terms->stale_error * 1000 ? USABLE_ON_FAILURE : UNUSABLE;
}

int64_t freshness_ttl_ms(const struct freshness *terms, double random)
{
    double jitter = terms->jitter < terms->ttl ? terms->jitter : terms->ttl;
    return (int64_t)((terms->ttl - jitter * (1 - random)) * 1000);
}

int64_t freshness_extra_ms(const struct freshness *terms)
{
    return (int64_t)((terms->stale > terms->stale_error ? terms->stale : terms->stale_error) *
                     1000);
}
