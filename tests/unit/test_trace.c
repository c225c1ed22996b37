/* source/trace: ids that are passed on, and ids that begin. */
#include "source/trace.h"

#include <stdio.h>

#include "fastcgi/params.h"
#include "unit.h"

#define ID     "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static bool all_hex(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdef") >= len;
}

static void test_id(void **state)
{
    static const struct {
        const char *id;
        bool kept;
    } cases[] = {
        {"1", true},
        {"7c1c1f52-6ce8-4f2b-9f0a-3d0e2a9c1b7d", true},
        {"a/b:c@d+e=f.g_h~i", true},
        {"", false},
        {"a b", false},
        {"a,b", false},
        {"a;b", false},
        {"a\"b", false},
        {"a\r\nX: y", false},
        {"a\n", false},
        {"\xc3\xbc", false},
        {"a\x7f", false},
    };
    char long_id[TRACE_ID_MAX + 2], out[TRACE_ID_ROOM], expected[TRACE_ID_ROOM];
    uint64_t random = 1;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].id));
        trace_write_id(exact, &random, out);
        unit_drop(exact);
        snprintf(expected, sizeof expected, "X-Request-Id: %s", cases[i].id);
        assert_row(i, (strcmp(out, expected) == 0) == cases[i].kept);
        assert_row(i, cases[i].kept || (strlen(out) == strlen("X-Request-Id: ") + 32 &&
                                        all_hex(out + strlen("X-Request-Id: "), 32)));
    }
    memset(long_id, 'x', sizeof long_id);
    for (size_t len = TRACE_ID_MAX; len <= TRACE_ID_MAX + 1; len++) {
        trace_write_id((struct slice){.data = long_id, .len = len}, &random, out);
        assert_int_equal(strlen(out), strlen("X-Request-Id: ") + (len > TRACE_ID_MAX ? 32 : len));
    }
}

static void test_parent(void **state)
{
    static const struct {
        const char *parent, *passed; /* without the name; NULL: a new one begins */
    } cases[] = {
        {"00-" ID "-" PARENT "-01", "00-" ID "-" PARENT "-01"}, /* W3C Trace Context 3.2 */
        {"00-" ID "-" PARENT "-00", "00-" ID "-" PARENT "-00"},
        {"00-" ID "-" PARENT "-ff", "00-" ID "-" PARENT "-ff"},
        /* A later version may have more behind another hyphen. */
        {"cc-" ID "-" PARENT "-01", "00-" ID "-" PARENT "-01"},
        {"cc-" ID "-" PARENT "-01-what-the-future-has", "00-" ID "-" PARENT "-01"},
        {"cc-" ID "-" PARENT "-01.what", NULL},
        {"00-" ID "-" PARENT "-01-what", NULL},
        {"ff-" ID "-" PARENT "-01", NULL},
        {"0-" ID "-" PARENT "-01", NULL},
        {"00-00000000000000000000000000000000-" PARENT "-01", NULL},
        {"00-" ID "-0000000000000000-01", NULL},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", NULL},
        {"00-" ID "-00F067AA0BA902B7-01", NULL},
        {"00-" ID "-" PARENT "-0G", NULL},
        {"00-" ID "-" PARENT "-1", NULL},
        {"00-" ID "-" PARENT, NULL},
        {"00_" ID "-" PARENT "-01", NULL},
        {"00-" ID "_" PARENT "-01", NULL},
        {"00-" ID "-" PARENT "_01", NULL},
        {"00-" ID "-" PARENT "-01 ", NULL},
        {"00-" ID "-" PARENT "-01, 00-" ID "-" PARENT "-01", NULL},
        {"", NULL},
        {"-", NULL},
    };
    static const size_t name = sizeof "traceparent: " - 1;
    char out[TRACE_PARENT_ROOM], last[TRACE_PARENT_ROOM] = "";
    uint64_t random = 2;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].parent));
        trace_write_parent(exact, &random, out);
        unit_drop(exact);
        assert_row(i, strncmp(out, "traceparent: ", name) == 0);
        if (cases[i].passed) {
            assert_row(i, strcmp(out + name, cases[i].passed) == 0);
            continue;
        }
        assert_row(i, strlen(out + name) == 55 && strcmp(out, last) != 0);
        assert_row(i, strncmp(out + name, "00-", 3) == 0 && all_hex(out + name + 3, 32) &&
                          out[name + 35] == '-' && all_hex(out + name + 36, 16) &&
                          strcmp(out + name + 52, "-01") == 0);
        memcpy(last, out, sizeof last);
    }
}

