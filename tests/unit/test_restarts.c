/* base/restarts: back-off, and words for the end of a process. */
#include "base/restarts.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "unit.h"

static void test_delay(void **state)
{
    static const struct {
        double lived, delay;
        unsigned failures; /* after it */
    } cases[] = {
        {5, 0, 0}, /* a death in service: at once */
        {RESTARTS_SOON_S, 0, 0},
        {0.5, 0, 1},   /* a first time soon after the start, too */
        {0.5, 0.1, 2}, /* then the delay doubles */
        {0, 0.2, 3},
        {0.9, 0.4, 4},
        {0, 0.8, 5},
        {0, 1.6, 6},
        {0, 3.2, 7},
        {0, 6.4, 8},
        {0, RESTARTS_MOST_S, 9},
        {0, RESTARTS_MOST_S, 10},
        {60, 0, 0}, /* and is forgotten */
        {0, 0, 1},
        {0, 0.1, 2},
    };
    unsigned failures = 0;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        double delay = restarts_delay(&failures, cases[i].lived);
        assert_row(i, delay > cases[i].delay - 1e-9 && delay < cases[i].delay + 1e-9);
        assert_row(i, failures == cases[i].failures);
    }
    failures = 4000000000U;
    assert_true(restarts_delay(&failures, 0) == RESTARTS_MOST_S);
}

#define CORE 0x80 /* of a wait status */

static void test_words(void **state)
{
    static const struct {
        int status;
        const char *words;
    } cases[] = {
        {0, "exited with status 0"},
        {W_EXITCODE(99, 0), "exited with status 99"},
        {SIGKILL, "was killed by SIGKILL"},
        {SIGTERM, "was killed by SIGTERM"},
        {SIGSEGV, "was killed by SIGSEGV, no core dumped: ulimit -c (LimitCORE=) may forbid it"},
        {SIGABRT, "was killed by SIGABRT, no core dumped: ulimit -c (LimitCORE=) may forbid it"},
        {SIGSEGV | CORE, "was killed by SIGSEGV, core dumped"},
        {60, "was killed by signal 60"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char out[RESTARTS_ROOM];
        restarts_describe(out, cases[i].status);
        assert_row(i, strcmp(out, cases[i].words) == 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
