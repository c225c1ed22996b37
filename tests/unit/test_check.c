/* base/check: what does not hold ends the process, and says what and where. */
#include "base/check.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "unit.h"

static int count;

static void check_one(int value)
{
    check(value == 1);
}

static void check_percent(int value)
{
    check(value % 2 == 1); /* a condition is no format */
}

static void check_once(int value)
{
    check(++count == value);
    check(count == value);
}

/* Runs the function in a process of its own. Returns how that ended, as waitpid tells it, and what it
 * wrote to stderr. */
static int run(void (*function)(int value), int value, bool to_syslog, char *text, size_t size)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        dup2(ends[1], STDERR_FILENO);
        log_configure(LOG_LEVEL_ERROR, to_syslog);
        function(value);
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t got;
    while ((got = read(ends[0], text + len, size - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_check(void **state)
{
    static const struct {
        void (*function)(int value);
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
        int status = run(cases[row].function, cases[row].value, i % 2, text, sizeof text);
        if (!where) {
            assert_row(row, WIFEXITED(status) && WEXITSTATUS(status) == 0);
            assert_string_equal(text, "");
            continue;
        }
        assert_row(row, WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        const char *file = strstr(text, "test_check.c:");
        assert_non_null(file);
        assert_row(row, atoi(file + strlen("test_check.c:")) > 0);
        assert_row(row, strlen(text) > strlen(where) &&
                            strcmp(text + strlen(text) - strlen(where), where) == 0);
        assert_null(strstr(file + 1, "test_check.c:")); /* it is said once */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check)};
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
