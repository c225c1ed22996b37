/* source/retry: what a Retry-After field says, and how long to wait. */
#include "source/retry.h"

#include "unit.h"

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */

static void test_retry_after(void **state)
{
    static const struct {
        const char *value;
        unsigned seconds;
    } cases[] = {
        {"0", 0},
        {"1", 1},
        {"120", 120}, /* RFC 9110 10.2.3 */
        {" 120\t", 120},
        {"0120", 120},
        {"3599", 3599},
        {"3600", 3600},
        {"3601", 3600},
        {"99999999999999999999999999999999999999999999999999999999", 3600},
        {"Sun, 06 Nov 1994 08:49:38 GMT", 1}, /* RFC 9110 5.6.7 */
        {"Sunday, 06-Nov-94 08:51:37 GMT", 120},
        {"Sun Nov  6 08:51:37 1994", 120},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:36 GMT", 0},
        {"Thu, 31 Dec 2037 23:59:59 GMT", 3600},
        {"", 0},
        {"-1", 0},
        {"+1", 0},
        {"1.5", 0},
        {"1s", 0},
        {"1, 2", 0},
        {"soon", 0},
        {"Sun, 06 Nov 1994 25:49:38 GMT", 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].value));
        unsigned seconds = retry_after_read(exact, NOW);
        if (seconds != cases[i].seconds)
            fail_msg("%s: %u", cases[i].value, seconds);
        unit_drop(exact);
    }
}

static void test_backoff(void **state)
{
    static const struct {
        unsigned times;
        double random, seconds;
    } cases[] = {{0, 0, .1},  {0, .5, .075}, {0, 1, .05}, {1, 0, .2},    {2, 0, .4},
                 {4, 0, 1.6}, {5, 0, 3.2},   {6, 0, 3.2}, {4000, 1, 1.6}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        double is = retry_backoff(cases[i].times, cases[i].random);
        assert_row(i, is > cases[i].seconds - 1e-9 && is < cases[i].seconds + 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_backoff),
    };
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
