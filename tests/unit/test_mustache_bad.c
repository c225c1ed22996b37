/* render/mustache: what is wrong with a template or its data, and where; limits; no memory. */
#include "mustache_bench.h"

static void test_compile(void **state)
{
    static const struct mustache_row rows[] = {
        {"a tag that is not closed",
         NULL,
         "ab\n  {{a",
         "page.html:2:3: the tag is not closed",
         {0}},
        {"nothing after the delimiter", NULL, "{{", "page.html:1:1: the tag is not closed", {0}},
        {"one brace is missing", NULL, "{{a}", "page.html:1:1: the tag is not closed", {0}},
        {"one of three braces is missing",
         NULL,
         "{{{a}}",
         "page.html:1:1: the tag is not closed",
         {0}},
        {"a comment that is not closed",
         NULL,
         "{{! a }",
         "page.html:1:1: the tag is not closed",
         {0}},
        {"delimiters that are not closed",
         NULL,
         "{{=<% %>}}",
         "page.html:1:1: the tag is not closed",
         {0}},
        {"a tag in a tag",
         NULL,
         "\n{{a {{b}}",
         "page.html:2:1: the tag is not closed before the next one begins",
         {0}},
        {"no name", NULL, "x{{}}", "page.html:1:2: the tag has no name", {0}},
        {"no name, but spaces", NULL, "{{# \n }}", "page.html:1:1: the tag has no name", {0}},
        {"no name in three braces", NULL, "{{{}}}", "page.html:1:1: the tag has no name", {0}},
        {"no name after *", NULL, "{{>* }}", "page.html:1:1: the tag has no name", {0}},
        {"spaces in a name", NULL, "{{a b}}", "page.html:1:1: a name cannot contain spaces", {0}},
        {"a name that is a control character",
         NULL,
         "{{\x01}}",
         "page.html:1:1: a name cannot contain control characters",
         {0}},
        {"a name that begins with a dot",
         NULL,
         "{{.a}}",
         "page.html:1:1: a part of the name is empty",
         {0}},
        {"a name that ends with a dot",
         NULL,
         "{{#a.}}{{/a.}}",
         "page.html:1:1: a part of the name is empty",
         {0}},
        {"two dots", NULL, "{{a..b}}", "page.html:1:1: a part of the name is empty", {0}},
        {"two dots in a dynamic name",
         NULL,
         "{{>*a..b}}",
         "page.html:1:1: a part of the name is empty",
         {0}},
        {"* of a value",
         NULL,
         "{{*a}}",
         "page.html:1:1: a name with * is only for partials and parents",
         {0}},
        {"* of a section",
         NULL,
         "{{#*a}}{{/*a}}",
         "page.html:1:1: a name with * is only for partials and parents",
         {0}},
        {"one delimiter",
         NULL,
         "{{=<%=}}",
         "page.html:1:1: two delimiters are expected here, with a space between them",
         {0}},
        {"no delimiter",
         NULL,
         "{{= =}}",
         "page.html:1:1: two delimiters are expected here, with a space between them",
         {0}},
        {"three delimiters",
         NULL,
         "{{=a b c=}}",
         "page.html:1:1: there are more than two delimiters here",
         {0}},
        {"= in a delimiter",
         NULL,
         "{{=a= b=}}",
         "page.html:1:1: a delimiter cannot contain \"=\"",
         {0}},
        {"a section that is not closed",
         NULL,
         "1\n{{#a}}\n{{#b}}\n{{/b}}\n",
         "page.html:2:1: {{#a}} is not closed",
         {0}},
        {"an inverted section that is not closed",
         NULL,
         "{{^a}}",
         "page.html:1:1: {{^a}} is not closed",
         {0}},
        {"a parent that is not closed", NULL, "{{<a}}", "page.html:1:1: {{<a}} is not closed", {0}},
        {"a block that is not closed", NULL, "{{$a}}", "page.html:1:1: {{$a}} is not closed", {0}},
        {"the wrong section is closed",
         NULL,
         "{{#a}}\n {{#b}}{{/a}}{{/b}}",
         "page.html:2:8: {{/a}} does not close {{#b}} of line 2, which is open here",
         {0}},
        {"a dynamic parent is closed without *",
         NULL,
         "{{<*a}}{{/a}}",
         "page.html:1:8: {{/a}} does not close {{<*a}} of line 1, which is open here",
         {0}},
        {"nothing is open",
         NULL,
         "{{#a}}{{/a}}{{/a}}",
         "page.html:1:13: {{/a}} closes nothing: nothing is open here",
         {0}},
        {"a section in a parent",
         NULL,
         "{{<p}}{{#a}}{{/a}}{{/p}}",
         "page.html:1:7: {{#a}} must be in a block: a parent, here {{<p}}, has only blocks",
         {0}},
        {"a value in a parent",
         NULL,
         "{{<p}}\n{{a}}{{/p}}",
         "page.html:2:1: {{a}} must be in a block: a parent, here {{<p}}, has only blocks",
         {0}},
        {"columns are characters",
         NULL,
         "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80{{",
         "page.html:1:4: the tag is not closed",
         {0}},
        {"a byte order mark is in no column",
         NULL,
         "\xef\xbb\xbf{{",
         "page.html:1:1: the tag is not closed",
         {0}},
        {"lines end with LF", NULL, "\r\n\r\n\r{{", "page.html:3:2: the tag is not closed", {0}},
        {"bytes of a name that are not UTF-8",
         NULL,
         "{{#\xff}}",
         "page.html:1:1: {{#\\xff}} is not closed",
         {0}},
    };
    (void)state;
    bench_bad_rows(rows, LENGTH(rows));
}

