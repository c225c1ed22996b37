/* Where entries are kept: Redis for the fleet, and the process's own memory in front of it.
 *
 *     cache_peek ----> memory                                   at once
 *     cache_lookup --> GETRANGE                                 later
 *     cache_claim ---> GET again, else the lease (one script)   later
 *        ..._missing   the lease, unless there is a value now   later
 *     cache_store ---> SET if the lease is still ours           in the background
 *     cache_replace -> SET if the known entry is still there    in the background
 *
 * Memory answers only while it can't be wrong: while Redis reports every change, or no Redis is
 * configured; and while Redis is unavailable, since then nothing else is left.
 */
#ifndef WORKERLESS_CACHE_CACHE_H
#define WORKERLESS_CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "redis/settings.h"

struct cache;
struct entry;
struct ev_loop;
struct lease;
struct redis_topology;

struct inspection;
struct unstored;

struct cache_settings {
    struct redis_settings redis;
    const char *name_space; /* keys in Redis are NAMESPACE:KEY */
    size_t memory_bytes;    /* limit of the memory cache, overhead included; 0: off */
    size_t max_value;       /* bytes of a value in Redis; larger ones are not read or stored */
    double lease;           /* seconds that a lease lasts without renewal */
};

enum cache_outcome {
    CACHE_FOUND,      /* entry is set; it may be stale */
    CACHE_SAME,       /* from cache_check: the known entry is still there */
    CACHE_NONE,       /* there is no entry */
    CACHE_UNREADABLE, /* from cache_claim: the value could not be read; claim again */
    CACHE_OURS,       /* there is no entry, and we generate it: lease is set */
    CACHE_THEIRS,     /* there is no entry, and another process generates it: wait_s is set */
    CACHE_ALONE,      /* Redis can't be asked: generate the entry without a lease */
    CACHE_PURGED,
    CACHE_NOT_PURGED, /* Redis can't be asked, or did not purge everything */
};

struct cache_answer {
    enum cache_outcome outcome;
    struct entry *entry; /* borrowed for the call */
    bool from_memory;    /* it came from memory, not from Redis */
    struct lease *lease; /* OURS: the callee owns it; else NULL */
    double wait_s;       /* seconds after which their lease has ended unless it is renewed */
    struct slice
        holder;      /* THEIRS: who generates it, see holder.h; borrowed for the call; or empty */
    bool known_gone; /* from cache_claim: OURS or THEIRS, and the known entry is gone as well */
    bool lease_lost; /* from cache_check: purged or expired, so no result will be stored */
};

typedef void cache_answer_fn(void *caller, const struct cache_answer *answer);

enum cache_change_kind {
    CHANGED_LEASE,    /* the lease has changed; the value has not */
    CHANGED_VALUE,    /* the value was written or removed, or may have been */
    CHANGED_BY_PURGE, /* this process purges it: a result in the making will not be stored */
};

struct cache_change {
    enum cache_change_kind kind;
    struct slice key;
    bool is_prefix; /* every key that begins with `key` has changed; all keys if that is empty */
};

/* Called once for each change. */
typedef void cache_changed_fn(void *context, const struct cache_change *change);

/* Settings are borrowed. Returns a cache that the caller owns, or NULL when out of memory. Redis
 * need not be available. */
struct cache *cache_new(struct ev_loop *loop, const struct cache_settings *settings);

/* Sets the callback for changes. Call it before the first lookup. Each cache_purge reports itself
 * before it returns. A purge of a prefix takes several steps, and reports a CHANGED_VALUE at its
 * end, for lookups that came between two steps. */
void cache_on_changed(struct cache *cache, cache_changed_fn *changed, void *context);

/* Answers everything that is pending first. NULL is allowed. */
void cache_free(struct cache *cache);

/* Whether a Redis is configured, available or not: then results are stored there, too. */
bool cache_is_shared(const struct cache *cache);

/* The servers of Redis, which live as long as the cache; NULL: none is configured. */
struct redis_topology *cache_redis(const struct cache *cache);

/* How the keys of values begin in Redis. It lives as long as the cache; NULL: there is no Redis. */
const char *cache_value_start(const struct cache *cache);

/* Why Redis can't be used now: a line with its newline, without secrets. NULL: it can be used, or
 * none is configured. Static. */
const char *cache_trouble(const struct cache *cache);

/* Whether Redis has pending commands: a result that was just stored may not be there yet. */
bool cache_busy(const struct cache *cache);

/* The memory cache at the moment. */
struct cache_memory {
    size_t entries, bytes, limit_bytes;
};
struct cache_memory cache_memory(const struct cache *cache);

