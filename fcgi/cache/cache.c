/* Memory in front of Redis, and the rules by which it may answer.
 *
 * Each operation notes the change count of its key when it is sent, and its result goes into memory
 * only if the count is still the same: see changes.h.
 */
#include "cache/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/later.h"
#include "base/log.h"
#include "base/usdt.h"
#include "cache/changes.h"
#include "cache/entry.h"
#include "cache/inspect.h"
#include "cache/lease.h"
#include "cache/memory.h"
#include "cache/names.h"
#include "cache/purge.h"
#include "cache/store.h"
#include "cache/unstored.h"

#define WAIT_MARGIN_S 0.02 /* after the end of their lease, so that Redis has expired it too */
#define ORPHANS_MAX   10000
#define COLD_AFTER    32 /* leases in a row that were taken for missing entries */

/* A lease that could not be released because Redis was unavailable, so it may still exist. */
struct orphan {
    struct orphan *next;
    double over_at; /* by clock_monotonic(): when it has expired */
    char token[STORE_TOKEN_LEN + 1];
    size_t key_len;
    char key[];
};

struct cache {
    struct ev_loop *loop;
    const struct cache_settings *settings;
    struct memory *memory;
    struct store *store; /* NULL: none is configured */
    cache_changed_fn *changed;
    void *context;
    struct changes changes;
    struct orphan *orphans;
    size_t orphan_count;
    struct unstored_table unstored;
    unsigned missed;           /* up to COLD_AFTER */
    struct later_queue laters; /* questions whose answer is known but not delivered yet */
};

/* A pending question: it was sent to Redis, or is about to be answered without it. */
struct question {
    struct cache *cache;
    struct later later;
    cache_answer_fn *answered; /* NULL: no answer is wanted */
    void *caller;
    struct entry *entry; /* owned: what is being stored */
    int64_t extra_ms;    /* how long after its fresh time a found entry is useful */
    int64_t until_ms;    /* until when a stored entry is useful */
    uint32_t changes;    /* change count when it was sent */
    bool is_first;       /* nothing was known of its key: see note_temperature */
    bool claims;         /* its token is that of a lease that it may have taken */
    bool purges;
    char token[STORE_TOKEN_LEN + 1];
    size_t key_len;
    char key[]; /* of a purge by prefix: the prefix */
};

/* --- changes --- */

static void tell(struct cache *cache, enum cache_change_kind kind, struct slice key, bool is_prefix)
{
    struct cache_change change = {.kind = kind, .key = key, .is_prefix = is_prefix};
    if (cache->changed)
        cache->changed(cache->context, &change);
}

/* Drops the entry from memory, and keeps pending reads of it out of memory. For a prefix it is not
 * known which keys match, so no pending read goes into memory. */
static void forget(struct cache *cache, struct slice key, bool is_prefix)
{
    if (is_prefix) {
        changes_note_all(&cache->changes);
        memory_purge_prefix(cache->memory, key, false, clock_fleet_ms());
    } else {
        changes_note(&cache->changes, key);
        memory_purge(cache->memory, key, false, 0);
    }
}

/* Any key may have changed. */
static void forget_all(struct cache *cache)
{
    changes_note_all(&cache->changes);
    memory_clear(cache->memory);
    tell(cache, CHANGED_VALUE, SLICE(""), true);
}

static void on_changed(void *context, struct slice key, bool lease_only)
{
    struct cache *cache = context;
    counter_add(COUNTER_INVALIDATIONS, 1);
    if (!key.data) {
        forget_all(cache);
        return;
    }
    if (!lease_only)
        forget(cache, key, false);
    tell(cache, lease_only ? CHANGED_LEASE : CHANGED_VALUE, key, false);
}

/* While Redis is unavailable, memory is all that is left, so it is kept. Waiting flights look
 * again, and find that they can't ask Redis. */
static void on_lost(void *context)
{
    tell(context, CHANGED_VALUE, SLICE(""), true);
}

static bool store_is_there(const struct cache *cache, struct slice key)
{
    return cache->store && store_usable(cache->store, key);
}

static void orphan_add(struct cache *cache, struct slice key, const char *token)
{
    struct orphan *orphan =
        cache->orphan_count < ORPHANS_MAX ? alloc_zeroed(sizeof *orphan + key.len) : NULL;
    if (!orphan)
        return;
    memcpy(orphan->token, token, STORE_TOKEN_LEN);
    memcpy(orphan->key, key.data, key.len);
    orphan->key_len = key.len;
    orphan->over_at = clock_monotonic() + cache->settings->lease;
    cache->orphan_count++;
    orphan->next = cache->orphans;
    cache->orphans = orphan;
}

