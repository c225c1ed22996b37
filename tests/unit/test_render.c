/* render/render: what becomes of a source's result, by its type and the rule of its route. */
#include "render/render.h"

#include <stdio.h>

#include "base/alloc.h"
#include "render/context.h"
#include "render/templates.h"
#include "unit.h"

#define HTML "text/html; charset=utf-8"
#define JSON "application/json"
#define CARD "<b>{{id}}|{{inputs.city}}|{{content}}|{{name}}</b>"

struct made {
    bool ok;
    struct render_result result;
    char why[RENDER_WHY_ROOM];
};

/* Makes a fragment by the rule, with the text as its template; NULL: it has none. */
static struct made make(struct render_rule rule, const char *template, struct slice type,
                        struct slice body)
{
    struct made made = {0};
    struct mustache_error error;
    struct context context;
    struct templates *set = templates_new();
    assert_non_null(set);
    if (template) {
        rule.template = templates_add(set, SLICE("t"), "t", slice_of(template), &error);
        assert_non_null(rule.template);
        templates_add(set, SLICE("again"), "again", SLICE("{{>again}}"), &error);
        rule.templates = set;
    }
    context_begin(&context, SLICE("news"));
    assert_true(context_add_input(&context, SLICE("city"), SLICE("Paris")));
    made.ok = render_fragment(&rule, SLICE("news"), &context, type, body, &made.result, made.why);
    templates_free(set);
    return made;
}

static const struct render_rule plain = {.json_max = 1000, .html_max = 1000, .steps_max = 1000};

static void test_kinds(void **state)
{
    static const struct {
        const char *template;
        struct slice type, body;
        const char *html; /* NULL: it is refused */
    } cases[] = {
        {NULL, SLICE_INIT("text/html"), SLICE_INIT("<p>"), "<p>"},
        {NULL, SLICE_INIT("text/plain"), SLICE_INIT("<p>"), "<div id=\"news\">&lt;p&gt;</div>"},
        {NULL, SLICE_INIT(""), SLICE_INIT("x"), "<div id=\"news\">x</div>"},
        {NULL, SLICE_INIT(JSON), SLICE_INIT("[1]"), "<div id=\"news\">[1]</div>"},
        {NULL, SLICE_INIT("image/png"), SLICE_INIT("x"), NULL},
        {CARD, SLICE_INIT("text/html"), SLICE_INIT("<p>"), "<b>news|Paris|<p>|</b>"},
        {CARD, SLICE_INIT("text/plain"), SLICE_INIT("<p>"), "<b>news|Paris|&lt;p&gt;|</b>"},
        {CARD, SLICE_INIT("image/svg+xml"), SLICE_INIT("<p>"), "<b>news|Paris|&lt;p&gt;|</b>"},
        {CARD, SLICE_INIT("image/png"), SLICE_INIT("<p>"), NULL},
        {CARD, SLICE_INIT(JSON), SLICE_INIT("{\"name\": \"<p>\"}"), "<b>news|Paris||&lt;p&gt;</b>"},
        {CARD, SLICE_INIT("application/hal+json; x=y"), SLICE_INIT("{\"id\": 5}"),
         "<b>5|Paris||</b>"},
        {CARD, SLICE_INIT("text/plain"), SLICE_INIT("{\"id\": 5}"),
         "<b>news|Paris|{&quot;id&quot;: 5}|</b>"},
        {"{{{content}}}", SLICE_INIT("text/html"), SLICE_INIT("<p>"), "<p>"},
        {"{{{content}}}", SLICE_INIT("text/plain"), SLICE_INIT("<p>"), "<p>"},
        {"{{#.}}[{{.}}]{{/.}}{{inputs.city}}", SLICE_INIT(JSON), SLICE_INIT("[1, 2]"),
         "[1][2]Paris"},
        {"{{^.}}none{{/.}}", SLICE_INIT(JSON), SLICE_INIT("[]"), "none"},
        {"", SLICE_INIT(JSON), SLICE_INIT("{}"), ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct made made = make(plain, cases[i].template, cases[i].type, cases[i].body);
        assert_row(i, made.ok == (cases[i].html != NULL));
        if (made.ok)
            assert_slice(i, made.result.body, slice_of(cases[i].html));
        if (made.ok && (cases[i].template || cases[i].body.data != made.result.body.data))
            assert_slice(i, made.result.type, SLICE(HTML));
        buffer_free(&made.result.html);
    }
}

/* What is sent is what came, unless its type could not be sent. */
static void test_raw(void **state)
{
    static const struct {
        struct slice type, sent;
    } cases[] = {
        {SLICE_INIT(JSON), SLICE_INIT(JSON)},
        {SLICE_INIT("image/png"), SLICE_INIT("image/png")},
        {SLICE_INIT("text/html"), SLICE_INIT("text/html")},
        {SLICE_INIT(""), SLICE_INIT("application/octet-stream")},
        {SLICE_INIT("a/b\r\nX: y"), SLICE_INIT("application/octet-stream")},
    };
    struct render_rule raw = {.raw = true};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct made made = make(raw, NULL, cases[i].type, SLICE("<&\xff"));
        assert_row(i, made.ok);
        assert_slice(i, made.result.type, cases[i].sent);
        assert_slice(i, made.result.body, SLICE("<&\xff"));
        buffer_free(&made.result.html);
    }
}

