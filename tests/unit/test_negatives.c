/* park/negatives: never more at a time than allowed, and not fewer. */
#include "park/negatives.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "unit.h"

static void test_ring(void **state)
{
    static const struct {
        double now;
        bool taken;
    } cases[] = {
        {1, true},   {1.5, true}, {2, true},  {2.5, false}, {10.9, false}, {11, true},
        {11, false}, {12, true},  {12, true}, {12, false},  {20, false},   {21, true},
        {40, true},  {40, true},  {40, true}, {40, false},  {49.9, false}, {50, true},
    };
    struct negatives *negatives = negatives_new(3);
    (void)state;
    assert_non_null(negatives);
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, negatives_take(negatives, cases[i].now, 10) == cases[i].taken);
    negatives_free(negatives);
    negatives_free(NULL);
}

/* At random: those that have not expired, counted one by one. */
static void test_at_random(void **state)
{
    double expiries[2000], now = 1;
    size_t taken = 0;
    struct negatives *negatives = negatives_new(7);
    (void)state;
    assert_non_null(negatives);
    for (int i = 0; i < 2000; i++) {
        size_t live = 0;
        now += drand48();
        for (size_t each = 0; each < taken; each++)
            live += expiries[each] > now;
        assert_row(i, negatives_take(negatives, now, 5) == (live < 7));
        if (live < 7)
            expiries[taken++] = now + 5;
    }
    negatives_free(negatives);
}

static void test_no_memory(void **state)
{
    (void)state;
    alloc_fail_after(0);
    assert_null(negatives_new(1000));
    alloc_fail_after(-1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_at_random),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
