/* base/log: lines, levels, and limits of repeated messages. */
#include <ev.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slice.h"
#include "unit.h"

/* --- log --- */

static FILE *captured;
static int real_stderr;

static void capture_start(void)
{
    captured = tmpfile();
    assert_non_null(captured);
    real_stderr = dup(STDERR_FILENO);
    assert_true(real_stderr >= 0);
    assert_true(dup2(fileno(captured), STDERR_FILENO) >= 0);
}

/* What was written to stderr since capture_start. */
static struct slice capture_end(char *out, size_t size)
{
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    close(real_stderr);
    rewind(captured);
    size_t len = fread(out, 1, size, captured);
    fclose(captured);
    return (struct slice){.data = out, .len = len};
}

/* Takes off "2024-11-24T03:36:01.123Z [4711] " and the newline; there may be no other. */
static struct slice line_text(struct slice line)
{
    int year, month, day, hour, minute, second, ms, consumed = 0;
    long pid;
    assert_true(line.len > 0 && line.data[line.len - 1] == '\n');
    assert_ptr_equal(memchr(line.data, '\n', line.len), line.data + line.len - 1);
    char *terminated = strndup(line.data, line.len - 1);
    assert_non_null(terminated);
    assert_int_equal(sscanf(terminated, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ [%ld] %n", &year, &month,
                            &day, &hour, &minute, &second, &ms, &pid, &consumed),
                     8);
    free(terminated);
    assert_true(year > 2000 && month <= 12 && day <= 31 && hour < 24 && minute < 60);
    assert_int_equal(pid, getpid());
    line.len--;
    return slice_from(line, (size_t)consumed);
}

