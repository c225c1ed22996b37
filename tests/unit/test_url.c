/* source/url: what a url may contain, the url of a name, and what the log shows of it. */
#include "source/url.h"

#include <stdio.h>

#include "base/alloc.h"
#include "source/http.h"
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
        char *url = url_expand(cases[i].template, cases[i].name);
        assert_non_null(url);
        assert_string_equal(url, cases[i].url);
        free(url);
    }

    /* Without memory it is none at all: a part of it might be another fragment's. */
    char name[300], *url = NULL;
    memset(name, ' ', sizeof name);
    long successes;
    for (successes = 0; !url; successes++) {
        alloc_fail_after(successes);
        url = url_expand("http://h/{name}/{name}/end", (struct slice){name, sizeof name});
        alloc_fail_after(-1);
    }
    assert_true(successes > 3);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_url),
        cmocka_unit_test(test_url),
        cmocka_unit_test(test_url_shown),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
