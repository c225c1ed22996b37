/* park/flights: stale and purged entries, with memory as the only cache. */
#include "flight_memory.h"

/* --- stale and purged, with memory as the only cache --- */

/* A purge, until it is reported as complete. */
static void purge(const char *key, bool soft)
{
    uint32_t number = bench->joined;
    assert_int_equal(bench_purge(bench, key, soft), JOIN_OK);
    bench_turn(bench);
    assert_int_equal(bench->notes[number].settled, 1);
    assert_int_equal(bench->notes[number].how.kind, SETTLED_PURGED);
}

static void make(unsigned recipe, const char *name, const char *html)
{
    join(recipe, name);
    hand_give(&bench->hand, name, html);
    bench_turn(bench);
}

static void test_serve(void **state)
{
    struct settlement how;
    (void)state;
    assert_null(bench_serve(bench, BY_HAND, "a", &how));
    make(BY_HAND, "a", "<p>x</p>");
    assert_string_equal(bench_serve(bench, BY_HAND, "a", &how), "<p>x</p>");
    assert_true(how.kind == SETTLED_ENTRY && how.hit && how.detail == FROM_MEMORY);
    assert_null(bench_serve(bench, BY_HAND, "b", &how));
    check_counts(0, 0);
    assert_int_equal(bench->hand.started, 1);
}

static void test_purge(void **state)
{
    struct settlement how;
    (void)state;
    make(BY_HAND, "user/1", "<p>1</p>");
    make(BY_HAND, "user/2", "<p>2</p>");
    make(BY_HAND, "a", "<p>a</p>");
    purge("none", false);
    purge("user", false);
    assert_non_null(bench_serve(bench, BY_HAND, "user/1", &how));
    purge("a", false);
    assert_null(bench_serve(bench, BY_HAND, "a", &how));
    assert_non_null(bench_serve(bench, BY_HAND, "user/1", &how));
    purge("user/*", false);
    assert_null(bench_serve(bench, BY_HAND, "user/1", &how));
    assert_null(bench_serve(bench, BY_HAND, "user/2", &how));
}

/* Softly: served as stale if the route has that, while it is refreshed. */
static void test_purge_soft(void **state)
{
    struct settlement how;
    (void)state;
    make(STALE, "a", "<p>old</p>");
    make(BY_HAND, "b", "<p>old</p>");
    make(STALE_ERROR, "c", "<p>old</p>");
    for (int i = 0; i < 3; i++)
        purge(i == 0 ? "a" : i == 1 ? "b" : "c", true);
    assert_string_equal(bench_serve(bench, STALE, "a", &how), "<p>old</p>");
    assert_null(bench_serve(bench, BY_HAND, "b", &how));
    assert_null(bench_serve(bench, STALE_ERROR, "c", &how));
    check_counts(1, 0);
    bench_turn(bench);
    hand_give(&bench->hand, "a", "<p>new</p>");
    bench_turn(bench);
    assert_string_equal(bench_serve(bench, STALE, "a", &how), "<p>new</p>");
    check_counts(0, 0);

    uint32_t number = bench->joined;
    join(STALE_ERROR, "c");
    hand_fail(&bench->hand, "c", SOURCE_FAILED);
    bench_turn(bench);
    assert_string_equal(bench->notes[number].body, "<p>old</p>");
    assert_true(bench->notes[number].how.stale);
}

/* Purged while it is generated: the waiters get it, nobody keeps it, and requests after the purge
 * have a flight of their own. */
static void test_purged_meanwhile(void **state)
{
    static const char *const keys[] = {"user/1", "user/*"};
    struct settlement how;
    (void)state;
    for (size_t i = 0; i < 2 * LENGTH(keys); i++) {
        begin(wide);
        join(BY_HAND, "user/1");
        struct hand_call *begun = bench->hand.calls;
        purge(keys[i / 2], i % 2);
        join(BY_HAND, "user/1");
        assert_row(i, bench->hand.started == 2);
        hand_complete(&bench->hand, begun,
                      &(struct source_result){.type = SLICE("text/html"),
                                              .body = SLICE("<p>old</p>")});
        bench_turn(bench);
        assert_string_equal(bench->notes[0].body, "<p>old</p>");
        assert_null(bench_serve(bench, BY_HAND, "user/1", &how));
        hand_give(&bench->hand, "user/1", "<p>new</p>");
        bench_turn(bench);
        assert_string_equal(bench_serve(bench, BY_HAND, "user/1", &how), "<p>new</p>");
        end();
    }
}

/* A failing source is called once in a while. */
static void test_negative(void **state)
{
    struct settlement how;
    (void)state;
    join(NEGATIVE, "a");
    hand_fail(&bench->hand, "a", SOURCE_TIMED_OUT);
    bench_turn(bench);
    assert_int_equal(bench->notes[0].how.kind, SETTLED_TIMED_OUT);
    assert_false(bench->notes[0].how.hit);
    assert_string_equal(bench_serve(bench, NEGATIVE, "a", &how), "");
    assert_true(how.kind == SETTLED_TIMED_OUT && how.hit);
    join(NEGATIVE, "a");
    bench_turn(bench);
    assert_int_equal(bench->notes[1].how.kind, SETTLED_TIMED_OUT);
    assert_true(bench->notes[1].how.hit);
    assert_int_equal(bench->hand.started, 1);
    check_counts(0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_serve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge_soft, setup, teardown),
        cmocka_unit_test(test_purged_meanwhile),
        cmocka_unit_test_setup_teardown(test_negative, setup, teardown),
    };
    log_configure(LOG_LEVEL_ERROR, false); /* failures cause warnings, and here they are intended */
    return cmocka_run_group_tests_name("flight_memory", tests, NULL, NULL);
}
