/* base/histogram: which count a time goes into, and what the counts say. */
#include "base/histogram.h"

#include <math.h>

#include "unit.h"

#define LONGER HISTOGRAM_BOUNDS

/* A bound belongs to its own count (OpenMetrics 1.0, "le": less than or equal). */
static void test_add(void **state)
{
    const struct {
        double seconds;
        size_t at;
    } cases[] = {
        {0, 0},       {-1, 0},        {NAN, 0},      {0.0005, 0},
        {0.00051, 1}, {0.001, 1},     {0.0011, 2},   {0.1, 7},
        {0.1001, 8},  {1, 10},        {1.5, 11},     {59.9, 15},
        {60, 15},     {60.1, LONGER}, {1e9, LONGER}, {INFINITY, LONGER},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct histogram histogram = {.sum = 2};
        histogram_add(&histogram, cases[i].seconds);
        for (size_t at = 0; at <= LONGER; at++)
            assert_row(i, histogram.counts[at] == (at == cases[i].at));
        assert_row(i, histogram_count(&histogram) == 1);
        assert_row(i, histogram.sum == 2 + (cases[i].seconds > 0 ? cases[i].seconds : 0));
    }
}

/* They grow, and their texts are the same numbers. */
static void test_bounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        assert_row(i, i == 0 || histogram_bounds[i] > histogram_bounds[i - 1]);
        assert_row(i, strtod(histogram_bound_texts[i], NULL) == histogram_bounds[i]);
    }
}

static void test_quantile(void **state)
{
    static const struct {
        unsigned at_1ms, at_1s, longer;
        double share, seconds;
    } cases[] = {
        {0, 0, 0, 0.5, 0},     {1, 0, 0, 0, 0.001}, {1, 0, 0, 1, 0.001},
        {1, 1, 0, 0.5, 0.001}, {1, 1, 0, 0.51, 1},  {99, 1, 0, 0.99, 0.001},
        {98, 2, 0, 0.99, 1},   {0, 0, 1, 0.5, 60},  {1, 0, 1, 0.99, 60},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct histogram histogram = {0};
        for (unsigned k = 0; k < cases[i].at_1ms; k++)
            histogram_add(&histogram, 0.001);
        for (unsigned k = 0; k < cases[i].at_1s; k++)
            histogram_add(&histogram, 1);
        for (unsigned k = 0; k < cases[i].longer; k++)
            histogram_add(&histogram, 100);
        assert_row(i, histogram_quantile(&histogram, cases[i].share) == cases[i].seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_quantile),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