/* Releases those whose server is usable, and drops those that have expired; with `all`, drops
 * all. */
static void orphans_release(struct cache *cache, bool all)
{
    double now = clock_monotonic();
    struct orphan **at = &cache->orphans;
    while (*at) {
        struct orphan *orphan = *at;
        struct slice key = {.data = orphan->key, .len = orphan->key_len};
        bool there = !all && store_is_there(cache, key);
        if (!there && !all && orphan->over_at > now) {
            at = &orphan->next;
            continue;
        }
        *at = orphan->next;
        cache->orphan_count--;
        if (there)
            store_release(cache->store, key, orphan->token);
        free(orphan);
    }
}

static void on_ready(void *context)
{
    orphans_release(context, false);
    forget_all(context);
}

/* --- memory --- */

static bool memory_is_right(const struct cache *cache, struct slice key)
{
    return !store_is_there(cache, key) || store_tracking(cache->store, key);
}

static bool keep_in_memory(struct cache *cache, struct slice key, struct entry *entry,
                           int64_t until_ms)
{
    return memory_is_right(cache, key) && memory_put(cache->memory, key, entry, until_ms);
}

struct entry *cache_peek(struct cache *cache, struct slice key)
{
    return memory_is_right(cache, key) ? memory_get(cache->memory, key, clock_fleet_ms()) : NULL;
}

/* --- questions --- */

static struct slice key_of(const struct question *question)
{
    return (struct slice){.data = question->key, .len = question->key_len};
}

static struct question *question_new(struct cache *cache, struct slice key, int64_t extra_ms,
                                     cache_answer_fn *answered, void *caller)
{
    struct question *question = alloc_zeroed(sizeof *question + key.len);
    if (!question)
        return NULL;
    question->cache = cache;
    question->answered = answered;
    question->caller = caller;
    question->extra_ms = extra_ms;
    if (cache->store) /* else only we change entries, and no read is pending */
        question->changes = changes_count(&cache->changes, key);
    question->key_len = key.len;
    memcpy(question->key, key.data, key.len);
    return question;
}

static void question_free(struct question *question)
{
    entry_unref(question->entry);
    free(question);
}

/* After STORE_OURS: makes a lease that renews itself. When out of memory, releases it again. */
static struct lease *take_lease(struct question *question)
{
    struct cache *cache = question->cache;
    struct slice key = key_of(question);
    struct lease *lease =
        lease_new(cache->loop, cache->store, key, question->token, cache->settings->lease);
    USDT(lease_claimed, USDT_SLICE(key));
    if (!lease)
        store_release(cache->store, key, question->token);
    return lease;
}

static enum cache_outcome outcome_of(const struct question *question, enum store_outcome outcome)
{
    static const enum cache_outcome outcomes[] = {
        [STORE_FOUND] = CACHE_FOUND, [STORE_SAME] = CACHE_SAME,     [STORE_NONE] = CACHE_NONE,
        [STORE_OURS] = CACHE_OURS,   [STORE_THEIRS] = CACHE_THEIRS, [STORE_GONE] = CACHE_ALONE,
    };
    if (question->purges)
        return outcome == STORE_DONE ? CACHE_PURGED : CACHE_NOT_PURGED;
    if (question->claims && outcome == STORE_NONE)
        return CACHE_UNREADABLE;
    check(outcome != STORE_DONE); /* it has no row: nothing was stored or purged */
    return outcomes[outcome];
}

/* Where Redis grants no leases, it is never cold: it may have entries all the same. */
static void note_temperature(struct cache *cache, enum store_outcome outcome)
{
    if (outcome == STORE_GONE || outcome == STORE_FOUND)
        cache->missed = 0;
    else if (outcome == STORE_OURS && cache->missed < COLD_AFTER)
        cache->missed++;
}

/* An entry that can no longer be served, only revalidated, is not kept in memory. */
static void keep_found(struct question *question, struct entry *entry)
{
    int64_t until_ms = entry->fresh_until_ms + entry_extra_ms(entry, question->extra_ms);
    if (until_ms > clock_fleet_ms())
        keep_in_memory(question->cache, key_of(question), entry, until_ms);
}

