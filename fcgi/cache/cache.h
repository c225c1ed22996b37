/* Where entries are kept: Redis, with the process's own memory in its place while it is away.
 *
 *     cache_peek ----> memory                    at once, no waiting
 *     cache_lookup --> Redis GET --> found()      later, or at once if Redis is away
 *     cache_store ---> Redis SET PX, or memory
 */
#ifndef WORKERLESS_CACHE_CACHE_H
#define WORKERLESS_CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct ev_loop;
struct entry;
struct cache;

struct cache_settings {
    const char *redis;    /* "unix:PATH", "redis://[user:password@]host[:port][/db]", "": none */
    const char *prefix;   /* the namespace: keys in Redis are PREFIX:KEY */
    size_t memory_bytes;  /* bound of the memory cache, overhead included; 0: off */
    double redis_timeout; /* seconds until an unanswered command means that Redis is gone */
};

/* `entry` is fresh and borrowed for the length of the call; NULL: a miss. */
typedef void cache_found_fn(void *caller, struct entry *entry);

/* Returns NULL, or what is wrong with the `redis` setting, in the user's words. */
const char *cache_check_redis(const char *redis);

/* Settings are borrowed. Returns a cache that the caller owns, or NULL when out of memory. Redis
 * need not be there. */
struct cache *cache_new(struct ev_loop *loop, const struct cache_settings *settings);

/* Every lookup under way is answered (as a miss) first. NULL is allowed. */
void cache_free(struct cache *cache);

/* The entry if it can be had without waiting, else NULL. Borrowed: valid until the next call into
 * the cache; entry_ref keeps it. */
struct entry *cache_peek(struct cache *cache, struct slice key);

/* Looks the key up. `found` is called exactly once, perhaps before this returns. A cache that
 * can't be reached in time is a miss. */
void cache_lookup(struct cache *cache, struct slice key, cache_found_fn *found, void *caller);

/* Keeps the entry until its fresh time is over. Best effort: false if it is surely not kept. */
bool cache_store(struct cache *cache, struct slice key, struct entry *entry);

#endif
