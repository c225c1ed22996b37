/* park/flights: one call for all waiters, and exactly one settlement for each of them. The cache is
 * the real one, in memory only; one that answers later is in test_flight_cache.c. */
#include "flight_memory.h"

/* --- coalescing --- */

static void test_coalescing(void **state)
{
    (void)state;
    for (int i = 0; i < 150; i++)
        join(BY_HAND, i % 3 ? "a" : "b");
    assert_int_equal(bench->hand.started, 2);
    check_counts(2, 150);
    hand_give(&bench->hand, "a", "<p>A</p>");
    assert_int_equal(bench->settled, 0); /* a callback only marks */
    bench_turn(bench);
    assert_int_equal(bench->settled, 100);
    check_counts(1, 50);
    hand_give(&bench->hand, "b", "<p>B</p>");
    bench_turn(bench);
    check_counts(0, 0);
    for (uint32_t i = 0; i < 150; i++)
        check_entry(i, i % 3 ? "<p>A</p>" : "<p>B</p>", false, i > 1, true);

    /* A stored result is found, without a call. */
    join_only(BY_HAND, "a");
    join_only(BY_HAND, "a");
    check_counts(1, 2);
    assert_int_equal(bench->settled, 150);
    bench_turn(bench);
    check_entry(150, "<p>A</p>", true, false, false);
    check_entry(151, "<p>A</p>", true, true, false);
    assert_int_equal(bench->hand.started, 2);
    check_counts(0, 0);
}

/* The real thing: many at once, out of order, on timers. */
static void test_simulated(void **state)
{
    enum { NAMES = 30, EACH = 10 };
    char name[16], body[64];
    (void)state;
    for (unsigned i = 0; i < NAMES * EACH; i++) {
        snprintf(name, sizeof name, "name%u", i % NAMES);
        join_only(SIMULATED, name);
    }
    check_counts(NAMES, NAMES * EACH);
    bench_run(bench, NAMES * EACH);
    for (unsigned i = 0; i < NAMES * EACH; i++) {
        snprintf(body, sizeof body, "<div id=\"name%u\">result for name%u</div>", i % NAMES,
                 i % NAMES);
        check_entry(i, body, false, i >= NAMES, true);
    }
    check_counts(0, 0);
}

/* The key distinguishes flights, the name is what the source is called for. */
static void test_key_and_name(void **state)
{
    enum join_refusal refusal;
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct fragment fragment = {&bench->recipes[BY_HAND],
                                    .key = i == 1 ? SLICE("other") : SLICE("two%20words"),
                                    .name = SLICE("two words")};
        bench->joining = true;
        bench->notes[i].waiter =
            flights_join(bench->flights, &fragment, bench_address(bench->joined++), HOLD_OF_ROUTE,
                         &refusal);
        bench->joining = false;
        assert_non_null(bench->notes[i].waiter);
    }
    bench_turn(bench);
    assert_int_equal(bench->hand.started, 2);
    hand_give(&bench->hand, "two words", "<p>second</p>");
    hand_give(&bench->hand, "two words", "<p>first</p>");
    bench_turn(bench);
    check_entry(0, "<p>first</p>", false, false, true);
    check_entry(1, "<p>second</p>", false, false, true);
    check_entry(2, "<p>first</p>", false, true, true);
}

/* --- leaving --- */

/* Each subset of four leaves; the flight still goes on, and its result is cached. */
static void test_leave(void **state)
{
    char name[16];
    (void)state;
    for (unsigned leaving = 0; leaving < 16; leaving++) {
        uint32_t first = bench->joined;
        size_t staying = 0;
        snprintf(name, sizeof name, "n%u", leaving);
        for (int i = 0; i < 4; i++)
            join(BY_HAND, name);
        for (unsigned i = 0; i < 4; i++) {
            if (leaving >> i & 1)
                bench_leave(bench, first + i);
            else
                staying++;
        }
        check_counts(1, staying);
        hand_give(&bench->hand, name, "<p>x</p>");
        bench_turn(bench);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(bench->notes[first + i].settled, !(leaving >> i & 1));
        check_counts(0, 0);

        join(BY_HAND, name);
        bench_turn(bench);
        check_entry(first + 4, "<p>x</p>", true, false, false);
    }
    assert_int_equal(bench->hand.started, 16);
}