static void test_failures(void **state)
{
    static const char *const names[] = {"city", "place.name", "items"};
    static const struct {
        const char *template;
        struct slice type, body;
        const char *why; /* NULL: it succeeds */
    } cases[] = {
        {"x", SLICE_INIT(JSON), SLICE_INIT("{"), "the JSON of the source is invalid in line 1: "},
        {"x", SLICE_INIT(JSON), SLICE_INIT(""), "the JSON of the source is invalid in line 1: "},
        {"x", SLICE_INIT(JSON), SLICE_INIT("null"),
         "the JSON of the source is neither an object nor a list"},
        {"x", SLICE_INIT(JSON), SLICE_INIT("\"text\""),
         "the JSON of the source is neither an object nor a list"},
        {"x", SLICE_INIT("image/png"), SLICE_INIT("x"),
         "the result has the type image/png, which is neither HTML nor text (render = \"raw\" "
         "passes any type)"},
        {"a\n {{city}}", SLICE_INIT(JSON), SLICE_INIT("{\"city\": [1]}"),
         "t:2:2: \"city\" is a list here, not a text"},
        {"{{>again}}", SLICE_INIT(JSON), SLICE_INIT("{}"), "again:1:1: more than 256 "},
        {"x", SLICE_INIT(JSON),
         SLICE_INIT("{\"city\": 0, \"place\": {\"name\": \"\"}, \"items\": []}"), NULL},
    };
    static const struct {
        struct slice body;
        const char *why;
    } lacking[] = {
        {SLICE_INIT("{\"city\": 0, \"place\": {\"name\": \"\"}, \"items\": []}"), NULL},
        {SLICE_INIT("{}"), "the JSON of the source has no \"city\", which is required"},
        {SLICE_INIT("[]"), "the JSON of the source has no \"city\", which is required"},
        {SLICE_INIT("{\"city\": null}"),
         "the JSON of the source has no \"city\", which is required"},
        {SLICE_INIT("{\"city\": 1}"),
         "the JSON of the source has no \"place.name\", which is required"},
        {SLICE_INIT("{\"city\": 1, \"place\": 7}"),
         "the JSON of the source has no \"place.name\", which is required"},
        {SLICE_INIT("{\"city\": 1, \"place\": {\"name\": false}}"),
         "the JSON of the source has no \"items\", which is required"},
    };
    struct render_rule strict = plain;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct made made = make(plain, cases[i].template, cases[i].type, cases[i].body);
        if (made.ok ? cases[i].why != NULL
                    : !cases[i].why || strncmp(made.why, cases[i].why, strlen(cases[i].why)) != 0)
            fail_msg("row %zu: %s", i, made.ok ? "it succeeds" : made.why);
        buffer_free(&made.result.html);
    }
    strict.required = names;
    strict.required_count = LENGTH(names);
    for (size_t i = 0; i < LENGTH(lacking); i++) {
        struct made made = make(strict, "x", SLICE(JSON), lacking[i].body);
        if (made.ok ? lacking[i].why != NULL : strcmp(made.why, lacking[i].why) != 0)
            fail_msg("row %zu: %s", i, made.ok ? "it succeeds" : made.why);
        buffer_free(&made.result.html);
    }
    struct made made = make(strict, "x", SLICE("text/html"), SLICE("<p>trouble</p>"));
    assert_false(made.ok);
    assert_string_equal(made.why,
                        "the source has not sent JSON, but the fragment requires \"city\" of it");
    buffer_free(&made.result.html);
}

