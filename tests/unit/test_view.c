/* cli/snapshot, cli/view: from the status as JSON to the lines of a screen. */
#include "unit.h"

#include <locale.h>
#include <stdio.h>

#include "cli/snapshot.h"
#include "cli/view.h"

#define FIRST                                                                                      \
    "{\"version\": \"1.2\", \"pid\": 77, \"uptime_seconds\": 3725.5, \"draining\": false,"         \
    "\"parked\": {\"now\": 3, \"limit\": 100}, \"streams\": 1, \"connections\": 5,"                \
    "\"flights\": {\"now\": 3, \"limit\": 1000, \"states\": {\"generating\": 2, \"waiting\": 1}}," \
    "\"memory\": {\"bytes\": 1048576, \"limit_bytes\": 4194304, \"entries\": 12},"                 \
    "\"redis\": {\"up\": true, \"trouble\": null, \"p50_seconds\": 0.0002, \"p99_seconds\": "      \
    "0.001},"                                                                                      \
    "\"sources\": [{\"name\": \"api\", \"type\": \"http\", \"breaker\": \"closed\","               \
    "\"pause_seconds\": 0, \"running\": 2, \"queued\": 1, \"started\": 10,"                        \
    "\"ended\": {\"ok\": 5, \"failed\": 1, \"timed_out\": 1, \"busy\": 0},"                        \
    "\"p50_seconds\": 0.5, \"p99_seconds\": 2}],"                                                  \
    "\"fragments\": [{\"pattern\": \"*\", \"hit\": 100, \"stale\": 0, \"miss\": 10,"               \
    "\"collapsed\": 0, \"not_ready\": 0, \"failed\": 0}], \"refused\": {},"                        \
    "\"in_progress\": ["                                                                           \
    "{\"key\": \"young\", \"age_seconds\": 1, \"state\": \"generating\", \"source\": \"api\","     \
    "\"waiters\": 1},"                                                                             \
    "{\"key\": \"old\\u001b[2J\", \"age_seconds\": 10, \"state\": \"waiting\","                    \
    "\"source\": \"api\", \"waiters\": 2}]}"
#define SECOND                                                                                     \
    "{\"uptime_seconds\": 2, \"draining\": true, \"workers\": [{}, {}], \"redis\": {\"up\": "      \
    "false,"                                                                                       \
    "\"trouble\": \"Redis is unavailable\"}, \"refused\": {\"max_parked\": 7, \"max_flights\": "   \
    "1},"                                                                                          \
    "\"sources\": [{\"name\": \"api\", \"breaker\": \"open\", \"started\": 30,"                    \
    "\"ended\": {\"failed\": 3, \"timed_out\": 1, \"busy\": 2}}],"                                 \
    "\"fragments\": [{\"pattern\": \"*\", \"hit\": 400, \"stale\": 4, \"miss\": 20,"               \
    "\"collapsed\": 80, \"not_ready\": 2, \"failed\": 4},"                                         \
    "{\"pattern\": \"new\", \"hit\": 5}]}"

static struct snapshot first, second;

static int read_both(void **state)
{
    (void)state;
    setlocale(LC_CTYPE, "C.UTF-8");
    assert_true(snapshot_read(&first, SLICE(FIRST)));
    assert_true(snapshot_read(&second, SLICE(SECOND)));
    first.taken = 100;
    second.taken = 102;
    return 0;
}

/* The screen, with a newline after each line, and a terminating zero. */
static struct buffer draw(int width, int height, const struct snapshot *before,
                          const struct snapshot *now, const char *trouble)
{
    struct view view = {.width = width, .height = height, .line_end = "\n"};
    struct buffer out = {0};
    assert_true(view_draw(&view, before, now, trouble, &out));
    unit_append(&out, "", 1);
    return out;
}

static void test_first(void **state)
{
    static const char *const lines[] = {
        "workerless 1.2, process 77, up 1h 2m",
        "requests   -/s  hits -  stale -  misses -/s  failed -/s",
        "parked     3 of 100, 1 streams, 5 connections",
        "flights    3 of 1000, 2 generating, 1 waiting for others",
        "memory     #####............... 1.0 of 4.0 MiB, 12 entries",
        "redis      up, half of the commands within 0.2ms, 99% within 1ms",
        "",
        "source                breaker   running queued  calls/s failed/s     50%     99%",
        "api                   closed          2      1        -        -   500ms      2s",
        "",
        "fragment                         req/s    hits   stale misses/s   202/s failed/s",
        "*                                    -       -       -        -       -        -",
        "",
        "in progress (2 of 3)           state        waiting     age",
        "old\\x1b[2J                     waiting            2     10s ####################",
        "young                          generating         1      1s ##..................",
    };
    struct buffer screen = draw(80, 24, NULL, &first, NULL);
    char *rest = screen.data;
    (void)state;
    for (size_t i = 0; i < LENGTH(lines); i++) {
        struct slice line = slice_of(strsep(&rest, "\n"));
        while (line.len > 0 && line.data[line.len - 1] == ' ')
            line.len--;
        assert_slice(i, line, slice_of(lines[i]));
    }
    assert_true(!rest || !*rest);
    buffer_free(&screen);
}

