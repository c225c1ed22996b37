/* park/tally: the outcome of each settlement, and one tally for a pattern. */
#include "park/tally.h"

#include "base/alloc.h"
#include "unit.h"

static void test_outcomes(void **state)
{
    static const struct {
        struct settlement how;
        enum settlement_kind kind;
        enum route_outcome outcome;
    } cases[] = {
        {{.hit = true}, SETTLED_ENTRY, ROUTE_HIT},
        {{.hit = true, .stale_hit = true}, SETTLED_ENTRY, ROUTE_STALE},
        {{.hit = true, .collapsed = true}, SETTLED_ENTRY, ROUTE_HIT},
        {{.stale = true}, SETTLED_ENTRY, ROUTE_STALE},
        {{.stale = true, .collapsed = true}, SETTLED_ENTRY, ROUTE_STALE},
        {{.collapsed = true}, SETTLED_ENTRY, ROUTE_COLLAPSED},
        {{.collapsed = true, .replaced = true}, SETTLED_ENTRY, ROUTE_COLLAPSED},
        {{.stored = true}, SETTLED_ENTRY, ROUTE_MISS},
        {{.uncacheable = true}, SETTLED_ENTRY, ROUTE_MISS},
        /* a failure, whether it is new or cached */
        {{.hit = true}, SETTLED_NOT_FOUND, ROUTE_NOT_FOUND},
        {{.collapsed = true}, SETTLED_FAILED, ROUTE_FAILED},
        {{0}, SETTLED_TIMED_OUT, ROUTE_TIMED_OUT},
        {{0}, SETTLED_NOT_READY, ROUTE_NOT_READY},
        {{0}, SETTLED_DECLINED, ROUTE_NOT_READY},
        {{0}, SETTLED_BUSY, ROUTE_BUSY},
        {{0}, SETTLED_SHUTDOWN, ROUTE_SHUTDOWN},
        {{.hit = true}, SETTLED_REFUSED, ROUTE_REFUSED}, /* max_unsent */
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, route_outcome_of(&cases[i].how, cases[i].kind) == cases[i].outcome);
}

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUTE_OUTCOMES; i++)
        for (size_t other = 0; other < i; other++)
            assert_row(i, strcmp(route_outcome_names[i], route_outcome_names[other]) != 0);
    assert_string_equal(route_outcome_names[ROUTE_NOT_READY], "not_ready");
}

/* The same pattern has the same tally, from whichever config it is. */
static void test_patterns(void **state)
{
    (void)state;
    alloc_fail_after(0);
    assert_null(route_tally_of("user/*"));
    alloc_fail_after(-1);
    struct route_tally *user = route_tally_of("user/*"), *any = route_tally_of("*");
    assert_non_null(user);
    assert_ptr_not_equal(user, any);
    route_tally_add(user, ROUTE_HIT);
    route_tally_add(user, ROUTE_HIT);
    route_tally_add(NULL, ROUTE_HIT);
    char copy[] = "user/*";
    assert_ptr_equal(route_tally_of(copy), user);
    assert_int_equal(user->counts[ROUTE_HIT], 2);
    assert_int_equal(any->counts[ROUTE_HIT], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_patterns),
    };
    return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
