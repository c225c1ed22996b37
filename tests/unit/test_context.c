/* render/context and render/json: what a fragment's template is given. */
#include "render/context.h"

#include <jansson.h>
#include <stdio.h>

#include "base/alloc.h"
#include "render/json.h"
#include "render/text.h"
#include "unit.h"

static void render(struct slice template_text, const struct context *context, struct buffer *out)
{
    struct mustache_error error;
    struct mustache_call call = {.contexts = context->stack,
                                 .count = context->count,
                                 .output_max = 100000,
                                 .steps_max = 1000};
    struct mustache *template = mustache_compile("t", template_text, &error);
    if (!template || !mustache_render(template, &call, out, &error))
        fail_msg("%s", error.why);
    mustache_free(template);
}

/* The default template and text_render agree. */
static void test_default(void **state)
{
    static const struct {
        struct slice name, text;
    } cases[] = {
        {SLICE_INIT("a"), SLICE_INIT("result for a")},
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("user/42\">"), SLICE_INIT("<b> & 'c' {{id}}\r\n\xff\0\x01")},
        {SLICE_INIT("gr\xc3\xbc"), SLICE_INIT("\xe2\x82\xac\xe2\x82")},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buffer ought = {0}, is = {0};
        struct context context;
        struct slice name = unit_exact(cases[i].name), text = unit_exact(cases[i].text);
        context_begin(&context, name);
        context_end_text(&context, text);
        assert_true(text_render(&ought, name, text, SIZE_MAX));
        render(CONTEXT_TEXT_TEMPLATE, &context, &is);
        assert_slice(i, buffer_slice(&is), buffer_slice(&ought));
        unit_drop(name);
        unit_drop(text);
        buffer_free(&is);
        buffer_free(&ought);
    }
}

static void test_text(void **state)
{
    static const struct {
        const char *template, *html;
    } cases[] = {
        {"{{id}}|{{content}}|{{{content}}}", "news|&lt;b&gt;|<b>"},
        {"{{inputs.city}}|{{inputs.x-y}}|({{inputs.page}})", "Par&quot;is|1|()"},
        {"{{#inputs}}{{city}}{{id}}{{/inputs}}", "Par&quot;isnews"},
        {"{{#inputs.page}}x{{/inputs.page}}{{^inputs.page}}none{{/inputs.page}}", "none"},
        {"{{^inputs.empty}}empty{{/inputs.empty}}({{inputs.empty}})", "empty()"},
        {"({{city}}{{name}})", "()"},
    };
    struct context context;
    (void)state;
    context_begin(&context, SLICE("news"));
    assert_true(context_add_input(&context, SLICE("city"), SLICE("Par\"is")));
    assert_true(context_add_input(&context, SLICE("page"), (struct slice){0}));
    assert_true(context_add_input(&context, SLICE("x-y"), SLICE("1")));
    assert_true(context_add_input(&context, SLICE("city"), SLICE("no")));
    assert_true(context_add_input(&context, SLICE("empty"), SLICE("")));
    context_end_text(&context, SLICE("<b>"));
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buffer out = {0};
        render(slice_of(cases[i].template), &context, &out);
        assert_slice(i, buffer_slice(&out), slice_of(cases[i].html));
        buffer_free(&out);
    }
}