/* Waiters may also leave and join between the landing and the runner. */
static void test_landed(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    join(BY_HAND, "a");
    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_leave(bench, 0);
    join_only(BY_HAND, "a");
    check_counts(1, 2);
    bench_turn(bench);
    assert_int_equal(bench->notes[0].settled, 0);
    check_entry(1, "<p>x</p>", false, true, true);
    check_entry(2, "<p>x</p>", false, true, true);
    assert_int_equal(bench->hand.started, 1);
}

/* --- the hold --- */

static void test_hold_over(void **state)
{
    (void)state;
    join(BRIEF_HOLD, "a");
    join(BRIEF_HOLD, "a");
    join(BRIEF_HOLD, "b");
    bench_leave(bench, 1);
    bench_run(bench, 2);
    assert_int_equal(bench->notes[0].how.kind, SETTLED_NOT_READY);
    assert_int_equal(bench->notes[1].settled, 0);
    assert_int_equal(bench->notes[2].how.kind, SETTLED_NOT_READY);
    check_counts(2, 0); /* they go on */

    join(BY_HAND, "a"); /* asks again: no second call */
    assert_int_equal(bench->hand.started, 2);
    hand_give(&bench->hand, "a", "<p>x</p>");
    hand_give(&bench->hand, "b", "<p>y</p>"); /* nobody waits, but a request will follow */
    bench_turn(bench);
    check_entry(3, "<p>x</p>", false, true, true);
    check_counts(0, 0);
    join(BRIEF_HOLD, "b");
    bench_turn(bench);
    check_entry(4, "<p>y</p>", true, false, false);
    assert_int_equal(bench->notes[0].settled, 1);
}

/* Each route has its own hold, and the shorter one does not wait for the longer one. */
static void test_holds_differ(void **state)
{
    (void)state;
    join(BY_HAND, "long");
    join(BRIEF_HOLD, "brief");
    bench_run(bench, 1);
    assert_int_equal(bench->notes[1].how.kind, SETTLED_NOT_READY);
    assert_int_equal(bench->notes[0].settled, 0);
    check_counts(2, 1);
    hand_give(&bench->hand, "long", "<p>x</p>");
    bench_turn(bench);
    check_entry(0, "<p>x</p>", false, false, true);
}

/* --- requests that don't wait --- */

/* While the source is busy, they start nothing, but still get what is cached. */
static void test_no_wait(void **state)
{
    struct settlement how;
    (void)state;
    assert_int_equal(bench_join_for(bench, NEGATIVE, "a", 0), JOIN_OK);
    bench_turn(bench);
    assert_int_equal(bench->hand.started, 1); /* there is room: it is begun */
    assert_int_equal(bench->hand.calls->lane, NEGATIVE);

    bench->hand.busy = true;
    assert_int_equal(bench_join_for(bench, BY_HAND, "b", 0), JOIN_OK);
    assert_int_equal(bench_join_for(bench, BY_HAND, "b", 0), JOIN_OK);
    assert_int_equal(bench_join_for(bench, NEGATIVE, "a", 0), JOIN_OK); /* it is under way */
    assert_int_equal(bench->settled, 0);
    bench_turn(bench);
    assert_int_equal(bench->settled, 2);
    for (uint32_t i = 1; i <= 2; i++) {
        assert_int_equal(bench->notes[i].how.kind, SETTLED_DECLINED);
    }
    check_counts(1, 2);
    assert_int_equal(bench->hand.started, 1);

    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
    check_entry(0, "<p>x</p>", false, false, true);
    check_entry(3, "<p>x</p>", false, true, true);
    assert_string_equal(bench_serve(bench, NEGATIVE, "a", &how), "<p>x</p>");
    assert_int_equal(bench_join_for(bench, NEGATIVE, "a", 0), JOIN_OK);
    bench_turn(bench);
    check_entry(4, "<p>x</p>", true, false, false);
    assert_int_equal(bench->hand.started, 1);

    assert_int_equal(bench_join_for(bench, SIMULATED, "c", 0), JOIN_OK); /* which is never busy */
    bench_run(bench, bench->joined);
    assert_string_equal(bench->notes[5].body, "<div id=\"c\">result for c</div>");
}

