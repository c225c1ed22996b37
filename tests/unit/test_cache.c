/* cache/cache with a Redis that answers when the test says so: when memory may answer, what may be
 * kept in it, and who holds a lease. */
#include "cache_bench.h"

/* --- memory --- */

/* An entry that is found is kept for its fresh time, and the time that the caller adds. */
static void test_fill(void **state)
{
    static const struct {
        int64_t left_ms;
        bool kept;
    } cases[] = {{30000, true}, {1, true}, {-500, true}, {-1000, false}, {-5000, false}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        tell("a", false);
        assert_false(in_memory("a"));
        lookup("a");
        reply_found(GET, cases[i].left_ms);
        assert_row(i, answers == i + 1 && last.outcome == CACHE_FOUND && !last.from_memory);
        assert_row(i, in_memory("a") == cases[i].kept);
    }
    tell("a", false);
    lookup("a");
    reply(GET, (struct store_answer){.outcome = STORE_NONE});
    assert_int_equal(last.outcome, CACHE_NONE);
    lookup("a");
    reply(GET, (struct store_answer){.outcome = STORE_GONE});
    assert_int_equal(last.outcome, CACHE_ALONE);
    assert_false(in_memory("a"));
}

/* The invalidation may overtake the reply that it concerns, which is not kept then. */
static void test_race(void **state)
{
    static const struct {
        const char *key;
        bool lease_only, kept;
    } cases[] = {{"a", false, false}, {NULL, false, false}, {"a", true, true}, {"b", false, true}};
    (void)state;
    for (size_t i = 0; i < 2 * LENGTH(cases); i++) {
        tell("a", false);
        if (i % 2)
            cache_claim(cache, SLICE("a"), 1000, NULL, on_answer, &answers);
        else
            lookup("a");
        tell(cases[i / 2].key, cases[i / 2].lease_only);
        reply_found(i % 2 ? CLAIM : GET, 30000);
        assert_row(i, last.outcome == CACHE_FOUND); /* the requester gets it all the same */
        assert_row(i, in_memory("a") == cases[i / 2].kept);
    }
}

/* If Redis is down, or nothing can be sent, the answer is known at once. It still comes later,
 * once, and before the loop sleeps. The same holds without a Redis. */
static void test_never_at_once(void **state)
{
    static const struct cache_settings no_redis = {.redis.address = "", .memory_bytes = 100000};
    struct cache *with_redis = cache, *without = cache_new(loop, &no_redis);
    assert_non_null(without);
    (void)state;
    for (size_t i = 0; i < 15; i++) {
        size_t question = i % 5, where = i / 5;
        store.usable = where != 1;
        store.refuses = true;
        cache = where == 2 ? without : with_redis;
        answers = 0;
        assert_row(i, question == 0   ? lookup("a")
                      : question == 1 ? claim("a")
                      : question == 2 ? look_at_lease("a")
                                      : purge(question == 3 ? "a" : "a*", false));
        assert_row(i, answers == 0);
        turn();
        assert_row(i, answers == 1);
        assert_row(i, last.outcome == (question <= 2 ? CACHE_ALONE
                                       : where == 2  ? CACHE_PURGED
                                                     : CACHE_NOT_PURGED));
        turn();
        assert_row(i, answers == 1);
    }
    store.refuses = false;
    lookup("b"); /* answered at the end */
    answers = 0;
    cache_free(without);
    assert_int_equal(answers, 1);
    cache = with_redis;
}

/* The listener learns of changes that Redis reports, and, when Redis connects or fails, that any
 * key may have changed. */
static void test_told(void **state)
{
    (void)state;
    tell("a", false);
    check_change(1, CHANGED_VALUE, "a", false);
    tell("a", true);
    check_change(2, CHANGED_LEASE, "a", false);
    tell(NULL, false);
    check_change(3, CHANGED_VALUE, "", true);
    store.events.lost(store.events.context);
    check_change(4, CHANGED_VALUE, "", true);
    store.events.ready(store.events.context);
    check_change(5, CHANGED_VALUE, "", true);
}