static void test_data(void **state)
{
    static const struct mustache_row rows[] = {
        {"a list is no text",
         "{'l': []}",
         "text\n {{l}}",
         "page.html:2:2: \"l\" is a list here, not a text",
         {0}},
        {"an object is no text",
         "{'a': {'b': {}}}",
         "{{{a.b}}}",
         "page.html:1:1: \"a.b\" is an object here, not a text",
         {0}},
        {"nor the name of a partial",
         "{'a': {}}",
         "{{>*a}}",
         "page.html:1:1: \"a\" is an object here, not a text",
         {0}},
        {"a partial that is refused",
         NULL,
         "a\nb {{>no-p}}",
         "page.html:2:3: \"no-p\" may not be used",
         {0}},
        {"a parent that is refused",
         NULL,
         "{{<no-p}}{{/no-p}}",
         "page.html:1:1: \"no-p\" may not be used",
         {0}},
        {"a dynamic name that is refused",
         "{'d': 'no-\\u0001'}",
         "{{>*d}}",
         "page.html:1:1: \"no-\\x01\" may not be used",
         {0}},
        {"in a partial, the place is there",
         "{'l': []}",
         "{{>p}}",
         "p:2:3: \"l\" is a list here, not a text",
         {"p", "\n  {{l}}"}},
        {"in a block, it is where that is",
         "{'l': []}",
         "\n{{<p}}{{$b}}{{l}}{{/b}}{{/p}}",
         "page.html:2:13: \"l\" is a list here, not a text",
         {"p", "{{$b}}{{/b}}"}},
        {"a partial without end",
         NULL,
         "{{>p}}",
         "p:1:2: more than 256 sections, partials, parents and blocks are nested: does a "
         "template include itself without end?",
         {"p", "x{{>p}}"}},
        {"a parent without end",
         NULL,
         "{{<p}}{{/p}}",
         "p:1:7: more than 256 sections, partials, parents and blocks are nested: does a "
         "template include itself without end?",
         {"p", "{{$b}}{{<p}}{{/p}}{{/b}}"}},
        {"more and more indentation",
         NULL,
         " {{>p}}\n",
         "p:2:2: more than 256 sections, partials, parents and blocks are nested: does a "
         "template include itself without end?",
         {"p", "x\n {{>p}}\n"}},
        {"a partial that doubles",
         NULL,
         "{{>p}}",
         "q:1:7: more than 256 sections, partials, parents and blocks are nested: does a "
         "template include itself without end?",
         {"p", "{{#.}}{{>q}}{{>q}}{{/.}}", "q", "{{#.}}{{>p}}{{>p}}{{/.}}"}},
    };
    (void)state;
    bench_bad_rows(rows, LENGTH(rows));
}

/* Nothing is written, but a list of a thousand elements would be walked in itself five times. */
static void test_steps(void **state)
{
    char why[BENCH_WHY_ROOM], data[2200] = "{'l': [0";
    struct buffer out = {0};
    struct mustache_row row = {"steps",
                               data,
                               "{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}",
                               NULL,
                               {0}};
    (void)state;
    for (size_t i = 0; i < 1000; i++)
        strcat(data, ",0");
    strcat(data, "]}");
    assert_false(bench_render(&row, &out, why));
    assert_string_equal(why, "page.html:1:25: rendering takes more than 100000 steps");

    /* Each limit up to the one that is enough. */
    row = (struct mustache_row){"enough",
                                "{'l': [1, 2], 'o': {'n': 3}}",
                                "a{{#l}}{{o.n}}{{/l}}{{<p}}{{$a}}{{/a}}{{$b}}x{{/b}}{{/p}}",
                                NULL,
                                {"p", "{{$b}}y{{/b}}"}};
    size_t steps = 0;
    while (!bench_render_within(&row, 100, steps, &out, why)) {
        assert_row(steps, strstr(why, "steps") && out.len == 0);
        assert_true(++steps < 100);
    }
    assert_slice(0, buffer_slice(&out), SLICE("a33x"));
    assert_true(steps > 10);
    buffer_free(&out);
}