/* A request that waits for it queues at the source, and those that don't wait join that flight. */
static void test_no_wait_and_wait(void **state)
{
    (void)state;
    bench->hand.busy = true;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(bench_join_for(bench, BY_HAND, "a", 0), JOIN_OK);
        bench_turn(bench);
        assert_int_equal(bench->hand.started, 0);
        assert_int_equal(bench->settled, i + 1);
    }
    assert_int_equal(bench_join_for(bench, BY_HAND, "a", 0), JOIN_OK);
    join(BY_HAND, "a");
    assert_int_equal(bench->hand.started, 1);
    assert_int_equal(bench_join_for(bench, BY_HAND, "a", 0), JOIN_OK);
    bench_turn(bench);
    assert_int_equal(bench->settled, 3);
    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
    for (uint32_t i = 3; i < 6; i++)
        check_entry(i, "<p>x</p>", false, i > 3, true);
    assert_int_equal(bench_join_for(bench, BY_HAND, "b", 1), JOIN_OK); /* a second is a wait */
    bench_turn(bench);
    assert_int_equal(bench->hand.started, 2);
}

/* --- outcomes --- */

static void test_outcomes(void **state)
{
    static const struct {
        struct source_result result;
        enum settlement_kind kind;
        const char *body;
    } cases[] = {
        {{.status = SOURCE_OK, .type = SLICE_INIT("text/html"), .body = SLICE_INIT("<b>&</b>")},
         SETTLED_ENTRY,
         "<b>&</b>"},
        {{.status = SOURCE_OK, .type = SLICE_INIT("text/plain"), .body = SLICE_INIT("<b>&")},
         SETTLED_ENTRY,
         "<div id=\"n\">&lt;b&gt;&amp;</div>"},
        {{.status = SOURCE_OK, .type = SLICE_INIT(""), .body = SLICE_INIT("")},
         SETTLED_ENTRY,
         "<div id=\"n\"></div>"},
        {{.status = SOURCE_OK, .type = SLICE_INIT("image/png"), .body = SLICE_INIT("x")},
         SETTLED_FAILED,
         ""},
        {{.status = SOURCE_NOT_FOUND, .reason = "404"}, SETTLED_NOT_FOUND, ""},
        {{.status = SOURCE_FAILED, .reason = "broken"}, SETTLED_FAILED, ""},
        {{.status = SOURCE_FAILED}, SETTLED_FAILED, ""},
        {{.status = SOURCE_TIMED_OUT, .reason = "slow"}, SETTLED_TIMED_OUT, ""},
        {{.status = SOURCE_BUSY, .reason = "busy", .retry_after_s = 7}, SETTLED_BUSY, ""},
        {{.status = SOURCE_CANCELLED, .reason = "over"}, SETTLED_SHUTDOWN, ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        begin(wide);
        join(BY_HAND, "n");
        join(BY_HAND, "n");
        hand_complete(&bench->hand, bench->hand.calls, &cases[i].result);
        bench_turn(bench);
        for (uint32_t k = 0; k < 2; k++) {
            assert_row(i, bench->notes[k].settled == 1);
            assert_row(i, bench->notes[k].how.kind == cases[i].kind);
            assert_row(i, bench->notes[k].how.retry_after_s == cases[i].result.retry_after_s);
            assert_row(i, bench->notes[k].how.collapsed == (k == 1));
            assert_row(i, bench->notes[k].how.stored == (cases[i].kind == SETTLED_ENTRY));
            assert_slice(i, slice_of(bench->notes[k].body), slice_of(cases[i].body));
        }
        /* A failure is not kept: the next one tries again. */
        join(BY_HAND, "n");
        assert_row(i, bench->hand.started == (cases[i].kind == SETTLED_ENTRY ? 1 : 2));
        end();
    }
}

static void test_source_refuses(void **state)
{
    (void)state;
    bench->hand.refuses = true;
    join_only(BY_HAND, "a");
    join_only(BY_HAND, "a");
    assert_int_equal(bench->settled, 0);
    bench_turn(bench);
    assert_int_equal(bench->settled, 2);
    assert_int_equal(bench->notes[0].how.kind, SETTLED_FAILED);
    assert_int_equal(bench->notes[1].how.kind, SETTLED_FAILED);
    check_counts(0, 0);
}

/* A result without a time to live goes to the waiters, and is generated again for the next request.
 * */
static void test_uncached(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 3; round++) {
        join(UNCACHED, "a");
        join(UNCACHED, "a");
        assert_int_equal(bench->hand.started, round + 1);
        hand_give(&bench->hand, "a", "<p>x</p>");
        bench_turn(bench);
        check_entry(2 * round, "<p>x</p>", false, false, false);
        check_entry(2 * round + 1, "<p>x</p>", false, true, false);
    }
}

