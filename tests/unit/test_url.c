/* source/url and source/template: what a url may contain, and its text for the inputs of a request.
 * */
#include "source/url.h"

#include <stdio.h>

#include "base/alloc.h"
#include "requests.h"
#include "source/http_settings.h"
#include "source/template.h"
#include "unit.h"

static void test_check_url(void **state)
{
    static const struct {
        const char *url;
        bool ok;
    } cases[] = {
        {"http://127.0.0.1:9000/{name}", true},
        {"https://example.org/{name}?again={name}", true},
        {"HTTP://example.org/{name}", true},
        {"http://user:password@example.org/f/{name}", true},
        {"http://[::1]:9000/{name}", true},
        {"http://example.org?name={name}", true},
        {"http://example.org/fixed", true},
        {"http://example.org/v1/{rest}", true},
        {"http://example.org/{name}?{query}", true},
        {"http://example.org/?a=1&{query}", true},
        {"http://example.org/?{query}&a={query:a}", true},
        {"http://example.org/{query:city}/{language}/{host}/{header:x-currency}", true},
        {"http://example.org/{header:X-Currency}", true},
        {"http://example.org/?{query:a?b&c=d/e}", true},
        {"http://example.org/.{name}/...", true},
        {NULL, false},
        {"", false},
        {"/{name}", false},
        {"127.0.0.1:9000/{name}", false},
        {"localhost/{name}", false},
        {"ftp://example.org/{name}", false},
        {"file:///{name}", false},
        {"http://", false},
        {"http:///{name}", false},
        {"http:/{name}/x", false},
        {"http://:80/{name}", false},
        {"http://{name}/", false},
        {"http://{name}.example.org/", false},
        {"http://{name}@example.org/", false},
        {"http://example.org:{name}/", false},
        {"http://example.org:99999/{name}", false},
        {"http://exa mple.org/{name}", false},
        {"http://example.org/a b/{name}", false},
        {"http://example.org/\n{name}", false},
        {"http://example.org/{Name}", false},
        {"http://example.org/{name", false},
        {"http://example.org/{name}}", false},
        {"http://example.org/{name}{", false},
        {"http://example.org/{name}#part", false},
        {"http://example.org/#{name}", false},
        {"http://example.org/#", false},
        {"http://example.org#", false},
        {"http://example.org/{query:#}", true},
        {"http://{host}/", false},
        {"http://example.org:{query:port}/", false},
        {"http://example.org{rest}", false},
        {"http://example.org/{query}", false},
        {"http://example.org/?q={query}", false},
        {"http://example.org/?{query}x", false},
        {"http://example.org/?{query}{name}", false},
        {"http://example.org/{cookie:session}", false},
        {"http://example.org/?{header:authorization}", false},
        {"http://example.org/?{header:Cookie}", false},
        {"http://example.org/{header:proxy-authorization}", false},
        {"http://example.org/{query:}", false},
        {"http://example.org/{query:a b}", false},
        {"http://example.org/{query:a\n}", false},
        {"http://example.org/{language:de}", false},
        {"http://example.org/{}", false},
        {"http://example.org/../{name}", false},
        {"http://example.org/{name}/.", false},
        {"http://example.org/%2E./{name}", false},
        {"http://example.org/a%2f..%2Fb", false},
        {"http://example.org/..;a=1/{name}", false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct http_settings settings = {.settings.type = source_type_find("http"),
                                         .url = cases[i].url};
        const char *option = NULL, *problem = source_check(&settings.settings, &option);
        assert_true(!problem || strcmp(option, "url") == 0);
        if (!problem != cases[i].ok)
            fail_msg("%s: %s", cases[i].url ? cases[i].url : "NULL", problem ? problem : "taken");
    }
}

static void test_url(void **state)
{
    static const struct {
        const char *template;
        struct slice name;
        const char *url;
    } cases[] = {
        {"http://h/{name}", SLICE("a"), "http://h/a"},
        {"http://h/{name}", SLICE("user/42"), "http://h/user/42"},
        {"http://h/{name}", SLICE("AZaz09-._~"), "http://h/AZaz09-._~"},
        {"http://h/{name}", SLICE("a b+c"), "http://h/a%20b%2Bc"},
        {"http://h/{name}", SLICE("100%?#&=;:@!$'()*,[]"),
         "http://h/100%25%3F%23%26%3D%3B%3A%40%21%24%27%28%29%2A%2C%5B%5D"},
        {"http://h/{name}", SLICE("\xc3\xa9\0\n\xff"), "http://h/%C3%A9%00%0A%FF"},
        {"http://h/{name}", SLICE("{name}"), "http://h/%7Bname%7D"},
        {"http://h/f/{name}.html?q={name}&r=1", SLICE("a&b"), "http://h/f/a%26b.html?q=a%26b&r=1"},
        {"http://h/fixed", SLICE("a"), "http://h/fixed"},
        {"http://h/{name}", SLICE(""), "http://h/"},
        {"http://h/{name}{name}", SLICE("ab"), "http://h/abab"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char *url = url_expand(cases[i].template, &(struct source_request){.name = cases[i].name});
        assert_non_null(url);
        assert_string_equal(url, cases[i].url);
        free(url);
    }

    /* When out of memory there is no url at all: a part of it might be that of another fragment. */
    char name[300], *url = NULL;
    memset(name, ' ', sizeof name);
    long successes;
    for (successes = 0; !url; successes++) {
        alloc_fail_after(successes);
        url = url_expand("http://h/{name}/{name}/end",
                         &(struct source_request){.name = {name, sizeof name}});
        alloc_fail_after(-1);
    }
    assert_true(successes > 1);
    assert_int_equal(strlen(url), strlen("http://h///end") + 2 * 3 * sizeof name);
    assert_string_equal(url + strlen(url) - 4, "/end");
    free(url);
}

static void test_url_shown(void **state)
{
    static const struct {
        const char *url, *shown;
    } cases[] = {
        {"http://h/a", "http://h/a"},
        {"https://h:8443", "https://h:8443"},
        {"http://me:secret@h:9000/a/b@c", "http://h:9000/a/b@c"},
        {"http://me@secret:p@ss@h/", "http://h/"},
        {"http://secret@h?key=secret", "http://h?..."},
        {"http://h/a?key=secret&b=@x/y#secret", "http://h/a?..."},
        {"http://h/a#secret?", "http://h/a"},
        {"http://me:secret@[::1]:80/{name}", "http://[::1]:80/{name}"},
        {"/a", "/a"},
        {"", ""},
    };
    char shown[URL_SHOWN_ROOM], long_url[3 * URL_SHOWN_ROOM] = "http://me:secret@h/";
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        url_show(cases[i].url, shown);
        assert_string_equal(shown, cases[i].shown);
    }
    for (size_t len = strlen(long_url); len + 1 < sizeof long_url; len++) {
        long_url[len] = 'x';
        url_show(long_url, shown);
        size_t whole = len + 1 - strlen("me:secret@"), most = sizeof shown - 1;
        assert_row(len, strlen(shown) == (whole < most ? whole : most));
        assert_row(len, (strcmp(shown + strlen(shown) - 3, "...") == 0) == (whole > most));
    }
}

/* --- the values of a request --- */

#define INPUT_COUNT 4

static void test_inputs(void **state)
{
    static const struct {
        const char *template, *url;
        struct slice inputs[INPUT_COUNT];
    } cases[] = {
        /* {name} and {rest}; the name is "p/a b" and the rest "a/b&c" in all rows. */
        {"http://h/{name}", "http://h/p/a%20b", {{0}}},
        {"http://h/v1/{rest}", "http://h/v1/a/b%26c", {{0}}},
        {"http://h/?r={rest}&n={name}", "http://h/?r=a/b%26c&n=p/a%20b", {{0}}},
        /* In the path every byte is encoded that RFC 3986 does not call unreserved, '/' too. */
        {"http://h/{query:q}", "http://h/Paris", {SLICE_INIT("query:q=Paris")}},
        {"http://h/{query:q}/x", "http://h/a%2Fb/x", {SLICE_INIT("query:q=a/b")}},
        {"http://h/x-{query:q}.html", "http://h/x-.html", {SLICE_INIT("query:q")}},
        {"http://h/x-{query:q}.html", "http://h/x-.html", {SLICE_INIT("query:q=")}},
        {"http://h/{query:q}",
         "http://h/%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D%25%20%22%3C%3E%5C%5E%60%7B%7C"
         "%7D-._~",
         {SLICE_INIT("query:q=?#[]@!$&'()*+,;=% \"<>\\^`{|}-._~")}},
        {"http://h/{query:q}", "http://h/M%C3%BCnchen", {SLICE_INIT("query:q=M\xc3\xbcnchen")}},
        {"http://h/{query:q}", "http://h/%FF%00%0D%0A", {SLICE_INIT("query:q=\xff\0\r\n")}},
        {"http://h/{query:q}", "http://h/%7Bname%7D", {SLICE_INIT("query:q={name}")}},
        {"http://h/{query:q}", "http://h/%252F", {SLICE_INIT("query:q=%2F")}},
        {"http://h/{query:g\xc3\xb6}", "http://h/1", {SLICE_INIT("query:g\xc3\xb6=1")}},
        {"http://h/{query:a?b}", "http://h/1", {SLICE_INIT("query:a?b=1")}},
        {"http://h/{language}/{name}", "http://h/de/p/a%20b", {SLICE_INIT("language:en,de=de")}},
        {"http://h/{host}", "http://h/h.test%3A8080", {SLICE_INIT("host=h.test:8080")}},
        {"http://h/{header:X-Cur}", "http://h/EUR", {SLICE_INIT("header:x-cur=EUR")}},
        {"http://h/{header:x-cur}", "http://h/%2F..%2F", {SLICE_INIT("header:x-cur=/../")}},
        {"http://h/{query:q}{query:r}",
         "http://h/12",
         {SLICE_INIT("query:q=1"), SLICE_INIT("query:r=2")}},
        /* In the query too. */
        {"http://h/?q={query:q}",
         "http://h/?q=a%26b%3Dc%2Bd%23e%3Bf%20g%2Fh",
         {SLICE_INIT("query:q=a&b=c+d#e;f g/h")}},
        {"http://h/?q={query:q}", "http://h/?q=%00%0D%0A%FF", {SLICE_INIT("query:q=\0\r\n\xff")}},
        {"http://h/?town={query:q}&x=1", "http://h/?town=&x=1", {SLICE_INIT("query:q=")}},
        {"http://h/?l={language}&h={host}&c={header:c}",
         "http://h/?l=en&h=a.test&c=%26",
         {SLICE_INIT("language:en=en"), SLICE_INIT("host=a.test"), SLICE_INIT("header:c=&")}},
        /* A pair whose value is an absent input goes with its ? or &. */
        {"http://h/?q={query:q}", "http://h/", {SLICE_INIT("query:q")}},
        {"http://h/p?q={query:q}&x=1", "http://h/p?x=1", {SLICE_INIT("query:q")}},
        {"http://h/p?x=1&town={query:q}", "http://h/p?x=1", {SLICE_INIT("query:q")}},
        {"http://h/p?x=1&q={query:q}&y=2", "http://h/p?x=1&y=2", {SLICE_INIT("query:q")}},
        {"http://h?h={host}&c={header:c}",
         "http://h",
         {SLICE_INIT("host"), SLICE_INIT("header:c")}},
        /* In anything else it is empty. */
        {"http://h/?q=a{query:q}", "http://h/?q=a", {SLICE_INIT("query:q")}},
        {"http://h/?q={query:q}b&x", "http://h/?q=b&x", {SLICE_INIT("query:q")}},
        {"http://h/?{query:q}", "http://h/?", {SLICE_INIT("query:q")}},
        {"http://h/?a=b={query:q}", "http://h/?a=b=", {SLICE_INIT("query:q")}},
        {"http://h/?q={query:q}{query:r}",
         "http://h/?q=",
         {SLICE_INIT("query:q"), SLICE_INIT("query:r")}},
        {"http://h/?q={query:q}", "http://h/", {{0}}}, /* not in vary: refused at start */
        /* {query} is what has no other place, in the order of vary. */
        {"http://h/?{query}",
         "http://h/?b=1&a=2",
         {SLICE_INIT("query:b=1"), SLICE_INIT("query:a=2")}},
        {"http://h/?{query}",
         "http://h/?b=1&c=",
         {SLICE_INIT("query:b=1"), SLICE_INIT("query:a"), SLICE_INIT("query:c=")}},
        {"http://h/{query:a}?{query}",
         "http://h/2?b=1",
         {SLICE_INIT("query:b=1"), SLICE_INIT("query:a=2")}},
        {"http://h/?x={query:a}&{query}&y=1",
         "http://h/?x=2&b=1&y=1",
         {SLICE_INIT("query:b=1"), SLICE_INIT("query:a=2")}},
        {"http://h/?{query}&x=1",
         "http://h/?q%20%26=%3D%26%2B%23%3B&x=1",
         {SLICE_INIT("query:q &==&+#;")}},
        {"http://h/?{query}", "http://h/?g%C3%B6=%C3%B6", {SLICE_INIT("query:g\xc3\xb6=\xc3\xb6")}},
        {"http://h/?{query}", "http://h/", {{0}}},
        {"http://h/?{query}", "http://h/", {SLICE_INIT("query:a"), SLICE_INIT("cookie:b=1")}},
        {"http://h/?{query}&x=1", "http://h/?x=1", {{0}}},
        {"http://h/?x=1&{query}", "http://h/?x=1", {{0}}},
        {"http://h/?x=1&{query}&y=2", "http://h/?x=1&y=2", {{0}}},
        {"http://h/?q={query:q}&{query}", "http://h/", {SLICE_INIT("query:q")}},
        /* Without {query} they are appended. */
        {"http://h/{name}",
         "http://h/p/a%20b?b=1&a=%2F",
         {SLICE_INIT("query:b=1"), SLICE_INIT("query:a=/")}},
        {"http://h", "http://h?a=1", {SLICE_INIT("query:a=1")}},
        {"http://h/?x=1", "http://h/?x=1&a=", {SLICE_INIT("query:a=")}},
        {"http://h/?x=1", "http://h/?x=1", {SLICE_INIT("query:a")}},
        {"http://h/?", "http://h/?a=1", {SLICE_INIT("query:a=1")}},
        {"http://h/?x&", "http://h/?x&a=1", {SLICE_INIT("query:a=1")}},
        {"http://h/?x={query:x}",
         "http://h/?a=1",
         {SLICE_INIT("query:x"), SLICE_INIT("query:a=1")}},
        {"http://h/{query:x}",
         "http://h/7?a=1&b=2",
         {SLICE_INIT("query:a=1"), SLICE_INIT("query:x=7"), SLICE_INIT("query:b=2")}},
        /* What the config writes stays. */
        {"http://h/a%20b?x=1&&y;z&", "http://h/a%20b?x=1&&y;z&", {{0}}},
        {"http://h/?", "http://h/?", {{0}}},
        /* Nothing else becomes a part of the url. */
        {"http://h/{name}",
         "http://h/p/a%20b",
         {SLICE_INIT("cookie:a=1"), SLICE_INIT("header:b=2"), SLICE_INIT("language:en=en"),
          SLICE_INIT("host=h")}},
    };
    static struct request_room room;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct source_request *request =
            request_of(&room, SLICE("p/a b"), SLICE("a/b&c"), cases[i].inputs, INPUT_COUNT);
        char *url = url_expand(cases[i].template, request);
        assert_non_null(url);
        if (strcmp(url, cases[i].url) != 0)
            fail_msg("row %zu, %s: is %s, not %s", i, cases[i].template, url, cases[i].url);
        assert_null(url_check(cases[i].template));
        free(url);
    }
}

