/* source/body: templates of bodies, and values in them. */
#include "source/body.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "unit.h"

static void test_format(void **state)
{
    static const struct {
        const char *type;
        enum body_format format;
    } cases[] = {
        {"application/json", BODY_JSON},
        {"Application/JSON; charset=utf-8", BODY_JSON},
        {"application/json;x", BODY_JSON},
        {"application/vnd.api+json", BODY_JSON}, /* RFC 6839 3.1 */
        {"application/x-www-form-urlencoded", BODY_FORM},
        {" application/x-www-form-urlencoded ; a=b", BODY_FORM},
        {"text/plain", BODY_OTHER},
        {"+json", BODY_OTHER},
        {"application/jsonp", BODY_OTHER},
        {"", BODY_OTHER},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].type));
        assert_row(i, body_format(exact) == cases[i].format);
        unit_drop(exact);
    }
}

static void test_check(void **state)
{
    static const struct {
        enum body_format format;
        const char *template, *why;
    } cases[] = {
        {BODY_JSON, "{\"id\": \"{name}\"}", NULL},
        {BODY_JSON, "{\"id\": \"a {name} b {name}\", \"n\": {\"m\": 1}}", NULL},
        {BODY_JSON, "{\"a\\\"\": \"\\\\{name}\"}", NULL},
        {BODY_JSON, "{\"q\": \"query { user(id: \\\"{name}\\\") { name } }\"}", NULL},
        {BODY_JSON, "{}", NULL},
        {BODY_JSON, "", NULL},
        {BODY_JSON, "{\"id\": {name}}", "within quotes"},
        {BODY_JSON, "{name}", "within quotes"},
        {BODY_JSON, "{\"id\": \"a\"{name}\"b\"}", "within quotes"},
        {BODY_JSON, "{\"id\": \"a\\\"\", {name}: \"\"}", "within quotes"},
        {BODY_JSON, "{\"id\": \"\\{name}\"}", "backslash"},
        {BODY_JSON, "{\"id\": \"\\\\\\{name}\"}", "backslash"},
        {BODY_JSON, "[\"{rest}\", \"{query:a b}\", \"{language}{host}{header:x-y}\"]", NULL},
        {BODY_JSON, "{\"id\": {query:a}}", "{query:a} in body must be within quotes"},
        {BODY_JSON, "{\"id\": \"{query}\"}", "{query} is not allowed"},
        {BODY_JSON, "{\"id\": \"{cookie:a}\"}", "{cookie:a} is not allowed"},
        {BODY_JSON, "{\"id\": \"{header:authorization}\"}", "is not allowed"},
        {BODY_FORM, "id={name}&x={x}&y={", NULL},
        {BODY_FORM, "{query}", "is not allowed"},
        {BODY_OTHER, "id", NULL},
        {BODY_OTHER, "{x}", NULL},
        {BODY_OTHER, "<id>{name}</id>", "Content-Type"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *why = body_check(cases[i].template, cases[i].format);
        if (!why != !cases[i].why || (why && !strstr(why, cases[i].why)))
            fail_msg("%s: %s", cases[i].template, why ? why : "good");
    }
}

static void test_expand(void **state)
{
    static const struct {
        enum body_format format;
        const char *template, *name, *body;
    } cases[] = {
        {BODY_JSON, "{\"id\": \"{name}\"}", "a/b", "{\"id\": \"a/b\"}"},
        {BODY_JSON, "\"{name}{name}\"", "x", "\"xx\""},
        {BODY_JSON, "{\"a\": {\"b\": \"}{\"}}", "x", "{\"a\": {\"b\": \"}{\"}}"},
        {BODY_JSON, "\"{name}\"", "a\"b\\c", "\"a\\\"b\\\\c\""}, /* RFC 8259 7 */
        {BODY_JSON, "\"{name}\"", "\", \"admin\": \"", "\"\\\", \\\"admin\\\": \\\"\""},
        {BODY_JSON, "\"{name}\"", "\x01\n\x1f\x7f", "\"\\u0001\\u000A\\u001F\\u007F\""},
        {BODY_JSON, "\"{name}\"", "\xc3\xbc\xf0\x9f\x98\x80", "\"\xc3\xbc\xf0\x9f\x98\x80\""},
        {BODY_JSON, "\"{name}\"", "a\xff\xc3", "\"a\\uFFFD\\uFFFD\""}, /* RFC 8259 8.1 */
        {BODY_JSON, "\"{name}\"", "{name}", "\"{name}\""},
        {BODY_FORM, "id={name}&x=1", "a b&x=2+%\xc3\xbc/\"",
         "id=a%20b%26x%3D2%2B%25%C3%BC%2F%22&x=1"},
        {BODY_FORM, "{name}", "aZ09-._~", "aZ09-._~"},
        {BODY_FORM, "{name}={name}", "\r\n", "%0D%0A=%0D%0A"},
        {BODY_OTHER, "<a>{x}</a>", "x", "<a>{x}</a>"},
        {BODY_OTHER, "", "x", ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        size_t len;
        struct source_request request = {.name = unit_exact(slice_of(cases[i].name))};
        char *body = body_expand(cases[i].template, cases[i].format, &request, &len);
        unit_drop(request.name);
        assert_non_null(body);
        assert_slice(i, ((struct slice){.data = body, .len = len}), slice_of(cases[i].body));
        free(body);
    }

    bool ok = false;
    long successes;
    for (successes = 0; !ok; successes++) {
        size_t len;
        alloc_fail_after(successes);
        char *body =
            body_expand("{\"a\": \"{name}\", \"b\": \"a long text in the template\"}", BODY_JSON,
                        &(struct source_request){.name = SLICE("a name with some length")}, &len);
        alloc_fail_after(-1);
        ok = body != NULL;
        free(body);
    }
    assert_true(successes > 1);
}

/* Of inputs: in their places, and not in the url or in a header as well. */
static void test_inputs(void **state)
{
    static const struct input inputs[] = {
        {INPUT_QUERY, SLICE_INIT("city")},     {INPUT_COOKIE, SLICE_INIT("s")},
        {INPUT_LANGUAGE, SLICE_INIT("en,de")}, {INPUT_HEADER, SLICE_INIT("x-y")},
        {INPUT_QUERY, SLICE_INIT("page")},     {INPUT_HOST, SLICE_INIT("")},
    };
    static const struct vary vary = {.inputs = inputs, .count = LENGTH(inputs)};
    static const char *const values[] = {"Par\"is", "secret", "de", NULL, "2", "h"};
    static const char template[] = "[\"{rest}\", \"{query:city}|{language}|{header:x-y}|{host}\", "
                                   "{ query:page }, {}]";
    static struct body_others others;
    char packed[INPUTS_PACKED_MAX];
    size_t len = 0;
    (void)state;
    for (size_t i = 0; i < LENGTH(values); i++)
        inputs_pack(packed, &len, slice_of(values[i]));
    struct source_request request = {
        .name = SLICE("user/7"),
        .rest = SLICE("7"),
        .inputs = {.vary = &vary, .packed = unit_exact((struct slice){.data = packed, .len = len})},
    };
    assert_null(body_check(template, BODY_JSON));
    char *body = body_expand(template, BODY_JSON, &request, &len);
    assert_string_equal(body, "[\"7\", \"Par\\\"is|de||h\", { query:page }, {}]");
    free(body);

    struct inputs left =
        body_other_inputs(template, "http://h/?l={language}", request.inputs, &others);
    assert_int_equal(left.vary->count, 3);
    assert_slice(0, inputs_find(left, INPUT_COOKIE, SLICE("s")), SLICE("secret"));
    assert_slice(1, inputs_find(left, INPUT_LANGUAGE, SLICE("en,de")), SLICE("de"));
    assert_slice(2, inputs_find(left, INPUT_QUERY, SLICE("page")), SLICE("2"));
    left = body_other_inputs("", "http://h/", request.inputs, &others);
    assert_int_equal(left.vary->count, LENGTH(inputs));
    assert_slice(3, left.packed, request.inputs.packed);
    unit_drop(request.inputs.packed);
    assert_int_equal(body_other_inputs("", "", (struct inputs){0}, &others).vary->count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_expand),
        cmocka_unit_test(test_inputs),
    };
    return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
