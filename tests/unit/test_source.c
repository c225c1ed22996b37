/* source: the checks of settings, the url of a name, and the simulated source on a real loop. */
#include "source/source.h"

#include <stdio.h>
#include <ev.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "source/url.h"
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
        struct source_settings settings = {.kind = SOURCE_HTTP, .url = cases[i].url};
        const char *problem = source_check(&settings);
        if (!problem != cases[i].ok)
            fail_msg("%s: %s", cases[i].url ? cases[i].url : "NULL", problem ? problem : "taken");
    }
}

static void test_check_delay(void **state)
{
    static const struct {
        double delay_min, delay_max;
        bool ok;
    } cases[] = {{0, 3, true}, {0, 0, true}, {2, 2, true}, {3, 2, false}, {-1, 2, false}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct source_settings settings = {.kind = SOURCE_SIMULATED,
                                           .delay_min = cases[i].delay_min,
                                           .delay_max = cases[i].delay_max};
        assert_int_equal(!source_check(&settings), cases[i].ok);
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

/* --- the simulated source --- */

struct seen { /* what one call came to */
    struct source *source;
    struct source_call *call;
    unsigned count;
    double started, ended;
    enum source_status status;
    char body[300];
    struct seen *cancels, *starts; /* what is done inside of its `done` */
};

static void on_done(void *caller, const struct source_result *result)
{
    struct seen *seen = caller;
    seen->count++;
    seen->ended = clock_monotonic();
    seen->status = result->status;
    seen->call = NULL;
    if (result->status == SOURCE_OK) {
        assert_true(slice_equal(result->type, SLICE("text/plain")));
        snprintf(seen->body, sizeof seen->body, "%.*s", SLICE_ARGS(result->body));
    }
    if (seen->cancels && seen->cancels->call)
        source_cancel(seen->cancels->call);
    if (seen->starts) {
        seen->starts->call = source_start(seen->source, SLICE("started"), on_done, seen->starts);
        assert_int_equal(seen->starts->count, 0);
    }
}

static void start(struct seen *seen, struct source *source, const char *name)
{
    seen->source = source;
    seen->started = clock_monotonic();
    seen->call = source_start(source, slice_of(name), on_done, seen);
    assert_non_null(seen->call);
    assert_int_equal(seen->count, 0);
}

static struct source *simulated(const struct source_settings *settings)
{
    struct source *source = source_create(EV_DEFAULT, settings);
    assert_non_null(source);
    return source;
}

/* The loop ends when nothing is left to wait for: all calls are done, and no timer stays. */
static void test_simulated(void **state)
{
    static const struct source_settings settings = {.kind = SOURCE_SIMULATED,
                                                    .delay_min = 0.02,
                                                    .delay_max = 0.08};
    struct source *source = simulated(&settings);
    struct seen seen[60] = {0};
    bool in_order = true;
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        char name[] = {'n', (char)('0' + i / 10), (char)('0' + i % 10), '\0'};
        start(&seen[i], source, name);
        name[0] = '?'; /* it has been copied */
    }
    ev_run(EV_DEFAULT, 0);
    for (unsigned i = 0; i < 60; i++) {
        char body[300];
        snprintf(body, sizeof body, "result for n%02u", i);
        assert_int_equal(seen[i].count, 1);
        assert_int_equal(seen[i].status, SOURCE_OK);
        assert_string_equal(seen[i].body, body);
        assert_true(seen[i].ended - seen[i].started >= settings.delay_min);
        in_order = in_order && (i == 0 || seen[i].ended >= seen[i - 1].ended);
    }
    assert_false(in_order); /* the delays are random */
    source_destroy(source);
}

static void test_simulated_at_once(void **state)
{
    static const struct source_settings settings = {.kind = SOURCE_SIMULATED};
    struct source *source = simulated(&settings);
    struct seen seen = {0};
    char name[256];
    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    start(&seen, source, name);
    ev_run(EV_DEFAULT, 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(strlen(seen.body), strlen("result for ") + 255);
    source_destroy(source);
}

static void test_simulated_cancel(void **state)
{
    static const struct source_settings slow = {.kind = SOURCE_SIMULATED,
                                                .delay_min = 1000,
                                                .delay_max = 1000};
    struct source *source = simulated(&slow);
    struct seen first = {0}, second = {0}, third = {0};
    (void)state;
    start(&first, source, "first");
    start(&second, source, "second");
    first.cancels = &second;
    first.starts = &third;
    source_cancel(first.call);
    assert_int_equal(first.count, 1);
    assert_int_equal(first.status, SOURCE_CANCELLED);
    assert_int_equal(second.count, 1);
    assert_int_equal(second.status, SOURCE_CANCELLED);
    source_cancel(third.call);
    assert_int_equal(third.count, 1);
    ev_run(EV_DEFAULT, 0);
    assert_int_equal(first.count + second.count + third.count, 3);
    source_destroy(source);
}

static void test_simulated_no_memory(void **state)
{
    static const struct source_settings settings = {.kind = SOURCE_SIMULATED};
    (void)state;
    alloc_fail_after(0);
    struct source *source = source_create(EV_DEFAULT, &settings);
    alloc_fail_after(-1);
    assert_null(source);
    source_destroy(NULL);

    source = simulated(&settings);
    struct seen seen = {0};
    alloc_fail_after(0);
    struct source_call *call = source_start(source, SLICE("a"), on_done, &seen);
    alloc_fail_after(-1);
    assert_null(call);
    ev_run(EV_DEFAULT, 0);
    assert_int_equal(seen.count, 0);
    source_destroy(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_url),
        cmocka_unit_test(test_check_delay),
        cmocka_unit_test(test_url),
        cmocka_unit_test(test_url_shown),
        cmocka_unit_test(test_simulated),
        cmocka_unit_test(test_simulated_at_once),
        cmocka_unit_test(test_simulated_cancel),
        cmocka_unit_test(test_simulated_no_memory),
    };
    int failed = cmocka_run_group_tests_name("source", tests, NULL, NULL);
    ev_loop_destroy(EV_DEFAULT);
    return failed;
}
