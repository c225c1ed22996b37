/* Redis where there is one; the process's own memory where there is none, or while it is away.
 *
 * What memory holds after an outage may be older than what Redis holds, so it is dropped when
 * Redis is back.
 */
#include "cache/cache.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cache/entry.h"
#include "cache/memory.h"
#include "cache/redis.h"
#include "cache/redis_address.h"

struct cache {
    struct memory *memory;
    struct redis *redis; /* NULL: none is configured */
};

const char *cache_check_redis(const char *redis)
{
    struct redis_address address;
    return redis[0] ? redis_address_parse(redis, &address) : NULL;
}

static void on_redis_ready(void *context)
{
    struct cache *cache = context;
    memory_clear(cache->memory);
}

struct cache *cache_new(struct ev_loop *loop, const struct cache_settings *settings)
{
    struct cache *cache = alloc_zeroed(sizeof *cache);
    if (!cache)
        return NULL;
    cache->memory = memory_new(settings->memory_bytes);
    if (cache->memory && settings->redis[0])
        cache->redis = redis_new(loop, settings, on_redis_ready, cache);
    if (!cache->memory || (settings->redis[0] && !cache->redis)) {
        cache_free(cache);
        return NULL;
    }
    return cache;
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    redis_free(cache->redis);
    memory_free(cache->memory);
    free(cache);
}

static bool redis_in_use(const struct cache *cache)
{
    return cache->redis && redis_usable(cache->redis);
}

struct entry *cache_peek(struct cache *cache, struct slice key)
{
    return redis_in_use(cache) ? NULL : memory_get(cache->memory, key, clock_wall_ms());
}

void cache_lookup(struct cache *cache, struct slice key, cache_found_fn *found, void *caller)
{
    if (redis_in_use(cache))
        redis_get(cache->redis, key, found, caller);
    else
        found(caller, memory_get(cache->memory, key, clock_wall_ms()));
}

bool cache_store(struct cache *cache, struct slice key, struct entry *entry)
{
    if (redis_in_use(cache))
        return redis_set(cache->redis, key, entry);
    return memory_put(cache->memory, key, entry);
}