/* Asks Redis what it holds for the key: see cache/inspect.h. Returns whether `answered` will be
 * called, never before this returns. False: there is no Redis to ask, or no memory. */
bool cache_inspect(struct cache *cache, struct slice key,
                   void (*answered)(void *caller, const struct inspection *inspection),
                   void *caller);

/* Notes why the result for the key is not stored; and returns the last such reason, or NULL. */
void cache_note_unstored(struct cache *cache, struct slice key, struct slice why);
const struct unstored *cache_unstored(const struct cache *cache, struct slice key);

/* The settings `memory_bytes` and `lease` have changed. Results that no longer fit are dropped from
 * memory; leases that exist stay as they are. */
void cache_settings_changed(struct cache *cache);

/* Returns the entry if memory has it, stale or not, else NULL. It is borrowed, and valid until the
 * next call into the cache; entry_ref keeps it. */
struct entry *cache_peek(struct cache *cache, struct slice key);

/* Looks the key up. The outcome is FOUND, NONE or ALONE. `answered` is called exactly once, and
 * never before this returns (see base/later.h). Returns false when out of memory; then it is never
 * called. An entry that is found is also kept in memory, for `extra_ms` after its fresh time. */
bool cache_lookup(struct cache *cache, struct slice key, int64_t extra_ms,
                  cache_answer_fn *answered, void *caller);

/* Looks the key up and, if there is no entry, takes the lease. As cache_lookup; the outcome is
 * FOUND, UNREADABLE, OURS, THEIRS or ALONE. `known` is an entry that counts as missing, or NULL. */
bool cache_claim(struct cache *cache, struct slice key, int64_t extra_ms, const struct entry *known,
                 cache_answer_fn *answered, void *caller);

/* The same, right after a lookup whose outcome was NONE: cheaper if there is still no entry. While
 * the cache is cold, it is also the first question about a key; an entry that there is after all
 * costs more then, since the lease was taken and has to be given up. */
bool cache_claim_missing(struct cache *cache, struct slice key, int64_t extra_ms,
                         cache_answer_fn *answered, void *caller);

/* Whether a lookup would probably find no entry: many keys in a row had none. */
bool cache_is_cold(const struct cache *cache, struct slice key);

/* Stores the entry until `until_ms`, by clock_fleet_ms(). Redis keeps it `compare_ms` longer, so
 * that a refresh can ask the source whether it has changed. Takes the lease (NULL: generated
 * without one). The entry is not stored if the lease is no longer ours, or, with a Redis, if it is
 * larger than `max_value`. Best effort: returns false if it is certain that it is not stored. */
bool cache_store(struct cache *cache, struct slice key, struct lease *lease, struct entry *entry,
                 int64_t until_ms, int64_t compare_ms);

/* The same for an entry with the body of `known` (NULL: none): if Redis still has that, the body is
 * not sent. */
bool cache_prolong(struct cache *cache, struct slice key, struct lease *lease, struct entry *known,
                   struct entry *entry, int64_t until_ms, int64_t compare_ms);

/* As cache_store, without a lease, and only if `known` is still there: neither a purge nor an entry
 * that came meanwhile is undone. */
bool cache_replace(struct cache *cache, struct slice key, struct entry *known, struct entry *entry,
                   int64_t until_ms, int64_t compare_ms);

/* As cache_store, for this process's memory only: nothing is written to Redis, and the lease is
 * released. Call it only if every change of the key has been seen. */
bool cache_keep(struct cache *cache, struct slice key, struct lease *lease, struct entry *entry,
                int64_t until_ms);

/* Checks the entry and the lease of a key that is being generated, as cache_lookup. The outcome is
 * FOUND if there is another entry than `known` (NULL: none), SAME, NONE, or ALONE if Redis can't be
 * asked. `lease` is NULL if there is none. */
bool cache_check(struct cache *cache, struct slice key, int64_t extra_ms, const struct lease *lease,
                 const struct entry *known, cache_answer_fn *answered, void *caller);

/* The token of the lease, terminated. It lives as long as the lease. */
const char *cache_lease_token(const struct lease *lease);

/* Takes the lease and releases it: another process may generate the entry. NULL is allowed. */
void cache_release(struct cache *cache, struct lease *lease);

/* Which entries are purged, and how. */
struct cache_purge {
    struct slice key;
    bool is_prefix; /* all keys that begin with `key` */
    bool soft;      /* they become stale instead of being removed */
};

/* Purges memory and Redis; a result that is being generated will not be stored. The key is copied.
 * `done` is called as with cache_lookup: PURGED or NOT_PURGED. Returns false when out of memory;
 * then nothing is purged. */
bool cache_purge(struct cache *cache, const struct cache_purge *purge, cache_answer_fn *done,
                 void *caller);

#endif
