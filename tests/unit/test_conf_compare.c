/* conf/compare and the comparison of options: what a reload sees of two configs. */
#include "conf_bench.h"

#include "conf/compare.h"
#include "conf/option_value.h"
#include "conf/options.h"
#include "unit.h"

#define PHP  "socket = \"unix:/s\" script = \"/srv/{name}\" "
#define HTTP "url = \"http://a/{name}\" "

/* Loads a text with one source of that type, which has those options. */
static struct conf *with_source(const char *type, const char *options)
{
    char text[1000];
    snprintf(text, sizeof text, "source s { type = %s %s }\nfragment \"x*\" { source = s }\n", type,
             options);
    return load_good(text);
}

/* Two sections are the same if their values are, however these are written. */
static void test_same_source(void **state)
{
    static const struct {
        const char *type, *a, *b;
        bool same;
    } cases[] = {
        /* a duration, with and without its default */
        {"http", HTTP, HTTP "timeout = \"10s\"", true},
        {"http", HTTP "timeout = \"1.5s\"", HTTP "timeout = \"1500ms\"", true},
        {"http", HTTP "timeout = \"1.5s\"", HTTP "timeout = \"1501ms\"", false},
        /* a range: each of its ends */
        {"simulated", "delay = \"1s-2s\"", "delay = \"1s-2000ms\"", true},
        {"simulated", "delay = \"1s-2s\"", "delay = \"0s-2s\"", false},
        {"simulated", "delay = \"1s-2s\"", "delay = \"1s-3s\"", false},
        /* a size, a count, a choice */
        {"http", HTTP "max_body = \"1MiB\"", HTTP "max_body = \"1024KiB\"", true},
        {"http", HTTP "max_body = \"1MiB\"", HTTP "max_body = \"1025KiB\"", false},
        {"http", HTTP "retries = 2", HTTP "retries = 2", true},
        {"http", HTTP "retries = 2", HTTP "retries = 3", false},
        {"http", HTTP "method = GET", HTTP, true},
        {"http", HTTP "method = GET", HTTP "method = POST", false},
        /* a rate: both numbers */
        {"http", HTTP "breaker = \"5 in 10s\"", HTTP "breaker = \"5 in 10000ms\"", true},
        {"http", HTTP "breaker = \"5 in 10s\"", HTTP "breaker = \"6 in 10s\"", false},
        {"http", HTTP "breaker = \"5 in 10s\"", HTTP "breaker = \"5 in 11s\"", false},
        {"http", HTTP "breaker = \"5 in 10s\"", HTTP, false},
        /* a string */
        {"http", HTTP, "url = \"http://b/{name}\" ", false},
        {"http", HTTP "socket = \"/a\"", HTTP, false},
        /* a list: its length, its order, its elements */
        {"http", HTTP "headers = {\"A: 1\", \"B: 2\"}", HTTP "headers = {\"A: 1\", \"B: 2\"}",
         true},
        {"http", HTTP "headers = {\"A: 1\", \"B: 2\"}", HTTP "headers = {\"B: 2\", \"A: 1\"}",
         false},
        {"http", HTTP "headers = {\"A: 1\"}", HTTP "headers = {\"A: 1\", \"B: 2\"}", false},
        {"http", HTTP "headers = {\"A: 1\"}", HTTP, false},
        {"fastcgi", PHP "params = {\"A=1\"}", PHP "params = {\"A=1\"}", true},
        {"fastcgi", PHP "params = {\"A=1\"}", PHP "params = {\"A=2\"}", false},
        {"fastcgi", PHP, PHP "keep_connections = 1", false},
        {"fastcgi", PHP, PHP "connections = 5", true},
        /* the environment and a file's text are part of a value */
        {"http", HTTP "headers = {\"A: ${file:t.value}\"}", HTTP "headers = {\"A: secret\"}", true},
        {"http", HTTP "headers = {\"A: ${file:t.value}\"}", HTTP "headers = {\"A: other\"}", false},
    };
    (void)state;
    write_text("t.value", "secret\n");
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct conf *a = with_source(cases[i].type, cases[i].a);
        struct conf *b = with_source(cases[i].type, cases[i].b);
        assert_row(i, conf_same_source(a->sources[0], b->sources[0]) == cases[i].same);
        assert_row(i, conf_same_source(b->sources[0], a->sources[0]) == cases[i].same);
        conf_free(a);
        conf_free(b);
    }
}

/* Sources of another name or type are others; a file that has changed makes another one. */
static void test_other_sources(void **state)
{
    struct conf *a = load_good("source s { type = simulated }\nsource t { type = simulated }\n"
                               "source u { type = http url = \"http://a/{name}\" }\n"
                               "fragment x { source = s }\n");
    struct conf *b = load_good("source u { type = simulated }\nfragment x { source = u }\n");
    (void)state;
    assert_false(conf_same_source(a->sources[0], a->sources[1]));
    assert_false(conf_same_source(a->sources[2], b->sources[0]));
    b->sources[0]->files = 1;
    assert_true(conf_same_source(b->sources[0], b->sources[0]));
    a->sources[0]->files = 1;
    assert_int_equal(a->sources[1]->files, 0); /* none has files */
    conf_free(a);
    conf_free(b);
}