/* Without tracking memory is not used; without Redis it is the only cache. */
static void test_when_memory_answers(void **state)
{
    (void)state;
    fill("a");
    store.tracking = false;
    assert_false(in_memory("a"));
    lookup("a");
    reply_found(GET, 30000);
    assert_false(in_memory("a")); /* not kept either */
    store.tracking = true;
    store.events.changed(store.events.context, (struct slice){0}, false);
    assert_false(in_memory("a"));

    fill("a");
    store.usable = store.tracking = false;
    store.events.lost(store.events.context);
    assert_true(in_memory("a"));
    unsigned before = answers;
    lookup("a");
    turn();
    assert_int_equal(answers, before + 1);
    assert_true(last.outcome == CACHE_FOUND && last.from_memory);
    lookup("b");
    turn();
    assert_int_equal(last.outcome, CACHE_ALONE);
    claim("b");
    turn();
    assert_int_equal(answers, before + 3);
    assert_int_equal(last.outcome, CACHE_ALONE);
    struct entry *entry = make_entry(30000);
    assert_true(cache_store(cache, SLICE("b"), NULL, entry, clock_fleet_ms() + 1000, 0));
    entry_unref(entry);
    assert_true(in_memory("b"));
    assert_int_equal(store.count, 0);

    store.usable = store.tracking = true; /* back: what was kept meanwhile may be old */
    store.events.ready(store.events.context);
    assert_false(in_memory("a") || in_memory("b"));
}

/* --- leases --- */

static void claim_ours(void)
{
    lease = NULL;
    cache_claim(cache, SLICE("a"), 0, NULL, on_answer, &answers);
    reply(CLAIM, (struct store_answer){.outcome = STORE_OURS});
    assert_int_equal(last.outcome, CACHE_OURS);
    assert_non_null(lease);
}

static void test_claim(void **state)
{
    char token[STORE_TOKEN_LEN + 1];
    struct entry *stale = make_entry(-1);
    (void)state;
    cache_claim(cache, SLICE("a"), 0, stale, on_answer, &answers);
    assert_int_equal(store.commands[0].known_made_ms, stale->made_ms);
    entry_unref(stale);
    reply(CLAIM, (struct store_answer){.outcome = STORE_THEIRS,
                                       .wait_ms = 500,
                                       .holder = SLICE_INIT("web1 4711")});
    assert_int_equal(last.outcome, CACHE_THEIRS);
    assert_slice(0, last.holder, SLICE("web1 4711"));
    assert_true(last.wait_s >= 0.5 && last.wait_s < 0.6);

    /* Each claim has its own token, which is used again for the release. */
    cache_claim(cache, SLICE("a"), 0, NULL, on_answer, &answers);
    assert_int_equal(store.commands[0].known_made_ms, -1);
    strcpy(token, store.commands[0].token);
    reply(CLAIM, (struct store_answer){.outcome = STORE_OURS});
    while (store.count == 0) /* a third of its life later */
        ev_run(loop, EVRUN_ONCE);
    assert_string_equal(store.commands[0].token, token);
    reply(RENEW, (struct store_answer){.outcome = STORE_OURS});
    cache_release(cache, lease);
    assert_string_equal(store.commands[0].token, token);
    assert_string_equal(store.commands[0].key, "a");
    reply(RELEASE, (struct store_answer){.outcome = STORE_DONE});
    cache_claim(cache, SLICE("a"), 0, NULL, on_answer, &answers);
    assert_string_not_equal(store.commands[0].token, token);
    reply(CLAIM, (struct store_answer){.outcome = STORE_GONE});
    assert_int_equal(last.outcome, CACHE_ALONE);
    claim("a");
    reply(CLAIM, (struct store_answer){.outcome = STORE_NONE});
    assert_int_equal(last.outcome, CACHE_UNREADABLE);
    cache_release(cache, NULL);
}

/* What has happened to an entry in progress, and to its lease, if it has one. */
static void look(enum store_outcome outcome)
{
    lookup("a");
    if (outcome == STORE_FOUND)
        reply_found(GET, 30000);
    else
        reply(GET, (struct store_answer){.outcome = outcome});
}