static void conclude(struct question *question, const struct store_answer *answer)
{
    struct cache *cache = question->cache;
    struct cache_answer told = {
        .outcome = outcome_of(question, answer->outcome),
        .entry = answer->entry,
        .wait_s = (double)answer->wait_ms / 1000 + WAIT_MARGIN_S,
        .holder = answer->holder,
        .known_gone = answer->known_gone,
        .lease_lost = question->token[0] && answer->lease_lost,
    };
    if (question->is_first)
        note_temperature(cache, answer->outcome);
    if (answer->entry && !answer->untracked &&
        question->changes == changes_count(&cache->changes, key_of(question)))
        keep_found(question, answer->entry);
    if (answer->outcome == STORE_GONE && question->claims &&
        !store_is_there(cache, key_of(question)))
        orphan_add(cache, key_of(question), question->token);
    if (answer->outcome == STORE_OURS && !(told.lease = take_lease(question)))
        told.outcome = CACHE_ALONE;
    question->answered(question->caller, &told);
    question_free(question);
}

static struct question *question_of(struct later *later)
{
    return container_of(later, struct question, later);
}

/* Redis could not be asked. */
static void on_gone(struct later *later)
{
    conclude(question_of(later), &(struct store_answer){.outcome = STORE_GONE});
}

/* No Redis is configured: there is only memory. */
static void on_memory_only(struct later *later)
{
    struct question *question = question_of(later);
    struct entry *entry = cache_peek(question->cache, key_of(question));
    struct cache_answer answer = {.outcome = entry ? CACHE_FOUND : CACHE_ALONE,
                                  .entry = entry,
                                  .from_memory = true};
    question->answered(question->caller, &answer);
    question_free(question);
}

static void answer_later(struct question *question, later_fn *call)
{
    later_add(&question->cache->laters, &question->later, call);
}

static void on_answer(void *caller, const struct store_answer *answer)
{
    conclude(caller, answer);
}

bool cache_lookup(struct cache *cache, struct slice key, int64_t extra_ms,
                  cache_answer_fn *answered, void *caller)
{
    struct question *question = question_new(cache, key, extra_ms, answered, caller);
    if (!question)
        return false;
    question->is_first = true;
    USDT(lookup, USDT_SLICE(key));
    if (!store_is_there(cache, key))
        answer_later(question, on_memory_only);
    else if (!store_get(cache->store, key, on_answer, question))
        answer_later(question, on_gone);
    return true;
}

/* Claims the question's key. Returns false if the answer will not come from Redis. */
static bool send_claim(struct question *question, bool missing, const struct entry *known)
{
    struct cache *cache = question->cache;
    struct slice key = key_of(question);
    int64_t lease_ms = (int64_t)(cache->settings->lease * 1000);
    if (!store_is_there(cache, key))
        return false;
    lease_make_token(question->token);
    return missing ? store_claim_missing(cache->store, key, question->token, lease_ms, on_answer,
                                         question)
                   : store_claim(cache->store, key, question->token, lease_ms, known, on_answer,
                                 question);
}

static bool claim(struct question *question, bool missing, const struct entry *known)
{
    if (!question)
        return false;
    question->is_first = missing;
    question->claims = send_claim(question, missing, known);
    if (!question->claims)
        answer_later(question, on_gone);
    return true;
}

bool cache_claim(struct cache *cache, struct slice key, int64_t extra_ms, const struct entry *known,
                 cache_answer_fn *answered, void *caller)
{
    return claim(question_new(cache, key, extra_ms, answered, caller), false, known);
}

bool cache_claim_missing(struct cache *cache, struct slice key, int64_t extra_ms,
                         cache_answer_fn *answered, void *caller)
{
    return claim(question_new(cache, key, extra_ms, answered, caller), true, NULL);
}

bool cache_is_cold(const struct cache *cache, struct slice key)
{
    return cache->missed == COLD_AFTER && store_is_there(cache, key);
}

/* --- storing --- */

static void keep_stored(struct question *question)
{
    if (question->until_ms > clock_fleet_ms())
        keep_in_memory(question->cache, key_of(question), question->entry, question->until_ms);
}

