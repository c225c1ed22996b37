/* fastcgi/values: the answer to GET_VALUES. */
#include "fastcgi/values.h"

#include "fastcgi/params.h"
#include "fastcgi/record.h"
#include "unit.h"

static const struct values ours = {.max_conns = 1000, .max_reqs = 24};

static void ask_value(struct buffer *content, struct slice name, struct slice value)
{
    char pair[256];
    unit_append(content, pair, params_encode_short(pair, name, value));
}

static void ask(struct buffer *content, const char *name)
{
    ask_value(content, slice_of(name), SLICE(""));
}

/* Takes the answer's record apart: its pairs as "NAME=value " in `text`. */
static void read_answer(const char *answer, size_t len, struct buffer *text)
{
    struct record_decoder decoder = {0};
    struct slice input = {.data = answer, .len = len}, content = {0}, name, value;
    assert_int_equal(len % 8, 0);
    assert_int_equal(record_decode(&decoder, &input, &content), RECORD_START);
    assert_int_equal(decoder.header.type, FCGI_GET_VALUES_RESULT);
    assert_int_equal(decoder.header.request_id, 0);
    if (decoder.header.content_len > 0)
        assert_int_equal(record_decode(&decoder, &input, &content), RECORD_CONTENT);
    assert_int_equal(record_decode(&decoder, &input, &content), RECORD_END);
    assert_int_equal(input.len, decoder.header.padding);
    for (size_t i = 0; i < input.len; i++)
        assert_int_equal(input.data[i], 0); /* checklist 50 */
    while (content.len > 0) {
        assert_int_equal(params_next(&content, &name, &value), PARAMS_PAIR);
        unit_append(text, name.data, name.len);
        unit_append(text, "=", 1);
        unit_append(text, value.data, value.len);
        unit_append(text, " ", 1);
    }
}

static void check(size_t row, struct slice content, const struct values *with, const char *expected)
{
    char answer[VALUES_ANSWER_MAX + 1];
    struct buffer text = {0};
    struct slice exact = unit_exact(content);
    memset(answer, 0x55, sizeof answer);
    size_t len = values_answer(exact, with, answer);
    unit_drop(exact);
    if (!expected) {
        assert_row(row, len == 0);
        return;
    }
    assert_row(row, len > 0 && len <= VALUES_ANSWER_MAX);
    assert_row(row, answer[len] == 0x55);
    read_answer(answer, len, &text);
    assert_slice(row, buffer_slice(&text), slice_of(expected));
    buffer_free(&text);
}

/* Checklist 9, 10, 12. */
static void test_names(void **state)
{
    static const struct {
        const char *names[4];
        const char *answer;
    } cases[] = {
        {{"FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"},
         "FCGI_MAX_CONNS=1000 FCGI_MAX_REQS=24 FCGI_MPXS_CONNS=1 "},
        {{"FCGI_MPXS_CONNS", "FCGI_MAX_REQS", "FCGI_MAX_CONNS"},
         "FCGI_MAX_CONNS=1000 FCGI_MAX_REQS=24 FCGI_MPXS_CONNS=1 "},
        {{"FCGI_MAX_CONNS"}, "FCGI_MAX_CONNS=1000 "},
        {{"FCGI_MAX_REQS"}, "FCGI_MAX_REQS=24 "},
        {{"FCGI_MPXS_CONNS"}, "FCGI_MPXS_CONNS=1 "},
        {{"FCGI_MPXS_CONNS", "FCGI_MPXS_CONNS", "FCGI_MPXS_CONNS"}, "FCGI_MPXS_CONNS=1 "},
        {{"FCGI_UNKNOWN", "FCGI_MAX_REQS", "X"}, "FCGI_MAX_REQS=24 "},
        {{"FCGI_MAX_CONN", "FCGI_MAX_CONNSS", "fcgi_max_conns", ""}, ""},
        {{NULL}, ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buffer content = {0};
        for (size_t k = 0; k < LENGTH(cases[i].names) && cases[i].names[k]; k++)
            ask(&content, cases[i].names[k]);
        check(i, buffer_slice(&content), &ours, cases[i].answer);
        buffer_free(&content);
    }
}

/* The values in the query are ignored, and so is its encoding of lengths. */
static void test_values(void **state)
{
    struct buffer content = {0};
    (void)state;
    ask_value(&content, SLICE("FCGI_MAX_REQS"), SLICE("7"));
    ask_value(&content, SLICE(""), SLICE("FCGI_MAX_CONNS"));
    check(0, buffer_slice(&content), &ours, "FCGI_MAX_REQS=24 ");
    buffer_free(&content);
    check(1, SLICE("\x80\0\0\xf\x80\0\0\0FCGI_MPXS_CONNS"), &ours, "FCGI_MPXS_CONNS=1 ");
}

/* Checklist 11: as many names as one record holds. */
static void test_repeated(void **state)
{
    struct buffer content = {0};
    (void)state;
    size_t count = 0;
    for (; content.len + 17 <= FCGI_MAX_LENGTH; count++)
        ask(&content, count % 2 ? "FCGI_MPXS_CONNS" : "FCGI_MAX_CONNS");
    assert_true(count > 3900);
    check(0, buffer_slice(&content), &ours, "FCGI_MAX_CONNS=1000 FCGI_MPXS_CONNS=1 ");
    buffer_free(&content);
}

/* Checklist 13: malformed at the beginning or after good pairs, and every cut of a good query. */
static void test_malformed(void **state)
{
    struct buffer content = {0};
    (void)state;
    check(0, SLICE("\x80"), &ours, NULL);
    check(1, SLICE("\xff\xff\xff\xff\xff\xff\xff\xff"), &ours, NULL);
    check(2, SLICE("\1\0"), &ours, NULL);

    ask(&content, "FCGI_MPXS_CONNS");
    ask(&content, "FCGI_MAX_REQS");
    for (size_t len = 0; len <= content.len; len++)
        check(len, (struct slice){content.data, len}, &ours,
              len == 0             ? ""
              : len == 17          ? "FCGI_MPXS_CONNS=1 "
              : len == content.len ? "FCGI_MAX_REQS=24 FCGI_MPXS_CONNS=1 "
                                   : NULL);
    buffer_free(&content);
}

/* The room that the header names is enough for the longest answer. */
static void test_longest(void **state)
{
    static const struct values longest = {.max_conns = SIZE_MAX, .max_reqs = SIZE_MAX};
    struct buffer content = {0};
    (void)state;
    ask(&content, "FCGI_MAX_CONNS");
    ask(&content, "FCGI_MAX_REQS");
    ask(&content, "FCGI_MPXS_CONNS");
    check(0, buffer_slice(&content), &longest,
          "FCGI_MAX_CONNS=18446744073709551615 FCGI_MAX_REQS=18446744073709551615 "
          "FCGI_MPXS_CONNS=1 ");
    buffer_free(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),    cmocka_unit_test(test_values),
        cmocka_unit_test(test_repeated), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}
