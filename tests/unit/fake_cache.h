/* A cache that answers when and what the test says, as Redis might: its functions replace those of
 * cache/cache.c. A test program has one of it. */
#ifndef WORKERLESS_TESTS_FAKE_CACHE_H
#define WORKERLESS_TESTS_FAKE_CACHE_H

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "flight_bench.h"

#define LEFT_FRESH   30000    /* milliseconds that are left of an entry's fresh time */
#define LEFT_STALE   (-10000) /* within the windows of the routes that have one */
#define LEFT_NOTHING (-90000) /* past them all */

enum question_kind { LOOKUP, CLAIM, CHECK, PURGE };

struct question {
    enum question_kind kind;
    cache_answer_fn *answered;
    void *caller;
    int64_t extra_ms, known_made_ms; /* -1: nothing counts as missing */
    bool is_prefix, soft;
    char key[32];
};

struct lease {
    char key[32];
};

struct cache {
    struct question questions[100]; /* unanswered, the oldest first */
    size_t count;
    unsigned asked[4];
    unsigned leases, stores, prolongs, replaces, keeps,
        releases; /* leases: in the flights' hands */
    cache_changed_fn *changed;
    void *context;
    struct entry *remembered; /* owned; what memory has, of the key "a" */
    bool refuses;             /* to store */
    bool alone;               /* there is no Redis */
    bool cold;                /* nothing was found lately */
    const char *trouble;      /* of Redis; NULL: it is well */
    struct {                  /* the last time */
        bool leased;
        int status;
        int64_t made_ms, fresh_until_ms, until_ms, known_made_ms, compare_ms;
        char key[32], body[64], header[400];
    } stored;
};

static struct cache cache;
static struct flight_bench *bench;

void cache_on_changed(struct cache *of, cache_changed_fn *changed, void *context)
{
    of->changed = changed;
    of->context = context;
}

struct entry *cache_peek(struct cache *of, struct slice key)
{
    return slice_equal(key, SLICE("a")) ? of->remembered : NULL;
}

/* As the cache reports it. */
static void tell(enum cache_change_kind kind, struct slice key, bool is_prefix)
{
    struct slice exact = unit_exact(key);
    cache.changed(cache.context, &(struct cache_change){kind, exact, is_prefix});
    unit_drop(exact);
}

/* NULL when out of memory. */
static struct question *question_add(struct cache *of, enum question_kind kind, struct slice key,
                                     cache_answer_fn *answered, void *caller)
{
    void *memory = alloc_bytes(1);
    if (!memory)
        return NULL;
    free(memory);
    assert_true(of->count < LENGTH(of->questions));
    struct question *question = &of->questions[of->count++];
    *question = (struct question){.kind = kind, .answered = answered, .caller = caller};
    snprintf(question->key, sizeof question->key, "%.*s", SLICE_ARGS(key));
    of->asked[kind]++;
    return question;
}

/* The question is answered. OURS comes with a lease. */
static void answer_at(size_t at, struct cache_answer told)
{
    assert_true(at < cache.count);
    struct question question = cache.questions[at];
    cache.count--;
    for (size_t i = at; i < cache.count; i++)
        cache.questions[i] = cache.questions[i + 1];
    if (told.outcome == CACHE_OURS) {
        told.lease = calloc(1, sizeof *told.lease);
        assert_non_null(told.lease);
        memcpy(told.lease->key, question.key, sizeof question.key);
        cache.leases++;
    }
    question.answered(question.caller, &told);
}

bool cache_lookup(struct cache *of, struct slice key, int64_t extra_ms, cache_answer_fn *answered,
                  void *caller)
{
    struct question *question = question_add(of, LOOKUP, key, answered, caller);
    if (question)
        question->extra_ms = extra_ms;
    return question != NULL;
}

bool cache_claim(struct cache *of, struct slice key, int64_t extra_ms, const struct entry *stale,
                 cache_answer_fn *answered, void *caller)
{
    struct question *question = question_add(of, CLAIM, key, answered, caller);
    if (!question)
        return false;
    question->extra_ms = extra_ms;
    question->known_made_ms = stale ? stale->made_ms : -1;
    return true;
}

bool cache_claim_missing(struct cache *of, struct slice key, int64_t extra_ms,
                         cache_answer_fn *answered, void *caller)
{
    return cache_claim(of, key, extra_ms, NULL, answered, caller);
}

bool cache_is_cold(const struct cache *of, struct slice key)
{
    (void)key;
    return of->cold && !of->alone;
}