static void claim_missing(enum store_outcome outcome)
{
    calling = true;
    assert_true(cache_claim_missing(cache, SLICE("a"), 1000, on_answer, &answers));
    calling = false;
    if (outcome == STORE_FOUND)
        reply_found(CLAIM, 30000);
    else
        reply(CLAIM, (struct store_answer){.outcome = outcome});
    if (last.outcome == CACHE_OURS) {
        cache_release(cache, lease);
        reply(RELEASE, (struct store_answer){.outcome = STORE_DONE});
    }
}

static bool is_cold(void)
{
    return cache_is_cold(cache, SLICE("a"));
}

/* How many misses it takes. */
static unsigned misses_until_cold(void)
{
    unsigned count = 0;
    for (; !is_cold() && count < 1000; count++) {
        look(STORE_NONE);
        claim_missing(STORE_OURS);
    }
    return count;
}

/* What each answer says of the next keys. */
static void test_cold(void **state)
{
    static const struct {
        bool claims;
        enum store_outcome outcome;
        bool stays_cold;
    } cases[] = {
        {true, STORE_OURS, true},   {true, STORE_THEIRS, true},  {true, STORE_NONE, true},
        {true, STORE_GONE, false},  {true, STORE_FOUND, false},  {false, STORE_NONE, true},
        {false, STORE_GONE, false}, {false, STORE_FOUND, false},
    };
    (void)state;
    assert_false(is_cold());
    for (size_t i = 0; i < LENGTH(cases); i++) {
        look(STORE_GONE);
        assert_row(i, misses_until_cold() == 32);
        (cases[i].claims ? claim_missing : look)(cases[i].outcome);
        assert_row(i, is_cold() == cases[i].stays_cold);
    }
    look(STORE_GONE);
    misses_until_cold();
    store.usable = false; /* memory may have it */
    assert_false(is_cold());
    store.usable = true;
    assert_true(is_cold());
}

/* However long it was cold, one entry ends that. */
static void test_cold_ends(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        claim_missing(STORE_OURS);
    claim_missing(STORE_FOUND);
    assert_int_equal(misses_until_cold(), 32);
}

/* Refreshes say nothing of keys that are not known; nor do misses if Redis grants no lease. */
static void test_never_cold(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(claim("a"));
        reply(CLAIM, (struct store_answer){.outcome = STORE_OURS});
        cache_release(cache, lease);
        reply(RELEASE, (struct store_answer){.outcome = STORE_DONE});
        look(STORE_NONE);
        claim_missing(i % 2 ? STORE_GONE : STORE_THEIRS);
    }
    assert_false(is_cold());
}

static void test_check(void **state)
{
    static const struct {
        struct store_answer said;
        enum cache_outcome outcome;
        bool leased, lost;
    } cases[] = {
        {{.outcome = STORE_SAME}, CACHE_SAME, true, false},
        {{.outcome = STORE_SAME, .lease_lost = true}, CACHE_SAME, true, true},
        {{.outcome = STORE_NONE, .lease_lost = true}, CACHE_NONE, true, true},
        {{.outcome = STORE_NONE, .lease_lost = true}, CACHE_NONE, false, false},
        {{.outcome = STORE_GONE}, CACHE_ALONE, true, false},
    };
    struct entry *known = make_entry(-1);
    (void)state;
    claim_ours();
    for (size_t i = 0; i < LENGTH(cases); i++) {
        cache_check(cache, SLICE("a"), 0, cases[i].leased ? lease : NULL, i ? known : NULL,
                    on_answer, &answers);
        assert_row(i, store.commands[0].known_made_ms == (i ? known->made_ms : -1));
        assert_string_equal(store.commands[0].token, cases[i].leased ? lease_token(lease) : "");
        reply(CHECK, cases[i].said);
        assert_row(i, last.outcome == cases[i].outcome && last.lease_lost == cases[i].lost);
    }

    /* Another entry is there: memory has it too. */
    cache_check(cache, SLICE("a"), 1000, lease, NULL, on_answer, &answers);
    reply_found(CHECK, 30000);
    assert_true(last.outcome == CACHE_FOUND && in_memory("a"));

    store.usable = store.tracking = false;
    look_at_lease("a");
    turn();
    assert_true(last.outcome == CACHE_ALONE && store.count == 0);
    store.usable = store.tracking = true;
    cache_release(cache, lease);
    reply(RELEASE, (struct store_answer){.outcome = STORE_DONE});
    entry_unref(known);
}