static void test_log_text(void **state)
{
    static const struct {
        enum log_level level;
        const char *text, *line;
    } cases[] = {
        {LOG_LEVEL_ERROR, "plain", "error room: plain"},
        {LOG_LEVEL_WARNING, "", "warning room: "},
        {LOG_LEVEL_INFO, "100% %s %n", "info room: 100% %s %n"},
        {LOG_LEVEL_INFO, "two\nlines", "info room: two\\x0alines"},
        {LOG_LEVEL_INFO, "\r\n2024 error forged: line",
         "info room: \\x0d\\x0a2024 error forged: line"},
        {LOG_LEVEL_INFO, "\x1b[2J\a\t", "info room: \\x1b[2J\\x07\\x09"},
        {LOG_LEVEL_INFO, "\x7f\x1f\x01", "info room: \\x7f\\x1f\\x01"},
        {LOG_LEVEL_INFO, "gr\xc3\xbc\xc3\x9f \\x0a", "info room: gr\xc3\xbc\xc3\x9f \\x0a"},
        /* U+0080, U+0085, U+009F; U+00A0 is harmless */
        {LOG_LEVEL_INFO, "\xc2\x80\xc2\x85\xc2\x9f\xc2\xa0",
         "info room: \\xc2\\x80\\xc2\\x85\\xc2\\x9f\xc2\xa0"},
        /* U+061B, U+061C, U+061D */
        {LOG_LEVEL_INFO, "\xd8\x9b\xd8\x9c\xd8\x9d", "info room: \xd8\x9b\\xd8\\x9c\xd8\x9d"},
        /* U+200D, U+200E, U+200F, U+2010 */
        {LOG_LEVEL_INFO, "\xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\x90",
         "info room: \xe2\x80\x8d\\xe2\\x80\\x8e\\xe2\\x80\\x8f\xe2\x80\x90"},
        /* U+2027, U+2028, U+2029 */
        {LOG_LEVEL_INFO, "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9",
         "info room: \xe2\x80\xa7\\xe2\\x80\\xa8\\xe2\\x80\\xa9"},
        /* U+202A, U+202E, U+202F */
        {LOG_LEVEL_INFO, "\xe2\x80\xaa\xe2\x80\xae\xe2\x80\xaf",
         "info room: \\xe2\\x80\\xaa\\xe2\\x80\\xae\xe2\x80\xaf"},
        /* U+2065, U+2066, U+2069, U+206A */
        {LOG_LEVEL_INFO, "\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa",
         "info room: \xe2\x81\xa5\\xe2\\x81\\xa6\\xe2\\x81\\xa9\xe2\x81\xaa"},
        /* Not UTF-8: Latin-1, overlong, a surrogate, past U+10FFFF, ended too soon */
        {LOG_LEVEL_INFO, "gr\xfc\xdf", "info room: gr\\xfc\\xdf"},
        {LOG_LEVEL_INFO, "\xc0\x8a!", "info room: \\xc0\\x8a!"},
        {LOG_LEVEL_INFO, "\xed\xa0\x80", "info room: \\xed\\xa0\\x80"},
        {LOG_LEVEL_INFO, "\xf4\x90\x80\x80", "info room: \\xf4\\x90\\x80\\x80"},
        {LOG_LEVEL_INFO, "\xe2\x82", "info room: \\xe2\\x82"},
        {LOG_LEVEL_INFO, "\xe2\x82z\xf0\x9f\x98\x80", "info room: \\xe2\\x82z\xf0\x9f\x98\x80"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char out[3000];
        capture_start();
        log_message(cases[i].level, "room", "%s", cases[i].text);
        struct slice line = capture_end(out, sizeof out);
        assert_slice(i, line_text(line), slice_of(cases[i].line));
    }
}

/* Long texts are cut, also when every byte of them grows. */
static void test_log_length(void **state)
{
    (void)state;
    for (size_t len = 900; len < 3000; len += len < 1100 ? 1 : 100) {
        static char text[3001], out[9000];
        memset(text, 'x', len);
        text[len] = '\0';
        capture_start();
        log_info("room", "%s", text);
        struct slice line = line_text(capture_end(out, sizeof out));
        struct slice rest = slice_from(line, strlen("info room: "));
        assert_row(len, rest.len == (len < 1000 ? len : 1000));
        assert_row(len, memcmp(rest.data, text, rest.len) == 0);

        memset(text, '\n', len);
        capture_start();
        log_info("room", "%s", text);
        rest = slice_from(line_text(capture_end(out, sizeof out)), strlen("info room: "));
        assert_row(len, rest.len >= 1000 && rest.len % 4 == 0);
        for (size_t i = 0; i < rest.len; i += 4)
            assert_row(len, memcmp(rest.data + i, "\\x0a", 4) == 0);
    }
}

/* A character at the cut is there, or it is not. */
static void test_log_cut(void **state)
{
    static const char *const characters[] = {"x", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    (void)state;
    for (size_t row = 0; row < LENGTH(characters) * 8; row++) {
        static char text[1100], out[3000];
        const char *character = characters[row / 8];
        size_t before = 994 + row % 8, len = strlen(character);
        for (int followed = 0; followed <= 1; followed++) {
            memset(text, 'a', before);
            memcpy(text + before, character, len + 1);
            if (followed)
                strcat(text, "bcd");
            capture_start();
            log_info("room", "%s", text);
            struct slice line = line_text(capture_end(out, sizeof out));
            struct slice rest = slice_from(line, strlen("info room: "));
            size_t most = before + len + (followed ? 3 : 0);
            size_t expected = before + len > 1000 ? (before < 1000 ? before : 1000)
                              : most < 1000       ? most
                                                  : 1000;
            assert_slice(row, rest, ((struct slice){text, expected}));
        }
    }
}

/* Reads all that the pipe holds, and returns how many lines that is. */
static unsigned count_lines(int pipe_end, char *out, size_t size)
{
    unsigned lines = 0;
    ssize_t len;
    memset(out, 0, size);
    while ((len = read(pipe_end, out, size - 1)) > 0)
        for (ssize_t i = 0; i < len; i++)
            lines += out[i] == '\n';
    return lines;
}

/* Nobody reads stderr: writing does not block, and the number of lost lines is logged when somebody
 * reads. */
static void test_log_lost(void **state)
{
    enum { LINES = 2000 };
    static char out[1 << 17];
    unsigned thousands = 0, rest = 0;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    real_stderr = dup(STDERR_FILENO);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    for (int i = 0; i < LINES; i++)
        log_info("room", "%0100d", i);
    unsigned seen = count_lines(ends[0], out, sizeof out);
    log_info("room", "%s", "after");
    unsigned more = count_lines(ends[0], out, sizeof out);
    bool complete = strstr(out, "room: after\n") != NULL;
    int found = sscanf(out, "(%u,%3u log lines were lost here)\n", &thousands, &rest);
    log_info("room", "%s", "again");
    unsigned again = count_lines(ends[0], out, sizeof out);
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    close(real_stderr);
    close(ends[0]);
    close(ends[1]);

    assert_true(seen > 0 && seen < LINES);
    assert_int_equal(more, 2);
    assert_true(complete);
    assert_int_equal(found, 2);
    assert_int_equal(seen + thousands * 1000 + rest, LINES);
    assert_int_equal(again, 1); /* logged once */
}

static int evaluations;

static int evaluated(void)
{
    return ++evaluations;
}

static void test_log_levels(void **state)
{
    static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO,
                                            LOG_LEVEL_DEBUG};
    char out[3000];
    (void)state;
    assert_true(log_enabled(LOG_LEVEL_INFO)); /* the default */
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
    for (size_t i = 0; i < LENGTH(levels); i++) {
        log_configure(levels[i], false);
        for (size_t k = 0; k < LENGTH(levels); k++) {
            assert_int_equal(log_enabled(levels[k]), k <= i);
            capture_start();
            log_message(levels[k], "room", "text");
            assert_int_equal(capture_end(out, sizeof out).len > 0, k <= i);
        }
        evaluations = 0;
        capture_start();
        log_debug("room", "%d", evaluated());
        capture_end(out, sizeof out);
        assert_int_equal(evaluations, levels[i] == LOG_LEVEL_DEBUG ? 1 : 0);
    }
    log_configure(LOG_LEVEL_INFO, false);
}

/* --- log, limited --- */

/* Messages TEXT1, TEXT2 ... */
static void limited(struct log_limit *limit, unsigned times, const char *text)
{
    for (unsigned i = 1; i <= times; i++)
        log_limited(limit, LOG_LEVEL_WARNING, "room", "%s%u", text, i);
}

/* The lines of what was captured, without what line_text takes off, each ended by '|'. */
static const char *captured_lines(void)
{
    static char out[20000], lines[20000];
    struct slice rest = capture_end(out, sizeof out);
    size_t at = 0;
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '\n', rest.len);
        assert_non_null(end);
        size_t len = (size_t)(end - rest.data) + 1;
        struct slice line = line_text((struct slice){rest.data, len});
        memcpy(lines + at, line.data, line.len);
        at += line.len;
        lines[at++] = '|';
        rest = slice_from(rest, len);
    }
    lines[at] = '\0';
    return lines;
}

