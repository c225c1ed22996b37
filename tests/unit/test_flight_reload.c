/* park/flights after a reload: what goes on by the old rules, and what new requests get. */
#include "fake_cache.h"

#include "park/flight.h"

static struct hand_source other; /* of the next config */
static struct source *next_sources[2];
static struct recipe next_recipes[RECIPES];
static struct recipe *next_list[RECIPES];
static struct rules *next_rules;

/* The recipes are the same; the source by hand is another one if it is replaced. */
static void reload(bool replaced)
{
    other = (struct hand_source){.source = {.type = &hand_type, .settings = &hand_settings}};
    next_sources[0] = replaced ? &other.source : bench->sources[0];
    next_sources[1] = bench->sources[1];
    for (size_t i = 0; i < RECIPES; i++) {
        next_recipes[i] = bench->recipes[i];
        next_list[i] = &next_recipes[i];
    }
    next_rules = rules_begin(bench->flights, next_sources, next_list, RECIPES);
}

static void end(void)
{
    flights_cancel_all(bench->flights);
    fake_gone();
    assert_null(other.calls);
    flights_use(bench->flights, bench->rules);
    rules_free(next_rules);
    fake_end();
}

/* A request for "a" by the next rules. */
static struct waiter *join_next(unsigned recipe)
{
    static const struct fragment fragment_of_a = {.key = SLICE_INIT("a"), .name = SLICE_INIT("a")};
    struct fragment fragment = fragment_of_a;
    enum join_refusal refusal;
    fragment.recipe = &next_recipes[recipe];
    struct waiter *waiter = flights_join(bench->flights, &fragment, bench_address(bench->joined),
                                         HOLD_OF_ROUTE, &refusal);
    assert_non_null(waiter);
    bench->notes[bench->joined++] = (struct note){.waiter = waiter};
    return waiter;
}

/* What is being made by a replaced source goes to those who wait for it, and nowhere else: the
 * lease is given up at once, and the next request begins anew. With the same source, it joins. */
static void test_generating(void **state)
{
    (void)state;
    for (int replaced = 0; replaced < 2; replaced++) {
        fake_begin((struct flight_limits){10, 10});
        join_generating(BY_HAND, "a");
        assert_int_equal(cache.leases, 1);
        reload(replaced);
        assert_int_equal(cache.leases, !replaced);
        assert_int_equal(bench->hand.cancelled, 0);
        join_next(BY_HAND);
        check_counts(1u + (unsigned)replaced, 2);
        if (replaced) {
            answer_outcome(LOOKUP, "a", CACHE_NONE);
            answer_outcome(CLAIM, "a", CACHE_OURS);
            assert_int_equal(other.started, 1);
        }
        hand_give(&bench->hand, "a", "old");
        bench_run(bench, replaced ? 1 : 2);
        check_settled(0, SETTLED_ENTRY, "old");
        assert_int_equal(cache.stores, !replaced);
        if (replaced) {
            hand_give(&other, "a", "new");
            bench_run(bench, 2);
            assert_string_equal(cache.stored.body, "new");
            assert_int_equal(cache.stores, 1);
        }
        check_settled(1, SETTLED_ENTRY, replaced ? "new" : "old");
        end();
    }
}

/* Before its source was called, a flight may still find what others have made; it goes on by its
 * own rules, and whoever joins it gets the same. */
static void test_not_called_yet(void **state)
{
    (void)state;
    for (int claiming = 0; claiming < 2; claiming++) {
        fake_begin((struct flight_limits){10, 10});
        join(BY_HAND, "a");
        if (claiming)
            answer_outcome(LOOKUP, "a", CACHE_NONE);
        reload(true);
        join_next(BY_HAND);
        check_counts(1, 2);
        if (!claiming)
            answer_outcome(LOOKUP, "a", CACHE_NONE);
        answer_outcome(CLAIM, "a", CACHE_OURS);
        assert_int_equal(bench->hand.started, 1);
        assert_int_equal(other.started, 0);
        hand_give(&bench->hand, "a", "old");
        bench_run(bench, 2);
        check_settled(0, SETTLED_ENTRY, "old");
        check_settled(1, SETTLED_ENTRY, "old");
        end();
    }
}

/* The source failed, and the cache is asked whether the old entry still exists. */
static void test_asking_meanwhile(void **state)
{
    (void)state;
    fake_begin((struct flight_limits){10, 10});
    join_generating(BY_HAND, "a");
    tell_changed("a", false); /* so the lease and the value are checked */
    reload(true);
    assert_int_equal(cache.leases, 0);
    answer_outcome(CHECK, "a", CACHE_NONE);
    hand_fail(&bench->hand, "a", SOURCE_FAILED);
    bench_run(bench, 1);
    check_settled(0, SETTLED_FAILED, "");
    end();
}

/* The hold is that of the rules that the request began with, also on the flight of another one. */
static void test_hold(void **state)
{
    (void)state;
    fake_begin((struct flight_limits){10, 10});
    join_generating(BY_HAND, "a");
    reload(false);
    join_next(BRIEF_HOLD);
    bench_run(bench, 1);
    check_settled(1, SETTLED_NOT_READY, "");
    check_counts(1, 1);
    end();
}

/* Only what the current rules have is shown. */
static void test_view(void **state)
{
    (void)state;
    fake_begin((struct flight_limits){10, 10});
    reload(true);
    struct flights_view view = flights_look(bench->flights);
    assert_int_equal(view.source_count, 2);
    assert_ptr_equal(view.sources[0], &other.source);
    flights_set_limits(bench->flights, &(struct flight_limits){3, 4});
    view = flights_look(bench->flights);
    assert_int_equal(view.limits->max_parked, 3);
    assert_int_equal(view.limits->max_flights, 4);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generating),
        cmocka_unit_test(test_not_called_yet),
        cmocka_unit_test(test_asking_meanwhile),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_view),
    };
    return cmocka_run_group_tests_name("flight_reload", tests, NULL, NULL);
}
