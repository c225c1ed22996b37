/* base/check: a condition that does not hold ends the process, with a message about what and where.
 * */
#include "base/check.h"

#include "base/log.h"
#include "forked.h"

static int count;

static void check_one(const void *argument)
{
    int value = *(const int *)argument;
    check(value == 1);
}

static void check_percent(const void *argument)
{
    int value = *(const int *)argument;
    check(value % 2 == 1); /* a condition is not a format */
}

static void check_once(const void *argument)
{
    int value = *(const int *)argument;
    check(++count == value);
    check(count == value);
}

static void test_check(void **state)
{
    static const struct {
        void (*function)(const void *value);
        int value;
        const char *where; /* NULL: the condition holds */
    } cases[] = {
        {check_one, 1, NULL},     {check_one, 2, ": check_one: not true: value == 1\n"},
        {check_percent, 3, NULL}, {check_percent, 2, ": check_percent: not true: value % 2 == 1\n"},
        {check_once, 1, NULL},    {check_once, 2, ": check_once: not true: ++count == value\n"},
    };
    (void)state;
    for (size_t i = 0; i < 2 * LENGTH(cases); i++) {
        char text[1000];
        size_t row = i / 2;
        const char *where = cases[row].where;
        log_configure(LOG_LEVEL_INFO, i % 2);
        int status = run_forked(cases[row].function, &cases[row].value, text, sizeof text);
        log_configure(LOG_LEVEL_INFO, false);
        if (!where) {
            assert_row(row, WIFEXITED(status) && WEXITSTATUS(status) == 0);
            assert_string_equal(text, "");
            continue;
        }
        assert_row(row, forked_was_aborted(status));
        const char *file = strstr(text, "test_check.c:");
        assert_non_null(file);
        assert_row(row, atoi(file + strlen("test_check.c:")) > 0);
        assert_row(row, strlen(text) > strlen(where) &&
                            strcmp(text + strlen(text) - strlen(where), where) == 0);
        assert_null(strstr(file + 1, "test_check.c:")); /* it is logged once */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check)};
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
