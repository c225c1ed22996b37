/* park/flights with results that their source forbids to share (RFC 9111 5.2.2.5, 5.2.2.7): they
 * reach the request that they were made for, and a marker keeps others from waiting. */
#include "unshared_bench.h"

#include "base/counters.h"
#include "forked.h"

/* --- which request gets it --- */

enum first { STAYS, LEAVES, HOLD_ENDS };

/* The request that started the flight gets the result. The others each get a call, side by side,
 * and the marker is stored with the lease. */
static void test_who_gets_it(void **state)
{
    (void)state;
    for (int first = STAYS; first <= HOLD_ENDS; first++) {
        fake_begin((struct flight_limits){10, 10});
        uint64_t solo = counter_values[COUNTER_CALLS_SOLO];
        uint64_t uncacheable = counter_values[COUNTER_UNCACHEABLE];
        join_generating(first == HOLD_ENDS ? BRIEF_HOLD : BY_HAND, "a");
        join(BY_HAND, "a");
        join(BY_HAND, "a");
        if (first == LEAVES)
            bench_leave(bench, 0);
        else if (first == HOLD_ENDS)
            bench_run(bench, 1);
        give_unshared(0, "<p>0</p>");
        assert_int_equal(cache.stores, 1);
        assert_true(cache.stored.leased);
        check_marker_stored();
        assert_int_equal(bench->hand.started, 1); /* only the runner starts calls */
        bench_turn(bench);
        if (first == STAYS)
            check_unshared(0, "<p>0</p>");
        assert_int_equal(calls(), 2);
        check_counts(2, 2);
        assert_int_equal(cache.count, 0); /* nothing is asked: no queue, no lease */
        give_unshared(1, "<p>2</p>");
        give_unshared(0, "<p>1</p>");
        bench_turn(bench);
        check_unshared(1, "<p>1</p>");
        check_unshared(2, "<p>2</p>");
        assert_int_equal(cache.stores, 1);
        assert_int_equal(cache.replaces, 0); /* the marker is new */
        assert_int_equal(counter_values[COUNTER_CALLS_SOLO], solo + 2);
        assert_int_equal(counter_values[COUNTER_UNCACHEABLE], uncacheable + 3);
        check_counts(0, 0);
        fake_end();
    }
}

/* That there is no such fragment may be one user's own, too. */
static void test_not_found(void **state)
{
    (void)state;
    join_generating(NEGATIVE, "a");
    join(NEGATIVE, "a");
    give_unshared(0, NULL);
    check_marker_stored(); /* and no failure */
    bench_turn(bench);
    check_settled(0, SETTLED_NOT_FOUND, "");
    assert_int_equal(calls(), 1);
    give_unshared(0, NULL);
    bench_turn(bench);
    check_settled(1, SETTLED_NOT_FOUND, "");
    assert_int_equal(cache.stores, 1);
}

/* One that joins after the result is there, and before anybody was settled, does not get it either.
 * */
static void test_late_joiner(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    give_unshared(0, "<p>0</p>");
    join(BY_HAND, "a");
    bench_turn(bench);
    check_unshared(0, "<p>0</p>");
    assert_int_equal(bench->notes[1].settled, 0);
    give_unshared(0, "<p>1</p>");
    bench_turn(bench);
    check_unshared(1, "<p>1</p>");
}

/* A refresh was made for nobody: nobody gets its result, and the old entry makes room for the
 * marker; with no marker to store, for one that ends at once. */
