/* base/lines: many lines, and readers that are slow or gone. */
#include "unit.h"

#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/lines.h"
#include "base/log.h"

#define DROPPED COUNTER_ACCESS_LOG_DROPPED

static struct ev_loop *loop;
static char directory[] = "/tmp/test-lines-XXXXXX", path[100], moved[100];
static char text[1 << 20];

static int set_up(void **state)
{
    (void)state;
    loop = ev_loop_new(EVFLAG_AUTO);
    if (!loop || !mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/log", directory);
    snprintf(moved, sizeof moved, "%s/moved", directory);
    log_configure(LOG_LEVEL_ERROR, false); /* warnings are intended here */
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    unlink(path);
    unlink(moved);
    rmdir(directory);
    ev_loop_destroy(loop);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    unlink(path);
    unlink(moved);
    counter_values[DROPPED] = 0;
    return 0;
}

static struct lines *open_lines(void)
{
    struct lines *lines = lines_open(loop, LINES_TO_FILE, path, "test", DROPPED);
    assert_non_null(lines);
    return lines;
}

/* Adds a line of that number, `len` bytes with its newline. Returns false if it was dropped. */
static bool add(struct lines *lines, unsigned number, size_t len)
{
    char *at = lines_begin(lines), digits[20];
    if (!at)
        return false;
    memset(at, 'x', len);
    memcpy(at, digits, (size_t)snprintf(digits, sizeof digits, "%u", number));
    at[len - 1] = '\n';
    lines_end(lines, len);
    return true;
}

static const char *content(const char *of)
{
    FILE *file = fopen(of, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* Checks that there are lines with the numbers from 0 on; returns how many. */
static unsigned count_numbers(const char *lines, size_t len)
{
    unsigned count = 0;
    for (; *lines; lines += len, count++) {
        assert_int_equal(strtoul(lines, NULL, 10), count);
        assert_int_equal(strchr(lines, '\n') - lines, len - 1);
    }
    return count;
}

static void run(void)
{
    ev_run(loop, EVRUN_ONCE);
}

/* Nothing is written until there is enough of it, or a second has passed. */
static void test_batches(void **state)
{
    struct lines *lines = open_lines();
    unsigned count = 0;
    (void)state;
    assert_true(add(lines, count++, 1000));
    assert_string_equal(content(path), "");
    run();
    assert_int_equal(count_numbers(content(path), 1000), 1);
    while (count < 100)
        assert_true(add(lines, count++, 1000));
    unsigned written = count_numbers(content(path), 1000);
    assert_true(written > 50 && written < 100);
    lines_close(lines);
    assert_int_equal(count_numbers(content(path), 1000), 100);
    assert_int_equal(counter_values[DROPPED], 0);
}

static void test_longest(void **state)
{
    struct lines *lines = open_lines();
    (void)state;
    for (unsigned i = 0; i < 40; i++)
        assert_true(add(lines, i, LINES_LINE_MAX));
    lines_close(lines);
    assert_int_equal(count_numbers(content(path), LINES_LINE_MAX), 40);
}

/* It is appended to, and the old one gets what was said before it was moved. */
static void test_reopen(void **state)
{
    (void)state;
    lines_close(open_lines());
    struct lines *lines = open_lines();
    assert_true(add(lines, 0, 10));
    assert_int_equal(rename(path, moved), 0);
    assert_true(lines_reopen(lines));
    assert_int_equal(count_numbers(content(moved), 10), 1);
    assert_true(add(lines, 0, 10));
    lines_close(lines);
    assert_int_equal(count_numbers(content(path), 10), 1);
    assert_int_equal(count_numbers(content(moved), 10), 1);
}

/* If that fails, the old one is used further. */
static void test_reopen_fails(void **state)
{
    struct lines *lines = open_lines();
    (void)state;
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    log_configure(LOG_LEVEL_ERROR, true); /* an error is intended, too */
    assert_true(lines_reopen(lines));
    log_configure(LOG_LEVEL_ERROR, false);
    assert_true(add(lines, 0, 10));
    lines_close(lines);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(count_numbers(content(moved), 10), 1);
}

/* A full disk: lines stay as long as there is room, the others are counted. */
static void test_full(void **state)
{
    struct lines *lines = lines_open(loop, LINES_TO_FILE, "/dev/full", "test", DROPPED);
    unsigned kept = 0;
    (void)state;
    assert_non_null(lines);
    for (unsigned i = 0; i < 100; i++)
        kept += add(lines, i, 1000);
    assert_true(kept > 50 && kept < 70);
    assert_int_equal(counter_values[DROPPED], 100 - kept);
    run();
    assert_false(add(lines, 0, 1000));
    lines_close(lines);
    assert_int_equal(counter_values[DROPPED], 101);
}

/* A pipe that nobody reads, and then somebody does. */
static void test_pipe(void **state)
{
    enum { LINES = 1000 };
    unsigned kept = 0;
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    struct lines *lines = open_lines();
    for (unsigned i = 0; i < LINES; i++)
        kept += add(lines, kept, 1000);
    assert_true(kept > 100 && kept < 200); /* what it holds, and what we hold */
    assert_int_equal(counter_values[DROPPED], LINES - kept);

    char *at = text;
    for (unsigned turn = 0; (size_t)(at - text) < kept * 1000 && turn < 1000; turn++) {
        ssize_t len = read(reader, at, (size_t)(text + sizeof text - 1 - at));
        if (len > 0)
            at += len;
        ev_run(loop, EVRUN_NOWAIT); /* it sees that there is room, without its timer */
    }
    *at = '\0';
    assert_int_equal(count_numbers(text, 1000), kept);
    assert_true(add(lines, 0, 1000));
    lines_close(lines);
    assert_int_equal(counter_values[DROPPED], LINES - kept);
    close(reader);
}

/* A pipe whose reader has gone. */
static void test_no_reader(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    struct lines *lines = open_lines();
    close(reader);
    assert_true(add(lines, 0, 1000));
    lines_close(lines);
    assert_int_equal(counter_values[DROPPED], 1);
    log_configure(LOG_LEVEL_ERROR, true);
    assert_null(lines_open(loop, LINES_TO_FILE, path, "test", DROPPED));
    log_configure(LOG_LEVEL_ERROR, false);
}

static void test_stderr(void **state)
{
    int real = dup(STDERR_FILENO), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    (void)state;
    struct lines *lines = lines_open(loop, LINES_TO_STDERR, "", "test", DROPPED);
    dup2(file, STDERR_FILENO);
    bool added = true;
    for (unsigned i = 0; i < 100; i++)
        added = added && add(lines, i, 1000);
    assert_false(lines_reopen(lines));
    lines_close(lines);
    dup2(real, STDERR_FILENO);
    assert_true(added);
    assert_int_equal(count_numbers(content(path), 1000), 100);
    close(real);
    close(file);
}

static void test_no_memory(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_ERROR, true);
    for (long n = 0; n < 2; n++) {
        alloc_fail_after(n);
        assert_null(lines_open(loop, LINES_TO_FILE, path, "test", DROPPED));
        alloc_fail_after(-1);
    }
    log_configure(LOG_LEVEL_ERROR, false);
    lines_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_batches, forget),
        cmocka_unit_test_teardown(test_longest, forget),
        cmocka_unit_test_teardown(test_reopen, forget),
        cmocka_unit_test_teardown(test_reopen_fails, forget),
        cmocka_unit_test_teardown(test_full, forget),
        cmocka_unit_test_teardown(test_pipe, forget),
        cmocka_unit_test_teardown(test_no_reader, forget),
        cmocka_unit_test_teardown(test_stderr, forget),
        cmocka_unit_test_teardown(test_no_memory, forget),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("lines", tests, set_up, clean_up);
}
