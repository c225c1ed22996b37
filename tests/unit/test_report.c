/* web/report: what is escaped in each kind of text. */
#include "web/report.h"

#include "unit.h"

#define FFFD "\xef\xbf\xbd"

static void test_escapes(void **state)
{
    static const struct {
        struct slice value;
        const char *label, *json, *plain;
    } cases[] = {
#define VALUE(literal) {.data = (literal), .len = sizeof(literal) - 1}
        {VALUE(""), "", "\"\"", ""},
        {VALUE("user/7"), "user/7", "\"user/7\"", "user/7"},
        {VALUE("a b/é*"), "a b/é*", "\"a b/é*\"", "a b/é*"},
        {VALUE("\U0001f600"), "\U0001f600", "\"\U0001f600\"", "\U0001f600"},
        /* OpenMetrics 1.0, escaped-string; RFC 8259 7 */
        {VALUE("a\"b"), "a\\\"b", "\"a\\\"b\"", "a\"b"},
        {VALUE("a\\b"), "a\\\\b", "\"a\\\\b\"", "a\\b"},
        {VALUE("\\\""), "\\\\\\\"", "\"\\\\\\\"\"", "\\\""},
        {VALUE("a\nb"), "a\\nb", "\"a\\u000ab\"", "a\\x0ab"},
        {VALUE("a\"} 1\nx 2"), "a\\\"} 1\\nx 2", "\"a\\\"} 1\\u000ax 2\"", "a\"} 1\\x0ax 2"},
        {VALUE("\r\t"), "\r\t", "\"\\u000d\\u0009\"", "\\x0d\\x09"},
        {VALUE("\x1b[31m"), "\x1b[31m", "\"\\u001b[31m\"", "\\x1b[31m"},
        {VALUE("a\0b"), NULL, "\"a\\u0000b\"", "a\\x00b"},
        {VALUE("\x7f"), "\x7f", "\"\\u007f\"", "\\x7f"},
        /* what terminals act upon */
        {VALUE("\u202e"), "\u202e", "\"\\u202e\"", "\\xe2\\x80\\xae"},
        {VALUE("\302\2332J"), "\302\2332J", "\"\\u009b2J\"", "\\xc2\\x9b2J"},
        /* not UTF-8: RFC 3629 3 */
        {VALUE("\xff"), FFFD, "\"" FFFD "\"", "\\xff"},
        {VALUE("a\xc3"), "a" FFFD, "\"a" FFFD "\"", "a\\xc3"},
        {VALUE("\xc3\""), FFFD "\\\"", "\"" FFFD "\\\"\"", "\\xc3\""},
        {VALUE("\xc0\x80"), FFFD FFFD, "\"" FFFD FFFD "\"", "\\xc0\\x80"},
        {VALUE("\xed\xa0\x80"), FFFD FFFD FFFD, "\"" FFFD FFFD FFFD "\"", "\\xed\\xa0\\x80"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct report label = {0}, json = {0}, plain = {0};
        struct slice value = unit_exact(cases[i].value);
        report_label(&label, value);
        report_json(&json, value);
        report_plain(&plain, value);
        if (cases[i].label)
            assert_slice(i, buffer_slice(&label.text), slice_of(cases[i].label));
        assert_slice(i, buffer_slice(&json.text), slice_of(cases[i].json));
        assert_slice(i, buffer_slice(&plain.text), slice_of(cases[i].plain));
        assert_row(i, !label.failed && !json.failed && !plain.failed);
        unit_drop(value);
        buffer_free(&label.text);
        buffer_free(&json.text);
        buffer_free(&plain.text);
    }
}

/* Long values are written completely, wherever their characters end. */
static void test_size(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0B"},
        {1, "1B"},
        {1023, "1023B"},
        {1024, "1KiB"},
        {1536, "1.5KiB"},
        {64u << 20, "64MiB"},
        {(1u << 20) - 1, "1024KiB"},
        {(uint64_t)1 << 50, "1024TiB"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char room[REPORT_SIZE_ROOM];
        assert_string_equal(report_size(room, cases[i].bytes), cases[i].text);
    }
}

static void test_long(void **state)
{
    char value[1000], expected[4000];
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        struct report plain = {0};
        size_t len = 0, at = 0;
        for (; len < shift; len++)
            value[len] = expected[at++] = 'x';
        for (; len + 5 < sizeof value; len += 5) {
            memcpy(value + len, "\U0001f600\x01", 5);
            memcpy(expected + at, "\U0001f600\\x01", 8);
            at += 8;
        }
        report_plain(&plain, (struct slice){.data = value, .len = len});
        assert_slice(shift, buffer_slice(&plain.text),
                     ((struct slice){.data = expected, .len = at}));
        buffer_free(&plain.text);
    }
}

/* What does not fit is noted, and the report stays failed. */
static void test_too_long(void **state)
{
    static char block[1 << 20];
    struct report report = {0};
    (void)state;
    memset(block, 'a', sizeof block);
    for (size_t i = 0; i < REPORT_MAX / sizeof block; i++)
        report_label(&report, (struct slice){.data = block, .len = sizeof block});
    assert_false(report.failed);
    assert_int_equal(report.text.len, REPORT_MAX);
    report_text(&report, "%d", 1);
    assert_true(report.failed);
    report_text(&report, "%s", "");
    assert_true(report.failed);
    buffer_free(&report.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