/* The reply of Redis to a store, and whether memory has the entry afterwards. */
static void test_store(void **state)
{
    static const struct {
        enum store_outcome outcome;
        bool changed, lost, kept;
    } cases[] = {
        {STORE_DONE, false, false, true},
        {STORE_DONE, true, false, false},  /* somebody has stored after us */
        {STORE_NONE, false, false, false}, /* purged: the lease was no longer ours */
        {STORE_GONE, false, false, false}, /* refused: memory would differ from Redis permanently */
        {STORE_GONE, false, true, true},   /* memory is the only cache */
    };
    (void)state;
    for (size_t i = 0; i < 2 * LENGTH(cases); i++) {
        struct entry *entry = make_entry(30000);
        store.usable = store.tracking = true;
        tell("a", false);
        if (i % 2)
            claim_ours();
        assert_true(cache_store(cache, SLICE("a"), i % 2 ? lease : NULL, entry,
                                clock_fleet_ms() + 40000, 0));
        assert_int_equal(strlen(store.commands[0].token), i % 2 ? STORE_TOKEN_LEN : 0);
        assert_row(i, store.commands[0].known_made_ms == -1);
        assert_in_range(store.commands[0].keep_ms, 39000, 40000);
        assert_true(cache_busy(cache));
        if (cases[i / 2].changed)
            tell("a", false);
        if (cases[i / 2].lost)
            store.usable = store.tracking = false;
        reply(STORE, (struct store_answer){.outcome = cases[i / 2].outcome});
        assert_row(i, in_memory("a") == cases[i / 2].kept);
        if (i % 2 && cases[i / 2].outcome == STORE_GONE && !cases[i / 2].lost)
            reply(RELEASE, (struct store_answer){.outcome = STORE_DONE}); /* the next one may try */
        assert_false(cache_busy(cache));
        entry_unref(entry);
    }
}

/* An entry with the body of the known one is stored with both, if there is a lease. */
static void test_prolong(void **state)
{
    (void)state;
    for (int leased = 0; leased < 2; leased++) {
        struct entry *entry = make_entry(30000), *known = make_entry(-10);
        tell("a", false);
        if (leased)
            claim_ours();
        assert_true(cache_prolong(cache, SLICE("a"), leased ? lease : NULL, known, entry,
                                  clock_fleet_ms() + 40000, 5000));
        assert_int_equal(store.commands[0].known_made_ms, leased ? known->made_ms : -1);
        assert_in_range(store.commands[0].keep_ms, 44000, 45000);
        reply(STORE, (struct store_answer){.outcome = STORE_DONE});
        assert_true(in_memory("a"));
        entry_unref(entry);
        entry_unref(known);
    }
}

/* Memory does not keep what is only good for a comparison. */
static void test_compare_only(void **state)
{
    struct entry *entry = make_entry(-10);
    (void)state;
    assert_true(cache_store(cache, SLICE("a"), NULL, entry, clock_fleet_ms() - 10, 5000));
    assert_in_range(store.commands[0].keep_ms, 4900, 5000);
    reply(STORE, (struct store_answer){.outcome = STORE_DONE});
    assert_false(in_memory("a"));
    entry_unref(entry);
}

