/* base/clock: how another clock's answer is used, and that the time is held during a turn. */
#include "base/clock.h"

#include "unit.h"

#define SECOND ((int64_t)1000000)

static int64_t offset_us; /* at the beginning */

static int restore(void **state)
{
    (void)state;
    clock_offset_us = offset_us;
    return 0;
}

/* Ours shows `now` at the moment `boot`. The other one was asked and has answered so many
 * microseconds from then, and shows so many more than ours. */
static void test_follow(void **state)
{
    static const int64_t boot = 1000 * SECOND, now = 1800000000 * SECOND;
    static const struct {
        int64_t theirs_us, asked_us, answered_us;
        int64_t moved_us; /* the fleet's clock, by that */
    } cases[] = {
        {0, 0, 0, 0},
        {300 * SECOND, -100, 100, 300 * SECOND},
        {-300 * SECOND, -100, 100, -300 * SECOND},
        {300 * SECOND, 0, 0, 300 * SECOND},
        /* It may be right: at what time they read their clock is unknown. */
        {100000, -150000, 150000, 0},
        {-100000, -150000, 150000, 0},
        {400 * SECOND, -500 * SECOND, 500 * SECOND, 0},
        /* It can't be right: the middle is the best guess. */
        {200000, -150000, 150000, 200000},
        {-200000, -150000, 150000, -200000},
        {300 * SECOND, -SECOND, SECOND, 300 * SECOND},
        {300 * SECOND, -3 * SECOND, SECOND, 301 * SECOND},
        {300 * SECOND, -SECOND, 3 * SECOND, 299 * SECOND},
        /* Small differences. */
        {9000, 0, 0, 0},
        {-9000, 0, 0, 0},
        {11000, 0, 0, 11000},
        {-11000, 0, 0, -11000},
        {14000, -5000, 5000, 0},
        {16000, -5000, 5000, 16000},
        /* As far as it goes. */
        {SECOND - now, -10, 10, SECOND - now},
        {99999999999 * SECOND - now, -10, 10, 99999999999 * SECOND - now},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        int64_t theirs_us = now + cases[i].theirs_us;
        int64_t asked_us = boot + cases[i].asked_us, answered_us = boot + cases[i].answered_us;
        clock_offset_us = now - boot;
        bool moved = clock_follow(theirs_us, asked_us, answered_us);
        assert_row(i, clock_offset_us - (now - boot) == cases[i].moved_us);
        assert_row(i, moved == (cases[i].moved_us != 0));
        assert_row(i, !clock_follow(theirs_us, asked_us, answered_us));
    }
}

/* A quick answer improves on a slow one, and a slow one never undoes that. */
static void test_quick_and_slow(void **state)
{
    int64_t boot = clock_boot_us();
    (void)state;
    clock_offset_us = 0;
    assert_true(clock_follow(boot + 5 * SECOND, boot - SECOND, boot + 3 * SECOND));
    assert_true(clock_offset_us == 4 * SECOND);
    assert_true(clock_follow(boot + 5 * SECOND, boot - 500, boot + 500));
    assert_true(clock_offset_us == 5 * SECOND);
    for (int64_t wrong = -2 * SECOND; wrong <= 2 * SECOND; wrong += SECOND / 4)
        assert_false(clock_follow(boot + 5 * SECOND + wrong, boot - 2 * SECOND, boot + 2 * SECOND));
    assert_true(clock_offset_us == 5 * SECOND);
}

/* Until it is set it shows what the wall clock does. */
static void test_start(void **state)
{
    struct timespec before, after;
    (void)state;
    clock_gettime(CLOCK_REALTIME, &before);
    int64_t fleet_ms = clock_fleet_ms();
    clock_gettime(CLOCK_REALTIME, &after);
    assert_true(fleet_ms >= (int64_t)before.tv_sec * 1000 + before.tv_nsec / 1000000 - 1);
    assert_true(fleet_ms <= (int64_t)after.tv_sec * 1000 + after.tv_nsec / 1000000 + 1);
    assert_true(clock_wall_ahead_ms() >= -1 && clock_wall_ahead_ms() <= 1);
}

static void test_wall_ahead(void **state)
{
    static const int64_t ahead_ms[] = {300000, 1500, -1500, -300000};
    (void)state;
    for (size_t i = 0; i < LENGTH(ahead_ms); i++) {
        clock_offset_us = offset_us - ahead_ms[i] * 1000;
        int64_t wrong_ms = clock_wall_ahead_ms() - ahead_ms[i];
        assert_row(i, wrong_ms >= -1 && wrong_ms <= 1);
    }
}

/* A turn sees one time, even if the clock is set meanwhile. */
static void test_hold(void **state)
{
    (void)state;
    clock_hold();
    int64_t held_ms = clock_fleet_ms(), boot = clock_boot_us();
    assert_true(clock_follow(boot + offset_us + 60 * SECOND, boot, boot));
    assert_true(clock_fleet_ms() == held_ms);
    clock_release();
    assert_true(clock_fleet_ms() >= held_ms + 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_follow, restore),
        cmocka_unit_test_teardown(test_quick_and_slow, restore),
        cmocka_unit_test_teardown(test_start, restore),
        cmocka_unit_test_teardown(test_wall_ahead, restore),
        cmocka_unit_test_teardown(test_hold, restore),
    };
    offset_us = clock_offset_us;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
