/* source/module_handles: handles that are kept too long lead to nothing. */
#include "source/module_handles.h"

#include "base/alloc.h"
#include "unit.h"

static int objects[3];

static void test_what_a_handle_stands_for(void **state)
{
    struct handles handles = {0};
    uint64_t source =
        handles_add(&handles, HANDLE_OF_SOURCE, &objects[0], SLICE("db"), (struct slice){0});
    uint64_t call = handles_add(&handles, HANDLE_OF_CALL, &objects[1], SLICE("db"), SLICE("a/b"));
    (void)state;
    assert_true(source != 0 && call != 0 && source != call);
    assert_ptr_equal(handles_find(&handles, HANDLE_OF_SOURCE, source), &objects[0]);
    assert_ptr_equal(handles_find(&handles, HANDLE_OF_CALL, call), &objects[1]);
    assert_null(handles_find(&handles, HANDLE_OF_CALL, source));
    assert_null(handles_find(&handles, HANDLE_OF_SOURCE, call));
    static const uint64_t invented[] = {0, 1, UINT32_MAX, UINT64_MAX, (uint64_t)1 << 32 | 9999};
    for (size_t i = 0; i < LENGTH(invented); i++) {
        assert_row(i, !handles_find(&handles, HANDLE_OF_CALL, invented[i]));
        assert_row(i, handles_look(&handles, invented[i]).state == HANDLE_UNKNOWN);
    }
    handles_end(&handles, call, HANDLE_TIMED_OUT);
    assert_null(handles_find(&handles, HANDLE_OF_CALL, call));
    struct handle_view view = handles_look(&handles, call);
    assert_true(view.state == HANDLE_TIMED_OUT && view.kind == HANDLE_OF_CALL);
    assert_string_equal(view.source, "db");
    assert_string_equal(view.fragment, "a/b");
    handles_end(&handles, source, HANDLE_CLOSED);
    handles_free(&handles);
}

/* Each is remembered while at least HANDLES_REMEMBERED others come and go, and is never used again.
 */
static void test_no_handle_is_used_again(void **state)
{
    enum { COUNT = 5000 };
    static uint64_t seen[COUNT];
    struct handles handles = {0};
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        seen[i] = handles_add(&handles, HANDLE_OF_CALL, &objects[0], SLICE("s"), SLICE("f"));
        handles_end(&handles, seen[i], HANDLE_COMPLETED);
        for (size_t back = 1; back <= i && back < HANDLES_REMEMBERED; back++)
            assert_row(i, handles_look(&handles, seen[i - back]).state == HANDLE_COMPLETED);
        for (size_t other = i % 97; other < i; other += 97)
            assert_row(i, seen[other] != seen[i]);
    }
    assert_true(handles_look(&handles, seen[0]).state == HANDLE_FORGOTTEN);
    handles_free(&handles);
}

/* Many at a time, ended in any order. */
static void test_many_are_live(void **state)
{
    enum { COUNT = 3000 };
    static uint64_t live[COUNT];
    static int values[COUNT];
    struct handles handles = {0};
    (void)state;
    for (size_t turn = 0; turn < 20 * COUNT; turn++) {
        size_t i = unit_random(COUNT);
        if (live[i] != 0) {
            assert_ptr_equal(handles_find(&handles, HANDLE_OF_CALL, live[i]), &values[i]);
            handles_end(&handles, live[i], HANDLE_CANCELLED);
            live[i] = 0;
        } else {
            live[i] = handles_add(&handles, HANDLE_OF_CALL, &values[i], SLICE("s"), SLICE("f"));
        }
    }
    for (size_t i = 0; i < COUNT; i++)
        if (live[i] != 0)
            handles_end(&handles, live[i], HANDLE_COMPLETED);
    handles_free(&handles);
}

static void test_long_names_are_cut(void **state)
{
    struct handles handles = {0};
    char name[300];
    (void)state;
    memset(name, 'x', sizeof name);
    struct slice text = unit_exact((struct slice){.data = name, .len = sizeof name});
    uint64_t call = handles_add(&handles, HANDLE_OF_CALL, &objects[0], text, text);
    unit_drop(text);
    assert_int_equal(strlen(handles_look(&handles, call).fragment), HANDLE_NAME_ROOM - 1);
    handles_end(&handles, call, HANDLE_COMPLETED);
    handles_free(&handles);
}

static void test_without_memory(void **state)
{
    struct handles handles = {0};
    (void)state;
    alloc_fail_after(0);
    assert_int_equal(handles_add(&handles, HANDLE_OF_CALL, &objects[0], SLICE("s"), SLICE("f")), 0);
    alloc_fail_after(-1);
    uint64_t call = handles_add(&handles, HANDLE_OF_CALL, &objects[0], SLICE("s"), SLICE("f"));
    assert_true(call != 0);
    handles_end(&handles, call, HANDLE_COMPLETED);
    handles_free(&handles);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_handle_stands_for),
        cmocka_unit_test(test_no_handle_is_used_again),
        cmocka_unit_test(test_many_are_live),
        cmocka_unit_test(test_long_names_are_cut),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