/* What replaces a known entry needs no lease. Without Redis, memory must still have that entry. */
static void test_replace(void **state)
{
    static const struct {
        bool usable;
        int there; /* in memory: 0 nothing, 1 the known entry, 2 another one */
        bool sent, kept;
    } cases[] = {
        {true, 0, true, true},    {true, 1, true, true},  {true, 2, true, true},
        {false, 0, false, false}, {false, 1, true, true}, {false, 2, false, false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct entry *entry = make_entry(30000), *known = make_entry(-10), *copy = make_entry(-20);
        copy->made_ms = known->made_ms + (cases[i].there == 2);
        copy->fresh_until_ms = known->fresh_until_ms;
        int64_t until_ms = clock_fleet_ms() + 40000;
        store.usable = store.tracking = false;
        cache_purge(cache, &(struct cache_purge){.key = SLICE("a")}, on_answer, &answers);
        ev_run(loop, EVRUN_NOWAIT);
        if (cases[i].there)
            assert_true(cache_store(cache, SLICE("a"), NULL, copy, until_ms, 0));
        store.usable = store.tracking = cases[i].usable;
        assert_row(i, cache_replace(cache, SLICE("a"), known, entry, until_ms, 0) == cases[i].sent);
        if (cases[i].usable) {
            assert_string_equal(store.commands[0].token, "");
            assert_row(i, store.commands[0].known_made_ms == known->made_ms);
            reply(STORE, (struct store_answer){.outcome = STORE_DONE});
        }
        assert_row(i, (cache_peek(cache, SLICE("a")) == entry) == cases[i].kept);
        entry_unref(entry);
        entry_unref(known);
        entry_unref(copy);
    }
}

/* An entry that is not sent (it is too large, for example) is not kept, and its lease is released.
 * */
static void test_store_not_sent(void **state)
{
    struct entry *entry = make_entry(30000);
    (void)state;
    store.usable = store.tracking = true;
    for (int leased = 0; leased < 2; leased++) {
        if (leased)
            claim_ours();
        store.refuses = true;
        assert_false(cache_store(cache, SLICE("a"), leased ? lease : NULL, entry,
                                 clock_fleet_ms() + 40000, 0));
        assert_int_equal(entry->references, 1);
        assert_false(in_memory("a"));
        store.refuses = false;
    }
    entry_unref(entry);
}

/* --- purging --- */

/* The last character of a key has no special meaning. */
static void test_purge_of_an_asterisk(void **state)
{
    (void)state;
    fill("user/*");
    fill("user/1");
    cache_purge(cache, &(struct cache_purge){.key = SLICE("user/*")}, on_answer, &answers);
    assert_false(in_memory("user/*"));
    assert_true(in_memory("user/1"));
    assert_string_equal(store.commands[0].key, "user/*");
    reply(PURGE, (struct store_answer){.outcome = STORE_DONE});
}

static void test_purge(void **state)
{
    (void)state;
    fill("a");
    fill("user/1");
    purge("a", false);
    assert_false(in_memory("a"));
    assert_true(in_memory("user/1"));
    /* Redis does not report our own changes to us. */
    check_change(1, CHANGED_BY_PURGE, "a", false);
    reply(PURGE, (struct store_answer){.outcome = STORE_DONE});
    assert_int_equal(last.outcome, CACHE_PURGED);
    purge("user/*", true);
    assert_false(in_memory("user/1"));
    assert_string_equal(store.commands[0].key, "user/");
    check_change(2, CHANGED_BY_PURGE, "user/", true);
    reply(PURGE_PREFIX, (struct store_answer){.outcome = STORE_GONE});
    assert_int_equal(last.outcome, CACHE_NOT_PURGED);
    check_change(3, CHANGED_VALUE, "user/", true); /* for a lookup between two steps */

    store.usable = store.tracking = false;
    purge("a", false);
    turn();
    assert_int_equal(last.outcome, CACHE_NOT_PURGED);
    assert_int_equal(store.count, 0);
}

/* An entry that was requested before a purge is not kept after it. */
static void test_purge_race(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        lookup("user/1");
        purge(all ? "user/*" : "user/1", false);
        reply_found(GET, 30000);
        reply(all ? PURGE_PREFIX : PURGE, (struct store_answer){.outcome = STORE_DONE});
        assert_false(in_memory("user/1"));
    }
}

/* A purge of many keys takes several steps. A lookup between two of them may find an entry that is
 * removed later, which Redis does not report to us. When the purge is over, memory has none of
 * them. */