/* Two requests with different values never get the same url, whatever the values are. */
static void test_distinct(void **state)
{
    static const char *const templates[] = {
        "http://h/",
        "http://h/?{query}",
        "http://h/{query:a}?b={query:b}",
        "http://h/?{query}&b={query:b}",
        "http://h/?a={query:a}&b={query:b}",
    };
    static const struct slice values[] = {
        SLICE_INIT("="),    SLICE_INIT("=1"), SLICE_INIT("=1&b=2"), SLICE_INIT("=&"),
        SLICE_INIT("=%26"), SLICE_INIT("=+"), SLICE_INIT("=%20"),   SLICE_INIT("= "),
        SLICE_INIT("=#"),   SLICE_INIT("=/"), SLICE_INIT("=\0"),    SLICE_INIT("=?b=1"),
        SLICE_INIT(""), /* absent */
    };
    enum { VALUES = LENGTH(values) };
    static struct request_room room;
    static char *urls[VALUES * VALUES];
    char a[20] = "query:a", b[20] = "query:b";
    (void)state;
    for (size_t t = 0; t < LENGTH(templates); t++) {
        size_t count = 0;
        for (size_t i = 0; i < VALUES; i++) {
            for (size_t j = 0; j < VALUES; j++) {
                /* In the path an absent input is empty. */
                if (strstr(templates[t], "/{query:a}") && i == VALUES - 1)
                    continue;
                memcpy(a + 7, values[i].data, values[i].len);
                memcpy(b + 7, values[j].data, values[j].len);
                const struct slice inputs[] = {{a, 7 + values[i].len}, {b, 7 + values[j].len}};
                urls[count] =
                    url_expand(templates[t], request_of(&room, SLICE("n"), SLICE(""), inputs, 2));
                assert_non_null(urls[count]);
                for (size_t k = 0; k < count; k++)
                    if (strcmp(urls[k], urls[count]) == 0)
                        fail_msg("%s: twice %s", templates[t], urls[k]);
                count++;
            }
        }
        while (count > 0)
            free(urls[--count]);
    }
}