static void test_output(void **state)
{
    static const struct mustache_row row =
        {"output",
         "{'a': '<x>', 'l': [1, 2]}",
         "text {{a}}{{{a}}}\n  {{>p}}\n{{<q}}{{$b}}\n1\n2\n{{/b}}{{/q}}",
         NULL,
         {"p", "{{#l}}\n{{.}}\n{{/l}}\n", "q", "    {{$b}}\n    {{/b}}\n"}};
    char why[BENCH_WHY_ROOM];
    struct buffer out = {0};
    (void)state;
    assert_true(bench_render(&row, &out, why));
    assert_slice(0, buffer_slice(&out), SLICE("text &lt;x&gt;<x>\n  1\n  2\n    1\n    2\n"));
    size_t needed = out.len;
    buffer_free(&out);
    for (size_t limit = 0; limit <= needed; limit++) {
        unit_append(&out, "kept", 4);
        bool ok = bench_render_within(&row, limit, 1000, &out, why);
        assert_row(limit, ok == (limit == needed));
        assert_row(limit, out.len == (ok ? 4 + needed : 4) && memcmp(out.data, "kept", 4) == 0);
        assert_row(limit, ok || strstr(why, "the result is longer than "));
        buffer_free(&out);
    }
    assert_true(bench_render_within(&row, SIZE_MAX, SIZE_MAX, &out, why));
    assert_int_equal(out.len, needed);
    buffer_free(&out);
}

/* `count` sections in each other. */
static char *nest(size_t count)
{
    char *text = malloc(count * 12 + 1);
    assert_non_null(text);
    *text = '\0';
    char *at = text;
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, "{{#a}}");
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, "{{/a}}");
    return text;
}

static void test_sizes(void **state)
{
    struct mustache_error error;
    (void)state;
    for (size_t count = MUSTACHE_NESTED_MAX - 1; count < MUSTACHE_NESTED_MAX + 3; count++) {
        char *text = nest(count);
        struct mustache *template = bench_compile("t", text, &error);
        assert_row(count, (template != NULL) == (count <= MUSTACHE_NESTED_MAX));
        if (!template) {
            assert_int_equal(error.place.column, MUSTACHE_NESTED_MAX * 6 + 1);
            assert_string_equal(error.why, "more than 64 sections, parents and blocks are nested");
        }
        mustache_free(template);
        free(text);
    }
    char *large = malloc(MUSTACHE_TEMPLATE_MAX + 1);
    assert_non_null(large);
    memset(large, 'x', MUSTACHE_TEMPLATE_MAX + 1);
    for (size_t more = 0; more < 2; more++) {
        struct slice text = {large, MUSTACHE_TEMPLATE_MAX + more};
        struct mustache *template = mustache_compile("t", text, &error);
        assert_row(more, (template != NULL) == (more == 0));
        mustache_free(template);
    }
    assert_string_equal(error.why, "the template is longer than 1048576 bytes");
    free(large);
    mustache_free(NULL);
}

/* A message does not write past its room. */
static void test_long_names(void **state)
{
    char name[1000], text[1100], why[20];
    struct mustache_error error;
    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(text, sizeof text, "{{#%s}}", name);
    assert_null(bench_compile("file", text, &error));
    assert_true(strlen(error.why) < 120);
    mustache_describe(&error, why, sizeof why);
    assert_string_equal(why, "file:1:1: {{#nnnnnn");
    mustache_describe(&error, why, 0);
    assert_string_equal(why, "file:1:1: {{#nnnnnn");
}

static void test_partials(void **state)
{
    static const struct {
        const char *name;
        size_t line, column;
    } partials[] = {{"a", 1, 3}, {"b/c", 2, 1}, {"e", 3, 7}, {"a", 4, 1}};
    struct mustache_error error;
    struct mustache *template =
        bench_compile("t", "x {{>a}}\n{{<b/c}}{{/b/c}}{{>*d}}\n{{#s}}{{>e}}{{/s}}\n{{<a}}{{/a}}",
                      &error);
    struct slice name;
    size_t at = 0, count = 0;
    (void)state;
    while (mustache_next_partial(template, &at, &name)) {
        assert_true(count < LENGTH(partials));
        struct mustache_place place = mustache_partial_place(template, at);
        assert_slice(count, name, slice_of(partials[count].name));
        assert_string_equal(place.file, "t");
        assert_row(count, place.line == partials[count].line);
        assert_row(count, place.column == partials[count].column);
        count++;
    }
    assert_int_equal(count, LENGTH(partials));
    mustache_free(template);
}