static void test_json(void **state)
{
    static const struct {
        const char *json, *template, *html;
    } cases[] = {
        {"{\"title\": \"<T>\"}", "{{id}}: {{title}}, {{inputs.city}}", "news: &lt;T&gt;, Paris"},
        {"{\"id\": 7, \"inputs\": {\"city\": \"Rome\"}}", "{{id}} {{inputs.city}}", "7 Rome"},
        {"{}", "({{content}})", "()"},
        {"[{\"id\": 1}, {}]", "{{#.}}{{id}} {{/.}}", "1 news "},
        {"\"text\"", "{{.}} {{id}}", "text news"},
        {"null", "({{.}}) {{id}}", "() news"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char why[RENDER_JSON_WHY_ROOM];
        struct buffer out = {0};
        struct context context;
        struct json_t *json = render_json_read(slice_of(cases[i].json), why);
        assert_row(i, json);
        context_begin(&context, SLICE("news"));
        assert_true(context_add_input(&context, SLICE("city"), SLICE("Paris")));
        context_end_json(&context, json);
        render(slice_of(cases[i].template), &context, &out);
        assert_slice(i, buffer_slice(&out), slice_of(cases[i].html));
        buffer_free(&out);
        render_json_free(json);
    }
}

static void test_many_inputs(void **state)
{
    struct context context;
    (void)state;
    context_begin(&context, SLICE("a"));
    for (size_t i = 0; i < CONTEXT_INPUTS_MAX; i++)
        assert_true(context_add_input(&context, SLICE("n"), SLICE("v")));
    assert_true(context_add_input(&context, SLICE("n"), (struct slice){0}));
    assert_false(context_add_input(&context, SLICE("n"), SLICE("v")));
}

/* What is JSON is jansson's business; these are our choices, and where the error is. */
static void test_json_read(void **state)
{
    static const struct {
        struct slice text;
        const char *why; /* NULL: it is JSON */
    } cases[] = {
        {SLICE_INIT("{\"a\": [1, 2.5, true, null]}\n"), NULL},
        {SLICE_INIT("1"), NULL},
        {SLICE_INIT("\"a\\u0000b\""), NULL},
        {SLICE_INIT("{\"a\": 1, \"a\": 2}"), NULL},
        {SLICE_INIT(""), "is invalid in line 1: "},
        {SLICE_INIT("{\"a\":\n}"), "is invalid in line 2: "},
        {SLICE_INIT("{} x"), "is invalid in line 1: "},
        {SLICE_INIT("\"\xff\""), "is invalid in line 1: "},
        {SLICE_INIT("9223372036854775808"), "too big integer"},
        {SLICE_INIT("1e999"), "overflow"},
        {SLICE_INIT("[NaN]"), "is invalid in line 1: "},
        {SLICE_INIT("<!DOCTYPE html>"), "is invalid in line 1: "},
        {SLICE_INIT("\x1b[1m"), "\\x1b"},
    };
    char why[RENDER_JSON_WHY_ROOM];
    (void)state;
    render_json_start();
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].text);
        struct json_t *json = render_json_read(exact, why);
        if (!json != !!cases[i].why || (cases[i].why && !strstr(why, cases[i].why)))
            fail_msg("row %zu: %s", i, json ? "read" : why);
        for (const char *c = why; !json && *c; c++)
            assert_row(i, *c >= ' ' && *c < 0x7f);
        render_json_free(json);
        unit_drop(exact);
    }
    assert_null(render_json_read((struct slice){0}, why));
}

static void test_json_depth(void **state)
{
    char text[8000], why[RENDER_JSON_WHY_ROOM];
    (void)state;
    for (size_t depth = 2040; depth < 2060; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct json_t *json = render_json_read((struct slice){text, 2 * depth}, why);
        assert_row(depth, (json != NULL) == (depth <= 2048));
        render_json_free(json);
    }
    assert_non_null(strstr(why, "maximum parsing depth reached"));
}

static void test_json_memory(void **state)
{
    struct json_t *json = NULL;
    char why[RENDER_JSON_WHY_ROOM];
    long successes, out_of_memory = 0;
    (void)state;
    json_set_alloc_funcs(alloc_bytes, free);
    for (successes = 0; !json; successes++) {
        alloc_fail_after(successes);
        json = render_json_read(SLICE("{\"a\": [1, \"x\", {\"b\": 2.5}]}"), why);
        alloc_fail_after(-1);
        out_of_memory += !json && strcmp(why, "cannot be read: out of memory") == 0;
        assert_row(successes, json || why[0] != '\0');
        assert_true(successes < 1000);
    }
    json_decref(json);
    json_set_alloc_funcs(malloc, free);
    assert_true(successes > 5 && out_of_memory > 3); /* jansson does not always say so */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),     cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),        cmocka_unit_test(test_many_inputs),
        cmocka_unit_test(test_json_read),   cmocka_unit_test(test_json_depth),
        cmocka_unit_test(test_json_memory),
    };
    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