#define FIRST "warning room: text1|"
#define BURST                                                                                      \
    FIRST "warning room: text2|warning room: text3|warning room: text4|warning room: text5|"

/* What is written in several periods, each with so many messages. */
static void test_log_limited(void **state)
{
    static const struct {
        unsigned messages;
        const char *lines;
    } periods[] = {
        {1, FIRST},
        {LOG_LIMIT_BURST, BURST},
        {1575, BURST},
        {1, "warning room: … and 1,570 more in 10 s like this one: text5|" FIRST},
        {LOG_LIMIT_BURST + 1, BURST}, /* the flood is over */
        {3, "warning room: … and 1 more in 10 s like this one: text5|" FIRST},
        {2, "warning room: … and 2 more in 10 s like this one: text1|"},
        {0, ""},
        {1, "warning room: … and 2 more in 20 s like this one: text1|"},
        {0, ""},
        {0, ""},
        {1, "warning room: … and 1 more in 30 s like this one: text1|"},
        {9, "warning room: … and 1 more in 10 s like this one: text1|"},
    };
    struct log_limit limit = {0};
    (void)state;
    for (size_t i = 0; i < LENGTH(periods); i++) {
        capture_start();
        limited(&limit, periods[i].messages, "text");
        assert_slice(i, slice_of(captured_lines()), slice_of(periods[i].lines));
        if (limit.since > 0)
            limit.since -= LOG_LIMIT_S;
    }
    limit.since += LOG_LIMIT_S - 2.9;
    capture_start();
    log_limit_end(&limit);
    log_limit_end(&limit);
    assert_string_equal(captured_lines(),
                        "warning room: … and 9 more in 3 s like this one: text1|");
    capture_start();
    limited(&limit, 6, "text");
    assert_string_equal(captured_lines(), BURST);
    capture_start();
    log_limit_end(&limit);
    assert_string_equal(captured_lines(),
                        "warning room: … and 1 more in 1 s like this one: text5|");
}

