/* wire/share: connections are spread over workers, and none is left alone. */
#include "wire/share.h"

#include <stdlib.h>

#include "unit.h"

static void test_exceeded(void **state)
{
    static const struct {
        uint64_t mine, all;
        unsigned workers;
        bool exceeded;
    } cases[] = {
        {0, 0, 4, false},  {1, 1, 4, false},   {2, 2, 4, true},
        {2, 5, 4, false},  {17, 64, 4, false}, {19, 64, 4, false},
        {20, 64, 4, true}, {64, 64, 4, true},  {1000, 1000, 1, false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, share_is_exceeded(cases[i].mine, cases[i].all, cases[i].workers) ==
                          cases[i].exceeded);
}

/* If others take nothing, it takes 1, 2, 4 ... after each moment, but not more than SHARE_MOST. */
static void test_nobody_else(void **state)
{
    struct share share = {0};
    unsigned wanted = 1;
    (void)state;
    assert_false(share_take(&share, 10, 10, 4));
    for (int moment = 0; moment < 100; moment++) {
        unsigned taken = 0;
        share_waited(&share);
        while (share_take(&share, 10 + taken, 10 + taken, 4))
            taken++;
        assert_row((size_t)moment, taken == wanted);
        wanted = wanted * 2 < SHARE_MOST ? wanted * 2 : SHARE_MOST;
    }
    assert_true(share_take(&share, 1, 10, 4)); /* it has less than its share again */
    assert_false(share_take(&share, 10, 10, 4));
    share_waited(&share);
    assert_true(share_take(&share, 10, 10, 4));
    assert_false(share_take(&share, 11, 11, 4));
}

/* A burst, whichever worker is awake: in the end no worker has more than a bit over its share. */
static void test_burst(void **state)
{
    enum { WORKERS = 4 };
    (void)state;
    for (unsigned burst = 1; burst < 300; burst++) {
        struct share shares[WORKERS] = {0};
        uint64_t has[WORKERS] = {0}, all = 0;
        while (all < burst) {
            size_t awake = (size_t)lrand48() % WORKERS;
            if (!share_take(&shares[awake], has[awake], all, WORKERS))
                continue;
            has[awake]++;
            all++;
        }
        for (size_t i = 0; i < WORKERS; i++)
            assert_row(burst, has[i] <= burst / WORKERS + burst / WORKERS / 8 + 2);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exceeded),
        cmocka_unit_test(test_nobody_else),
        cmocka_unit_test(test_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
