/* base: slices, buffers, memory, UTF-8, the log. (Timeouts are in test_timeout.c.) */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/utf8.h"
#include "unit.h"

/* --- slice --- */

static void test_slices(void **state)
{
    static const struct {
        struct slice text, trimmed;
    } cases[] = {
        {SLICE_INIT(""), SLICE_INIT("")},           {SLICE_INIT(" \t "), SLICE_INIT("")},
        {SLICE_INIT("a"), SLICE_INIT("a")},         {SLICE_INIT(" a"), SLICE_INIT("a")},
        {SLICE_INIT("a\t"), SLICE_INIT("a")},       {SLICE_INIT("\t a b \t"), SLICE_INIT("a b")},
        {SLICE_INIT("\na\r"), SLICE_INIT("\na\r")}, {SLICE_INIT(" \0 "), SLICE_INIT("\0")},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].text);
        assert_slice(i, slice_trim(exact), cases[i].trimmed);
        unit_drop(exact);
    }
    assert_int_equal(slice_trim((struct slice){0}).len, 0);

    assert_true(slice_equal((struct slice){0}, SLICE("")));
    assert_true(slice_equal(SLICE("a\0b"), SLICE("a\0b")));
    assert_false(slice_equal(SLICE("a\0b"), SLICE("a\0c")));
    assert_false(slice_equal(SLICE("a"), SLICE("ab")));
    assert_false(slice_equal(SLICE("a"), SLICE("A")));

    assert_true(slice_starts(SLICE("abc"), SLICE("ab")));
    assert_true(slice_starts(SLICE("abc"), SLICE("abc")));
    assert_true(slice_starts(SLICE("abc"), SLICE("")));
    assert_true(slice_starts((struct slice){0}, (struct slice){0}));
    assert_false(slice_starts(SLICE("abc"), SLICE("abcd")));
    assert_false(slice_starts(SLICE("abc"), SLICE("b")));
    assert_false(slice_starts((struct slice){0}, SLICE("a")));

    assert_int_equal(slice_of(NULL).len, 0);
    assert_int_equal(slice_of("abc").len, 3);
    assert_slice(0, slice_from(SLICE("abc"), 1), SLICE("bc"));
    assert_slice(0, slice_from(SLICE("abc"), 3), SLICE(""));
}

/* --- alloc --- */

static void test_alloc(void **state)
{
    (void)state;
    char *block = alloc_zeroed(100);
    assert_non_null(block);
    for (int i = 0; i < 100; i++)
        assert_int_equal(block[i], 0);
    memcpy(block, "kept", 4);

    alloc_fail_after(0);
    assert_null(alloc_resized(block, 200));
    assert_memory_equal(block, "kept", 4);
    assert_null(alloc_zeroed(1));
    assert_null(alloc_bytes(1));
    assert_null(alloc_copy("x", 1));
    alloc_fail_after(-1);
    block = alloc_resized(block, 200);
    assert_non_null(block);
    assert_memory_equal(block, "kept", 4);
    free(block);

    char *copy = alloc_copy("a\0bc", 3);
    assert_non_null(copy);
    assert_memory_equal(copy, "a\0b\0", 4);
    free(copy);
    copy = alloc_copy(NULL, 0);
    assert_non_null(copy);
    assert_string_equal(copy, "");
    free(copy);

    for (long successes = 0; successes < 5; successes++) {
        alloc_fail_after(successes);
        for (long i = 0; i < 7; i++) {
            void *given = alloc_bytes(1);
            assert_int_equal(given != NULL, i < successes);
            free(given);
        }
        alloc_fail_after(-1);
    }
    block = alloc_bytes(1);
    assert_non_null(block);
    free(block);
}

/* --- buffer --- */

/* Every limit and every length around the first sizes: all or nothing. */
static void test_buffer_limits(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 255, 256, 257, 511, 512, 513, 1000};
    static char bytes[1000];
    (void)state;
    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < LENGTH(sizes) * LENGTH(sizes) * LENGTH(sizes); i++) {
        size_t first = sizes[i % LENGTH(sizes)];
        size_t second = sizes[i / LENGTH(sizes) % LENGTH(sizes)];
        size_t limit = sizes[i / LENGTH(sizes) / LENGTH(sizes)];
        struct buffer buffer = {0};
        size_t len = first <= limit ? first : 0;
        assert_row(i, buffer_append(&buffer, bytes, first, limit) == (first <= limit));
        assert_row(i, buffer.len == len);
        bool fits = len + second <= limit;
        assert_row(i, buffer_append(&buffer, bytes, second, limit) == fits);
        assert_row(i, buffer.len == (fits ? len + second : len));
        assert_row(i, buffer.capacity <= limit && buffer.len <= buffer.capacity);
        for (size_t k = 0; k < buffer.len; k++)
            assert_row(i, buffer.data[k] == 'x');
        buffer_free(&buffer);
    }
}

/* A limit that is now lower than what is there. */
static void test_buffer_lower_limit(void **state)
{
    struct buffer buffer = {0};
    (void)state;
    assert_true(buffer_append(&buffer, "0123456789", 10, 10));
    assert_false(buffer_append(&buffer, "x", 1, 5));
    assert_false(buffer_append(&buffer, "", 0, 5));
    assert_false(buffer_append(&buffer, "x", SIZE_MAX, 10));
    assert_false(buffer_append(&buffer, "x", SIZE_MAX, SIZE_MAX));
    assert_slice(0, buffer_slice(&buffer), SLICE("0123456789"));
    buffer_free(&buffer);
    buffer_free(&buffer);
    assert_null(buffer.data);
    assert_int_equal(buffer.capacity, 0);
}