/* --- limits --- */

static void test_max_parked(void **state)
{
    static const size_t bounds[] = {0, 1, 2, 10};
    (void)state;
    for (size_t i = 0; i < LENGTH(bounds); i++) {
        begin((struct flight_limits){.max_parked = bounds[i], .max_flights = 100});
        for (uint32_t k = 0; k < bounds[i]; k++)
            join(BY_HAND, k % 2 ? "a" : "b");
        size_t flights = bounds[i] < 2 ? bounds[i] : 2;
        for (int k = 0; k < 3; k++) {
            assert_int_equal(bench_join(bench, BY_HAND, "a"), JOIN_TOO_MANY_PARKED);
            assert_int_equal(bench_join(bench, BY_HAND, "new"), JOIN_TOO_MANY_PARKED);
            check_counts(flights, bounds[i]);
        }
        if (bounds[i] > 0) { /* one leaves, another one may join */
            bench_leave(bench, 0);
            join(BY_HAND, "b");
            assert_int_equal(bench_join(bench, BY_HAND, "b"), JOIN_TOO_MANY_PARKED);
            hand_give(&bench->hand, "b", "<p>x</p>");
            assert_int_equal(bench_join(bench, BY_HAND, "b"), JOIN_TOO_MANY_PARKED);
            bench_turn(bench); /* they are settled, and there is room */
            join(BY_HAND, "b");
        }
        end();
    }
}

static void test_max_flights(void **state)
{
    static const size_t bounds[] = {0, 1, 2, 10};
    (void)state;
    for (size_t i = 0; i < LENGTH(bounds); i++) {
        begin((struct flight_limits){.max_parked = 100, .max_flights = bounds[i]});
        char name[] = "a";
        for (size_t k = 0; k < bounds[i]; k++, name[0]++)
            join(BY_HAND, name);
        assert_int_equal(bench_join(bench, BY_HAND, "new"), JOIN_TOO_MANY_FLIGHTS);
        check_counts(bounds[i], bounds[i]);
        if (bounds[i] > 0) { /* existing flights may still be joined */
            join(BY_HAND, "a");
            bench_leave(bench, 0); /* and go on without a waiter */
            bench_leave(bench, bench->joined - 1);
            assert_int_equal(bench_join(bench, BY_HAND, "new"), JOIN_TOO_MANY_FLIGHTS);
            hand_give(&bench->hand, "a", "<p>x</p>");
            assert_int_equal(bench_join(bench, BY_HAND, "new"), JOIN_TOO_MANY_FLIGHTS);
            bench_turn(bench);
            join(BY_HAND, "new");
        }
        end();
    }
}

