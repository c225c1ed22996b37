/* A real loop that runs until a condition holds. */
#ifndef WORKERLESS_TESTS_UNIT_LOOP_BENCH_H
#define WORKERLESS_TESTS_UNIT_LOOP_BENCH_H

#include <unistd.h>
#include <ev.h>

#include "unit.h"

#define GUARD_SECONDS 60 /* when a test is aborted */

static inline void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

/* Runs the loop until the condition holds. */
static inline void run_until(bool (*holds)(const void *context), const void *context)
{
    ev_timer tick;
    double start_time = ev_time();
    ev_timer_init(&tick, on_tick, 0.005, 0.005);
    ev_timer_start(EV_DEFAULT, &tick);
    while (!holds(context)) {
        assert_true(ev_time() - start_time < GUARD_SECONDS);
        ev_run(EV_DEFAULT, EVRUN_ONCE);
    }
    ev_timer_stop(EV_DEFAULT, &tick);
}

/* Handles what has arrived already, without waiting. */
static inline void run_what_is_due(void)
{
    for (int i = 0; i < 20; i++)
        ev_run(EV_DEFAULT, EVRUN_NOWAIT);
}

/* Before and after all tests of a program. */
static inline int guard_loop(void **state)
{
    (void)state;
    alarm(2 * GUARD_SECONDS); /* if the loop itself hangs */
    return 0;
}

static inline int tear_down_group(void **state)
{
    (void)state;
    ev_loop_destroy(EV_DEFAULT);
    return 0;
}

#endif