static void test_rates(void **state)
{
    static const char *const pieces[] = {
        "workerless , 2 workers, up 2s, shutting down",
        /* 300 hits, 4 stale, 10 + 80 misses, 2 times 202, 4 failures within 2 s */
        "requests   200/s  hits 75.0%  stale 1.0%  misses 45.0/s  failed 2.0/s",
        "redis      Redis is unavailable",
        "rejected   max_parked 7, max_flights 1",
        "api                   open            0      0     10.0      2.0",
        "*                                  200   75.0%    1.0%     45.0     1.0      2.0",
        "new                                  -       -       -        -       -        -",
    };
    struct buffer screen = draw(80, 24, &first, &second, NULL);
    (void)state;
    for (size_t i = 0; i < LENGTH(pieces); i++)
        assert_row(i, strstr(screen.data, pieces[i]));
    buffer_free(&screen);
    screen = draw(80, 24, &second, &first, NULL); /* another daemon: its counts are smaller */
    assert_non_null(strstr(screen.data, "requests   -/s  hits -"));
    buffer_free(&screen);
}

static void test_wide(void **state)
{
    struct buffer screen = draw(120, 40, NULL, &first, NULL);
    (void)state;
    assert_non_null(strstr(screen.data, "2s  ####################\n"));
    assert_non_null(strstr(screen.data, " api                 generating "));
    buffer_free(&screen);
}

static void test_trouble(void **state)
{
    struct buffer screen = draw(20, 10, NULL, &first, "a reason that needs two lines");
    (void)state;
    assert_int_equal(strncmp(screen.data, "a reason that needs \ntwo lines\nrequests ", 40), 0);
    buffer_free(&screen);
}

/* Whatever the size, no line is longer, and there are no more lines. */
static void test_sizes(void **state)
{
    struct snapshot many = first;
    (void)state;
    for (many.source_count = 0; many.source_count < 30; many.source_count++) {
        many.sources[many.source_count] = first.sources[0];
        many.routes[many.source_count] = first.routes[0];
        many.list[many.source_count] = first.list[0];
        snprintf(many.sources[many.source_count].name, 60,
                 "caf\xc3\xa9 \xe6\xbc\xa2\xe5\xad\x97 \xff a name that is longer than most");
    }
    many.route_count = many.list_count = many.all_sources = many.all_routes = many.source_count;
    for (int width = 1; width < 140; width++) {
        for (int height = 1; height < 45; height++) {
            struct buffer screen = draw(width, height, &first, &many, NULL);
            char *rest = screen.data, *line;
            int lines = 0;
            for (; (line = strsep(&rest, "\n")); lines++) {
                int columns = 0;
                for (; *line; line++) {
                    unsigned char byte = (unsigned char)*line;
                    columns += (byte & 0xc0) != 0x80; /* bytes that begin a character */
                    columns += byte >= 0xe0;          /* those here are wide */
                }
                assert_row(width, columns <= width);
            }
            assert_row(width * 100 + height, lines == height);
            buffer_free(&screen);
        }
    }
}

static void test_colours(void **state)
{
    struct view view = {.width = 80, .height = 24, .coloured = true, .line_end = "\n"};
    struct buffer out = {0};
    (void)state;
    assert_true(view_draw(&view, &first, &second, NULL, &out));
    unit_append(&out, "", 1);
    assert_non_null(strstr(out.data, "\033[1;31mopen\033[0m"));
    assert_non_null(strstr(out.data, "\033[1mrequests\033[0m   200/s"));
    buffer_free(&out);
}

static void test_what_is_no_status(void **state)
{
    static const char *const texts[] = {"", "{}", "[]", "{\"uptime_seconds\": 1", "null"};
    struct snapshot snapshot;
    (void)state;
    for (size_t i = 0; i < LENGTH(texts); i++)
        assert_row(i, !snapshot_read(&snapshot, slice_of(texts[i])));
}

/* More than is kept: the oldest flights are. */
static void test_many_flights(void **state)
{
    static const char begin[] = "{\"uptime_seconds\": 1, \"in_progress\": [";
    struct buffer text = {0};
    char row[80];
    (void)state;
    unit_append(&text, begin, strlen(begin));
    for (int i = 0; i < 1000; i++)
        unit_append(&text, row,
                    (size_t)snprintf(row, sizeof row, "%s{\"key\": \"k\", \"age_seconds\": %d}",
                                     i > 0 ? "," : "", i * 7919 % 1000));
    unit_append(&text, "]}", 2);
    struct snapshot snapshot;
    assert_true(snapshot_read(&snapshot, buffer_slice(&text)));
    assert_int_equal(snapshot.list_count, SNAPSHOT_FLIGHTS);
    for (size_t i = 0; i < SNAPSHOT_FLIGHTS; i++)
        assert_int_equal((int)snapshot.list[i].age, 999 - i);
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_colours),
        cmocka_unit_test(test_what_is_no_status),
        cmocka_unit_test(test_many_flights),
    };
    return cmocka_run_group_tests_name("view", tests, read_both, NULL);
}
