/* cache/unstored: the last reason of each key, in bounded memory. */
#include "unit.h"

#include <stdio.h>

#include "base/alloc.h"
#include "cache/unstored.h"

static void test_notes(void **state)
{
    struct unstored_table table = {0};
    (void)state;
    assert_null(unstored_find(&table, SLICE("a")));
    unstored_note(&table, SLICE("a"), SLICE("first"), 1);
    unstored_note(&table, SLICE(""), SLICE("other"), 2);
    unstored_note(&table, SLICE("a"), SLICE("second"), 3);
    const struct unstored *found = unstored_find(&table, SLICE("a"));
    assert_non_null(found);
    assert_string_equal(found->why, "second");
    assert_true(found->at > 2.5);
    assert_null(unstored_find(&table, SLICE("b")));
    unstored_free(&table);
    assert_null(unstored_find(&table, SLICE("a")));
    unstored_free(&table);
}

static void test_long(void **state)
{
    char text[2 * UNSTORED_WHY_MAX];
    struct unstored_table table = {0};
    (void)state;
    memset(text, 'x', sizeof text);
    unstored_note(&table, SLICE("a"), (struct slice){text, sizeof text}, 1);
    assert_int_equal(strlen(unstored_find(&table, SLICE("a"))->why), UNSTORED_WHY_MAX);
    unstored_free(&table);
}

/* Any number of keys: none has the reason of another one, and most of the latest are there. */
static void test_many(void **state)
{
    struct unstored_table table = {0};
    size_t found = 0;
    char key[20];
    (void)state;
    for (size_t i = 0; i < 20 * UNSTORED_PLACES; i++) {
        snprintf(key, sizeof key, "key-%zu", i);
        unstored_note(&table, slice_of(key), slice_of(key), (double)i);
    }
    for (size_t i = 0; i < 20 * UNSTORED_PLACES; i++) {
        snprintf(key, sizeof key, "key-%zu", i);
        const struct unstored *one = unstored_find(&table, slice_of(key));
        found += one != NULL;
        assert_row(i, !one || strcmp(one->why, key) == 0);
    }
    assert_true(found > UNSTORED_PLACES / 2 && found <= UNSTORED_PLACES);
    unstored_free(&table);
}

static void test_no_memory(void **state)
{
    struct unstored_table table = {0};
    (void)state;
    alloc_fail_after(0);
    unstored_note(&table, SLICE("a"), SLICE("why"), 1);
    alloc_fail_after(-1);
    assert_null(unstored_find(&table, SLICE("a")));
    unstored_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("unstored", tests, NULL, NULL);
}
