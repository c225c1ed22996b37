/* base/timeout: on a real loop, with durations of milliseconds; and what its callback may do. */
#include "base/timeout.h"

#include <time.h>

#include "base/clock.h"
#include "unit.h"

#define SHORT_S 0.01
#define LONG_S  60.0 /* does not happen */

/* A timeout, and when it expired. */
struct guard {
    struct timeout timeout;
    double due; /* when it may expire at the earliest */
    int expired;
    int place; /* in the order of expiry, from 1 */
};

/* A queue, and what its callback shall do with each guard that expires. */
struct bench {
    struct ev_loop *loop;
    struct timeout_queue queue;
    int count;
    void (*then)(struct bench *bench, struct guard *guard);
    struct guard *other;
};

static void guard_start(struct bench *bench, struct guard *guard)
{
    guard->due = clock_monotonic() + bench->queue.seconds;
    timeout_start(&bench->queue, &guard->timeout);
}

static void on_expired(void *context, struct timeout *timeout)
{
    struct bench *bench = context;
    struct guard *guard = (struct guard *)timeout;
    assert_false(timeout_active(timeout));
    assert_true(clock_monotonic() >= guard->due);
    guard->expired++;
    guard->place = ++bench->count;
    if (bench->then)
        bench->then(bench, guard);
}

static void bench_init(struct bench *bench, double seconds)
{
    *bench = (struct bench){.loop = ev_loop_new(0)};
    assert_non_null(bench->loop);
    timeout_queue_init(&bench->queue, bench->loop, seconds, on_expired, bench);
}

/* Runs until nothing is on the loop. */
static void bench_run(struct bench *bench)
{
    ev_run(bench->loop, 0);
    assert_false(ev_is_active(&bench->queue.timer));
    assert_null(bench->queue.oldest);
    assert_null(bench->queue.newest);
}

static void bench_end(struct bench *bench)
{
    timeout_queue_stop(&bench->queue);
    timeout_queue_stop(&bench->queue);
    ev_loop_destroy(bench->loop);
}

/* Like a slow callback: time passes without the loop noticing. */
static void pause_s(double seconds)
{
    struct timespec rest = {.tv_nsec = (long)(seconds * 1e9)};
    nanosleep(&rest, NULL);
}

static void test_order(void **state)
{
    struct guard guards[20] = {0};
    struct bench bench;
    (void)state;
    bench_init(&bench, SHORT_S);
    for (size_t i = 0; i < LENGTH(guards); i++) {
        guard_start(&bench, &guards[i]);
        assert_true(timeout_active(&guards[i].timeout));
    }
    bench_run(&bench);
    for (size_t i = 0; i < LENGTH(guards); i++) {
        assert_int_equal(guards[i].expired, 1);
        assert_int_equal(guards[i].place, i + 1);
    }
    bench_end(&bench);
}

static void test_restart(void **state)
{
    struct guard guards[3] = {0};
    struct bench bench;
    (void)state;
    bench_init(&bench, SHORT_S);
    for (size_t i = 0; i < LENGTH(guards); i++)
        guard_start(&bench, &guards[i]);
    pause_s(SHORT_S / 2);
    guard_start(&bench, &guards[1]); /* now the last one, with the whole time before it */
    guard_start(&bench, &guards[0]);
    bench_run(&bench);
    assert_int_equal(guards[2].place, 1);
    assert_int_equal(guards[1].place, 2);
    assert_int_equal(guards[0].place, 3);
    bench_end(&bench);
}

static void test_stop(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, SHORT_S);
    for (unsigned stopped = 0; stopped < 8; stopped++) { /* each subset of three */
        struct guard guards[3] = {0};
        bench.count = 0;
        for (size_t i = 0; i < LENGTH(guards); i++)
            guard_start(&bench, &guards[i]);
        for (size_t i = 0; i < LENGTH(guards); i++) {
            if (!(stopped >> i & 1))
                continue;
            timeout_stop(&guards[i].timeout);
            assert_false(timeout_active(&guards[i].timeout));
            timeout_stop(&guards[i].timeout);
        }
        bench_run(&bench);
        for (size_t i = 0; i < LENGTH(guards); i++)
            assert_int_equal(guards[i].expired, !(stopped >> i & 1));
    }
    bench_end(&bench);
}

/* The loop's time is old when a timeout is started: it does not expire early for that. */
static void test_old_loop_time(void **state)
{
    struct guard guards[2] = {0};
    struct bench bench;
    (void)state;
    bench_init(&bench, SHORT_S);
    pause_s(3 * SHORT_S);
    guard_start(&bench, &guards[0]);
    pause_s(3 * SHORT_S);
    guard_start(&bench, &guards[1]);
    bench_run(&bench); /* on_expired looks whether it is due */
    assert_int_equal(guards[0].place, 1);
    assert_int_equal(guards[1].place, 2);
    bench_end(&bench);
}

