/* park/flights and stale entries: served while one flight refreshes them, served when that fails,
 * remembered failures, purges; lack of memory; and random sequences. */
#include "park/flights.h"

#include "fake_cache.h"

/* --- served while it is refreshed --- */

/* Memory has it, stale: each request is served at once, and one flight refreshes it. */
static void test_refresh(void **state)
{
    struct settlement how;
    (void)state;
    remember(entry_left("<p>old</p>", LEFT_STALE));
    int64_t made_ms = cache.remembered->made_ms;
    for (int i = 0; i < 3; i++) {
        assert_string_equal(bench_serve(bench, STALE, "a", &how), "<p>old</p>");
        assert_true(how.kind == SETTLED_ENTRY && how.stale_hit && !how.stale && !how.stored);
        assert_int_equal(how.detail, FROM_MEMORY);
        assert_int_equal(cache.asked[CLAIM], 1);
        check_counts(1, 0);
    }
    assert_int_equal(cache.asked[LOOKUP], 0);
    assert_int_equal(cache.questions[0].known_made_ms, made_ms); /* it counts as missing */
    assert_int_equal(cache.questions[0].extra_ms, STALE_S * 1000);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(bench->hand.started, 1);

    /* Memory may evict it meanwhile: the flight still has it. */
    remember(NULL);
    assert_string_equal(bench_serve(bench, STALE, "a", &how), "<p>old</p>");
    hand_give(&bench->hand, "a", "<p>new</p>");
    assert_string_equal(cache.stored.body, "<p>new</p>");
    assert_int_equal(cache.stored.until_ms, cache.stored.fresh_until_ms + STALE_S * 1000);
    bench_turn(bench);
    check_counts(0, 0);
    assert_int_equal(bench->hand.started, 1);
}

/* Fresh: nothing to do. Missing, or past its window: requests must wait. */
static void test_serve(void **state)
{
    struct settlement how;
    (void)state;
    assert_null(bench_serve(bench, STALE, "a", &how));
    remember(entry_left("<p>x</p>", LEFT_FRESH));
    assert_string_equal(bench_serve(bench, STALE, "a", &how), "<p>x</p>");
    assert_null(bench_serve(bench, STALE, "b", &how));
    remember(entry_left("<p>x</p>", LEFT_STALE));
    assert_null(bench_serve(bench, BY_HAND, "a", &how));
    assert_null(bench_serve(bench, STALE_ERROR, "a", &how)); /* no failure yet */
    remember(entry_left("<p>x</p>", LEFT_NOTHING));
    assert_null(bench_serve(bench, STALE, "a", &how));
    check_counts(0, 0);
    assert_int_equal(cache.asked[CLAIM] + cache.asked[LOOKUP], 0);
}

/* Redis has it, stale: the waiters get it at once, and the refresh follows. */
static void test_refresh_found(void **state)
{
    struct settlement how;
    (void)state;
    join(STALE, "a");
    join(STALE, "a");
    answer_found(LOOKUP, "a", "<p>old</p>", LEFT_STALE);
    bench_turn(bench);
    for (uint32_t i = 0; i < 2; i++) {
        check_settled(i, SETTLED_ENTRY, "<p>old</p>");
        assert_true(bench->notes[i].how.stale_hit && !bench->notes[i].how.stale);
    }
    check_counts(1, 0);
    assert_int_equal(cache.questions[0].kind, CLAIM);
    assert_true(cache.questions[0].known_made_ms > 0);
    assert_string_equal(bench_serve(bench, STALE, "a", &how), "<p>old</p>");
    answer_outcome(CLAIM, "a", CACHE_OURS);
    hand_give(&bench->hand, "a", "<p>new</p>");
    bench_turn(bench);
    assert_int_equal(cache.stores, 1);
    check_counts(0, 0);
}