static void lease_end(struct lease *lease, struct slice key)
{
    assert_slice(0, slice_of(lease->key), key); /* each is given back for its own key */
    cache.leases--;
    free(lease);
}

static void note_stored(struct cache *of, struct slice key, const struct entry *entry,
                        int64_t until_ms)
{
    snprintf(of->stored.header, sizeof of->stored.header, "%.*s", SLICE_ARGS(entry_header(entry)));
    of->stored.status = entry->status;
    of->stored.made_ms = entry->made_ms;
    of->stored.fresh_until_ms = entry->fresh_until_ms;
    of->stored.until_ms = until_ms;
    snprintf(of->stored.key, sizeof of->stored.key, "%.*s", SLICE_ARGS(key));
    snprintf(of->stored.body, sizeof of->stored.body, "%.*s", SLICE_ARGS(entry->body));
}

bool cache_store(struct cache *of, struct slice key, struct lease *lease, struct entry *entry,
                 int64_t until_ms, int64_t compare_ms)
{
    assert_non_null(entry);
    of->stores++;
    note_stored(of, key, entry, until_ms);
    of->stored.compare_ms = compare_ms;
    of->stored.leased = lease != NULL;
    of->stored.known_made_ms = -1;
    if (lease)
        lease_end(lease, key);
    return !of->refuses;
}

bool cache_prolong(struct cache *of, struct slice key, struct lease *lease, struct entry *known,
                   struct entry *entry, int64_t until_ms, int64_t compare_ms)
{
    if (known)
        assert_slice(0, known->body, entry->body);
    of->prolongs += known != NULL;
    return cache_store(of, key, lease, entry, until_ms, compare_ms);
}

bool cache_replace(struct cache *of, struct slice key, struct entry *known, struct entry *entry,
                   int64_t until_ms, int64_t compare_ms)
{
    assert_non_null(known);
    of->replaces++;
    note_stored(of, key, entry, until_ms);
    of->stored.compare_ms = compare_ms;
    of->stored.leased = false;
    of->stored.known_made_ms = known->made_ms;
    return !of->refuses;
}

struct cache_memory cache_memory(const struct cache *of)
{
    (void)of;
    return (struct cache_memory){0};
}

bool cache_inspect(struct cache *of, struct slice key,
                   void (*answered)(void *caller, const struct inspection *inspection),
                   void *caller)
{
    (void)of, (void)key, (void)answered, (void)caller;
    return false;
}

/* The reason that was noted last. */
static char noted_unstored[200];

void cache_note_unstored(struct cache *of, struct slice key, struct slice why)
{
    (void)of, (void)key;
    snprintf(noted_unstored, sizeof noted_unstored, "%.*s", SLICE_ARGS(why));
}

const struct unstored *cache_unstored(const struct cache *of, struct slice key)
{
    (void)of, (void)key;
    return NULL;
}

const char *cache_trouble(const struct cache *of)
{
    return of->trouble;
}

bool cache_is_shared(const struct cache *of)
{
    return !of->alone;
}

bool cache_keep(struct cache *of, struct slice key, struct lease *lease, struct entry *entry,
                int64_t until_ms)
{
    assert_non_null(entry);
    (void)until_ms;
    of->keeps++;
    if (lease)
        lease_end(lease, key);
    return !of->refuses;
}

bool cache_check(struct cache *of, struct slice key, int64_t extra_ms, const struct lease *lease,
                 const struct entry *known, cache_answer_fn *answered, void *caller)
{
    struct question *question = question_add(of, CHECK, key, answered, caller);
    if (!question)
        return false;
    question->extra_ms = extra_ms;
    question->known_made_ms = known ? known->made_ms : -1;
    if (lease)
        assert_slice(0, slice_of(lease->key), key);
    return true;
}

const char *cache_lease_token(const struct lease *lease)
{
    return lease->key; /* it has no token */
}

void cache_release(struct cache *of, struct lease *lease)
{
    (void)of;
    if (!lease)
        return;
    cache.releases++;
    lease_end(lease, slice_of(lease->key));
}

bool cache_purge(struct cache *of, const struct cache_purge *what, cache_answer_fn *done,
                 void *caller)
{
    struct question *question = question_add(of, PURGE, what->key, done, caller);
    if (!question)
        return false;
    question->is_prefix = what->is_prefix;
    question->soft = what->soft;
    tell(CHANGED_BY_PURGE, what->key, what->is_prefix);
    return true;
}

