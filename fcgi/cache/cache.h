/* Where entries are kept: Redis for the fleet, and the process's own memory in front of it.
 *
 *     cache_peek ----> memory                                   at once
 *     cache_lookup --> GETRANGE                                 later
 *     cache_claim ---> GET again, else the lease (one script)   later
 *     cache_store ---> SET if the lease is still ours           in the background
 *
 * Memory answers only while it can't be wrong: while Redis tells of every change, while no Redis is
 * configured, and while Redis is gone (then it is all that is left).
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

struct cache_settings {
    struct redis_settings redis;
    const char *name_space; /* keys in Redis are NAMESPACE:KEY */
    size_t memory_bytes;    /* bound of the memory cache, overhead included; 0: off */
    size_t max_value;       /* bytes of a value in Redis; what is larger is not read, nor stored */
    double lease;           /* seconds that a lease lasts without renewal */
};

enum cache_outcome {
    CACHE_FOUND,      /* entry is set; it may be stale */
    CACHE_SAME,       /* from cache_check: the entry that is known already */
    CACHE_NONE,       /* there is none */
    CACHE_UNREADABLE, /* from cache_claim: what was there could not be read; to be claimed again */
    CACHE_OURS,       /* there is none, and it is ours to make: lease is set */
    CACHE_THEIRS,     /* there is none, and another process makes it: wait_s is set */
    CACHE_ALONE,      /* there is nobody to ask: it may be made without a lease */
    CACHE_PURGED,
    CACHE_NOT_PURGED, /* Redis can't be asked, or did not purge all of it */
};

struct cache_answer {
    enum cache_outcome outcome;
    struct entry *entry; /* borrowed for the call */
    bool from_memory;    /* where it is from */
    struct lease *lease; /* OURS: owned by who is called; else NULL */
    double wait_s;       /* seconds after which their lease has ended if it is not renewed */
    bool known_gone; /* from cache_claim: OURS or THEIRS, and not even the known entry is there */
    bool lease_lost; /* from cache_check: it was purged, or has ended, so nothing will be kept */
};

typedef void cache_answer_fn(void *caller, const struct cache_answer *answer);

enum cache_change_kind {
    CHANGED_LEASE,    /* something happened to the lease; the value is as it was */
    CHANGED_VALUE,    /* the value was written or removed, or it may have been */
    CHANGED_BY_PURGE, /* this process purges it: what is being made of it will not be kept */
};

struct cache_change {
    enum cache_change_kind kind;
    struct slice key;
    bool is_prefix; /* of every key that begins with `key`; if that is empty, of all keys */
};

/* Called once for each change. */
typedef void cache_changed_fn(void *context, const struct cache_change *change);

/* Settings are borrowed. Returns a cache that the caller owns, or NULL when out of memory. Redis
 * need not be there. */
struct cache *cache_new(struct ev_loop *loop, const struct cache_settings *settings);

/* Who is told of changes. To be called before the first lookup. Each cache_purge tells of itself
 * before it returns. That of a prefix takes steps, and tells of a CHANGED_VALUE at its end, for those
 * who looked between two of them. */
void cache_on_changed(struct cache *cache, cache_changed_fn *changed, void *context);

/* Everything under way is answered first. NULL is allowed. */
void cache_free(struct cache *cache);

/* Whether there is a Redis, here at the moment or not: then what is stored fills that, too. */
bool cache_is_shared(const struct cache *cache);

/* Why Redis is of no use now: a line with its newline, without secrets. NULL: it is of use, or none
 * is configured. Static. */
const char *cache_trouble(const struct cache *cache);

/* Whether Redis has not answered everything yet: what was stored a moment ago may not be there. */
bool cache_busy(const struct cache *cache);

/* The entry if memory has it, stale or not, else NULL. Borrowed: valid until the next call into the
 * cache; entry_ref keeps it. */
struct entry *cache_peek(struct cache *cache, struct slice key);

/* FOUND, NONE or ALONE. `answered` is called exactly once, as base/later.h says: never before this
 * returns. False when out of memory: it is not called at all. An entry that is found is kept in
 * memory too, for `extra_ms` after its fresh time. */
bool cache_lookup(struct cache *cache, struct slice key, int64_t extra_ms,
                  cache_answer_fn *answered, void *caller);

/* FOUND, UNREADABLE, OURS, THEIRS or ALONE, as cache_lookup. `known` is an entry that counts as
 * missing, or NULL. */
bool cache_claim(struct cache *cache, struct slice key, int64_t extra_ms, const struct entry *known,
                 cache_answer_fn *answered, void *caller);

/* Keeps the entry until then, by clock_fleet_ms(). Takes the lease (NULL: made without one). The
 * entry is not kept if the lease is not ours any longer; nor, where there is a Redis, if it is
 * larger than `max_value`. Best effort: false if it surely is not kept. */
bool cache_store(struct cache *cache, struct slice key, struct lease *lease, struct entry *entry,
                 int64_t until_ms);

/* The same for this process's memory alone: Redis is not written to, and the lease is given up. To
 * be called only while no change of the key is in doubt. */
bool cache_keep(struct cache *cache, struct slice key, struct lease *lease, struct entry *entry,
                int64_t until_ms);

/* What has become of an entry that is being made, as cache_lookup: FOUND if another than `known`
 * (NULL: none) is there, SAME, NONE, or ALONE if nobody can tell; and of the lease (NULL: it is
 * made without one). */
bool cache_check(struct cache *cache, struct slice key, int64_t extra_ms, const struct lease *lease,
                 const struct entry *known, cache_answer_fn *answered, void *caller);

/* Takes the lease and gives it up: another process may make the entry. NULL is allowed. */
void cache_release(struct cache *cache, struct lease *lease);

/* Which entries are purged, and how. */
struct cache_purge {
    struct slice key;
    bool is_prefix; /* `key` is how the keys begin */
    bool soft;      /* they become stale instead of being removed */
};

/* Purges everywhere; a result that is being made is not kept. The key is copied. `done` is called
 * as with cache_lookup: PURGED or NOT_PURGED. False when out of memory: then nothing is purged. */
bool cache_purge(struct cache *cache, const struct cache_purge *purge, cache_answer_fn *done,
                 void *caller);

#endif
