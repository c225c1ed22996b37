/* cli/json: which texts are JSON, and what is found in them. */
#include "unit.h"

#include <stdio.h>

#include "cli/json.h"

static void test_valid(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        /* RFC 8259 2 and 3 */
        {"{}", true},
        {"[]", true},
        {" { \"a\" : [ 1 , -2.5e+3 , true , false , null , \"x\" ] } \n", true},
        {"\"\"", true},
        {"0", true},
        {"", false},
        {" ", false},
        {"{", false},
        {"[", false},
        {"}", false},
        {"[1", false},
        {"[1,", false},
        {"[1,]", false},
        {"[,1]", false},
        {"[1 2]", false},
        {"{\"a\"}", false},
        {"{\"a\":}", false},
        {"{\"a\":1,}", false},
        {"{a:1}", false},
        {"{1:1}", false},
        {"{\"a\":1]", false},
        {"[1}", false},
        {"{} {}", false},
        {"tru", false},
        {"x", false},
        /* RFC 8259 7 */
        {"\"a", false},
        {"\"a\\", false},
        {"\"a\\\"", false},
        {"\"a\\\"\"", true},
        {"\"a\nb\"", false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].text));
        assert_row(i, json_valid(exact) == cases[i].valid);
        unit_drop(exact);
    }
}

static void test_depth(void **state)
{
    (void)state;
    for (size_t depth = 1; depth < 3 * JSON_DEPTH_MAX; depth++) {
        char text[6 * JSON_DEPTH_MAX];
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_row(depth, json_valid((struct slice){text, 2 * depth}) == (depth <= JSON_DEPTH_MAX));
        assert_row(depth, !json_valid((struct slice){text, depth}));
    }
}

static void test_members(void **state)
{
    static const struct {
        const char *object, *name, *value; /* NULL: none */
    } cases[] = {
        {"{\"a\": 1, \"b\": 2}", "a", "1"},
        {"{\"a\": 1, \"b\": 2}", "b", "2"},
        {"{\"a\": {\"b\": 3}, \"b\": 2}", "b", "2"},
        {"{\"a\": [1, {\"b\": 3}], \"b\": \"}\"}", "b", "\"}\""},
        {"{\"a\": 1, \"a\": 2}", "a", "1"},
        {"{\"ab\": 1}", "a", NULL},
        {"{\"a\": 1}", "ab", NULL},
        {"{}", "a", NULL},
        {"[\"a\", 1]", "a", NULL},
        {"\"a\"", "a", NULL},
        {"", "a", NULL},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].object));
        struct slice value = json_member(exact, cases[i].name);
        assert_row(i, !value.data == !cases[i].value);
        assert_slice(i, value, slice_of(cases[i].value));
        unit_drop(exact);
    }
}

static void test_elements(void **state)
{
    static const struct {
        const char *array, *elements; /* each followed by "|" */
    } cases[] = {
        {"[1, [2, 3], {\"a\": 4}, \"]\"]", "1|[2, 3]|{\"a\": 4}|\"]\"|"},
        {"[ ]", ""},
        {" [ 1 ] ", "1|"},
        {"{\"a\": 1}", ""},
        {"1", ""},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].array)), rest = exact, element;
        char found[100] = "";
        while (json_next(&rest, &element))
            snprintf(found + strlen(found), sizeof found - strlen(found), "%.*s|",
                     SLICE_ARGS(element));
        assert_slice(i, slice_of(found), slice_of(cases[i].elements));
        unit_drop(exact);
    }
}

static void test_strings(void **state)
{
    static const struct {
        const char *value, *text;
        size_t size;
    } cases[] = {
        {"\"abc\"", "abc", 10},
        {"\"abc\"", "abc", 4},
        {"\"abc\"", "ab", 3},
        {"\"abc\"", "", 1},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "a\"\\/\b\f\n\r\t", 20},
        {"\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac", 20},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 20},
        {"\"\\ud83dx\"", "\xef\xbf\xbdx", 20},
        {"\"\\ud83d\\u0041\"",
         "\xef\xbf\xbd"
         "A",
         20},
        {"\"\\ude00\"", "\xef\xbf\xbd", 20},
        {"\"\\u00\"",
         "\xef\xbf\xbd"
         "00",
         20},
        {"\"caf\xc3\xa9\"", "caf\xc3\xa9", 6},
        {"\"caf\xc3\xa9\"", "caf", 5},
        {"1", "", 10},
        {"", "", 10},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].value));
        char out[32];
        size_t len = json_text(exact, out, cases[i].size);
        assert_row(i, len == strlen(out));
        assert_slice(i, slice_of(out), slice_of(cases[i].text));
        unit_drop(exact);
    }
}

static void test_others(void **state)
{
    static const struct {
        const char *value;
        double number;
        bool is_true, is_null;
    } cases[] = {
        {"1.5", 1.5, false, false},    {"-2e3", -2000, false, false},
        {"true", 0, true, false},      {"false", 0, false, false},
        {"null", 0, false, true},      {"", 0, false, true},
        {"\"1\"", 0, false, false},    {"[1]", 0, false, false},
        {"1e999", 1e15, false, false}, {"-1e999", -1e15, false, false},
        {"1e300", 1e15, false, false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].value));
        double difference = json_number(exact) - cases[i].number;
        assert_row(i, difference < 1e-9 && difference > -1e-9);
        assert_row(i, json_is_true(exact) == cases[i].is_true);
        assert_row(i, json_is_null(exact) == cases[i].is_null);
        unit_drop(exact);
    }
}

/* Noise of likely bytes: nothing reads outside, or does not end. */
static void test_noise(void **state)
{
    static const char likely[] = "{}[]\",:\\u0d8 tfn1-e";
    size_t valid = 0;
    (void)state;
    for (size_t round = 0; round < 50000; round++) {
        char bytes[24], out[8];
        size_t len = unit_random(sizeof bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = likely[unit_random(sizeof likely - 1)];
        struct slice exact = unit_exact((struct slice){bytes, len}), rest = exact, element;
        valid += json_valid(exact);
        json_member(exact, "d");
        assert_true(json_text(exact, out, sizeof out) < sizeof out);
        for (size_t count = 0; json_next(&rest, &element); count++)
            assert_true(count < sizeof bytes);
        unit_drop(exact);
    }
    assert_true(valid > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),   cmocka_unit_test(test_depth),
        cmocka_unit_test(test_members), cmocka_unit_test(test_elements),
        cmocka_unit_test(test_strings), cmocka_unit_test(test_others),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