/* Contexts in contexts, without JSON; no callback for partials; nothing at all. */
static void test_contexts(void **state)
{
    static const struct {
        const char *template, *html;
    } cases[] = {
        {"{{a}}{{b}}{{c}}", "123"},     {"{{o.a}}{{#o}}{{a}}{{b}}{{/o}}", "992"},
        {"({{d}}{{>p}})", "()"},        {"{{#e}}x{{/e}}{{^e}}none{{/e}}", "none"},
        {"{{#n}}x{{/n}}({{n}})", "()"}, {"{{#c}}{{.}}{{/c}}", "3"},
    };
    const struct mustache_field inner[] = {{SLICE("a"), mustache_text(SLICE("9"))}};
    const struct mustache_field first[] = {{SLICE("a"), mustache_text(SLICE("1"))},
                                           {SLICE("b"), mustache_text(SLICE("no"))},
                                           {SLICE("o"), mustache_fields(inner, 1)}};
    const struct mustache_field second[] = {{SLICE("b"), mustache_text(SLICE("2"))},
                                            {SLICE("c"), mustache_text(SLICE("3"))},
                                            {SLICE("b"), mustache_text(SLICE("no"))},
                                            {SLICE("e"), mustache_text(SLICE(""))},
                                            {SLICE("n"), {0}}};
    const struct mustache_value contexts[] = {mustache_fields(first, LENGTH(first)),
                                              mustache_text(SLICE("no object")),
                                              mustache_fields(second, LENGTH(second))};
    struct mustache_call call = {.contexts = contexts,
                                 .count = LENGTH(contexts),
                                 .output_max = 100,
                                 .steps_max = 100};
    struct mustache_error error;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buffer out = {0};
        struct mustache *template = bench_compile("t", cases[i].template, &error);
        assert_true(mustache_render(template, &call, &out, &error));
        assert_slice(i, buffer_slice(&out), slice_of(cases[i].html));
        mustache_free(template);
        buffer_free(&out);
    }
    struct buffer out = {0};
    struct mustache *template = bench_compile("t", "({{.}}{{a}}{{#.}}x{{/.}})", &error);
    call.count = 0;
    assert_true(mustache_render(template, &call, &out, &error));
    assert_slice(0, buffer_slice(&out), SLICE("()"));
    buffer_free(&out);
    call.count = 1;
    assert_false(mustache_render(template, &call, &out, &error));
    assert_string_equal(error.why, "\".\" is an object here, not a text");
    mustache_free(template);
    buffer_free(&out);
}

/* With each allocation failing: an error that says so, and nothing is left. */
static void test_memory(void **state)
{
    static const char text[] = "{{#l}}\n {{.}}{{>p}}\n{{/l}}{{<p}}{{$b}}\n  x\n{{/b}}{{/p}}"
                               "{{a}}{{a}}{{a}}{{a}}{{a}}{{a}}{{a}}{{a}}{{a}}{{a}}{{a}}{{a}}{{a}}";
    struct json_t *json = bench_json("{'l': [1, 2], 'a': '<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<'}");
    struct mustache_value data = mustache_json(json);
    struct mustache_error error;
    struct mustache *template = NULL;
    (void)state;
    long successes;
    for (successes = 0; !template; successes++) {
        alloc_fail_after(successes);
        template = mustache_compile("t", slice_of(text), &error);
        alloc_fail_after(-1);
        assert_row(successes, template || strcmp(error.why, "out of memory") == 0);
        assert_row(successes, template || strcmp(error.place.file, "t") == 0);
    }
    assert_true(successes > 4);

    struct mustache_shelf shelf;
    bench_shelve(&shelf, &(struct mustache_row){"shelf", NULL, NULL, NULL, {"p", "{{$b}}{{/b}}"}});
    struct mustache_call call = {.contexts = &data,
                                 .count = 1,
                                 .find = bench_find,
                                 .arg = &shelf,
                                 .output_max = 100000,
                                 .steps_max = 1000};
    bool ok = false;
    for (successes = 0; !ok; successes++) {
        struct buffer out = {0};
        alloc_fail_after(successes);
        ok = mustache_render(template, &call, &out, &error);
        alloc_fail_after(-1);
        assert_row(successes, ok || (strcmp(error.why, "out of memory") == 0 && out.len == 0));
        buffer_free(&out);
    }
    assert_true(successes > 3);
    bench_clear(&shelf);
    mustache_free(template);
    render_json_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compile),  cmocka_unit_test(test_data),
        cmocka_unit_test(test_steps),    cmocka_unit_test(test_output),
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_partials), cmocka_unit_test(test_contexts),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("mustache_bad", tests, NULL, NULL);
}
