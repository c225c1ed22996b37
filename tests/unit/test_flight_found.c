/* park/flights with a source whose results come by the cache: somebody else writes the value and
 * deletes the lease. */
#include "park/flights.h"

#include "fake_cache.h"
#include "park/flight.h"

static unsigned awaited;

static void note_await(struct source_call *call)
{
    assert_ptr_equal(call->source, &bench->hand.source);
    awaited++;
}

static const struct source_type via_cache = {.via_cache = true,
                                             .start = hand_start,
                                             .is_busy = hand_is_busy,
                                             .await = note_await,
                                             .cancel = hand_cancel};

static int setup(void **state)
{
    int status = fake_setup(state);
    bench->hand.source.type = &via_cache;
    awaited = 0;
    return status;
}

/* An entry as a worker writes it: made now, or when the old one was. */
static struct entry *written(int status, const struct entry *old)
{
    int64_t now_ms = clock_fleet_ms();
    if (status != 200)
        return entry_of_failure(status, now_ms, 1000);
    struct entry *entry = entry_new(SLICE("text/html"), SLICE("<p>x</p>"), now_ms, LEFT_FRESH, 0);
    assert_non_null(entry);
    if (!old)
        return entry;
    entry_unref(entry);
    entry = entry_with_freshness(old, now_ms + 1000);
    assert_non_null(entry);
    return entry;
}

static void answer_written(struct entry *owned, bool lease_lost)
{
    assert_non_null(owned);
    answer(CHECK, "a",
           (struct cache_answer){.outcome = CACHE_FOUND, .entry = owned, .lease_lost = lease_lost});
    entry_unref(owned);
}

/* Both changes are told of, in either order, and the answer shows both at once, or the value
 * without the loss of the lease, if a plain SET wrote it. */