/* A file of a template that has changed changes the fragments that are made of it, and no others. */
static void test_templates(void **state)
{
    static const struct {
        const char *file, *text, *changes;
    } cases[] = {
        {"templates/row.html", "new", "fragments changed: \"a\"\n"},
        {"templates/row.html", "new", ""},
        {"templates/card.html", "{{>row}}", "fragments changed: \"a\"\n"},
        {"templates/other.html", "{{x}}", "fragments changed: \"b\"\n"},
        {"templates/unused.html", "{{", ""},
    };
    static const char text[] = "templates = templates\nsource s { type = simulated }\n"
                               "fragment a { source = s template = card }\n"
                               "fragment b { source = s template = other }\n"
                               "fragment c { source = s }\n";
    (void)state;
    write_text("templates/other.html", "");
    struct conf *before = load_good(text);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char *changes;
        size_t len;
        write_text(cases[i].file, cases[i].text);
        struct conf *after = load_good(text);
        FILE *out = open_memstream(&changes, &len);
        assert_non_null(out);
        conf_write_changes(before, after, out);
        assert_int_equal(fclose(out), 0);
        if (strcmp(changes, cases[i].changes) != 0)
            fail_msg("row %zu: %s", i, changes);
        free(changes);
        conf_free(before);
        before = after;
    }
    conf_free(before);
}

#define S1     "source s { type = simulated }\n"
#define S2     "source s { type = simulated delay = \"1s\" }\n"
#define T      "source t { type = simulated }\n"
#define A      "fragment a { source = s }\n"
#define A_OF_T "fragment a { source = t }\n"
#define B      "fragment b { source = s }\n"
#define AS     "fragment a { source = s stream = yes }\n"
#define P      "page \"/p\" { file = page.html }\n"
#define Q      "page \"/q\" { file = page.html }\n"