/* A message is not written again while it only repeats the one before. */
static void test_log_limit_repeats(void **state)
{
    static const struct {
        const char *text, *line;
    } messages[] = {
        {"a", "warning room: a|"}, {"a", ""}, {"b", "warning room: b|"},
        {"", "warning room: |"},   {"", ""},  {"c", ""}, /* no more are compared */
    };
    struct log_limit limit = {0};
    (void)state;
    for (size_t i = 0; i < LENGTH(messages); i++) {
        capture_start();
        log_limited(&limit, LOG_LEVEL_WARNING, "room", "%s", messages[i].text);
        assert_slice(i, slice_of(captured_lines()), slice_of(messages[i].line));
    }
    limit.since -= LOG_LIMIT_S;
    capture_start();
    log_limited(&limit, LOG_LEVEL_WARNING, "room", "%s", "");
    assert_string_equal(captured_lines(), "warning room: … and 3 more in 10 s like this one: |");
    limit.since -= LOG_LIMIT_S;
    capture_start();
    log_limited(&limit, LOG_LEVEL_WARNING, "room", "d");
    assert_string_equal(captured_lines(),
                        "warning room: … and 1 more in 10 s like this one: |warning room: d|");
    for (int i = 0; i < 2; i++) { /* after a quiet period it is written again */
        limit.since = limit.since > 0 ? limit.since - LOG_LIMIT_S : 0;
        capture_start();
        log_limited(&limit, LOG_LEVEL_WARNING, "room", "d");
        assert_string_equal(captured_lines(), "warning room: d|");
    }
    log_limit_end(&limit);
}

/* The summary has the latest message, although most messages before it were suppressed. */
static void test_log_state(void **state)
{
    struct log_limit limit = {0};
    (void)state;
    capture_start();
    for (unsigned i = 0; i < 499; i++)
        log_state(&limit, i % 2 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "room", "%s",
                  i % 2 ? "back" : "gone");
    struct slice written = slice_of(captured_lines());
    assert_int_equal(written.len,
                     LOG_STATE_BURST / 2 * strlen("info room: back|warning room: gone|"));

    limit.since -= LOG_LIMIT_S;
    capture_start();
    log_state(&limit, LOG_LEVEL_INFO, "room", "back");
    log_state(&limit, LOG_LEVEL_WARNING, "room", "gone");
    log_state(&limit, LOG_LEVEL_INFO, "room", "back for good");
    assert_string_equal(captured_lines(),
                        "warning room: … and 479 more in 10 s, the last one: gone|"
                        "info room: back|");
    capture_start();
    log_limit_end(&limit);
    assert_string_equal(captured_lines(),
                        "info room: … and 2 more in 1 s, the last one: back for good|");
}

/* A flood of one hides no other; each repeats its own message, up to a limited length. */
static void test_log_limits_apart(void **state)
{
    static char longer[400], expected[2000];
    struct log_limit flooded = {0}, other = {0};
    (void)state;
    capture_start();
    limited(&flooded, 100, "text");
    limited(&other, 1, "other");
    assert_string_equal(captured_lines(), BURST "warning room: other1|");
    for (size_t i = 0; i < sizeof longer - 4; i += 3)
        memcpy(longer + i, "\xe2\x82\xac", 3);
    capture_start();
    log_limited(&other, LOG_LEVEL_WARNING, "room", "%s", longer);
    limited(&other, LOG_LIMIT_BURST, longer);
    captured_lines();
    capture_start();
    log_limit_end(&flooded);
    log_limit_end(&other);
    snprintf(expected, sizeof expected,
             "warning room: … and 95 more in 1 s like this one: text5|"
             "warning room: … and 5 more in 1 s like this one: %.*s|",
             LOG_LIMIT_TEXT, longer);
    assert_string_equal(captured_lines(), expected);
}

static void test_log_limit_numbers(void **state)
{
    static const struct {
        unsigned long left_out;
        const char *shown;
    } cases[] = {{1, "1"},
                 {999, "999"},
                 {1000, "1,000"},
                 {12034, "12,034"},
                 {999999, "999,999"},
                 {1000000, "1,000,000"},
                 {4294967295, "4,294,967,295"}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct log_limit limit = {0};
        char expected[200];
        capture_start();
        limited(&limit, LOG_LIMIT_BURST + 1, "text");
        captured_lines();
        limit.left_out = cases[i].left_out;
        limit.since -= 1999.5;
        capture_start();
        log_limit_end(&limit);
        snprintf(expected, sizeof expected,
                 "warning room: … and %s more in 2,000 s like this one: text5|", cases[i].shown);
        assert_slice(i, slice_of(captured_lines()), slice_of(expected));
    }
}

