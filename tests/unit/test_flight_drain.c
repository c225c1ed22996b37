/* park/flights while the process drains: whoever would wait is sent to another process; what is there
 * is served; calls go on, and none begins. */
#include "park/flights.h"

#include "fake_cache.h"
#include "park/outcome.h"
#include "park/stream.h"

static const struct flight_limits wide = {10, 10};

/* Where a flight is when the drain begins. */
enum stage { LOOKING, CLAIMING, WAITING, GENERATING };

static void advance(enum stage stage)
{
    if (stage > LOOKING)
        answer_outcome(LOOKUP, "a", CACHE_NONE);
    if (stage == WAITING)
        answer_theirs("a", 1000);
    if (stage == GENERATING)
        answer_outcome(CLAIM, "a", CACHE_OURS);
}

/* What becomes of two requests for one fragment. */
static void test_in_each_state(void **state)
{
    static const struct {
        enum stage stage;
        bool now; /* they are settled at once, else after the cache's answer */
        enum cache_outcome answer;
        enum settlement_kind kind;
    } cases[] = {
        {LOOKING, false, CACHE_FOUND, SETTLED_ENTRY},
        {LOOKING, false, CACHE_NONE, SETTLED_SHUTDOWN},
        {LOOKING, false, CACHE_ALONE, SETTLED_SHUTDOWN},
        {CLAIMING, false, CACHE_FOUND, SETTLED_ENTRY},
        {CLAIMING, false, CACHE_OURS, SETTLED_SHUTDOWN},
        {CLAIMING, false, CACHE_ALONE, SETTLED_SHUTDOWN},
        {CLAIMING, false, CACHE_THEIRS, SETTLED_SHUTDOWN},
        {WAITING, true, CACHE_NONE, SETTLED_SHUTDOWN},
        {GENERATING, true, CACHE_NONE, SETTLED_SHUTDOWN},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        bool generating = cases[i].stage == GENERATING;
        fake_begin(wide);
        join(BY_HAND, "a");
        join(BY_HAND, "a");
        advance(cases[i].stage);
        flights_drain(bench->flights);
        bench_turn(bench);
        assert_row(i, bench->settled == (cases[i].now ? 2 : 0));
        if (!cases[i].now && cases[i].answer == CACHE_FOUND)
            answer_found(cache.questions[0].kind, "a", "<p>x</p>", LEFT_FRESH);
        else if (!cases[i].now)
            answer_at(0, (struct cache_answer){.outcome = cases[i].answer, .wait_s = 1});
        bench_turn(bench);
        for (uint32_t k = 0; k < 2; k++)
            check_settled(k, cases[i].kind, cases[i].kind == SETTLED_ENTRY ? "<p>x</p>" : "");
        check_counts(generating, 0);
        assert_row(i, cache.leases == generating && bench->hand.started == generating);
        if (generating) { /* its result is for other processes */
            hand_give(&bench->hand, "a", "<p>x</p>");
            bench_turn(bench);
            assert_row(i, cache.stores == 1 && cache.leases == 0);
            check_counts(0, 0);
        }
        fake_end();
    }
}

/* A request that comes later, on a connection that is still open, is served what is there, and does
 * not wait for more. */
static void test_later_requests(void **state)
{
    struct settlement how;
    (void)state;
    join_generating(BY_HAND, "b");
    flights_drain(bench->flights);
    remember(entry_left("<p>kept</p>", LEFT_FRESH));
    assert_string_equal(bench_serve(bench, BY_HAND, "a", &how), "<p>kept</p>");
    join(BY_HAND, "c");
    answer_found(LOOKUP, "c", "<p>redis</p>", LEFT_FRESH);
    join(BY_HAND, "d");
    answer_outcome(LOOKUP, "d", CACHE_NONE);
    join(BY_HAND, "b"); /* whose call goes on */
    bench_run(bench, 4);
    check_settled(1, SETTLED_ENTRY, "<p>redis</p>");
    check_settled(2, SETTLED_SHUTDOWN, "");
    check_settled(3, SETTLED_NOT_READY, "");
    assert_int_equal(bench->hand.started, 1);
    check_counts(1, 0);
}

