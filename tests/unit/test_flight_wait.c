/* park/flights on a route with stale_wait: requests wait for a refresh, but not for long. */
#include "park/flights.h"

#include "fake_cache.h"
#include "park/stream.h"

static const struct flight_limits wide = {10, 10};

/* A request has joined, and the stale entry was found. */
static void join_refresh(const char *name)
{
    join(STALE_WAIT, name);
    answer_found(LOOKUP, name, "<p>old</p>", LEFT_STALE);
}

static void assert_stale_hit(uint32_t number, enum settlement_detail detail)
{
    const struct settlement *how = &bench->notes[number].how;
    check_settled(number, SETTLED_ENTRY, "<p>old</p>");
    assert_true(how->hit && how->stale_hit && !how->stale && !how->stored && !how->replaced);
    assert_int_equal(how->detail, detail);
}

/* The waiters get the old entry when the time is over, and later requests get it at once.
 * The refresh goes on. */
static void test_slow_refresh(void **state)
{
    struct settlement how;
    (void)state;
    remember(entry_left("<p>old</p>", LEFT_STALE));
    assert_null(bench_serve(bench, STALE_WAIT, "a", &how));
    join_refresh("a");
    join(STALE_WAIT, "a");
    bench_turn(bench);
    check_counts(1, 2); /* they wait while the lease is claimed, and then for the source */
    assert_true(cache.questions[0].known_made_ms > 0);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_null(bench_serve(bench, STALE_WAIT, "a", &how));
    bench_run(bench, 2);
    assert_stale_hit(0, FROM_REDIS);
    assert_stale_hit(1, FROM_REDIS);
    check_counts(1, 0);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(bench_serve(bench, STALE_WAIT, "a", &how), "<p>old</p>");
        assert_true(how.hit && how.detail == FROM_MEMORY);
    }
    remember(NULL); /* the flight has it still */
    assert_string_equal(bench_serve(bench, STALE_WAIT, "a", &how), "<p>old</p>");
    hand_give(&bench->hand, "a", "<p>new</p>");
    bench_turn(bench);
    assert_int_equal(cache.stores, 1);
    assert_int_equal(bench->hand.started, 1);
    check_counts(0, 0);
}