static void on_stored(void *caller, const struct store_answer *answer)
{
    struct question *question = caller;
    struct cache *cache = question->cache;
    struct slice key = key_of(question);
    if (answer->outcome == STORE_DONE) {
        counter_add(COUNTER_STORES, 1);
        USDT(stored, USDT_SLICE(key), question->entry->body.len);
        if (!answer->untracked && question->changes == changes_count(&cache->changes, key))
            keep_stored(question);
    } else if (answer->outcome == STORE_NONE) {
        USDT(lease_lost, USDT_SLICE(key));
        log_debug("cache", "%.*s: not stored: purged, or stored by another process meanwhile",
                  SLICE_ARGS(key));
        cache_note_unstored(cache, key,
                            SLICE("it was purged, or another process stored one meanwhile"));
    } else if (!store_is_there(cache, key)) {
        if (question->token[0])
            orphan_add(cache, key, question->token);
        keep_stored(question);
    } else {
        cache_note_unstored(cache, key, SLICE("Redis refused to store it; the log says why"));
        if (question->token[0]) /* nobody must wait for the lease to end */
            store_release(cache->store, key, question->token);
    }
    question_free(question);
}

/* Returns whether it was sent; then on_stored makes sure that the lease, which is borrowed, ends.
 * */
static bool store_entry(struct cache *cache, struct slice key, const struct lease *lease,
                        struct entry *known, struct entry *entry, int64_t until_ms,
                        int64_t compare_ms)
{
    struct question *question = question_new(cache, key, 0, NULL, NULL);
    if (!question)
        return false;
    if (lease)
        memcpy(question->token, lease_token(lease), sizeof question->token);
    question->entry = entry_ref(entry);
    question->until_ms = until_ms;
    bool sent = store_put(cache->store, key, lease ? question->token : NULL, known, entry,
                          until_ms + compare_ms - clock_fleet_ms(), on_stored, question);
    if (!sent)
        question_free(question);
    return sent;
}

bool cache_store(struct cache *cache, struct slice key, struct lease *lease, struct entry *entry,
                 int64_t until_ms, int64_t compare_ms)
{
    return cache_prolong(cache, key, lease, NULL, entry, until_ms, compare_ms);
}

bool cache_prolong(struct cache *cache, struct slice key, struct lease *lease, struct entry *known,
                   struct entry *entry, int64_t until_ms, int64_t compare_ms)
{
    if (!store_is_there(cache, key)) {
        if (lease)
            orphan_add(cache, key, lease_token(lease));
        lease_free(lease);
        return until_ms > clock_fleet_ms() && keep_in_memory(cache, key, entry, until_ms);
    }
    bool sent = store_entry(cache, key, lease, lease ? known : NULL, entry, until_ms, compare_ms);
    if (sent)
        lease_free(lease);
    else
        cache_release(cache, lease);
    return sent;
}

bool cache_replace(struct cache *cache, struct slice key, struct entry *known, struct entry *entry,
                   int64_t until_ms, int64_t compare_ms)
{
    if (store_is_there(cache, key))
        return store_entry(cache, key, NULL, known, entry, until_ms, compare_ms);
    return entry_is_same(known, cache_peek(cache, key)) &&
           keep_in_memory(cache, key, entry, until_ms);
}

bool cache_check(struct cache *cache, struct slice key, int64_t extra_ms, const struct lease *lease,
                 const struct entry *known, cache_answer_fn *answered, void *caller)
{
    struct question *question = question_new(cache, key, extra_ms, answered, caller);
    if (!question)
        return false;
    if (lease)
        memcpy(question->token, lease_token(lease), sizeof question->token);
    if (!store_is_there(cache, key) ||
        !store_check(cache->store, key, question->token, known, on_answer, question))
        answer_later(question, on_gone);
    return true;
}

const char *cache_lease_token(const struct lease *lease)
{
    return lease_token(lease);
}

void cache_release(struct cache *cache, struct lease *lease)
{
    if (!lease)
        return;
    if (store_is_there(cache, lease_key(lease)))
        store_release(cache->store, lease_key(lease), lease_token(lease));
    else
        orphan_add(cache, lease_key(lease), lease_token(lease));
    lease_free(lease);
}

bool cache_keep(struct cache *cache, struct slice key, struct lease *lease, struct entry *entry,
                int64_t until_ms)
{
    cache_release(cache, lease);
    return keep_in_memory(cache, key, entry, until_ms);
}

/* --- what operators ask --- */

bool cache_inspect(struct cache *cache, struct slice key,
                   void (*answered)(void *caller, const struct inspection *inspection),
                   void *caller)
{
    return store_is_there(cache, key) && inspect_key(cache->store, key, answered, caller);
}

