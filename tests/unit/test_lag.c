/* base/lag: what counts as a turn of the loop, and for how long the longest is remembered. */
#include "base/lag.h"

#include <ev.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"
#include "base/figures.h"
#include "base/histogram.h"
#include "unit.h"

static void test_longest(void **state)
{
    static const struct {
        double at, lasted, longest; /* lasted 0: no turn, only a look; longest: right after that */
    } steps[] = {
        {1000, 0.1, 0.1},   {1001, 0.3, 0.3}, {1002, 0.2, 0.3},
        {1029, 0, 0.3},     {1031, 0, 0.3}, /* the first period is over, but remembered */
        {1031.5, 0.1, 0.3}, {1060, 0, 0.3},   {1061.5, 0, 0.1}, /* only the second one is */
        {1200, 0, 0},                                           /* nothing happened for long */
        {1201, 0.2, 0.2},
    };
    struct lag lag = {0};
    (void)state;
    for (size_t i = 0; i < LENGTH(steps); i++) {
        if (steps[i].lasted > 0)
            lag_add(&lag, steps[i].at, steps[i].lasted);
        double difference = lag_longest(&lag, steps[i].at) - steps[i].longest;
        assert_row(i, difference < 1e-9 && difference > -1e-9);
    }
}

static ev_idle idle; /* while it is active, the loop does not sleep */

static void on_idle(struct ev_loop *loop, ev_idle *watcher, int events)
{
    (void)events;
    ev_idle_stop(loop, watcher);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    double seconds = *(const double *)timer->data;
    struct timespec wait = {.tv_nsec = (long)(seconds * 1e9)};
    (void)events;
    nanosleep(&wait, NULL);
    if (idle.data)
        ev_idle_start(loop, &idle);
}

/* The loop sleeps for `sleeps` seconds, and then works for `works`; then it does so again, without
 * work. With `more`, something is left to do then, so that it does not sleep. Returns the seconds
 * that turns have lasted. */
static double run(double sleeps, double works, bool more)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    const struct histogram *turns;
    double nothing = 0, before;
    ev_timer first, last;
    ev_idle_init(&idle, on_idle);
    idle.data = more ? &idle : NULL;
    lag_watch(loop);
    turns = figures_of(0, FIGURES_LOOP, "");
    assert_non_null(turns);
    before = turns->sum;
    ev_timer_init(&first, on_timer, sleeps, 0);
    first.data = &works;
    ev_timer_start(loop, &first);
    ev_timer_init(&last, on_timer, 2 * sleeps + works, 0);
    last.data = &nothing;
    ev_timer_start(loop, &last);
    ev_run(loop, 0);
    ev_loop_destroy(loop);
    assert_true(histogram_count(turns) > 0);
    return turns->sum - before;
}

/* Working is lag, sleeping is not. */
static void test_turns(void **state)
{
    (void)state;
    assert_true(run(0.01, 0.06, false) >= 0.06);
    assert_true(run(0.01, 0.06, true) >= 0.06);
    const struct lag *lag = figures_of(0, FIGURES_LOOP_NOW, "");
    assert_non_null(lag);
    assert_true(lag_longest(lag, clock_monotonic()) >= 0.06);
    assert_true(run(0.3, 0, false) < 0.3);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_turns),
    };
    return cmocka_run_group_tests_name("lag", tests, NULL, NULL);
}