/* What is below the log level is not counted; with debug messages everything is written. */
static void test_log_limit_levels(void **state)
{
    struct log_limit limit = {0};
    (void)state;
    capture_start();
    log_limited(&limit, LOG_LEVEL_DEBUG, "room", "text");
    log_configure(LOG_LEVEL_ERROR, false);
    limited(&limit, 100, "text");
    log_limit_end(&limit);
    assert_string_equal(captured_lines(), "");

    log_configure(LOG_LEVEL_DEBUG, false);
    capture_start();
    limited(&limit, LOG_LIMIT_BURST, "text");
    limited(&limit, LOG_LIMIT_BURST, "text");
    limited(&limit, 1, "text");
    limited(&limit, 1, "text");
    log_limit_end(&limit);
    assert_string_equal(captured_lines(), BURST BURST FIRST FIRST);
    log_configure(LOG_LEVEL_INFO, false);
}

/* With a loop, the summary of a period comes at its end; at the loop's end, at once. */
static void test_log_limit_loop(void **state)
{
    static const double ages[] = {9.95, 9.9, 3};
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct log_limit limits[LENGTH(ages)] = {0};
    (void)state;
    assert_non_null(loop);
    log_attach(loop);
    capture_start();
    for (size_t i = LENGTH(ages); i-- > 0;) {
        char name[2] = {(char)('a' + i), '\0'};
        limited(&limits[i], LOG_LIMIT_BURST, name);
        limits[i].since -= ages[i];
        limited(&limits[i], (unsigned)i + 1, name);
    }
    captured_lines();

    capture_start();
    for (unsigned turns = 0; limits[1].left_out > 0 && turns < 100; turns++)
        ev_run(loop, EVRUN_ONCE);
    assert_string_equal(captured_lines(), "warning room: … and 1 more in 10 s like this one: a5|"
                                          "warning room: … and 2 more in 10 s like this one: b5|");
    capture_start();
    log_detach();
    assert_string_equal(captured_lines(), "warning room: … and 3 more in 3 s like this one: c5|");
    assert_false(ev_run(loop, 0)); /* nothing is left on the loop */
    ev_loop_destroy(loop);

    capture_start();
    limited(&limits[2], 2, "without a loop");
    log_limit_end(&limits[2]);
    assert_string_equal(captured_lines(),
                        "warning room: without a loop1|"
                        "warning room: … and 1 more in 1 s like this one: without a loop1|");
}

/* Root must not be led to a file that another user has chosen. */
static void test_log_links(void **state)
{
    static const struct {
        mode_t mode; /* of the directory */
        bool linked, refused;
    } rows[] = {
        {0755, true, false}, {0775, true, true},   {0757, true, true},
        {01777, true, true}, {0777, false, false},
    };
    bool is_root = geteuid() == 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char directory[] = "/tmp/test-log-XXXXXX", path[64], target[64];
        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof path, "%s/log", directory);
        snprintf(target, sizeof target, "%s/target", directory);
        assert_true(!rows[i].linked || symlink(target, path) == 0);
        assert_int_equal(chmod(directory, rows[i].mode), 0);
        int fd = log_file_open(path), error = errno;
        bool refused = rows[i].refused && is_root;
        assert_true((fd < 0) == refused);
        assert_true(!refused || error == ELOOP);
        assert_true((access(target, F_OK) == 0) == (rows[i].linked && !refused));
        if (fd >= 0)
            close(fd);
        unlink(path);
        unlink(target);
        assert_int_equal(rmdir(directory), 0);
    }
    assert_non_null(strstr(log_file_strerror(ELOOP), "symbolic link"));
    assert_string_equal(log_file_strerror(ENOENT), strerror(ENOENT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_text),          cmocka_unit_test(test_log_length),
        cmocka_unit_test(test_log_cut),           cmocka_unit_test(test_log_lost),
        cmocka_unit_test(test_log_levels),        cmocka_unit_test(test_log_limited),
        cmocka_unit_test(test_log_limit_repeats), cmocka_unit_test(test_log_state),
        cmocka_unit_test(test_log_limits_apart),  cmocka_unit_test(test_log_limit_numbers),
        cmocka_unit_test(test_log_limit_levels),  cmocka_unit_test(test_log_limit_loop),
        cmocka_unit_test(test_log_links),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