/* After the timer has fired for nothing, or was never due, the queue works as before. */
static void test_again(void **state)
{
    struct guard guard = {0};
    struct bench bench;
    (void)state;
    bench_init(&bench, SHORT_S);
    for (int round = 1; round <= 3; round++) {
        guard_start(&bench, &guard);
        timeout_stop(&guard.timeout);
        bench_run(&bench);
        guard_start(&bench, &guard);
        bench_run(&bench);
        assert_int_equal(guard.expired, round);
    }
    bench_end(&bench);
}

static void test_queue_stop(void **state)
{
    struct guard guards[5] = {0};
    struct bench bench;
    (void)state;
    bench_init(&bench, LONG_S);
    for (size_t i = 0; i < LENGTH(guards); i++)
        guard_start(&bench, &guards[i]);
    timeout_queue_stop(&bench.queue);
    for (size_t i = 0; i < LENGTH(guards); i++)
        assert_false(timeout_active(&guards[i].timeout));
    bench_run(&bench); /* at once */
    assert_int_equal(bench.count, 0);
    bench_end(&bench);

    struct timeout_queue never = {0};
    timeout_queue_stop(&never);
}

/* Starting it in another queue removes it from the first. */
static void test_two_queues(void **state)
{
    struct guard guards[3] = {0};
    struct bench first, second;
    (void)state;
    bench_init(&first, LONG_S);
    bench_init(&second, SHORT_S);
    for (size_t i = 0; i < LENGTH(guards); i++)
        guard_start(&first, &guards[i]);
    for (size_t i = LENGTH(guards); i-- > 0;)
        guard_start(&second, &guards[i]);
    assert_null(first.queue.oldest);
    assert_null(first.queue.newest);
    bench_run(&second);
    assert_int_equal(guards[2].place, 1);
    assert_int_equal(guards[0].place, 3);
    assert_int_equal(first.count, 0);
    bench_end(&first);
    bench_end(&second);
}

/* What began earlier expires earlier, wherever that is in the queue: never before its time, and
 * after all of its time at once. */
static void test_late(void **state)
{
    static const struct {
        double ago; /* shares of the duration */
        int place;
    } cases[] = {{0, 6}, {0.5, 4}, {0.9, 3}, {0.5, 5}, {1, 1}, {7, 2}, {-1, 7}};
    struct guard guards[LENGTH(cases)] = {0}, again = {0};
    struct bench bench;
    (void)state;
    bench_init(&bench, 4 * SHORT_S);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        double ago = cases[i].ago * bench.queue.seconds;
        guards[i].due = clock_monotonic() + (ago < 0 ? bench.queue.seconds : 0);
        timeout_start_late(&bench.queue, &guards[i].timeout, ago);
        assert_true(timeout_active(&guards[i].timeout));
    }
    bench_run(&bench);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_row(i, guards[i].expired == 1);
        assert_row(i, guards[i].place == cases[i].place);
    }

    /* The timer rings for it, though it is set for a later one. */
    bench_end(&bench);
    bench_init(&bench, LONG_S);
    timeout_start(&bench.queue, &again.timeout);
    timeout_start_late(&bench.queue, &again.timeout, LONG_S); /* restarts it */
    bench_run(&bench);
    assert_int_equal(again.expired, 1);
    guards[0].due = guards[1].due = 0;
    timeout_start(&bench.queue, &guards[0].timeout);
    timeout_start_late(&bench.queue, &guards[1].timeout, LONG_S - SHORT_S);
    while (guards[1].expired == 1)
        ev_run(bench.loop, EVRUN_ONCE);
    assert_int_equal(guards[0].expired, 1);
    bench_end(&bench);
}

/* --- in the callback --- */

static void then_restart(struct bench *bench, struct guard *guard)
{
    if (guard->expired < 3)
        guard_start(bench, guard);
}

static void test_restart_within(void **state)
{
    struct guard guards[2] = {0};
    struct bench bench;
    (void)state;
    bench_init(&bench, SHORT_S);
    bench.then = then_restart;
    guard_start(&bench, &guards[0]);
    guard_start(&bench, &guards[1]);
    bench_run(&bench);
    assert_int_equal(guards[0].expired, 3);
    assert_int_equal(guards[1].expired, 3);
    bench_end(&bench);
}

/* A duration of 0 does not block the loop. */
static void test_restart_within_zero(void **state)
{
    struct guard guard = {0};
    struct bench bench;
    (void)state;
    bench_init(&bench, 0);
    bench.then = then_restart;
    guard_start(&bench, &guard);
    bench_run(&bench);
    assert_int_equal(guard.expired, 3);
    bench_end(&bench);
}

static void then_stop_other(struct bench *bench, struct guard *guard)
{
    (void)guard;
    timeout_stop(&bench->other->timeout);
}