/* Another process refreshes it, or has done so: nobody waits here, so we do nothing. */
static void test_refreshed_elsewhere(void **state)
{
    struct settlement how;
    (void)state;
    remember(entry_left("<p>old</p>", LEFT_STALE));
    assert_non_null(bench_serve(bench, STALE, "a", &how));
    answer_theirs("a", 1000);
    bench_turn(bench);
    check_counts(0, 0);
    assert_non_null(bench_serve(bench, STALE, "a", &how));
    answer_found(CLAIM, "a", "<p>new</p>", LEFT_FRESH);
    bench_turn(bench);
    check_counts(0, 0);
    assert_int_equal(bench->hand.started, 0);
}

/* The limits apply to a refresh as well, and so does lack of memory; the entry is still served. */
static void test_refresh_refused(void **state)
{
    struct settlement how;
    (void)state;
    fake_begin((struct flight_limits){.max_parked = 10, .max_flights = 1});
    remember(entry_left("<p>old</p>", LEFT_STALE));
    for (long successes = 0; successes < 1; successes++) {
        alloc_fail_after(successes);
        const char *body = bench_serve(bench, STALE, "a", &how);
        alloc_fail_after(-1);
        assert_string_equal(body, "<p>old</p>");
        check_counts(0, 0);
    }
    join(BY_HAND, "b");
    assert_string_equal(bench_serve(bench, STALE, "a", &how), "<p>old</p>");
    check_counts(1, 1);
    assert_int_equal(cache.asked[CLAIM], 0);
    fake_end();
}

/* If a refresh fails, the old entry is still served. */
static void test_refresh_failed(void **state)
{
    struct settlement how;
    (void)state;
    remember(entry_left("<p>old</p>", LEFT_STALE));
    assert_non_null(bench_serve(bench, STALE, "a", &how));
    answer_outcome(CLAIM, "a", CACHE_OURS);
    hand_fail(&bench->hand, "a", SOURCE_FAILED);
    bench_turn(bench);
    check_counts(0, 0);
    assert_int_equal(cache.releases, 1);
    assert_int_equal(cache.stores, 0);
    assert_string_equal(bench_serve(bench, STALE, "a", &how), "<p>old</p>");
}

/* The key changed during the refresh: the old entry is no longer served. */
static void test_refresh_changed(void **state)
{
    struct settlement how;
    (void)state;
    remember(entry_left("<p>old</p>", LEFT_STALE));
    assert_non_null(bench_serve(bench, STALE, "a", &how));
    answer_outcome(CLAIM, "a", CACHE_OURS);
    remember(NULL);
    tell_changed("a", false);
    assert_null(bench_serve(bench, STALE, "a", &how));
    answer_found(CHECK, "a", "<p>new</p>", LEFT_FRESH);
    assert_int_equal(bench->hand.cancelled, 1);
    bench_turn(bench);
    check_counts(0, 0);
    assert_int_equal(cache.leases, 0);
}

/* Tracking is back, for example, and nothing has changed: the lookup finds the same entry that is
 * being refreshed. The refresh must not start again: the source would be called twice. */
static void test_refresh_unchanged(void **state)
{
    struct settlement how;
    (void)state;
    struct entry *old = entry_left("<p>old</p>", LEFT_STALE);
    remember(entry_ref(old));
    assert_non_null(bench_serve(bench, STALE, "a", &how));
    answer_outcome(CLAIM, "a", CACHE_OURS);
    remember(NULL);
    tell_changed(NULL, false);
    assert_null(bench_serve(bench, STALE, "a", &how));
    assert_int_equal(cache.questions[0].known_made_ms, old->made_ms);
    entry_unref(old);
    answer_outcome(CHECK, "a", CACHE_SAME);
    assert_string_equal(bench_serve(bench, STALE, "a", &how), "<p>old</p>");
    bench_turn(bench);
    assert_int_equal(bench->hand.cancelled, 0);
    hand_give(&bench->hand, "a", "<p>new</p>");
    bench_turn(bench);
    assert_int_equal(cache.stores, 1);
    assert_int_equal(bench->hand.started, 1);
}