/* The variables of a request: what is kept of them is found again, and nothing else is kept. */
static void test_variables(void **state)
{
    static const struct {
        const char *pairs[8];
        const char *id, *parent; /* NULL: not there */
    } cases[] = {
        {{"HTTP_X_REQUEST_ID", "abc", "HTTP_TRACEPARENT", "00-" ID "-" PARENT "-01"},
         "abc",
         "00-" ID "-" PARENT "-01"},
        {{"QUERY_STRING", "x=1", "HTTP_X_REQUEST_ID", "abc", "HTTP_COOKIE", "secret"}, "abc", NULL},
        {{"HTTP_TRACEPARENT", "01-" ID "-" PARENT "-01-more"}, NULL, "01-" ID "-" PARENT "-01"},
        {{"HTTP_X_REQUEST_ID", "a", "HTTP_X_REQUEST_ID", "b"}, "b", NULL}, /* the last counts */
        {{"HTTP_X_REQUEST_ID", "a b", "HTTP_TRACEPARENT", "00"}, NULL, NULL},
        {{"HTTP_X_REQUEST_ID", ""}, NULL, NULL},
        {{"X_REQUEST_ID", "a", "HTTP_X_REQUEST_IDS", "b"}, NULL, NULL},
        {{NULL}, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char variables[1000], kept[TRACE_VARIABLES_MAX];
        size_t len = 0;
        struct slice id, parent;
        for (size_t k = 0; cases[i].pairs[k]; k += 2)
            len += params_encode_short(variables + len, slice_of(cases[i].pairs[k]),
                                       slice_of(cases[i].pairs[k + 1]));
        struct slice exact = unit_exact((struct slice){.data = variables, .len = len});
        len = trace_keep(exact, kept);
        unit_drop(exact);
        for (int round = 0; round < 2; round++) {
            trace_find((struct slice){.data = kept, .len = len}, &id, &parent);
            assert_slice(i, id, slice_of(cases[i].id));
            assert_slice(i, parent, slice_of(cases[i].parent));
            memcpy(variables, kept, len);
            assert_int_equal(trace_keep((struct slice){.data = variables, .len = len}, kept), len);
        }
        assert_row(i, len == (cases[i].id ? 2 + 17 + strlen(cases[i].id) : 0) +
                                 (cases[i].parent ? 2 + 16 + 55 : 0));
    }
    char longest[2 * TRACE_VARIABLES_MAX], kept[TRACE_VARIABLES_MAX], id[TRACE_ID_MAX];
    memset(id, 'x', sizeof id);
    size_t len = params_encode_short(longest, SLICE("HTTP_X_REQUEST_ID"),
                                     (struct slice){.data = id, .len = sizeof id});
    len += params_encode_short(longest + len, SLICE("HTTP_TRACEPARENT"),
                               SLICE("00-" ID "-" PARENT "-01"));
    assert_int_equal(len, TRACE_VARIABLES_MAX);
    assert_int_equal(trace_keep((struct slice){.data = longest, .len = len}, kept), len);
    struct slice cut = unit_exact((struct slice){.data = longest, .len = 1});
    assert_int_equal(trace_keep(cut, kept), 0);
    unit_drop(cut);
    assert_int_equal(trace_keep((struct slice){0}, kept), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_parent),
        cmocka_unit_test(test_variables),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