/* RFC 3986 section 5.2.4: what a server removes from a path. */
static void test_dot_segments(void **state)
{
    static const struct {
        const char *url;
        bool has;
    } cases[] = {
        {"http://h/a", false},
        {"http://h", false},
        {"http://h?../..", false},
        {"http://h/a?x=/../", false},
        {"http://h/...", false},
        {"http://h/.a/b./..c/d..", false},
        {"http://h//", false},
        {"http://../a", false},
        {"http://h/.", true},
        {"http://h/..", true},
        {"http://h/./a", true},
        {"http://h/a/../b", true},
        {"http://h/a/..?x", true},
        {"http://h/%2e", true},
        {"http://h/a/.%2E/b", true},
        {"http://h/a%2F..%2fb", true},
        {"http://h/a%2F..", true},
        {"http://h/..%5Ca", true},
        {"http://h/a\\..\\b", true},
        {"http://h/..;a/b", true},
        {"http://h/..%3Ba/b", true},
        {"http://h/;../b", false},
        {"http://h/%252e%252e/", false},
        {"http://h/%2", false},
        {"http://h/.%", false},
        {"http://h/.%2", false},
        {"http://h/.%+1", false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        if (url_has_dot_segment(cases[i].url) != cases[i].has)
            fail_msg("%s: %s", cases[i].url, cases[i].has ? "not found" : "found");
}

static void test_messages(void **state)
{
#define POSSIBLE                                                                                   \
    "there are {name}, {rest}, {query}, {query:NAME}, {language}, {host} and {header:NAME}"
    static const struct {
        const char *template, *message;
    } cases[] = {
        {"http://h/{nmae}",
         "url has {nmae}, which is no placeholder (did you mean {name}?); " POSSIBLE},
        {"http://h/{qeury:a}",
         "url has {qeury:a}, which is no placeholder (did you mean {query:NAME}?); " POSSIBLE},
        {"http://h/{lang}", "url has {lang}, which is no placeholder; " POSSIBLE},
        {"http://h/{Name}",
         "url has {Name}, which is no placeholder (did you mean {name}?); " POSSIBLE},
        {"http://h/{}", "url has {}, which is no placeholder; " POSSIBLE},
        {"http://h/{name",
         "url has a { without its }; if you mean the character itself, write %7B"},
        {"http://h/{{name}}",
         "url has a { without its }; if you mean the character itself, write %7B"},
        {"http://h/name}",
         "url has a } without its {; if you mean the character itself, write %7D"},
        {"http://h/{cookie:sid}", "url must not have {cookie:sid}, since urls are logged; if it is "
                                  "in vary and not in the url, it is sent as a header"},
        {"http://{host}/", "braces are allowed only in the path and in the query of url"},
        {"http://h/?a={query}", "in url, {query} must stand alone after the ? or between two &"},
        {"http://h/../{name}", "url must not have \".\" or \"..\" between its slashes"},
    };
    char long_url[1000] = "http://h/{";
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *message = url_check(cases[i].template);
        assert_non_null(message);
        assert_string_equal(message, cases[i].message);
    }
    memset(long_url + 10, 'x', 900);
    strcpy(long_url + 910, "}");
    assert_non_null(strstr(url_check(long_url), "xxx, which is no placeholder; there are "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_url), cmocka_unit_test(test_url),
        cmocka_unit_test(test_url_shown), cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_distinct),  cmocka_unit_test(test_dot_segments),
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