/* The old entry is gone, or may be: it does not replace a result that can't be generated, and is
 * not kept again. */
static void test_refresh_removed(void **state)
{
    (void)state;
    for (int answered = 0; answered < 2; answered++) {
        fake_begin((struct flight_limits){10, 10});
        join(NEGATIVE, "a");
        answer_found(LOOKUP, "a", "<p>old</p>", LEFT_STALE);
        answer_outcome(CLAIM, "a", CACHE_OURS);
        tell_changed("a", false);
        if (answered)
            answer_outcome(CHECK, "a", CACHE_NONE);
        hand_fail(&bench->hand, "a", SOURCE_FAILED);
        if (!answered)
            answer_outcome(CHECK, "a", CACHE_NONE);
        bench_turn(bench);
        check_settled(0, SETTLED_FAILED, "");
        assert_int_equal(cache.stored.status, 502);
        fake_end();
    }
}

/* --- served when that fails --- */

static void test_stale_on_failure(void **state)
{
    static const struct {
        unsigned recipe;
        int64_t left_ms;
        enum source_status status;
        enum settlement_kind kind; /* SETTLED_ENTRY: the old one */
    } cases[] = {
        {STALE_ERROR, LEFT_STALE, SOURCE_FAILED, SETTLED_ENTRY},
        {STALE_ERROR, LEFT_STALE, SOURCE_TIMED_OUT, SETTLED_ENTRY},
        {STALE_ERROR, LEFT_STALE, SOURCE_NOT_FOUND,
         SETTLED_NOT_FOUND}, /* not a failure: it says so */
        {STALE_ERROR, LEFT_NOTHING, SOURCE_FAILED, SETTLED_FAILED},
        {BY_HAND, LEFT_STALE, SOURCE_FAILED, SETTLED_FAILED},
        {BY_HAND, LEFT_STALE, SOURCE_TIMED_OUT, SETTLED_TIMED_OUT},
        {STALE_ERROR, LEFT_STALE, SOURCE_BUSY, SETTLED_ENTRY},
        {NEGATIVE, LEFT_STALE, SOURCE_BUSY, SETTLED_ENTRY}, /* and it is not prolonged */
        {STALE_ERROR, LEFT_NOTHING, SOURCE_BUSY, SETTLED_BUSY},
    };
    (void)state;
    for (size_t i = 0; i < 2 * LENGTH(cases); i++) {
        size_t row = i / 2;
        fake_begin((struct flight_limits){10, 10});
        join(cases[row].recipe, "a");
        join(cases[row].recipe, "a");
        if (i % 2) {
            answer_found(LOOKUP, "a", "<p>old</p>", cases[row].left_ms);
        } else { /* it may also be found only now */
            answer_outcome(LOOKUP, "a", CACHE_NONE);
            answer_found(CLAIM, "a", "<p>old</p>", cases[row].left_ms);
        }
        bench_turn(bench);
        assert_row(row, bench->settled == 0);
        assert_row(row, cache.questions[0].known_made_ms > 0);
        answer_outcome(CLAIM, "a", CACHE_OURS);
        hand_fail(&bench->hand, "a", cases[row].status);
        bench_turn(bench);
        bool stale = cases[row].kind == SETTLED_ENTRY;
        for (uint32_t k = 0; k < 2; k++) {
            check_settled(k, cases[row].kind, stale ? "<p>old</p>" : "");
            assert_row(row, bench->notes[k].how.stale == stale && !bench->notes[k].how.hit);
        }
        assert_row(row, cache.stores == 0 && cache.releases == 1);
        fake_end();
    }
}

/* The value changes while the lease is claimed: the known entry may still be there, or not. Only if
 * it is, it replaces a result that can't be generated. */