/* The next one, which is due as well, is stopped by the one before it. */
static void test_stop_within(void **state)
{
    struct guard guards[3] = {0};
    struct bench bench;
    (void)state;
    bench_init(&bench, SHORT_S);
    bench.then = then_stop_other;
    bench.other = &guards[1];
    for (size_t i = 0; i < LENGTH(guards); i++)
        guard_start(&bench, &guards[i]);
    pause_s(2 * SHORT_S);
    bench_run(&bench);
    assert_int_equal(guards[0].expired, 1);
    assert_int_equal(guards[1].expired, 0);
    assert_int_equal(guards[2].expired, 1);
    bench_end(&bench);
}

static void then_start_other(struct bench *bench, struct guard *guard)
{
    if (guard != bench->other)
        guard_start(bench, bench->other);
}

static void test_start_within(void **state)
{
    struct guard first = {0}, other = {0};
    struct bench bench;
    (void)state;
    bench_init(&bench, SHORT_S);
    bench.then = then_start_other;
    bench.other = &other;
    guard_start(&bench, &first);
    bench_run(&bench);
    assert_int_equal(first.place, 1);
    assert_int_equal(other.place, 2);
    bench_end(&bench);
}

static void then_free_both(struct bench *bench, struct guard *guard)
{
    if (bench->other && bench->other != guard) {
        timeout_stop(&bench->other->timeout);
        free(bench->other);
    }
    bench->other = NULL;
    free(guard);
}

static void test_free_within(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, SHORT_S);
    bench.then = then_free_both;
    struct guard *guards[4];
    for (size_t i = 0; i < LENGTH(guards); i++) {
        guards[i] = calloc(1, sizeof *guards[i]);
        assert_non_null(guards[i]);
        guard_start(&bench, guards[i]);
    }
    bench.other = guards[2];
    pause_s(2 * SHORT_S); /* so that all are due together */
    bench_run(&bench);
    assert_int_equal(bench.count, 3);
    bench_end(&bench);
}

/* --- many --- */

static void test_many(void **state)
{
    static struct guard guards[3000];
    static bool active[LENGTH(guards)];
    struct bench bench;
    (void)state;
    bench_init(&bench, SHORT_S);
    for (int round = 0; round < 20000; round++) {
        size_t i = unit_random(LENGTH(guards));
        if (unit_random(3) == 0) {
            timeout_stop(&guards[i].timeout);
            active[i] = false;
        } else {
            guard_start(&bench, &guards[i]);
            active[i] = true;
        }
    }
    /* In order of expiry, and linked both ways. */
    size_t count = 0, expected = 0;
    for (struct timeout *at = bench.queue.oldest; at; at = at->next, count++) {
        assert_ptr_equal(at->next ? at->next->prev : bench.queue.newest, at);
        assert_true(!at->next || at->at <= at->next->at);
    }
    for (size_t i = 0; i < LENGTH(guards); i++)
        expected += active[i];
    assert_int_equal(count, expected);
    bench_run(&bench);
    for (size_t i = 0; i < LENGTH(guards); i++)
        assert_int_equal(guards[i].expired, active[i]);
    bench_end(&bench);
}

/* Changed for what runs: from its start, in the same order, and for what comes. */
static void test_set(void **state)
{
    static const struct {
        double before, after;
    } cases[] = {{LONG_S, SHORT_S}, {SHORT_S, 2 * SHORT_S}, {2 * SHORT_S, SHORT_S}, {LONG_S, 0}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct guard guards[4] = {0};
        struct bench bench;
        bench_init(&bench, cases[i].before);
        for (size_t k = 0; k < 3; k++) {
            guard_start(&bench, &guards[k]);
            guards[k].due += cases[i].after - cases[i].before;
        }
        timeout_queue_set(&bench.queue, cases[i].after);
        guard_start(&bench, &guards[3]);
        bench_run(&bench);
        for (size_t k = 0; k < LENGTH(guards); k++)
            assert_row(i, guards[k].expired == 1 && guards[k].place == (int)k + 1);
        bench_end(&bench);
    }
}

/* The timer of a queue that has become empty does not delay what comes after the change. */
static void test_set_of_nothing(void **state)
{
    struct guard guard = {0};
    struct bench bench;
    (void)state;
    bench_init(&bench, LONG_S);
    guard_start(&bench, &guard);
    timeout_stop(&guard.timeout);
    timeout_queue_set(&bench.queue, SHORT_S);
    assert_false(ev_is_active(&bench.queue.timer));
    guard_start(&bench, &guard);
    bench_run(&bench);
    assert_int_equal(guard.expired, 1);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_old_loop_time),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_queue_stop),
        cmocka_unit_test(test_two_queues),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_restart_within),
        cmocka_unit_test(test_restart_within_zero),
        cmocka_unit_test(test_stop_within),
        cmocka_unit_test(test_start_within),
        cmocka_unit_test(test_free_within),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_of_nothing),
    };
    return cmocka_run_group_tests_name("timeout", tests, NULL, NULL);
}
