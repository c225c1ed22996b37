/* base/counters: what the table says, and that each counter is independent. */
#include "base/counters.h"

#include "unit.h"

/* Whether the text is of lower case letters, digits and underscores, and begins with a letter. */
static bool is_name(const char *text)
{
    return *text >= 'a' && *text <= 'z' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(text);
}

/* Each has a name of its own, a help text of one sentence, and a type. */
static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNTERS; i++) {
        const struct counter_row *row = &counter_rows[i];
        assert_row(i, is_name(row->name));
        for (size_t other = 0; other < i; other++)
            assert_row(i, strcmp(row->name, counter_rows[other].name) != 0);
        size_t len = strlen(row->help);
        assert_row(i, len > 0 && row->help[len - 1] == '.' && !strchr(row->help, '\n'));
        assert_row(i, row->type == COUNTER_TYPE_COUNTER || row->type == COUNTER_TYPE_GAUGE);
    }
    assert_string_equal(counter_rows[COUNTER_PARKED].name, "parked");
    assert_int_equal(counter_rows[COUNTER_PARKED].type, COUNTER_TYPE_GAUGE);
    assert_int_equal(counter_rows[COUNTER_ANSWERS_2XX].type, COUNTER_TYPE_COUNTER);
}

static void test_counting(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNTERS; i++)
        counter_add((enum counter)i, i + 2);
    for (size_t i = 0; i < COUNTERS; i++)
        counter_sub((enum counter)i, 1);
    for (size_t i = 0; i < COUNTERS; i++)
        assert_row(i, counter_values[i] == i + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_counting),
    };
    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