static void test_result(void **state)
{
    static const struct {
        int status;
        bool lease_lost;
        enum settlement_kind kind;
        const char *body;
    } cases[] = {
        {200, true, SETTLED_ENTRY, "<p>x</p>"}, {200, false, SETTLED_ENTRY, "<p>x</p>"},
        {404, true, SETTLED_NOT_FOUND, ""},     {502, true, SETTLED_FAILED, ""},
        {504, true, SETTLED_TIMED_OUT, ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        uint32_t number = (uint32_t)(2 * i);
        join_generating(BY_HAND, "a");
        tell_changed("a", i % 2);
        tell_changed("a", !(i % 2));
        answer_outcome(CHECK, "a", CACHE_NONE); /* older than the second change */
        join(BY_HAND, "a");
        answer_written(written(cases[i].status, NULL), cases[i].lease_lost);
        assert_row(i, bench->hand.cancelled == i + 1 && !bench->hand.calls);
        assert_row(i, cache.leases == 0);
        bench_turn(bench);
        for (uint32_t k = number; k < number + 2; k++) {
            const struct settlement *how = &bench->notes[k].how;
            check_settled(k, cases[i].kind, cases[i].body);
            assert_row(i, !how->hit && !how->stale && how->stored && how->detail == FROM_SOURCE);
        }
        check_counts(0, 0);
    }
    assert_int_equal(cache.stores, 0);
}

/* Nobody can write a result without the lease: the flight takes another one, and its waiters stay. */
static void test_lease_lost(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    tell_changed("a", true);
    answer_purged("a");
    assert_int_equal(bench->hand.cancelled, 1);
    assert_int_equal(cache.leases, 0);
    join(BY_HAND, "a"); /* it is the same flight */
    check_counts(1, 2);
    bench_turn(bench);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(bench->hand.started, 2);
    tell_changed("a", false);
    answer_written(written(200, NULL), true);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
    check_settled(1, SETTLED_ENTRY, "<p>x</p>");
    check_counts(0, 0);
}

/* Another process may be faster. */
static void test_lease_lost_to_others(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    tell_changed("a", true);
    answer_purged("a");
    bench_turn(bench);
    answer_theirs("a", 10);
    tell_changed("a", false);
    answer_found(CLAIM, "a", "<p>theirs</p>", LEFT_FRESH);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>theirs</p>");
    assert_true(bench->notes[0].how.hit);
    assert_int_equal(bench->hand.started, 1);
}

/* A purge deletes the lease, so those who wait get a result that is made after it. */
static void test_purge(void **state)
{
    static const bool asking[] = {false, true};
    (void)state;
    for (size_t i = 0; i < LENGTH(asking); i++) {
        join_generating(BY_HAND, "a");
        if (asking[i])
            tell_changed("a", true);
        tell(CHANGED_BY_PURGE, SLICE("a"), false);
        if (asking[i])
            answer_outcome(CHECK, "a", CACHE_NONE);
        answer_purged("a");
        bench_turn(bench);
        answer_outcome(CLAIM, "a", CACHE_OURS);
        assert_row(i, bench->hand.started == 2 * (i + 1));
        tell_changed("a", false);
        answer_written(written(200, NULL), true);
        bench_turn(bench);
        check_settled((uint32_t)i, SETTLED_ENTRY, "<p>x</p>");
    }
}

/* A refresh fails: the old entry stays, and its fresh time moves. */
static void test_refresh_fails(void **state)
{
    struct entry *old = entry_left("<p>old</p>", LEFT_STALE);
    (void)state;
    join(STALE_ERROR, "a");
    answer(LOOKUP, "a", (struct cache_answer){.outcome = CACHE_FOUND, .entry = old});
    answer_outcome(CLAIM, "a", CACHE_OURS);
    tell_changed("a", false);
    answer_written(written(200, old), true);
    entry_unref(old);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>old</p>");
    assert_true(bench->notes[0].how.stale && !bench->notes[0].how.stored);
}

/* The same of an early refresh, whose old entry is still fresh and stays as it is: it is not
 * refreshed again immediately, and a lease that was lost for another reason is no reason either. */
static void test_early_refresh_fails(void **state)
{
    struct settlement how;
    int64_t now_ms = clock_fleet_ms();
    (void)state;
    bench->recipes[STALE].freshness.early = true;
    remember(entry_new(SLICE("text/html"), SLICE("<p>old</p>"), now_ms, LEFT_FRESH, INT32_MAX));
    bench_serve(bench, STALE, "a", &how);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(bench->hand.started, 1);
    tell_changed("a", true);
    answer(CHECK, "a", (struct cache_answer){.outcome = CACHE_SAME, .lease_lost = true});
    assert_int_equal(bench->hand.cancelled, 1);
    bench_turn(bench);
    check_counts(0, 0);
    assert_int_equal(cache.count, 0);
}

/* A refresh that nobody waited for, until the old entry was gone. */
static void test_await(void **state)
{
    struct settlement how;
    (void)state;
    remember(entry_left("<p>old</p>", LEFT_STALE));
    bench_serve(bench, STALE, "a", &how);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    bench_serve(bench, STALE, "a", &how);
    assert_int_equal(awaited, 0);
    remember(NULL);
    tell_changed("a", false);
    join(STALE, "a");
    assert_int_equal(awaited, 1);
    answer(CHECK, "a", (struct cache_answer){.outcome = CACHE_NONE});
    tell_changed("a", false);
    answer_written(written(200, NULL), true);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
}

/* A stale one that nobody has renewed: the refresh goes on. */
static void test_refresh_loses_lease(void **state)
{
    struct settlement how;
    (void)state;
    remember(entry_left("<p>old</p>", LEFT_STALE));
    bench_serve(bench, STALE, "a", &how);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    tell_changed("a", true);
    answer(CHECK, "a", (struct cache_answer){.outcome = CACHE_SAME, .lease_lost = true});
    bench_turn(bench);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(bench->hand.started, 2);
}

/* Even if nobody reports that the result is there. */
static void test_look_again(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    for (unsigned asked = 1; asked <= 2; asked++) {
        double began = clock_monotonic();
        while (cache.asked[CHECK] < asked)
            ev_run(bench->loop, EVRUN_ONCE);
        assert_in_range((int)((clock_monotonic() - began) * 10), 10, 200);
        if (asked == 1)
            answer_outcome(CHECK, "a", CACHE_NONE);
    }
    answer_written(written(200, NULL), true);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
}

/* The source refuses a call without a lease. */
static void test_alone(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    answer_outcome(LOOKUP, "a", CACHE_ALONE);
    answer_outcome(CLAIM, "a", CACHE_ALONE);
    hand_complete(&bench->hand, hand_find(&bench->hand, "a"),
                  &(struct source_result){.status = SOURCE_BUSY, .retry_after_s = 1});
    bench_turn(bench);
    check_settled(0, SETTLED_BUSY, "");
    assert_int_equal(cache.stores + cache.keeps, 0);
}

/* While the process drains, a lease that is lost is not taken again. */
static void test_drain(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    flights_drain(bench->flights);
    tell_changed("a", true);
    answer_purged("a");
    bench_turn(bench);
    bench_turn(bench);
    check_settled(0, SETTLED_SHUTDOWN, "");
    check_counts(0, 0);
    assert_int_equal(bench->hand.started, 1);
}

/* After a reload that replaces the source, its waiters ask again. */
static void test_replaced(void **state)
{
    static struct recipe recipes[RECIPES];
    struct recipe *list[RECIPES];
    struct hand_source other = {.source = {.type = &via_cache, .settings = &hand_settings}};
    struct source *sources[] = {&other.source, bench->sources[1]};
    (void)state;
    join_generating(BY_HAND, "a");
    for (size_t i = 0; i < RECIPES; i++) {
        recipes[i] = bench->recipes[i];
        list[i] = &recipes[i];
    }
    struct rules *rules = rules_begin(bench->flights, sources, list, RECIPES);
    assert_int_equal(bench->hand.cancelled, 1);
    assert_int_equal(cache.leases, 0);
    bench_turn(bench);
    check_settled(0, SETTLED_SHUTDOWN, "");
    flights_use(bench->flights, bench->rules);
    rules_free(rules);
}

#define found_test(function) cmocka_unit_test_setup_teardown(function, setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        found_test(test_result),
        found_test(test_lease_lost),
        found_test(test_lease_lost_to_others),
        found_test(test_purge),
        found_test(test_refresh_fails),
        found_test(test_early_refresh_fails),
        found_test(test_refresh_loses_lease),
        found_test(test_await),
        found_test(test_look_again),
        found_test(test_alone),
        found_test(test_drain),
        found_test(test_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