static void test_changes(void **state)
{
    static const struct {
        const char *before, *after, *changes, *fixed;
    } cases[] = {
        {S1 A, S1 A, "", ""},
        {S1 A, "# a comment\n" S1 "fragment a { source = s ttl_min = 0 }\n", "", ""},
        {S1 A, S1 A B, "fragments added: \"b\"\n", ""},
        {S1 A B, S1 B, "fragments removed: \"a\"\n", ""},
        {S1 A B, S1 B A, "the order of the fragments has changed\n", ""},
        {S1 A, S1 "fragment a { source = s hold = \"1s\" }\n", "fragments changed: \"a\"\n", ""},
        {S1 A, S1 "fragment a { source = s ttl = \"60s\" }\n", /* which was default_ttl */
         "fragments changed: \"a\"\n", ""},
        {S1 A, S1 "fragment a { source = s stale = 0 }\n", "fragments changed: \"a\"\n", ""},
        {S1 A, S1 "fragment a { source = s vary = {host} }\n", "fragments changed: \"a\"\n", ""},
        {S1 A, S1 "fragment a { source = s fallback = empty.html }\n", "fragments changed: \"a\"\n",
         ""},
        {S1 T A, T S1 A, "", ""}, /* a source is known by its name */
        {S1 T A, S1 T A_OF_T, "fragments changed: \"a\"\n", ""},
        {S1 A, S2 A, "sources replaced: \"s\"\n", ""},
        {S1 A, S1 T A, "sources added: \"t\"\n", ""},
        {S1 T A, S1 A, "sources removed: \"t\"\n", ""},
        {S1 AS P, S1 AS P Q, "pages added: \"/q\"\n", ""},
        {S1 AS P Q, S1 AS Q, "pages removed: \"/p\"\n", ""},
        {S1 AS P Q, S1 AS Q P, "the order of the pages has changed\n", ""},
        {S1 AS P, S1 AS "page \"/p\" { file = page.html page_hold = \"2s\" }\n", "", ""},
        {S1 AS P, "page_hold = \"3s\"\n" S1 AS P,
         "pages changed: \"/p\"\noptions changed: page_hold\n", ""},
        {S1 A, "max_parked = 7\npurge = {\"::1\"}\ncache { memory = 0 }\n" S1 A,
         "options changed: max_parked, purge, memory\n", ""},
        {S1 A, "listen = {\"fd:0\"}\ncache { namespace = n }\n" S1 A, "", "listen, namespace"},
        {"cache { redis = \"unix:/a\" }\n" S1 A, "cache { redis = \"unix:/b\" }\n" S1 A, "",
         "redis"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct conf *before = load_good(cases[i].before), *after = load_good(cases[i].after);
        char *text, fixed[CONF_FIXED_ROOM];
        size_t len;
        FILE *out = open_memstream(&text, &len);
        assert_non_null(out);
        conf_write_changes(before, after, out);
        assert_int_equal(fclose(out), 0);
        conf_list_fixed(before, after, fixed);
        if (strcmp(text, cases[i].changes) != 0 || strcmp(fixed, cases[i].fixed) != 0)
            fail_msg("row %zu: %s| %s", i, text, fixed);
        free(text);
        conf_free(before);
        conf_free(after);
    }
}

/* A line has an end, however many there are. */
static void test_many_changes(void **state)
{
    struct conf *before = load_good(S1 A);
    char text[2000] = S1 A, *line;
    size_t len;
    (void)state;
    for (int i = 0; i < 25; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "fragment n%d { source = s }\n",
                 i);
    struct conf *after = load_good(text);
    FILE *out = open_memstream(&line, &len);
    assert_non_null(out);
    conf_write_changes(before, after, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(line, "fragments added: \"n0\", \"n1\", \"n2\", \"n3\", \"n4\", \"n5\", "
                              "\"n6\", \"n7\", \"n8\", \"n9\" and 15 more\n");
    free(line);
    conf_free(before);
    conf_free(after);
}

/* The running values are kept with their addresses; the others are those of the file. */
static void test_keep_fixed(void **state)
{
    struct conf *running = load_good("listen = {\"fd:0\", \"fd:3\"} max_parked = 7\n"
                                     "cache { namespace = old memory = \"1MiB\" }\n" S1 A);
    struct conf *next = load_good("listen = {\"fd:4\"} socket_mode = \"0600\" max_parked = 8\n"
                                  "cache { namespace = new memory = \"2MiB\" }\n" S1 A);
    const char *name_space = running->cache.name_space;
    char fixed[CONF_FIXED_ROOM];
    (void)state;
    conf_keep_fixed(running, next);
    assert_ptr_equal(next->cache.name_space, name_space);
    assert_string_equal(next->cache.name_space, "old");
    assert_int_equal(next->listen.count, 2);
    assert_string_equal(next->listen.addresses[1], "fd:3");
    assert_int_equal(next->listen.socket_mode, 0660);
    assert_int_equal(next->flights.max_parked, 8);
    assert_int_equal(next->cache.memory_bytes, 2 << 20);
    conf_list_fixed(running, next, fixed);
    assert_string_equal(fixed, "listen, socket_mode, namespace");
    conf_free(running);
    assert_string_equal(next->cache.name_space, "old");
    conf_free(next);
}

/* Every kind that has a value is compared: a change of each option at the top level is seen. */
static void test_all_rows(void **state)
{
    struct conf *a = load_good(S1 A), *b = load_good(S1 A);
    size_t fixed = 0;
    (void)state;
    for (size_t i = 0; i < options_count(); i++) {
        struct option_row row = option_row(i);
        const struct option *option = row.option;
        bool is_in_conf = row.section == SECTION_TOP || row.section == SECTION_CACHE;
        if (!is_in_conf) {
            assert_true(option_is_reloadable(&row));
            assert_false(option->reloadable); /* it would say nothing */
            continue;
        }
        fixed += !option_is_reloadable(&row);
        if (option->kind == OPTION_INCLUDE)
            continue;
        assert_row(i, option_equal(option, a, b));
        char *member = (char *)b + option->offset;
        const char *text = "other", *const *list = &text, *string;
        switch (option->kind) {
        case OPTION_STRING:
        case OPTION_PATH:
            memcpy(&string, member, sizeof string);
            memcpy(member, &text, sizeof text);
            assert_row(i, !option_equal(option, a, b));
            memcpy(member, &string, sizeof string);
            break;
        case OPTION_LIST: {
            char saved[sizeof list + sizeof(size_t)];
            size_t one = 1;
            memcpy(saved, member, sizeof saved);
            memcpy(member, &list, sizeof list);
            memcpy(member + sizeof list, &one, sizeof one);
            assert_row(i, !option_equal(option, a, b));
            memcpy(member, saved, sizeof saved);
            break;
        }
        default:
            *member ^= 1;
            assert_row(i, !option_equal(option, a, b));
            option_swap(option, a, b);
            assert_row(i, !option_equal(option, a, b));
            option_swap(option, a, b);
            *member ^= 1;
        }
        assert_row(i, option_equal(option, a, b));
    }
    assert_true(fixed > 5); /* listen, redis, ... */
    conf_free(a);
    conf_free(b);
}

/* Settings outlive their config as long as somebody holds them. */
static void test_holders(void **state)
{
    struct conf *conf = load_good(S1 A);
    struct source_settings *settings = conf_hold_settings(conf->sources[0]);
    (void)state;
    conf_free(conf);
    assert_string_equal(settings->name, "s");
    conf_release_settings(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_source),  cmocka_unit_test(test_other_sources),
        cmocka_unit_test(test_templates),    cmocka_unit_test(test_changes),
        cmocka_unit_test(test_many_changes), cmocka_unit_test(test_keep_fixed),
        cmocka_unit_test(test_all_rows),     cmocka_unit_test(test_holders),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