/* What was appended stays as it was while the buffer moves; the empty buffer holds no memory. */
static void test_buffer_growth(void **state)
{
    struct buffer buffer = {0};
    unsigned moves = 0;
    (void)state;
    assert_true(buffer_append(&buffer, NULL, 0, 0));
    assert_null(buffer.data);
    for (unsigned i = 0; i < 100000; i++) {
        const char *before = buffer.data;
        char byte = (char)(i * 7);
        assert_true(buffer_append(&buffer, &byte, 1, SIZE_MAX));
        moves += buffer.data != before;
    }
    assert_true(moves < 20);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(buffer.data[i], (char)(i * 7));
    buffer_free(&buffer);
}

static void test_buffer_no_memory(void **state)
{
    static char bytes[1000];
    struct buffer buffer = {0};
    (void)state;
    alloc_fail_after(0);
    assert_false(buffer_append(&buffer, "x", 1, 100));
    assert_null(buffer.data);
    alloc_fail_after(-1);
    assert_true(buffer_append(&buffer, "kept", 4, SIZE_MAX));
    alloc_fail_after(0);
    assert_false(buffer_append(&buffer, bytes, sizeof bytes, SIZE_MAX));
    assert_slice(0, buffer_slice(&buffer), SLICE("kept"));
    assert_true(buffer_append(&buffer, "+", 1, SIZE_MAX)); /* there was room */
    alloc_fail_after(-1);
    assert_slice(0, buffer_slice(&buffer), SLICE("kept+"));
    buffer_free(&buffer);
}

/* --- UTF-8 --- */

static size_t sequence(const unsigned char *bytes, size_t len)
{
    struct slice exact = unit_exact((struct slice){(const char *)bytes, len});
    size_t result = utf8_sequence(exact);
    unit_drop(exact);
    return result;
}

/* The code point in a form of `len` bytes, whether that is the right one or not. */
static void encode(uint32_t code, size_t len, unsigned char *out)
{
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len; i-- > 1; code >>= 6)
        out[i] = (unsigned char)(0x80 | (code & 0x3f));
    out[0] = (unsigned char)(marks[len] | code);
}

/* Code points in each form that has room for them: the shortest one alone is right. */
static void test_utf8_forms(void **state)
{
    static const uint32_t ends[] = {0, 0x7f, 0x7ff, 0xffff, 0x1fffff};
    (void)state;
    for (uint32_t code = 0; code <= 0x1fffff; code += code < 0x11000 ? 1 : 61) {
        size_t shortest = 1;
        while (code > ends[shortest])
            shortest++;
        bool exists = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        for (size_t len = shortest; len <= 4; len++) {
            unsigned char bytes[5];
            encode(code, len, bytes);
            size_t expected = exists && len == shortest ? len : 0;
            assert_row(code, sequence(bytes, len) == expected);
            bytes[len] = 0x80; /* what follows is another matter */
            assert_row(code, sequence(bytes, len + 1) == expected);
        }
    }
    for (uint32_t code = 0x10fff0; code < 0x110010; code++) {
        unsigned char bytes[4];
        encode(code, 4, bytes);
        assert_row(code, sequence(bytes, 4) == (code <= 0x10ffff ? 4 : 0));
    }
}

/* Cut short, and with each byte after the first made another one. */
static void test_utf8_damage(void **state)
{
    static const uint32_t codes[] = {0x80,   0x7ff,   0x800,   0x20ac,
                                     0xffff, 0x10000, 0x1f600, 0x10ffff};
    (void)state;
    assert_int_equal(utf8_sequence((struct slice){0}), 0);
    for (size_t i = 0; i < LENGTH(codes); i++) {
        size_t len = codes[i] < 0x800 ? 2 : codes[i] < 0x10000 ? 3 : 4;
        unsigned char bytes[4];
        encode(codes[i], len, bytes);
        for (size_t cut = 1; cut < len; cut++)
            assert_row(i, sequence(bytes, cut) == 0);
        for (size_t at = 1; at < len; at++) {
            unsigned char good = bytes[at];
            for (unsigned byte = 0; byte < 256; byte++) {
                bytes[at] = (unsigned char)byte;
                if (byte < 0x80 || byte > 0xbf)
                    assert_row(i, sequence(bytes, len) == 0);
            }
            bytes[at] = good;
        }
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned char alone = (unsigned char)byte;
        assert_row(byte, sequence(&alone, 1) == (byte < 0x80));
    }
}

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

/* Nobody reads: nothing is waited for, and what was lost is told when somebody does. */
static void test_log_lost(void **state)
{
    enum { LINES = 2000 };
    static char out[1 << 17];
    unsigned told = 0;
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
    int found = sscanf(out, "(%u log lines were lost here)\n", &told);
    log_info("room", "%s", "again");
    unsigned again = count_lines(ends[0], out, sizeof out);
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    close(real_stderr);
    close(ends[0]);
    close(ends[1]);

    assert_true(seen > 0 && seen < LINES);
    assert_int_equal(more, 2);
    assert_true(complete);
    assert_int_equal(found, 1);
    assert_int_equal(seen + told, LINES);
    assert_int_equal(again, 1); /* told once */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices),        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_buffer_limits), cmocka_unit_test(test_buffer_lower_limit),
        cmocka_unit_test(test_buffer_growth), cmocka_unit_test(test_buffer_no_memory),
        cmocka_unit_test(test_utf8_forms),    cmocka_unit_test(test_utf8_damage),
        cmocka_unit_test(test_log_text),      cmocka_unit_test(test_log_length),
        cmocka_unit_test(test_log_lost),      cmocka_unit_test(test_log_levels),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