/* --- shutdown --- */

static void test_cancel_all(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    join(BY_HAND, "a");
    join(BY_HAND, "b");
    join(BY_HAND, "done");
    join(BY_HAND, "nobody");
    bench_leave(bench, 4);
    hand_give(&bench->hand, "done", "<p>x</p>");
    flights_cancel_all(bench->flights);
    assert_int_equal(bench->settled, 4);
    assert_int_equal(bench->hand.cancelled, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(bench->notes[i].how.kind, SETTLED_SHUTDOWN);
    check_entry(3, "<p>x</p>", false, false, true); /* it had landed */
    check_counts(0, 0);
    flights_cancel_all(bench->flights);
    bench_turn(bench);
    assert_int_equal(bench->settled, 4);

    join(BY_HAND, "a"); /* it is not final */
    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
    check_entry(5, "<p>x</p>", false, false, true);
}

/* Flights of all states are freed in the end (the sanitizer checks it), and off the loop. */
static void test_freed_under_way(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    join(SIMULATED, "b");
    join(BRIEF_HOLD, "c");
    join(BY_HAND, "landed");
    hand_give(&bench->hand, "landed", "<p>x</p>");
    assert_int_equal(bench_purge(bench, "d", false), JOIN_OK);
    flights_cancel_all(bench->flights);
    assert_int_equal(bench->settled, 4);
    assert_int_equal(bench->notes[0].how.kind, SETTLED_SHUTDOWN);
    assert_int_equal(bench->notes[3].how.kind, SETTLED_ENTRY);
    /* teardown frees with the purge answered but not told yet */
}

/* --- in the settlement's callback --- */

static void then_join_again(struct flight_bench *of, uint32_t number)
{
    if (number < 3)
        assert_int_equal(bench_join(of, BY_HAND, "a"), JOIN_OK);
}

/* A waiter that was told of a failure may try again at once, with a flight of its own. */
static void test_join_within(void **state)
{
    (void)state;
    bench->then = then_join_again;
    for (int i = 0; i < 3; i++)
        join(BY_HAND, "a");
    hand_complete(&bench->hand, bench->hand.calls,
                  &(struct source_result){.status = SOURCE_FAILED, .reason = "broken"});
    bench_turn(bench);
    assert_int_equal(bench->settled, 3);
    bench_turn(bench);
    assert_int_equal(bench->hand.started, 2);
    check_counts(1, 3);
    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
    check_entry(3, "<p>x</p>", false, false, true);
    check_entry(5, "<p>x</p>", false, true, true);
}

static void then_others_leave(struct flight_bench *of, uint32_t number)
{
    static const uint32_t others[] = {1, 3, 4};
    for (size_t i = 0; number == 0 && i < LENGTH(others); i++)
        bench_leave(of, others[i]);
}

static void test_leave_within(void **state)
{
    (void)state;
    bench->then = then_others_leave;
    for (int i = 0; i < 5; i++)
        join(BY_HAND, "a");
    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(bench->notes[i].settled, i == 0 || i == 2);
    check_counts(0, 0);
}

/* --- out of memory --- */

/* Memory fails from the n-th allocation on, during a join and its flight: the join is refused, or
 * settled once. When memory is back, everything works. Returns whether there was enough. */
static bool one_refusal(unsigned recipe, long successes, const struct source_result *result)
{
    begin(wide);
    alloc_fail_after(successes);
    enum join_refusal refusal = bench_join(bench, recipe, "n");
    bench_turn(bench);
    if (recipe == SIMULATED)
        bench_run(bench, bench->joined);
    else if (bench->hand.calls)
        hand_complete(&bench->hand, bench->hand.calls, result);
    bench_turn(bench);
    alloc_fail_after(-1);
    bool enough = bench->notes[0].how.stored;
    enum settlement_kind kind = bench->notes[0].how.kind;
    if (refusal == JOIN_OK) {
        assert_int_equal(bench->notes[0].settled, 1);
        assert_true(kind == SETTLED_ENTRY || kind == SETTLED_FAILED);
    } else {
        assert_int_equal(refusal, JOIN_NO_MEMORY);
        assert_int_equal(bench->settled, 0);
    }
    check_counts(0, 0);

    join(SIMULATED, "n");
    bench_run(bench, bench->joined);
    assert_int_equal(bench->notes[bench->joined - 1].how.kind, SETTLED_ENTRY);
    assert_int_equal(bench->notes[bench->joined - 1].how.hit, enough);
    end();
    return enough;
}

static void test_no_memory(void **state)
{
    static const struct source_result results[] = {
        {.status = SOURCE_OK, .type = SLICE_INIT("text/html"), .body = SLICE_INIT("<p>x</p>")},
        {.status = SOURCE_OK, .type = SLICE_INIT("text/plain"), .body = SLICE_INIT("x")},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(results) + 1; i++) {
        long successes = 0;
        while (!one_refusal(i < LENGTH(results) ? BY_HAND : SIMULATED, successes,
                            &results[i % LENGTH(results)]))
            assert_true(++successes < 100);
        assert_true(successes > 4); /* waiter, flight, its table, entry, ... */
    }
    alloc_fail_after(0);
    assert_null(flights_new(NULL, &wide, NULL));
    alloc_fail_after(-1);
    flights_free(NULL);
}

/* --- anything --- */

static void random_step(char name[2])
{
    name[0] = (char)('a' + (char)unit_random(12));
    switch (unit_random(6)) {
    case 0:
    case 1:
    case 2:
        join(unit_random(2) ? BY_HAND : UNCACHED, name);
        break;
    case 3:
        bench_leave_any(bench);
        break;
    case 4:
        if (bench->hand.calls)
            hand_complete(&bench->hand, bench->hand.calls,
                          &(struct source_result){
                              .status = unit_random(2) ? SOURCE_OK : SOURCE_FAILED,
                              .type = SLICE("text/html"),
                              .body = SLICE("x"),
                              .reason = "random",
                          });
        break;
    default:
        bench_turn(bench);
    }
}

static void test_random(void **state)
{
    char name[] = "a";
    (void)state;
    for (int round = 0; round < 4000; round++) {
        size_t waiting = 0;
        random_step(name);
        for (uint32_t i = 0; i < bench->joined; i++) {
            waiting += bench->notes[i].waiter != NULL;
            assert_int_equal(bench->notes[i].settled % 100,
                             !bench->notes[i].waiter && bench->notes[i].settled < 100);
        }
        assert_int_equal(flights_parked(bench->flights), waiting);
        assert_true(flights_under_way(bench->flights) <= 12);
    }
    flights_cancel_all(bench->flights);
    check_counts(0, 0);
    for (uint32_t i = 0; i < bench->joined; i++)
        assert_true(bench->notes[i].settled == 1 || bench->notes[i].settled == 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_coalescing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_simulated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_and_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(test_landed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_holds_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_wait_and_wait, setup, teardown),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test_setup_teardown(test_source_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uncached, setup, teardown),
        cmocka_unit_test(test_max_parked),
        cmocka_unit_test(test_max_flights),
        cmocka_unit_test_setup_teardown(test_cancel_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_join_within, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leave_within, setup, teardown),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };
    log_configure(LOG_LEVEL_ERROR, false); /* failures cause warnings, and here they are intended */
    return cmocka_run_group_tests_name("flight", tests, NULL, NULL);
}
