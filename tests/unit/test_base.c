/* base: slices, memory, buffers, budgets, UTF-8. */
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/budget.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/utf8.h"
#include "forked.h"
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

/* A limit that is now lower than the current length. */
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

/* What is counted is what the buffer takes, whether there was room for it or not. */
static void test_buffer_budget(void **state)
{
    struct buffer buffer = {0};
    struct budget before = budgets[BUDGET_UNFINISHED], *budget = &budgets[BUDGET_UNFINISHED];
    (void)state;
    *budget = (struct budget){.limit = 5};
    assert_false(buffer_append_counted(&buffer, "0123456789", 10, 20, BUDGET_UNFINISHED));
    assert_false(buffer_append_forced(&buffer, "0123456789", 10, 9, BUDGET_UNFINISHED));
    assert_int_equal(budget->used, 0);
    assert_true(buffer_append_forced(&buffer, "0123456789", 10, 20, BUDGET_UNFINISHED));
    assert_true(budget->used == buffer.capacity && budget->used >= 10);
    assert_false(buffer_append_counted(&buffer, "x", 1, 20, BUDGET_UNFINISHED));
    assert_int_equal(buffer.len, 10);
    buffer_free_counted(&buffer, BUDGET_UNFINISHED);
    assert_int_equal(budget->used, 0);
    *budget = before;
}

static void subtract_too_much(const void *argument)
{
    size_t bytes = *(const size_t *)argument;
    budgets[BUDGET_UNSENT].limit = SIZE_MAX / 4;
    budget_add(BUDGET_UNSENT, 10);
    budget_sub(BUDGET_UNSENT, bytes);
    if (!budget_has_room(BUDGET_UNSENT, 1))
        budget_log_refusal(BUDGET_UNSENT);
}

/* If more is subtracted than was added, the process ends at the first refusal. Otherwise it would
 * reject everything. */
static void test_budget_underflow(void **state)
{
    static const struct {
        size_t bytes;
        bool aborts;
    } cases[] = {{9, false}, {10, false}, {11, true}, {4096, true}};
    (void)state;
    for (size_t row = 0; row < LENGTH(cases); row++) {
        char text[1000];
        int status = run_forked(subtract_too_much, &cases[row].bytes, text, sizeof text);
        assert_row(row, forked_was_aborted(status) == cases[row].aborts);
        assert_row(row,
                   (strstr(text, "budget_log_refusal: not true") != NULL) == cases[row].aborts);
    }
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
            bytes[len] = 0x80; /* what follows does not matter */
            assert_row(code, sequence(bytes, len + 1) == expected);
        }
    }
    for (uint32_t code = 0x10fff0; code < 0x110010; code++) {
        unsigned char bytes[4];
        encode(code, 4, bytes);
        assert_row(code, sequence(bytes, 4) == (code <= 0x10ffff ? 4 : 0));
    }
}

/* Truncated, and with each byte after the first replaced. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices),        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_buffer_limits), cmocka_unit_test(test_buffer_lower_limit),
        cmocka_unit_test(test_buffer_budget), cmocka_unit_test(test_budget_underflow),
        cmocka_unit_test(test_buffer_growth), cmocka_unit_test(test_buffer_no_memory),
        cmocka_unit_test(test_utf8_forms),    cmocka_unit_test(test_utf8_damage),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
