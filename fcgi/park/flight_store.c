/* The entries of flights on their way into the cache. */
#include "park/flight_store.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/cache.h"
#include "cache/unstored.h"
#include "park/negatives.h"
#include "park/outcome.h"
#include "park/rules.h"

void flight_note_unstored(struct flight *flight, const char *why, const char *detail)
{
    char text[UNSTORED_WHY_MAX + 1];
    snprintf(text, sizeof text, "%s%s%s", why, detail ? ": " : "", detail ? detail : "");
    cache_note_unstored(flight->shared->cache, flight->fragment.key, slice_of(text));
}

bool flight_store(struct flight *flight, struct entry *entry, int64_t until_ms,
                  struct entry *same_body)
{
    struct cache *cache = flight->shared->cache;
    struct slice key = flight->fragment.key;
    bool marks = entry_is_marker(entry) && !flight_knows_marker(flight);
    int64_t compare_ms = outcome_compare_ms(flight_freshness(flight), entry);
    if (flight->known && !flight->lease && (flight->solo || marks))
        return cache_replace(cache, key, flight->known, entry, until_ms, compare_ms);
    return cache_prolong(cache, key, flight_take_lease(flight), same_body, entry, until_ms,
                         compare_ms);
}

/* Whether one more failure may be stored in Redis. One that only prolongs an old entry adds no
 * key. */
static bool may_fill_redis(const struct flight *flight)
{
    const struct recipe *recipe = flight->fragment.recipe;
    struct negatives *negatives = recipe->use->negatives;
    return flight->known || !cache_is_shared(flight->shared->cache) ||
           negatives_take(negatives, clock_monotonic(), recipe->freshness.negative);
}

void flight_remember(struct flight *flight, struct entry *kept, int64_t until_ms)
{
    struct flight_shared *shared = flight->shared;
    if (may_fill_redis(flight)) {
        flight_store(flight, kept, until_ms, NULL);
        return;
    }
    log_limited(&shared->too_many_negatives, LOG_LEVEL_WARNING, "flight",
                "fragment \"%.*s\": its section has reached max_negative (%zu): this process "
                "caches more failures in its own memory only",
                SLICE_ARGS(flight->fragment.name), flight->fragment.recipe->max_negative);
    if (flight->asking) /* another process may have written the value, which memory can't know */
        cache_release(shared->cache, flight_take_lease(flight));
    else
        cache_keep(shared->cache, flight->fragment.key, flight_take_lease(flight), kept, until_ms);
}

/* Whether to store a marker. A solo flight renews the one that it knows only if that expires soon,
 * and no other flight has renewed it. */
static bool wants_marker(const struct flight *flight)
{
    if (flight->detached || (flight->solo && !flight->known))
        return false;
    if (!flight->solo || !flight_knows_marker(flight))
        return true;
    struct entry *latest = cache_peek(flight->shared->cache, flight->fragment.key);
    return outcome_marker_ends(flight->known) && (!latest || entry_is_same(latest, flight->known));
}

struct entry *flight_mark(struct flight *flight, const struct source_terms *terms)
{
    bool replaces = flight->known && !flight_knows_marker(flight);
    struct entry *marker =
        wants_marker(flight) ? outcome_make_marker(flight->fragment.recipe, terms, replaces) : NULL;
    if (marker)
        flight_store(flight, marker, marker->fresh_until_ms, NULL);
    else
        cache_release(flight->shared->cache, flight_take_lease(flight));
    return marker;
}