static void test_limits(void **state)
{
    struct slice body = SLICE("{\"list\": [1, 2, 3, 4, 5, 6, 7, 8]}");
    static const struct {
        size_t json_max, html_max, steps_max;
        const char *why;
    } cases[] = {
        {34, 24, 100, NULL},
        {33, 24, 100, "34 bytes of JSON are more than max_json allows"},
        {34, 23, 100, "t:1:16: the result is longer than 23 bytes"},
        {34, 24, 20, "t:1:11: rendering takes more than 20 steps"},
    };
    (void)state;
    assert_int_equal(body.len, 34);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct render_rule rule = {.json_max = cases[i].json_max,
                                   .html_max = cases[i].html_max,
                                   .steps_max = cases[i].steps_max};
        struct made made = make(rule, "{{#list}}-{{.}}-{{/list}}", SLICE(JSON), body);
        if (made.ok ? cases[i].why != NULL : !cases[i].why || strcmp(made.why, cases[i].why) != 0)
            fail_msg("row %zu: %s", i, made.ok ? "it succeeds" : made.why);
        buffer_free(&made.result.html);
    }
    struct render_rule rule = {.html_max = 20};
    struct made made = make(rule, NULL, SLICE("text/plain"), SLICE("12345"));
    assert_false(made.ok);
    assert_non_null(strstr(made.why, "more than max_rendered allows"));
    buffer_free(&made.result.html);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool valid;
    } cases[] = {
        {"a", true},   {"a.b", true}, {"a b.\xc3\xa9", true}, {"", false},     {".", false},
        {".a", false}, {"a.", false}, {"a..b", false},        {"a\nb", false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, render_name_is_valid(cases[i].name) == cases[i].valid);
}

static void test_digests(void **state)
{
    static const char *const a[] = {"a"}, *const ab[] = {"a", "b"};
    struct mustache *template = (struct mustache *)(uintptr_t)1; /* only whether there is one */
    struct render_rule rule = {.template = template};
    uint64_t none = render_rule_digest(&rule, 7);
    (void)state;
    assert_int_equal(render_rule_digest(&plain, 7), 0);
    assert_true(none != 0 && render_rule_digest(&rule, 9) != none);
    rule.required = a;
    rule.required_count = 1;
    uint64_t of_a = render_rule_digest(&rule, 7);
    assert_true(of_a != none);
    rule.required = ab;
    rule.required_count = 2;
    assert_true(render_rule_digest(&rule, 7) != of_a);
    assert_true(render_rule_digest(&(struct render_rule){.raw = true}, 7) != none);
}

/* Each allocation of ours may fail. (Those of jansson are in test_context.) */
static void test_memory(void **state)
{
    static const struct {
        const char *template;
        struct slice type;
    } cases[] = {{CARD, SLICE_INIT("text/plain")}, {NULL, SLICE_INIT("text/plain")}};
    static char text[3000];
    struct render_rule rule = {.html_max = 100000, .steps_max = 100};
    (void)state;
    memset(text, '<', sizeof text);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct templates *set = templates_new();
        struct mustache_error error;
        struct context context;
        bool ok = false;
        long successes;
        rule.template = cases[i].template ? templates_add(set, SLICE("t"), "t",
                                                          slice_of(cases[i].template), &error)
                                          : NULL;
        for (successes = 0; !ok; successes++) {
            struct render_result result;
            char why[RENDER_WHY_ROOM];
            context_begin(&context, SLICE("news"));
            alloc_fail_after(successes);
            ok = render_fragment(&rule, SLICE("news"), &context, cases[i].type,
                                 (struct slice){text, sizeof text}, &result, why);
            alloc_fail_after(-1);
            assert_row(i, ok || strstr(why, "memory"));
            buffer_free(&result.html);
        }
        assert_row(i, successes > 1);
        templates_free(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),    cmocka_unit_test(test_raw),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_names),    cmocka_unit_test(test_digests),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