/* --- what the tests say --- */

/* Fresh for so long from now; less than 0: no longer since then. */
static inline struct entry *entry_left(const char *body, int64_t left_ms)
{
    int64_t made_ms = clock_fleet_ms() + left_ms - TTL_S * 1000;
    struct entry *entry = entry_new(SLICE("text/html"), slice_of(body), made_ms, TTL_S * 1000, 500);
    assert_non_null(entry);
    return entry;
}

/* Answers the oldest command, which must be of that kind and key. */
static inline void answer(enum question_kind kind, const char *key, struct cache_answer told)
{
    assert_true(cache.count > 0);
    assert_int_equal(cache.questions[0].kind, kind);
    assert_string_equal(cache.questions[0].key, key);
    answer_at(0, told);
}

static inline void answer_outcome(enum question_kind kind, const char *key,
                                  enum cache_outcome outcome)
{
    answer(kind, key, (struct cache_answer){.outcome = outcome});
}

static inline void answer_found(enum question_kind kind, const char *key, const char *body,
                                int64_t left_ms)
{
    struct entry *entry = entry_left(body, left_ms);
    answer(kind, key, (struct cache_answer){.outcome = CACHE_FOUND, .entry = entry});
    entry_unref(entry);
}

/* Answers every command: there is nothing, and the lease is ours. */
static inline void answer_all(void)
{
    while (cache.count > 0)
        answer_at(0, (struct cache_answer){
                         .outcome = cache.questions[0].kind == CLAIM ? CACHE_OURS : CACHE_NONE});
}

/* For an entry in progress: it was purged. */
static inline void answer_purged(const char *key)
{
    answer(CHECK, key, (struct cache_answer){.outcome = CACHE_NONE, .lease_lost = true});
}

static inline void answer_theirs(const char *key, double wait_s)
{
    answer(CLAIM, key, (struct cache_answer){.outcome = CACHE_THEIRS, .wait_s = wait_s});
}

/* The key changed; NULL: any may have. */
static inline void tell_changed(const char *key, bool lease_only)
{
    tell(lease_only ? CHANGED_LEASE : CHANGED_VALUE, slice_of(key), !key);
}

static inline void remember(struct entry *owned)
{
    entry_unref(cache.remembered);
    cache.remembered = owned;
}

static inline void join(unsigned recipe, const char *name)
{
    assert_int_equal(bench_join(bench, recipe, name), JOIN_OK);
}

/* Joins, and the flight's source is called, with a lease. */
static inline void join_generating(unsigned recipe, const char *name)
{
    join(recipe, name);
    answer_outcome(LOOKUP, name, CACHE_NONE);
    answer_outcome(CLAIM, name, CACHE_OURS);
}

static inline void check_counts(size_t flights, size_t parked)
{
    assert_int_equal(flights_under_way(bench->flights), flights);
    assert_int_equal(flights_parked(bench->flights), parked);
}

static inline void check_settled(uint32_t number, enum settlement_kind kind, const char *body)
{
    const struct note *note = &bench->notes[number];
    assert_row(number, note->settled == 1);
    assert_row(number, note->how.kind == kind);
    assert_slice(number, slice_of(note->body), slice_of(body));
}

/* Answers all pending commands, as it may happen at the very end. */
static inline void fake_gone(void)
{
    while (cache.count > 0)
        answer_at(0, (struct cache_answer){.outcome =
                                               cache.questions[0].kind == CLAIM && cache.count % 2
                                                   ? CACHE_OURS
                                                   : CACHE_ALONE});
    assert_int_equal(cache.leases, 0); /* each was used to store, or released */
    remember(NULL);
}

static inline void fake_begin(struct flight_limits limits)
{
    struct ev_loop *loop = ev_loop_new(0);
    assert_non_null(loop);
    cache = (struct cache){0};
    bench = bench_new(limits, loop, &cache);
}

static inline void fake_end(void)
{
    struct ev_loop *loop = bench->loop;
    bench_free(bench, fake_gone);
    ev_loop_destroy(loop);
}

static inline int fake_setup(void **state)
{
    (void)state;
    fake_begin((struct flight_limits){1000, 1000});
    return 0;
}

static inline int fake_teardown(void **state)
{
    (void)state;
    fake_end();
    return 0;
}

#define fake_test(function) cmocka_unit_test_setup_teardown(function, fake_setup, fake_teardown)

#endif