static void test_refresh(void **state)
{
    static const struct {
        unsigned recipe;
        bool leased, joined;
    } cases[] = {{STALE, true, false},
                 {STALE, true, true},
                 {STALE, false, false},
                 {UNMARKED, true, false},
                 {UNMARKED, false, true}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct settlement how;
        fake_begin((struct flight_limits){10, 10});
        remember(entry_left("<p>old</p>", LEFT_STALE));
        int64_t old_made_ms = cache.remembered->made_ms;
        assert_string_equal(bench_serve(bench, cases[i].recipe, "a", &how), "<p>old</p>");
        answer_outcome(CLAIM, "a", cases[i].leased ? CACHE_OURS : CACHE_ALONE);
        if (cases[i].joined)
            join(cases[i].recipe, "a");
        give_unshared(0, "<p>new</p>");
        remember(NULL);
        assert_row(i, cache.stores == cases[i].leased && cache.replaces == !cases[i].leased);
        assert_row(i, cache.stored.known_made_ms == (cases[i].leased ? -1 : old_made_ms));
        if (cases[i].recipe == STALE)
            check_marker_stored();
        assert_int_equal(cache.stored.status, ENTRY_UNCACHEABLE);
        assert_row(i,
                   cases[i].recipe == STALE || cache.stored.until_ms == cache.stored.made_ms + 1);
        bench_turn(bench);
        check_counts(cases[i].joined, cases[i].joined);
        assert_row(i, calls() == cases[i].joined);
        if (cases[i].joined) {
            give_unshared(0, "<p>own</p>");
            bench_turn(bench);
            check_unshared(0, "<p>own</p>");
        }
        fake_end();
    }
}

/* Without a marker, nothing is stored; each flight finds out. */
static void test_not_remembered(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i += 2) {
        join_generating(UNMARKED, "a");
        join(UNMARKED, "a");
        give_unshared(0, "<p>0</p>");
        bench_turn(bench);
        check_unshared(i, "<p>0</p>");
        give(0, "<p>1</p>"); /* it may be shared, and there is no value */
        bench_turn(bench);
        check_settled(i + 1, SETTLED_ENTRY, "<p>1</p>");
        assert_int_equal(cache.stores, i / 2 + 1);
        assert_string_equal(cache.stored.body, "<p>1</p>");
        assert_false(cache.stored.leased);
        assert_int_equal(cache.releases, i / 2 + 1);
    }
}

/* --- the marker --- */

/* Wherever it is found, no request waits, and none takes a lease. */
static void test_marker_found(void **state)
{
    enum place { BY_LOOKUP, BY_CLAIM, BY_WAKE_UP, BY_CHECK, PLACES };
    (void)state;
    for (int place = BY_LOOKUP; place < PLACES; place++) {
        fake_begin((struct flight_limits){10, 10});
        join(BY_HAND, "a");
        join(BY_HAND, "a");
        if (place > BY_LOOKUP)
            answer_outcome(LOOKUP, "a", CACHE_NONE);
        if (place == BY_WAKE_UP)
            answer_theirs("a", 1000);
        if (place == BY_CHECK) /* another process made it as well, and was faster */
            answer_outcome(CLAIM, "a", CACHE_OURS);
        if (place >= BY_WAKE_UP)
            tell_changed("a", false);
        answer_marker(place == BY_LOOKUP ? LOOKUP : place == BY_CHECK ? CHECK : CLAIM, "a");
        assert_int_equal(bench->hand.cancelled, place == BY_CHECK);
        bench_turn(bench);
        assert_int_equal(calls(), 2);
        assert_int_equal(cache.leases, 0);
        assert_int_equal(cache.count, 0);
        check_counts(2, 2);
        give_unshared(1, "<p>1</p>");
        give_unshared(0, "<p>0</p>");
        bench_turn(bench);
        check_unshared(0, "<p>0</p>");
        check_unshared(1, "<p>1</p>");
        fake_end();
    }
}