void cache_note_unstored(struct cache *cache, struct slice key, struct slice why)
{
    unstored_note(&cache->unstored, key, why, clock_monotonic());
}

const struct unstored *cache_unstored(const struct cache *cache, struct slice key)
{
    return unstored_find(&cache->unstored, key);
}

/* --- purging --- */

/* Memory or a flight may have read an entry between two steps of the purge. */
static void on_prefix_purged(void *caller, const struct store_answer *answer)
{
    struct question *question = caller;
    forget(question->cache, key_of(question), true);
    tell(question->cache, CHANGED_VALUE, key_of(question), true);
    on_answer(question, answer);
}

static void on_memory_purged(struct later *later)
{
    conclude(question_of(later), &(struct store_answer){.outcome = STORE_DONE});
}

/* Without Redis, a stale entry stays in memory. */
static void purge_memory(struct question *question, bool is_prefix, bool soft)
{
    (is_prefix ? memory_purge_prefix : memory_purge)(question->cache->memory, key_of(question),
                                                     soft, clock_fleet_ms());
    answer_later(question, on_memory_purged);
}

/* With Redis, a stale entry is read again from there. */
static void purge_redis(struct question *question, bool is_prefix, bool soft)
{
    struct cache *cache = question->cache;
    struct slice key = key_of(question);
    bool sent = is_prefix ? purge_prefix(cache->store, key, soft, on_prefix_purged, question)
                          : store_is_there(cache, key) &&
                                store_purge(cache->store, key, soft, on_answer, question);
    if (!sent)
        answer_later(question, on_gone);
    forget(cache, key, is_prefix);
}

/* Memory and flights are told here, since Redis may not report our own changes (NOLOOP). They are
 * told last, so a lookup that follows sees what the purge has left. */
bool cache_purge(struct cache *cache, const struct cache_purge *purge, cache_answer_fn *done,
                 void *caller)
{
    struct question *question = question_new(cache, purge->key, 0, done, caller);
    if (!question)
        return false;
    question->purges = true;
    counter_add(COUNTER_PURGES, 1);
    (cache->store ? purge_redis : purge_memory)(question, purge->is_prefix, purge->soft);
    tell(cache, CHANGED_BY_PURGE, purge->key, purge->is_prefix);
    return true;
}

/* --- the cache --- */

struct cache *cache_new(struct ev_loop *loop, const struct cache_settings *settings)
{
    struct cache *cache = alloc_zeroed(sizeof *cache);
    if (!cache)
        return NULL;
    cache->loop = loop;
    cache->settings = settings;
    later_queue_init(&cache->laters, loop);
    cache->memory = memory_new(settings->memory_bytes);
    if (cache->memory && settings->redis.address[0])
        cache->store = store_new(loop, settings,
                                 &(struct store_events){.context = cache,
                                                        .ready = on_ready,
                                                        .lost = on_lost,
                                                        .changed = on_changed});
    if (!cache->memory || (settings->redis.address[0] && !cache->store)) {
        cache_free(cache);
        return NULL;
    }
    return cache;
}

void cache_on_changed(struct cache *cache, cache_changed_fn *changed, void *context)
{
    cache->changed = changed;
    cache->context = context;
}

bool cache_is_shared(const struct cache *cache)
{
    return cache->store != NULL;
}

struct redis_topology *cache_redis(const struct cache *cache)
{
    return cache->store ? store_topology(cache->store) : NULL;
}

const char *cache_value_start(const struct cache *cache)
{
    return cache->store ? store_names(cache->store)->value_start : NULL;
}

const char *cache_trouble(const struct cache *cache)
{
    return cache->store ? store_trouble(cache->store) : NULL;
}

struct cache_memory cache_memory(const struct cache *cache)
{
    return (struct cache_memory){.entries = memory_count(cache->memory),
                                 .bytes = memory_used(cache->memory),
                                 .limit_bytes = cache->settings->memory_bytes};
}

void cache_settings_changed(struct cache *cache)
{
    memory_set_limit(cache->memory, cache->settings->memory_bytes);
}

bool cache_busy(const struct cache *cache)
{
    return cache->store && store_busy(cache->store);
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    cache->changed = NULL;
    store_free(cache->store);
    later_run(&cache->laters);
    later_queue_stop(&cache->laters);
    orphans_release(cache, true);
    unstored_free(&cache->unstored);
    memory_free(cache->memory);
    free(cache);
}
