/* render/templates: which names are safe, and that a set is complete in the end. */
#include "render/templates.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "unit.h"

static void test_names(void **state)
{
    static const struct {
        struct slice name;
        bool safe;
    } cases[] = {
        {SLICE_INIT("card.html"), true},
        {SLICE_INIT("shop/card.html"), true},
        {SLICE_INIT("a/b/c"), true},
        {SLICE_INIT("caf\xc3\xa9 1.html"), true},
        {SLICE_INIT("a..b"), true},
        {SLICE_INIT("a."), true},
        {SLICE_INIT(""), false},
        {SLICE_INIT("."), false},
        {SLICE_INIT(".."), false},
        {SLICE_INIT("../secret"), false},
        {SLICE_INIT("a/../../secret"), false},
        {SLICE_INIT("a/.."), false},
        {SLICE_INIT("./a"), false},
        {SLICE_INIT(".hidden"), false},
        {SLICE_INIT("a/.git/config"), false},
        {SLICE_INIT("/etc/passwd"), false},
        {SLICE_INIT("a//b"), false},
        {SLICE_INIT("a/"), false},
        {SLICE_INIT("/"), false},
        {SLICE_INIT("a\0b"), false},
        {SLICE_INIT("a\nb"), false},
    };
    char name[TEMPLATE_NAME_MAX + 1];
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].name);
        assert_row(i, template_name_is_safe(exact) == cases[i].safe);
        unit_drop(exact);
    }
    memset(name, 'n', sizeof name);
    assert_true(template_name_is_safe((struct slice){name, TEMPLATE_NAME_MAX}));
    assert_false(template_name_is_safe((struct slice){name, TEMPLATE_NAME_MAX + 1}));
}

/* The files of a directory. */
static const struct {
    const char *name, *text;
} files[] = {
    {"page", "{{>head}}{{<list}}{{$item}}{{>item}}{{/item}}{{/list}}{{>gone}}{{>*dynamic}}"},
    {"head", "<h1>{{title}}</h1>"},
    {"list", "{{#items}}{{$item}}{{/item}}{{>list-end}}{{/items}}{{>gone}}"},
    {"item", "[{{.}}]{{#sub}}{{>item}}{{/sub}}"},
    {"list-end", ";"},
    {"other", "never"},
    {"bad", "{{>head}}\n{{#a}}"},
};

static const char *text_of(struct slice name)
{
    for (size_t i = 0; i < LENGTH(files); i++)
        if (slice_equal(name, slice_of(files[i].name)))
            return files[i].text;
    return NULL;
}

/* Adds a template and all that it needs; notes the order in `log`. Returns whether that went well. */
static bool load(struct templates *set, const char *first, char *log, size_t size,
                 struct mustache_error *error)
{
    struct mustache_place place;
    struct slice name = slice_of(first);
    do {
        char file[64];
        const char *text = text_of(name);
        size_t len = strlen(log);
        snprintf(file, sizeof file, "%.*s", SLICE_ARGS(name));
        snprintf(log + len, size - len, "%s%s ", text ? "" : "-", file);
        if (text ? !templates_add(set, name, file, slice_of(text), error)
                 : !templates_add_missing(set, name))
            return false;
    } while (templates_next_unknown(set, &name, &place));
    return true;
}

static void test_set(void **state)
{
    char log[200] = "";
    struct mustache_error error;
    struct mustache_place place;
    struct slice name;
    struct buffer out = {0};
    struct templates *set = templates_new();
    (void)state;
    assert_non_null(set);
    assert_false(templates_next_unknown(set, &name, &place));
    assert_true(load(set, "page", log, sizeof log, &error));
    assert_string_equal(log, "page head list item -gone list-end ");
    assert_non_null(templates_get(set, SLICE("item")));
    assert_null(templates_get(set, SLICE("gone")));
    assert_null(templates_get(set, SLICE("other")));
    assert_null(templates_get(set, SLICE("")));

    /* What is added later is completed as well. */
    assert_non_null(templates_add(set, SLICE("late"), "late", SLICE("\n {{>x}}{{>head}}"), &error));
    assert_true(templates_next_unknown(set, &name, &place));
    assert_true(templates_next_unknown(set, &name, &place));
    assert_slice(0, name, SLICE("x"));
    assert_string_equal(place.file, "late");
    assert_true(place.line == 2 && place.column == 2);
    assert_true(templates_add_missing(set, name));
    assert_false(templates_next_unknown(set, &name, &place));

    const struct mustache *page = templates_get(set, SLICE("page"));
    const struct mustache_field fields[] = {{SLICE("title"), mustache_text(SLICE("T"))},
                                            {SLICE("items"), mustache_text(SLICE("i"))},
                                            {SLICE("dynamic"), mustache_text(SLICE("unknown"))}};
    struct mustache_value data = mustache_fields(fields, LENGTH(fields));
    struct mustache_call call = {.contexts = &data,
                                 .count = 1,
                                 .find = templates_find,
                                 .arg = set,
                                 .output_max = 100,
                                 .steps_max = 100};
    assert_true(mustache_render(page, &call, &out, &error));
    assert_slice(0, buffer_slice(&out), SLICE("<h1>T</h1>[i];"));
    buffer_free(&out);
    templates_free(set);
    templates_free(NULL);
}