/* In memory: not even Redis is asked. When it has ended, one flight finds out again. */
static void test_marker_in_memory(void **state)
{
    struct settlement how;
    (void)state;
    remember(marker_left(OUR_LEFT_MS));
    for (uint32_t i = 0; i < 3; i++) {
        assert_null(bench_serve(bench, BY_HAND, "a", &how));
        join(BY_HAND, "a");
        assert_int_equal(calls(), i + 1);
    }
    assert_int_equal(cache.asked[LOOKUP], 0);
    check_counts(3, 3);
    for (uint32_t i = 3; i-- > 0;)
        give_unshared(i, "<p>x</p>");
    bench_turn(bench);
    for (uint32_t i = 0; i < 3; i++)
        check_unshared(i, "<p>x</p>");

    remember(marker_left(-1));
    assert_null(bench_serve(bench, BY_HAND, "a", &how));
    join(BY_HAND, "a");
    join(BY_HAND, "a");
    struct entry *ended = marker_left(-1);
    answer(LOOKUP, "a", (struct cache_answer){.outcome = CACHE_FOUND, .entry = ended});
    assert_int_equal(cache.questions[0].known_made_ms, ended->made_ms); /* counts as missing */
    entry_unref(ended);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(calls(), 1);
    give(0, "<p>shared</p>");
    bench_turn(bench);
    for (uint32_t i = 3; i < 5; i++) {
        check_settled(i, SETTLED_ENTRY, "<p>shared</p>");
        assert_false(bench->notes[i].how.replaced); /* the marker was no entry */
    }
}

/* It has ended, and there is no lease to be had: a new one is stored all the same. */
static void test_marker_again(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    struct entry *ended = marker_left(-1);
    answer(LOOKUP, "a", (struct cache_answer){.outcome = CACHE_FOUND, .entry = ended});
    entry_unref(ended);
    answer_outcome(CLAIM, "a", CACHE_ALONE);
    give_unshared(0, "<p>x</p>");
    check_marker_stored();
    assert_int_equal(cache.stores, 1); /* nothing has to be there still */
    bench_turn(bench);
    check_unshared(0, "<p>x</p>");
}

/* A request that does not wait gets no call, since nobody would get its result. */
static void test_no_wait(void **state)
{
    (void)state;
    for (int in_memory = 0; in_memory < 2; in_memory++) {
        fake_begin((struct flight_limits){10, 10});
        if (in_memory)
            remember(marker_left(OUR_LEFT_MS));
        assert_int_equal(bench_join_for(bench, BY_HAND, "a", 0), JOIN_OK);
        answer_marker(LOOKUP, "a");
        bench_turn(bench);
        check_settled(0, SETTLED_DECLINED, "");
        assert_int_equal(bench->hand.started, 0);
        assert_int_equal(cache.asked[CLAIM], 0);
        fake_end();
    }
    fake_begin((struct flight_limits){10, 10});
    join_generating(BY_HAND, "a");
    assert_int_equal(bench_join_for(bench, BY_HAND, "a", 0), JOIN_OK);
    assert_int_equal(bench_join_for(bench, BY_HAND, "a", 1), JOIN_OK);
    give_unshared(0, "<p>0</p>");
    bench_turn(bench);
    check_unshared(0, "<p>0</p>");
    check_settled(1, SETTLED_DECLINED, "");
    assert_int_equal(calls(), 1);
    fake_end();
}

/* --- the log --- */

static void make_many(const void *argument)
{
    (void)argument;
    log_configure(LOG_LEVEL_WARNING, false);
    fake_begin((struct flight_limits){100, 100});
    for (unsigned i = 0; i < 20; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%u", i);
        join_generating(BY_HAND, name);
        join(BY_HAND, name);
        give_unshared(0, "<p>x</p>");
        bench_turn(bench);
        give_unshared(0, "<p>x</p>"); /* of a solo flight: it is known by then */
        bench_turn(bench);
    }
    fake_end();
}

static void test_log(void **state)
{
    char said[4000];
    unsigned lines = 0;
    (void)state;
    int status = run_forked(make_many, NULL, said, sizeof said);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_non_null(strstr(said,
                           "fragment \"n0\": the source forbids caching and sharing its result"
                           ": Cache-Control: private\n"));
    for (const char *at = said; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_gets_it), fake_test(test_not_found),
        fake_test(test_late_joiner),        cmocka_unit_test(test_refresh),
        fake_test(test_not_remembered),     cmocka_unit_test(test_marker_found),
        fake_test(test_marker_in_memory),   fake_test(test_marker_again),
        cmocka_unit_test(test_no_wait),     cmocka_unit_test(test_log),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("flight_uncacheable", tests, NULL, NULL);
}