/* A stale entry is served, and not refreshed; whether the request waits for that or not. */
static void test_stale(void **state)
{
    static const struct {
        unsigned recipe;
        bool waits;
    } cases[] = {{STALE, false}, {STALE_WAIT, true}, {LONG_WAIT, true}};
    struct settlement how;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        fake_begin(wide);
        join(cases[i].recipe, "a");
        answer_found(LOOKUP, "a", "<p>old</p>", LEFT_STALE);
        if (cases[i].waits)
            answer_outcome(CLAIM, "a", CACHE_OURS);
        flights_drain(bench->flights);
        bench_turn(bench);
        check_settled(0, SETTLED_ENTRY, "<p>old</p>");
        if (cases[i].waits) {
            hand_give(&bench->hand, "a", "<p>new</p>");
            bench_turn(bench);
        }
        check_counts(0, 0);

        remember(entry_left("<p>old</p>", LEFT_STALE));
        assert_string_equal(bench_serve(bench, cases[i].recipe, "a", &how), "<p>old</p>");
        remember(NULL);
        join(cases[i].recipe, "b");
        answer_found(LOOKUP, "b", "<p>old</p>", LEFT_STALE);
        bench_turn(bench);
        check_settled(1, SETTLED_ENTRY, "<p>old</p>");
        check_counts(0, 0);
        assert_row(i, bench->hand.started == cases[i].waits && cache.leases == 0);
        fake_end();
    }
}

/* Solo flights end, since nobody else could get their results; none begins. */
static void test_unshared(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    join(BY_HAND, "a");
    hand_give_unshared(&bench->hand, hand_find(&bench->hand, "a"), "<p>0</p>");
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>0</p>");
    check_counts(1, 1);
    flights_drain(bench->flights);
    bench_turn(bench);
    check_settled(1, SETTLED_SHUTDOWN, "");
    assert_int_equal(bench->hand.cancelled, 1);
    check_counts(0, 0);

    join(APART, "b");
    answer_outcome(LOOKUP, "b", CACHE_NONE);
    bench_turn(bench);
    assert_int_equal(bench->notes[2].settled, 1);
    assert_int_equal(outcome_status(bench->notes[2].how.kind), 202);
    assert_int_equal(bench->hand.started, 2);
    check_counts(0, 0);
}

/* One that a purge has detached. */
static void test_detached(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    tell(CHANGED_BY_PURGE, SLICE("a"), false);
    flights_drain(bench->flights);
    bench_turn(bench);
    check_settled(0, SETTLED_SHUTDOWN, "");
    check_counts(1, 0);
    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
    assert_int_equal(cache.stores, 0);
    check_counts(0, 0);
}

/* Its parts are settled like requests. */
static void test_stream(void **state)
{
    static const struct {
        const char *name;
        enum settlement_kind kind;
    } order[] = {{"a", SETTLED_SHUTDOWN}, {"b", SETTLED_ENTRY}, {"c", SETTLED_SHUTDOWN}};
    struct stream *stream = stream_new(bench->flights, 3, 3);
    (void)state;
    assert_non_null(stream);
    for (size_t i = 0; i < LENGTH(order); i++) {
        struct slice name = slice_of(order[i].name);
        stream_add(stream, &(struct fragment){&bench->recipes[BY_HAND], .key = name, .name = name});
    }
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    answer_at(2, (struct cache_answer){.outcome = CACHE_OURS});
    flights_drain(bench->flights);
    answer_found(LOOKUP, "b", "<p>b</p>", LEFT_FRESH);
    answer_outcome(LOOKUP, "c", CACHE_NONE);
    bench_turn(bench);
    for (size_t i = 0; i < LENGTH(order); i++) {
        const struct stream_part *part = stream_next(stream);
        assert_non_null(part);
        assert_slice(i, part->name, slice_of(order[i].name));
        assert_row(i, part->kind == order[i].kind);
    }
    assert_true(stream_is_over(stream));
    stream_free(stream);
    check_counts(1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_each_state),
        fake_test(test_later_requests),
        cmocka_unit_test(test_stale),
        fake_test(test_unshared),
        fake_test(test_detached),
        fake_test(test_stream),
    };
    return cmocka_run_group_tests_name("flight_drain", tests, NULL, NULL);
}
