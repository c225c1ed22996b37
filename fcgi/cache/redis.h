/* Redis: the only file that includes hiredis.
 *
 * The server may be absent, hang, or come back at any time: a lookup is answered within the
 * timeout whatever happens, and reconnecting goes on by itself.
 */
#ifndef WORKERLESS_CACHE_REDIS_H
#define WORKERLESS_CACHE_REDIS_H

#include <stdbool.h>

#include "base/slice.h"
#include "cache/cache.h"

struct entry;
struct ev_loop;
struct redis;

/* Called each time when Redis can be used again after it could not. */
typedef void redis_ready_fn(void *context);

/* Settings are borrowed; settings->redis is valid and not empty. Begins to connect. Returns what
 * the caller owns, or NULL when out of memory. */
struct redis *redis_new(struct ev_loop *loop, const struct cache_settings *settings,
                        redis_ready_fn *ready, void *context);

/* Answers every lookup under way (as a miss) and closes the connection. NULL is allowed. */
void redis_free(struct redis *redis);

/* Whether commands are accepted now. False as soon as one went unanswered for the timeout. */
bool redis_usable(const struct redis *redis);

/* GET. `found` is called exactly once: later, or before this returns if Redis is not usable. */
void redis_get(struct redis *redis, struct slice key, cache_found_fn *found, void *caller);

/* SET with the rest of the entry's fresh time as its expiry. False if it was not sent. */
bool redis_set(struct redis *redis, struct slice key, const struct entry *entry);

#endif