static void test_refusals(void **state)
{
    char long_name[TEMPLATE_NAME_MAX + 2];
    struct mustache_error error;
    struct mustache_place place;
    struct slice name;
    struct templates *set = templates_new();
    (void)state;
    assert_null(
        templates_add(set, SLICE("bad"), "dir/bad", slice_of(text_of(SLICE("bad"))), &error));
    assert_string_equal(error.why, "{{#a}} is not closed");
    assert_string_equal(error.place.file, "dir/bad");
    assert_int_equal(error.place.line, 2);
    assert_false(templates_next_unknown(set, &name, &place));

    /* Once only: the first counts. */
    const struct mustache *first = templates_add(set, SLICE("a"), "a", SLICE("1"), &error);
    assert_non_null(first);
    assert_ptr_equal(templates_add(set, SLICE("a"), "a", SLICE("{{"), &error), first);
    assert_true(templates_add_missing(set, SLICE("a")));
    assert_ptr_equal(templates_get(set, SLICE("a")), first);
    assert_true(templates_add_missing(set, SLICE("b")));
    assert_null(templates_add(set, SLICE("b"), "b", SLICE(""), &error));
    assert_string_equal(error.why, "the template is missing");

    memset(long_name, 'n', sizeof long_name);
    struct slice too_long = {long_name, TEMPLATE_NAME_MAX + 1};
    assert_null(templates_add(set, too_long, "n", SLICE(""), &error));
    assert_string_equal(error.why, "the name of the template is empty or too long");
    assert_null(templates_add(set, SLICE(""), "n", SLICE(""), &error));
    assert_false(templates_add_missing(set, too_long));
    templates_free(set);
}

/* A name may lack its ending; the name as it is comes first. */
static void test_endings(void **state)
{
    static const struct {
        const char *name, *file; /* NULL: there is none */
    } cases[] = {
        {"a", "a"},          {"a.html", "a.html"}, {"b", "b.html"},      {"b.html", "b.html"},
        {"c", "c.mustache"}, {"d/e", "d/e.html"},  {"b.mustache", NULL}, {"b.htm", NULL},
        {"", NULL},          {".html", NULL},
    };
    static const char *const all[] = {"a",           "a.html",     "b.html",
                                      "c.html.html", "c.mustache", "d/e.html"};
    struct mustache_error error;
    struct templates *set = templates_new();
    (void)state;
    for (size_t i = 0; i < LENGTH(all); i++)
        assert_non_null(templates_add(set, slice_of(all[i]), all[i], SLICE("{{>b}}"), &error));
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, templates_get(set, slice_of(cases[i].name)) ==
                          (cases[i].file ? templates_get(set, slice_of(cases[i].file)) : NULL));
    struct slice name;
    struct mustache_place place;
    assert_false(templates_next_unknown(set, &name, &place)); /* b.html is known */
    templates_free(set);
}

static uint64_t digest_of(const char *const texts[3], const char *name)
{
    static const char *const names[] = {"one.html", "two.html", "three.html"};
    struct mustache_error error;
    struct templates *set = templates_new();
    for (size_t i = 0; i < LENGTH(names); i++)
        assert_non_null(
            templates_add(set, slice_of(names[i]), names[i], slice_of(texts[i]), &error));
    uint64_t digest = templates_digest(set, slice_of(name));
    assert_true(digest == templates_digest(set, slice_of(name)));
    templates_free(set);
    return digest;
}

/* It changes with what the template includes, and with nothing else. */
static void test_digests(void **state)
{
    static const struct {
        const char *before[3], *after[3];
        bool same;
    } cases[] = {
        {{"x", "y", "z"}, {"x", "y", "z"}, true},
        {{"x", "y", "z"}, {"X", "y", "z"}, false},
        {{"x", "y", "z"}, {"x", "Y", "z"}, true},
        {{"{{>two}}", "y", "z"}, {"{{>two}}", "Y", "z"}, false},
        {{"{{>two}}", "y", "z"}, {"{{>two}}", "y", "Z"}, true},
        {{"{{>two}}", "{{>three}}", "z"}, {"{{>two}}", "{{>three}}", "Z"}, false},
        {{"{{<two}}{{/two}}", "{{>one}}", "z"}, {"{{<two}}{{/two}}", "{{>one}} ", "z"}, false},
        {{"{{>*x}}", "y", "z"}, {"{{>*x}}", "y", "Z"}, false},
        {{"{{>two}}", "{{>*x}}", "z"}, {"{{>two}}", "{{>*x}}", "Z"}, false},
        {{"x", "{{>*x}}", "z"}, {"x", "{{>*x}}", "Z"}, true},
        {{"{{>gone}}", "y", "z"}, {"{{>gone}}", "y", "z"}, true},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, (digest_of(cases[i].before, "one") == digest_of(cases[i].after, "one")) ==
                          cases[i].same);
    assert_true(digest_of(cases[0].before, "one") != digest_of(cases[0].before, "two"));
    digest_of(cases[0].before, "gone");
}

static void test_limit(void **state)
{
    struct mustache_error error;
    struct templates *set = templates_new();
    (void)state;
    for (int i = 0; i < TEMPLATES_MAX; i++) {
        char name[20];
        snprintf(name, sizeof name, "t%d", i);
        assert_non_null(templates_add(set, slice_of(name), name, SLICE(""), &error));
    }
    assert_false(templates_add_missing(set, SLICE("one more")));
    assert_null(templates_add(set, SLICE("one more"), "x", SLICE(""), &error));
    assert_string_equal(error.why, "there are too many templates");
    templates_free(set);
}

static void test_memory(void **state)
{
    bool ok = false;
    long successes;
    (void)state;
    for (successes = 0; !ok; successes++) {
        char log[200] = "";
        struct mustache_error error;
        alloc_fail_after(successes);
        struct templates *set = templates_new();
        ok = set && load(set, "page", log, sizeof log, &error);
        alloc_fail_after(-1);
        templates_free(set);
    }
    assert_true(successes > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),    cmocka_unit_test(test_set),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_endings),
        cmocka_unit_test(test_digests),  cmocka_unit_test(test_limit),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("templates", tests, NULL, NULL);
}