static void test_changed_while_claiming(void **state)
{
    static const struct {
        bool gone;               /* the answer to the claim */
        enum cache_outcome then; /* the answer to the lookup that follows */
        enum settlement_kind kind;
    } cases[] = {
        {false, CACHE_SAME, SETTLED_ENTRY},
        {false, CACHE_NONE, SETTLED_FAILED},
        {false, CACHE_ALONE, SETTLED_ENTRY}, /* Redis is down: it is all that is left */
        {true, CACHE_NONE, SETTLED_FAILED},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        fake_begin((struct flight_limits){10, 10});
        join(STALE_ERROR, "a");
        answer_found(LOOKUP, "a", "<p>old</p>", LEFT_STALE);
        tell_changed("a", false);
        answer(CLAIM, "a",
               (struct cache_answer){.outcome = CACHE_OURS, .known_gone = cases[i].gone});
        hand_fail(&bench->hand, "a", SOURCE_FAILED); /* which waits for the answer, if need be */
        answer_outcome(CHECK, "a", cases[i].then);
        bench_turn(bench);
        check_settled(0, cases[i].kind, cases[i].kind == SETTLED_ENTRY ? "<p>old</p>" : "");
        fake_end();
    }
}

/* A request that joins while another process generates it waits for the result. The old entry is
 * used only if that fails. */
static void test_not_before_failure(void **state)
{
    (void)state;
    join(STALE_ERROR, "a");
    answer_found(LOOKUP, "a", "<p>old</p>", LEFT_STALE);
    bench_leave(bench, 0);
    answer_theirs("a", 1000);
    join(STALE_ERROR, "a"); /* before the flight without waiters is settled */
    bench_turn(bench);
    assert_int_equal(bench->notes[1].settled, 0);
}

/* --- remembered failures --- */

static void test_negative(void **state)
{
    static const struct {
        enum source_status status;
        int stored;
        enum settlement_kind kind;
    } cases[] = {
        {SOURCE_NOT_FOUND, 404, SETTLED_NOT_FOUND},
        {SOURCE_FAILED, 502, SETTLED_FAILED},
        {SOURCE_TIMED_OUT, 504, SETTLED_TIMED_OUT},
        {SOURCE_CANCELLED, 0, SETTLED_SHUTDOWN}, /* says nothing of the source */
        {SOURCE_BUSY, 0, SETTLED_BUSY},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct settlement how;
        fake_begin((struct flight_limits){10, 10});
        join_generating(NEGATIVE, "a");
        hand_fail(&bench->hand, "a", cases[i].status);
        assert_row(i, cache.stores == (cases[i].stored ? 1 : 0));
        assert_row(i, cache.releases == (cases[i].stored ? 0 : 1));
        bench_turn(bench);
        check_settled(0, cases[i].kind, "");
        if (cases[i].stored) {
            assert_row(i, cache.stored.leased && cache.stored.status == cases[i].stored);
            assert_row(i, cache.stored.fresh_until_ms == cache.stored.made_ms + NEGATIVE_S * 1000);
            assert_row(i, cache.stored.until_ms == cache.stored.fresh_until_ms);

            /* Found again: the same answer, without a call; from memory at once. */
            struct entry *failure =
                entry_of_failure(cases[i].stored, clock_fleet_ms(), NEGATIVE_S * 1000);
            assert_non_null(failure);
            join(NEGATIVE, "a");
            answer(LOOKUP, "a", (struct cache_answer){.outcome = CACHE_FOUND, .entry = failure});
            bench_turn(bench);
            check_settled(1, cases[i].kind, "");
            assert_row(i, bench->notes[1].how.hit);
            remember(failure);
            assert_string_equal(bench_serve(bench, NEGATIVE, "a", &how), "");
            assert_row(i, how.kind == cases[i].kind && how.hit);
            assert_row(i, bench->hand.started == 1);
        }
        fake_end();
    }
}

/* Over the route's max_negative, failures are not written to Redis. A failure that prolongs an
 * existing entry does not count, and without a Redis there is no limit. */