static void test_purge_steps(void **state)
{
    (void)state;
    purge("user/*", false);
    struct command purge = store.commands[0];
    store.count = 0;
    fill("user/1");
    store.commands[store.count++] = purge;
    reply(PURGE_PREFIX, (struct store_answer){.outcome = STORE_DONE});
    assert_int_equal(last.outcome, CACHE_PURGED);
    assert_false(in_memory("user/1"));
}

static void look_when_changed(void *context, const struct cache_change *change)
{
    (void)context, (void)change;
    if (store.sent[GET] == 0)
        lookup("a");
}

/* A lookup that the purge causes must see its result: the purge is sent first. */
static void test_purge_first(void **state)
{
    (void)state;
    cache_on_changed(cache, look_when_changed, NULL);
    purge("a", false);
    for (size_t i = 0; i < store.count; i++)
        if (store.commands[i].kind == GET)
            assert_true(i > 0 && store.commands[i - 1].kind == PURGE);
}

static void answer_done(const void *key)
{
    lookup(key);
    reply(GET, (struct store_answer){.outcome = STORE_DONE});
}

/* A reply that is not an answer to a lookup is never taken for an entry. */
static void test_wrong_outcome(void **state)
{
    char said[1000];
    (void)state;
    store.usable = true;
    assert_true(forked_was_aborted(run_forked(answer_done, "a", said, sizeof said)) &&
                strstr(said, "outcome_of: not true: "));
}

/* --- out of memory, and the end --- */

static void test_no_memory(void **state)
{
    struct entry *entry = make_entry(30000);
    (void)state;
    alloc_fail_after(0);
    assert_false(lookup("a") || claim("a") || look_at_lease("a"));
    assert_false(purge("a", false) || purge("a*", false));
    assert_false(cache_store(cache, SLICE("a"), NULL, entry, clock_fleet_ms() + 1000, 0));
    alloc_fail_after(-1);
    turn();
    assert_int_equal(answers + changes, 0);
    assert_int_equal(store.count, 0);

    /* A lease that there is no memory for is released, with its token. */
    cache_claim(cache, SLICE("a"), 0, NULL, on_answer, &answers);
    char token[STORE_TOKEN_LEN + 1];
    strcpy(token, store.commands[0].token);
    alloc_fail_after(0);
    reply(CLAIM, (struct store_answer){.outcome = STORE_OURS});
    alloc_fail_after(-1);
    assert_true(last.outcome == CACHE_ALONE && !last.lease);
    assert_string_equal(store.commands[0].token, token);
    reply(RELEASE, (struct store_answer){.outcome = STORE_DONE});

    /* An entry that can't be stored when out of memory does not keep its lease. */
    claim_ours();
    alloc_fail_after(0);
    assert_false(cache_store(cache, SLICE("a"), lease, entry, clock_fleet_ms() + 1000, 0));
    alloc_fail_after(-1);
    assert_int_equal(store.count, 1);
    reply(RELEASE, (struct store_answer){.outcome = STORE_DONE});
    entry_unref(entry);
}

/* Everything in progress is answered once, and nothing is left on the loop: see teardown. */
static void test_end(void **state)
{
    struct entry *entry = make_entry(30000);
    (void)state;
    claim_ours();
    assert_true(cache_store(cache, SLICE("a"), lease, entry, clock_fleet_ms() + 1000, 0));
    entry_unref(entry);
    lookup("a");
    cache_claim(cache, SLICE("b"), 0, NULL, on_answer, &answers);
    purge("c", false);
    purge("d*", false);
    assert_int_equal(answers, 1);
    cache_free(cache);
    assert_int_equal(answers, 5);
    assert_int_equal(last.outcome, CACHE_NOT_PURGED);
    cache = NULL;
    ev_run(loop, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_race, setup, teardown),
        cmocka_unit_test_setup_teardown(test_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_when_memory_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claim, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cold_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_cold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_check, setup, teardown),
        cmocka_unit_test_setup_teardown(test_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prolong, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compare_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_store_not_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge_of_an_asterisk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge_race, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_outcome, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end, setup, teardown),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