/* The refresh ends before the time does: its result counts. */
static void test_quick_refresh(void **state)
{
    static const struct {
        enum source_status status;
        enum settlement_kind kind;
        const char *body;
        bool stale, replaced;
    } cases[] = {
        {SOURCE_OK, SETTLED_ENTRY, "<p>new</p>", false, true},
        {SOURCE_FAILED, SETTLED_ENTRY, "<p>old</p>", true, false},
        {SOURCE_BUSY, SETTLED_ENTRY, "<p>old</p>", true, false},
        {SOURCE_NOT_FOUND, SETTLED_NOT_FOUND, "", false, false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        fake_begin(wide);
        join_refresh("a");
        answer_outcome(CLAIM, "a", CACHE_OURS);
        if (cases[i].status == SOURCE_OK)
            hand_give(&bench->hand, "a", "<p>new</p>");
        else
            hand_fail(&bench->hand, "a", cases[i].status);
        bench_turn(bench);
        check_settled(0, cases[i].kind, cases[i].body);
        assert_row(i, bench->notes[0].how.stale == cases[i].stale && !bench->notes[0].how.hit);
        assert_row(i, bench->notes[0].how.replaced == cases[i].replaced);
        check_counts(0, 0);
        fake_end();
    }
}

/* Another process refreshes it. */
static void test_refreshed_elsewhere(void **state)
{
    (void)state;
    join_refresh("a");
    answer_theirs("a", 1000);
    bench_turn(bench);
    check_counts(1, 1);
    bench_run(bench, 1);
    assert_stale_hit(0, FROM_REDIS);
    check_counts(1, 0); /* it waits for the value */
    tell_changed("a", false);
    answer_found(CLAIM, "a", "<p>new</p>", LEFT_FRESH);
    bench_turn(bench);
    check_counts(0, 0);
    assert_int_equal(bench->hand.started, 0);
}

/* A request that does not want to wait gets the old one at once; the refresh follows, and requests
 * that join it wait no longer than others. */
static void test_no_wait(void **state)
{
    (void)state;
    assert_int_equal(bench_join_for(bench, STALE_WAIT, "a", 0), JOIN_OK);
    answer_found(LOOKUP, "a", "<p>old</p>", LEFT_STALE);
    bench_turn(bench);
    assert_stale_hit(0, FROM_REDIS);
    check_counts(1, 0);
    join(STALE_WAIT, "a");
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(bench_join_for(bench, STALE_WAIT, "a", 0), JOIN_OK);
    bench_run(bench, 3);
    assert_stale_hit(1, FROM_MEMORY);
    assert_stale_hit(2, FROM_MEMORY);
}

/* A hold that is over first: there is something better than a 202. */
static void test_hold(void **state)
{
    struct settlement how;
    (void)state;
    join(LONG_WAIT, "a");
    answer_found(LOOKUP, "a", "<p>old</p>", LEFT_STALE);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(bench_join_for(bench, LONG_WAIT, "a", 0), JOIN_OK);
    bench_run(bench, 2);
    assert_stale_hit(0, FROM_REDIS);
    assert_stale_hit(1, FROM_REDIS);
    check_counts(1, 0);
    remember(entry_left("<p>old</p>", LEFT_STALE));
    assert_null(bench_serve(bench, LONG_WAIT, "a", &how)); /* its stale_wait is not over */
    tell_changed("a", false);
    join(LONG_WAIT, "a"); /* the old one may be gone */
    bench_run(bench, 3);
    assert_int_equal(bench->notes[2].how.kind, SETTLED_NOT_READY);
}

/* There is no place to wait: it is served at once. */
static void test_limits(void **state)
{
    struct settlement how;
    (void)state;
    for (int flights = 0; flights <= 1; flights++) {
        fake_begin((struct flight_limits){.max_parked = flights ? 10 : 1,
                                          .max_flights = flights ? 1 : 10});
        join(BY_HAND, "b");
        remember(entry_left("<p>old</p>", LEFT_STALE));
        assert_string_equal(bench_serve(bench, STALE_WAIT, "a", &how), "<p>old</p>");
        check_counts(flights ? 1 : 2, 1);
        fake_end();
    }
}

/* So that a time of stale_wait is over that began before. */
static void pass_time(void)
{
    double begin = clock_monotonic();
    while (clock_monotonic() - begin < 3 * STALE_WAIT_S)
        bench_turn(bench);
}

/* The key has changed: the old entry is not served before the cache says that it is still there. */
static void test_changed(void **state)
{
    static const enum cache_outcome outcomes[] = {CACHE_SAME, CACHE_NONE};
    (void)state;
    for (size_t i = 0; i < LENGTH(outcomes); i++) {
        fake_begin(wide);
        join_refresh("a");
        answer_outcome(CLAIM, "a", CACHE_OURS);
        tell_changed("a", false);
        pass_time();
        assert_row(i, bench->notes[0].settled == 0);
        answer_outcome(CHECK, "a", outcomes[i]);
        if (outcomes[i] == CACHE_SAME) {
            bench_run(bench, 1);
            assert_stale_hit(0, FROM_REDIS);
        } else {
            pass_time();
            assert_row(i, bench->notes[0].settled == 0);
            hand_give(&bench->hand, "a", "<p>new</p>");
            bench_turn(bench);
            check_settled(0, SETTLED_ENTRY, "<p>new</p>");
        }
        fake_end();
    }
}

/* All have left: it goes on for the next ones. */
static void test_left(void **state)
{
    (void)state;
    join_refresh("a");
    bench_leave(bench, 0);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    pass_time();
    hand_give(&bench->hand, "a", "<p>new</p>");
    bench_turn(bench);
    assert_int_equal(cache.stores, 1);
    assert_int_equal(bench->notes[0].settled, 0);
}

static void test_stream(void **state)
{
    struct fragment fragment = {&bench->recipes[STALE_WAIT], .key = SLICE("a"), .name = SLICE("a")};
    (void)state;
    struct stream *stream = stream_new(bench->flights, 1, 1);
    assert_non_null(stream);
    remember(entry_left("<p>old</p>", LEFT_STALE));
    stream_add(stream, &fragment);
    assert_false(stream_is_ready(stream));
    answer_found(LOOKUP, "a", "<p>old</p>", LEFT_STALE);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    while (!stream_is_ready(stream))
        ev_run(bench->loop, EVRUN_ONCE);
    const struct stream_part *part = stream_next(stream);
    assert_int_equal(part->kind, SETTLED_ENTRY);
    assert_slice(0, part->entry->body, SLICE("<p>old</p>"));
    stream_free(stream);
    check_counts(1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fake_test(test_slow_refresh),
        cmocka_unit_test(test_quick_refresh),
        fake_test(test_refreshed_elsewhere),
        fake_test(test_no_wait),
        fake_test(test_hold),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_changed),
        fake_test(test_left),
        fake_test(test_stream),
    };
    return cmocka_run_group_tests_name("flight_wait", tests, NULL, NULL);
}
