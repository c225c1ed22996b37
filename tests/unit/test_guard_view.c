/* What source/guard counts and shows of its calls. */
#include "guard_bench.h"
#include "source/tally.h"

/* Every call that was started has ended once, in one way; only those that ran took time. */
static void test_tally(void **state)
{
    static const uint64_t ended[SOURCE_STATUSES] =
        {[SOURCE_OK] = 1, [SOURCE_FAILED] = 1, [SOURCE_BUSY] = 1, [SOURCE_CANCELLED] = 2};
    struct seen seen[5] = {0};
    (void)state;
    open_source((struct source_limits){.connections = 1, .queue = 2});
    for (size_t i = 0; i < 4; i++)
        start(&seen[i], (const char *[]){"a", "b", "c", "refused"}[i], 0);
    struct source_view view = source_look(source);
    assert_true(view.running == 1 && view.queued == 2 && view.tally->started == 4);
    assert_true(strcmp(view.name, "api") == 0 && strcmp(view.breaker, "closed") == 0);
    source_cancel(seen[2].call); /* while it is queued */
    hand_give(&hand, "a", "x");
    turn();
    hand_fail(&hand, "b", SOURCE_FAILED);
    start(&seen[4], "d", 0);
    source_cancel(seen[4].call); /* while it runs */
    view = source_look(source);
    assert_true(view.running == 0 && view.tally->started == 5);
    for (size_t i = 0; i < SOURCE_STATUSES; i++)
        assert_row(i, view.tally->ended[i] == ended[i]);
    assert_int_equal(histogram_count(&view.tally->duration), 2);
    assert_int_equal(histogram_count(&view.tally->queued), 1); /* b */
    close_source();
}

/* An open breaker says how long it stays so. */
static void test_view_of_breaker(void **state)
{
    struct seen seen = {0};
    (void)state;
    open_source(
        (struct source_limits){.breaker = {.count = 1, .seconds = 1}, .breaker_cooldown = 60});
    start(&seen, "a", 0);
    hand_fail(&hand, "a", SOURCE_FAILED);
    assert_string_equal(source_look(source).breaker, "open");
    assert_true(source_look(source).pause_s > 50 && source_look(source).pause_s <= 75);
    close_source();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_tally, set_up),
        cmocka_unit_test_setup(test_view_of_breaker, set_up),
    };
    int failed = cmocka_run_group_tests_name("guard_view", tests, NULL, NULL);
    ev_loop_destroy(EV_DEFAULT);
    return failed;
}
