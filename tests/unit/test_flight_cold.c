/* park/flights while the cache is cold: the lease is claimed without a lookup before it. */
#include "park/flights.h"

#include "fake_cache.h"

/* While nothing is found, a request claims the lease at once. The answers to that, how often it is
 * claimed, and whether the source is called. */
static void test_cold(void **state)
{
    static const struct {
        enum cache_outcome outcome;
        unsigned claims, started;
    } cases[] = {
        {CACHE_OURS, 1, 1},   {CACHE_ALONE, 1, 1},      {CACHE_FOUND, 1, 0},
        {CACHE_THEIRS, 1, 0}, {CACHE_UNREADABLE, 2, 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        fake_begin((struct flight_limits){10, 10});
        cache.cold = true;
        join(BY_HAND, "a");
        join(BY_HAND, "a");
        assert_row(i, cache.asked[LOOKUP] == 0 && cache.asked[CLAIM] == 1);
        assert_row(i, cache.questions[0].known_made_ms == -1);
        if (cases[i].outcome == CACHE_FOUND)
            answer_found(CLAIM, "a", "<p>x</p>", LEFT_FRESH);
        else
            answer(CLAIM, "a", (struct cache_answer){.outcome = cases[i].outcome, .wait_s = 10});
        assert_row(i, cache.asked[CLAIM] == cases[i].claims);
        assert_row(i, bench->hand.started == cases[i].started);
        if (cases[i].started)
            hand_give(&bench->hand, "a", "<p>x</p>");
        bench_turn(bench);
        for (uint32_t k = 0; k < 2 && (cases[i].started || cases[i].outcome == CACHE_FOUND); k++) {
            check_settled(k, SETTLED_ENTRY, "<p>x</p>");
            assert_row(i, bench->notes[k].how.hit == (cases[i].outcome == CACHE_FOUND));
        }
        fake_end();
    }
}

/* Who does not want to wait, or shares no calls, takes no lease in vain. */
static void test_cold_and_no_lease(void **state)
{
    (void)state;
    cache.cold = true;
    join(APART, "a");
    assert_int_equal(bench_join_for(bench, BY_HAND, "b", 0), JOIN_OK);
    assert_int_equal(cache.asked[CLAIM], 0);
    assert_int_equal(cache.asked[LOOKUP], 2);
}

/* An entry that is too old is known from then on, and one that was read before a change is not
 * served. */
static void test_cold_finds_what_is_unusable(void **state)
{
    (void)state;
    cache.cold = true;
    join(BY_HAND, "a");
    answer_found(CLAIM, "a", "<p>old</p>", LEFT_NOTHING);
    assert_true(cache.questions[0].known_made_ms > 0);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    join(BY_HAND, "b");
    tell_changed("b", false);
    answer_found(CLAIM, "b", "<p>x</p>", LEFT_FRESH);
    check_counts(2, 2);
    answer_found(CLAIM, "b", "<p>y</p>", LEFT_FRESH);
    hand_give(&bench->hand, "a", "<p>new</p>");
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>new</p>");
    check_settled(1, SETTLED_ENTRY, "<p>y</p>");
}

/* A change that was reported while the lease was taken is looked at; it is given up if the process
 * drains meanwhile. */
static void test_cold_and_changed(void **state)
{
    (void)state;
    cache.cold = true;
    join(BY_HAND, "a");
    tell_changed("a", false);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(cache.asked[CHECK], 1);
    answer_found(CHECK, "a", "<p>x</p>", LEFT_FRESH);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
    assert_int_equal(cache.releases, 1);
    join(BY_HAND, "b");
    flights_drain(bench->flights);
    answer_outcome(CLAIM, "b", CACHE_OURS);
    assert_int_equal(cache.releases, 2);
    bench_turn(bench);
    check_settled(1, SETTLED_SHUTDOWN, "");
    join(BY_HAND, "c"); /* it would not call its source */
    assert_int_equal(cache.asked[LOOKUP], 1);
    answer_outcome(LOOKUP, "c", CACHE_NONE);
    bench_turn(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cold),
        fake_test(test_cold_and_no_lease),
        fake_test(test_cold_finds_what_is_unusable),
        fake_test(test_cold_and_changed),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("flight_cold", tests, NULL, NULL);
}
