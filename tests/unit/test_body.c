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
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, body_format(unit_exact(slice_of(cases[i].type))) == cases[i].format);
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
        {BODY_FORM, "id={name}&x={x}", NULL},
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
        char *body = body_expand(cases[i].template, cases[i].format,
                                 unit_exact(slice_of(cases[i].name)), &len);
        assert_non_null(body);
        assert_slice(i, ((struct slice){.data = body, .len = len}), slice_of(cases[i].body));
        free(body);
    }

    bool ok = false;
    long successes;
    for (successes = 0; !ok; successes++) {
        size_t len;
        alloc_fail_after(successes);
        char *body = body_expand("{\"a\": \"{name}\", \"b\": \"a long text in the template\"}",
                                 BODY_JSON, SLICE("a name with some length"), &len);
        alloc_fail_after(-1);
        ok = body != NULL;
        free(body);
    }
    assert_true(successes > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_expand),
    };
    return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
