/* base/later: answers come before the loop sleeps, in their order, and never within later_add. */
#include "base/later.h"

#include "unit.h"

enum { ANSWERS = 5 };

static struct ev_loop *loop;
static struct later_queue queue;
static struct later laters[ANSWERS];
static size_t called[2 * ANSWERS], calls;
static unsigned again; /* how many of those that are called add themselves once more */

static int setup(void **state)
{
    (void)state;
    loop = ev_loop_new(0);
    assert_non_null(loop);
    later_queue_init(&queue, loop);
    calls = 0;
    again = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    later_queue_stop(&queue);
    ev_loop_destroy(loop);
    return 0;
}

static void on_later(struct later *later)
{
    called[calls++] = (size_t)(later - laters);
    if (again > 0) {
        again--;
        later_add(&queue, later, on_later);
    }
}

static void test_order(void **state)
{
    static const size_t expected[] = {0, 1, 2, 3, 4, 0, 1};
    (void)state;
    for (size_t i = 0; i < ANSWERS; i++)
        later_add(&queue, &laters[i], on_later);
    assert_int_equal(calls, 0);
    again = 2;
    ev_run(loop, EVRUN_NOWAIT);
    assert_int_equal(calls, LENGTH(expected)); /* those that were added meanwhile as well */
    assert_memory_equal(called, expected, sizeof expected);
    ev_run(loop, EVRUN_NOWAIT);
    assert_int_equal(calls, LENGTH(expected));
}

static void on_timer(struct ev_loop *of, ev_timer *timer, int events)
{
    (void)timer, (void)events;
    ev_break(of, EVBREAK_ONE);
}

static void on_prepare(struct ev_loop *of, ev_prepare *prepare, int events)
{
    (void)events;
    later_add(&queue, &laters[0], on_later);
    ev_prepare_stop(of, prepare);
}

/* One that is added just before the loop sleeps does not wait for another event. */
static void test_loop_stays_awake(void **state)
{
    ev_timer watchdog;
    ev_prepare prepare;
    (void)state;
    ev_timer_init(&watchdog, on_timer, 20., 0.);
    ev_timer_start(loop, &watchdog);
    ev_prepare_init(&prepare, on_prepare);
    ev_set_priority(&prepare, EV_MINPRI); /* after the queue's turn */
    ev_prepare_start(loop, &prepare);
    double before = ev_now(loop);
    later_run(&queue);
    ev_run(loop, EVRUN_ONCE);
    assert_int_equal(calls, 0); /* it did not sleep */
    ev_run(loop, EVRUN_NOWAIT);
    assert_int_equal(calls, 1);
    assert_true(ev_now(loop) - before < 10);
    assert_false(ev_is_active(&queue.awake)); /* and now it may */
    ev_timer_stop(loop, &watchdog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_stays_awake, setup, teardown),
    };
    return cmocka_run_group_tests_name("later", tests, NULL, NULL);
}