static void test_negatives_are_bounded(void **state)
{
    static const struct {
        bool alone, old, changed; /* changed: the entry is uncertain when its source fails */
        unsigned stores, keeps, releases;
    } cases[] = {
        {false, false, false, 3, 2, 0},
        {false, false, true, 3, 0, 2},
        {true, false, false, 5, 0, 0},
        {false, true, false, 5, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        fake_begin((struct flight_limits){10, 10});
        rules_end(bench->rules);
        bench->recipes[NEGATIVE].max_negative = 3;
        bench->rules = rules_begin(bench->flights, bench->sources, bench->recipe_list, RECIPES);
        cache.alone = cases[i].alone;
        for (unsigned number = 0; number < 5; number++) {
            char name[8];
            snprintf(name, sizeof name, "n%u", number);
            join(NEGATIVE, name);
            if (cases[i].old)
                answer_found(LOOKUP, name, "old", LEFT_STALE);
            else if (!cases[i].alone) /* else only memory is looked at */
                answer_outcome(LOOKUP, name, CACHE_NONE);
            if (!cases[i].alone)
                answer_outcome(CLAIM, name, CACHE_OURS);
            if (cases[i].changed)
                tell_changed(name, false);
            hand_fail(&bench->hand, name, SOURCE_FAILED);
            if (cases[i].changed)
                answer_outcome(CHECK, name, CACHE_NONE);
            bench_turn(bench);
            check_settled(number, cases[i].old ? SETTLED_ENTRY : SETTLED_FAILED,
                          cases[i].old ? "old" : "");
        }
        assert_row(i, cache.stores == cases[i].stores);
        assert_row(i, cache.keeps == cases[i].keeps);
        assert_row(i, cache.releases == cases[i].releases);
        fake_end();
    }
}

/* When its time is over it counts as missing, and is never served, even if the source fails again.
 * */
static void test_negative_over(void **state)
{
    struct settlement how;
    (void)state;
    int64_t made_ms = clock_fleet_ms() - 5000;
    struct entry *failure = entry_of_failure(404, made_ms, 2000);
    assert_non_null(failure);
    remember(entry_ref(failure));
    assert_null(bench_serve(bench, NEGATIVE, "a", &how));
    join(NEGATIVE, "a");
    answer(LOOKUP, "a", (struct cache_answer){.outcome = CACHE_FOUND, .entry = failure});
    entry_unref(failure);
    assert_int_equal(cache.questions[0].known_made_ms, made_ms);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    hand_fail(&bench->hand, "a", SOURCE_FAILED);
    bench_turn(bench);
    check_settled(0, SETTLED_FAILED, "");
    assert_false(bench->notes[0].how.stale);
    assert_int_equal(cache.stored.status, 502);
}

/* An old result survives the failure: it is kept, and treated as fresh until the source is called
 * again, but no longer than it may be used. */
static void test_negative_with_old(void **state)
{
    static const int64_t lefts[] = {LEFT_STALE, -STALE_ERROR_S * 1000 + 1000};
    (void)state;
    for (size_t i = 0; i < LENGTH(lefts); i++) {
        fake_begin((struct flight_limits){10, 10});
        struct entry *old = entry_left("<p>old</p>", lefts[i]);
        int64_t over_ms = old->fresh_until_ms + STALE_ERROR_S * 1000;
        join(NEGATIVE, "a");
        answer(LOOKUP, "a", (struct cache_answer){.outcome = CACHE_FOUND, .entry = old});
        answer_outcome(CLAIM, "a", CACHE_OURS);
        int64_t now_ms = clock_fleet_ms();
        hand_fail(&bench->hand, "a", SOURCE_FAILED);
        bench_turn(bench);
        check_settled(0, SETTLED_ENTRY, "<p>old</p>");
        assert_true(bench->notes[0].how.stale);
        assert_string_equal(cache.stored.body, "<p>old</p>");
        assert_row(i, cache.stored.leased && cache.stored.status == 200);
        assert_row(i, cache.stored.made_ms == old->made_ms);
        assert_row(i, cache.stored.fresh_until_ms >= now_ms + (i ? 0 : NEGATIVE_S * 1000));
        assert_row(i, cache.stored.fresh_until_ms <= over_ms);
        assert_row(i, cache.stored.until_ms == over_ms);
        entry_unref(old);
        fake_end();
    }
}

/* The source keeps failing: each failure keeps the old result again, but does not extend the time
 * for which it may be used. */
static void test_negative_forever(void **state)
{
    (void)state;
    bench->recipes[NEGATIVE].freshness.negative = 0.001;
    struct entry *old = entry_left("<p>old</p>", LEFT_STALE);
    int64_t over_ms = old->fresh_until_ms + STALE_ERROR_S * 1000;
    for (uint32_t i = 0; i < 3; i++) {
        join(NEGATIVE, "a");
        answer(LOOKUP, "a", (struct cache_answer){.outcome = CACHE_FOUND, .entry = old});
        answer_outcome(CLAIM, "a", CACHE_OURS);
        hand_fail(&bench->hand, "a", SOURCE_FAILED);
        bench_turn(bench);
        check_settled(i, SETTLED_ENTRY, "<p>old</p>");
        assert_row(i, cache.stored.until_ms <= over_ms);
        struct entry *kept = entry_with_freshness(old, cache.stored.fresh_until_ms);
        entry_unref(old);
        old = kept;
        while (clock_fleet_ms() <= old->fresh_until_ms) /* a millisecond or two */
            ;
    }
    entry_unref(old);
}

/* --- purges --- */

static void purge(const char *key, bool soft)
{
    assert_int_equal(bench_purge(bench, key, soft), JOIN_OK);
}

static void test_purge(void **state)
{
    static const struct {
        enum cache_outcome outcome;
        enum settlement_kind kind;
    } cases[] = {{CACHE_PURGED, SETTLED_PURGED}, {CACHE_NOT_PURGED, SETTLED_NOT_PURGED}};
    (void)state;
    for (uint32_t i = 0; i < LENGTH(cases); i++) {
        const char *key = i % 2 ? "user/*" : "a";
        purge(key, i % 2);
        check_counts(0, 1);
        assert_int_equal(cache.questions[0].soft, i % 2);
        bench_turn(bench);
        assert_int_equal(cache.questions[0].is_prefix, i % 2);
        answer_outcome(PURGE, i % 2 ? "user/" : "a", cases[i].outcome);
        assert_int_equal(bench->settled, i); /* only marked */
        bench_turn(bench);
        check_settled(i, cases[i].kind, "");
        check_counts(0, 0);
    }
    /* The requester may leave before the answer, or between it and the settlement. */
    purge("a", false);
    purge("b", false);
    purge("c", false); /* and this one stays until the end: see teardown */
    bench_leave(bench, 2);
    answer_outcome(PURGE, "a", CACHE_PURGED);
    answer_outcome(PURGE, "b", CACHE_PURGED);
    bench_leave(bench, 3);
    bench_turn(bench);
    assert_int_equal(bench->settled, LENGTH(cases));
    check_counts(0, 1);
}

/* A purge is parked, and takes memory until it is over, even if the requester has left. */
static void test_purge_bound(void **state)
{
    (void)state;
    fake_begin((struct flight_limits){2, 10});
    join(BY_HAND, "x");
    purge("a", false);
    assert_int_equal(bench_purge(bench, "b", false), JOIN_TOO_MANY_PARKED);
    assert_int_equal(bench_join(bench, BY_HAND, "y"), JOIN_TOO_MANY_PARKED);
    assert_int_equal(cache.asked[PURGE], 1);
    bench_leave(bench, 1);
    purge("b*", false);
    bench_leave(bench, 2);
    check_counts(1, 1); /* there is room to park, but two purges are in progress */
    assert_int_equal(bench_purge(bench, "c", false), JOIN_TOO_MANY_PARKED);
    join(BY_HAND, "x");
    bench_leave(bench, 3);
    assert_int_equal(cache.asked[PURGE], 2);
    answer_outcome(LOOKUP, "x", CACHE_NONE);
    answer_outcome(PURGE, "a", CACHE_PURGED);
    bench_turn(bench);
    purge("c", false);
    check_counts(1, 2);
    fake_end();
}

/* --- out of memory --- */

enum refused_path { JOINING, REFRESHING, REMEMBERING, KEEPING_OLD, PURGING, PATHS };

static void go(enum refused_path path)
{
    struct settlement how;
    enum join_refusal refusal;
    switch (path) {
    case REFRESHING:
        assert_non_null(bench_serve(bench, STALE, "a", &how));
        break;
    case PURGING:
        refusal = bench_purge(bench, "a", false);
        assert_true(refusal == JOIN_OK || refusal == JOIN_NO_MEMORY);
        break;
    default:
        refusal = bench_join(bench, path == JOINING ? BY_HAND : NEGATIVE, "a");
        assert_true(refusal == JOIN_OK || refusal == JOIN_NO_MEMORY);
    }
}

/* Memory fails from the n-th allocation on: each join is refused or settled once, and no lease is
 * lost. */
static void one_refusal(enum refused_path path, long successes)
{
    struct entry *old = entry_left("<p>old</p>", LEFT_STALE);
    fake_begin((struct flight_limits){10, 10});
    if (path == REFRESHING)
        remember(entry_ref(old));
    alloc_fail_after(successes);
    go(path);
    if (path == KEEPING_OLD && cache.count > 0 && cache.questions[0].kind == LOOKUP)
        answer(LOOKUP, "a", (struct cache_answer){.outcome = CACHE_FOUND, .entry = old});
    if (path != PURGING)
        answer_all();
    if (bench->hand.calls && (path == JOINING || path == REFRESHING))
        hand_give(&bench->hand, "a", "<p>x</p>");
    else if (bench->hand.calls)
        hand_fail(&bench->hand, "a", SOURCE_FAILED);
    while (cache.count > 0)
        answer_at(0, (struct cache_answer){.outcome = CACHE_FOUND});
    bench_turn(bench);
    alloc_fail_after(-1);
    assert_int_equal(bench->settled, bench->joined);
    check_counts(0, 0);
    assert_int_equal(cache.leases, 0);
    if (successes == 20)
        assert_int_equal(cache.stores, path != PURGING);
    entry_unref(old);
    fake_end();
}

static void test_no_memory(void **state)
{
    (void)state;
    for (int path = 0; path < PATHS; path++)
        for (long successes = 0; successes <= 20; successes++)
            one_refusal((enum refused_path)path, successes);
}

/* --- anything --- */

static struct cache_answer random_answer(enum question_kind kind, struct entry **entry)
{
    static const int64_t lefts[] = {LEFT_FRESH, LEFT_STALE, LEFT_NOTHING};
    static const enum cache_outcome of_lookup[] = {CACHE_FOUND, CACHE_NONE, CACHE_ALONE};
    static const enum cache_outcome of_purge[] = {CACHE_PURGED, CACHE_PURGED, CACHE_NOT_PURGED};
    static const enum cache_outcome of_claim[] = {CACHE_UNREADABLE, CACHE_FOUND,  CACHE_OURS,
                                                  CACHE_OURS,       CACHE_THEIRS, CACHE_THEIRS,
                                                  CACHE_ALONE};
    struct cache_answer told = {
        .outcome = kind == CLAIM   ? of_claim[unit_random(LENGTH(of_claim))]
                   : kind == PURGE ? of_purge[unit_random(LENGTH(of_purge))]
                                   : of_lookup[unit_random(LENGTH(of_lookup))],
        .wait_s = unit_random(2) ? 1000 : 0.0001,
    };
    *entry = NULL;
    if (told.outcome == CACHE_FOUND)
        *entry = unit_random(5)
                     ? entry_left("x", lefts[unit_random(LENGTH(lefts))])
                     : entry_of_failure(502, clock_fleet_ms() - 1000, (int64_t)unit_random(2000));
    told.entry = *entry;
    return told;
}

static void random_source(void)
{
    static const enum source_status statuses[] = {SOURCE_OK,        SOURCE_OK,
                                                  SOURCE_OK,        SOURCE_FAILED,
                                                  SOURCE_NOT_FOUND, SOURCE_TIMED_OUT};
    struct hand_call *call = bench->hand.calls;
    for (size_t skip = unit_random(3); skip > 0 && call && call->next; skip--)
        call = call->next;
    if (call)
        hand_complete(&bench->hand, call,
                      &(struct source_result){.status = statuses[unit_random(LENGTH(statuses))],
                                              .type = SLICE("text/html"),
                                              .body = SLICE("x"),
                                              .reason = "random"});
}

static void random_step(void)
{
    static const unsigned recipes[] = {BY_HAND, UNCACHED, STALE, STALE_ERROR, NEGATIVE};
    char name[] = {(char)('a' + (char)unit_random(6)), '\0'};
    struct settlement how;
    struct entry *entry;
    cache.cold = unit_random(3) == 0;
    switch (unit_random(12)) {
    case 0:
    case 1:
    case 2: {
        unsigned recipe = recipes[(size_t)(name[0] - 'a') % LENGTH(recipes)]; /* of the name */
        if (!bench_serve(bench, recipe, name, &how))
            join(recipe, name);
        break;
    }
    case 3:
        bench_leave_any(bench);
        break;
    case 4:
        random_source();
        break;
    case 5:
        tell_changed(unit_random(8) ? name : NULL, unit_random(3) == 0);
        break;
    case 6:
        remember(unit_random(2) ? entry_left("m", unit_random(2) ? LEFT_FRESH : LEFT_STALE) : NULL);
        break;
    case 7:
        if (unit_random(4) == 0)
            purge(name, unit_random(2));
        break;
    case 8:
    case 9:
        bench_turn(bench);
        break;
    default:
        if (cache.count > 0) {
            size_t at = unit_random(cache.count);
            struct cache_answer told = random_answer(cache.questions[at].kind, &entry);
            answer_at(at, told);
            entry_unref(entry);
        }
    }
}

/* Each is settled once or has left; each lease belongs to a flight; the counts are right. */
static void check_all(void)
{
    size_t waiting = 0, calls = 0;
    for (uint32_t i = 0; i < bench->joined; i++) {
        const struct note *note = &bench->notes[i];
        waiting += note->waiter != NULL;
        assert_int_equal(note->settled % 100, !note->waiter && note->settled < 100);
    }
    for (const struct hand_call *call = bench->hand.calls; call; call = call->next)
        calls++;
    assert_int_equal(flights_parked(bench->flights), waiting);
    assert_true(cache.leases <= flights_under_way(bench->flights));
    assert_true(calls <= flights_under_way(bench->flights));
}

static void test_random(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        fake_begin((struct flight_limits){1000, 1000});
        for (int i = 0; i < 1000 && cache.count < LENGTH(cache.questions) - 50; i++) {
            random_step();
            check_all();
        }
        flights_cancel_all(bench->flights);
        assert_int_equal(flights_under_way(bench->flights), 0);
        fake_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fake_test(test_refresh),
        fake_test(test_serve),
        fake_test(test_refresh_found),
        fake_test(test_refreshed_elsewhere),
        cmocka_unit_test(test_refresh_refused),
        fake_test(test_refresh_failed),
        fake_test(test_refresh_changed),
        fake_test(test_refresh_unchanged),
        cmocka_unit_test(test_refresh_removed),
        cmocka_unit_test(test_stale_on_failure),
        cmocka_unit_test(test_changed_while_claiming),
        fake_test(test_not_before_failure),
        cmocka_unit_test(test_negative),
        cmocka_unit_test(test_negatives_are_bounded),
        fake_test(test_negative_over),
        cmocka_unit_test(test_negative_with_old),
        fake_test(test_negative_forever),
        fake_test(test_purge),
        cmocka_unit_test(test_purge_bound),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_random),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("flight_stale", tests, NULL, NULL);
}
