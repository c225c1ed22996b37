/* source: the checks of settings, where redirects may lead, and the simulated source on a real
 * loop. */
#include "source/source.h"

#include <stdio.h>
#include <ev.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "source/http_settings.h"
#include "source/redirect.h"
#include "source/simulated.h"
#include "unit.h"

static void test_check_delay(void **state)
{
    static const struct {
        double delay_min, delay_max;
        bool ok;
    } cases[] = {{0, 3, true}, {0, 0, true}, {2, 2, true}, {3, 2, false}, {-1, 2, false}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct simulated_settings settings = {.settings.type = source_type_find("simulated"),
                                              .delay_min = cases[i].delay_min,
                                              .delay_max = cases[i].delay_max};
        const char *option = NULL;
        assert_int_equal(!source_check(&settings.settings, &option), cases[i].ok);
        assert_true(cases[i].ok || strcmp(option, "delay") == 0);
    }
}

/* --- redirects --- */

static void test_check_redirects(void **state)
{
    static const struct {
        const char *allowed;
        bool ok;
    } cases[] = {
        {"cdn.example.com", true},
        {"cdn.example.com.", true},
        {"localhost:9000", true},
        {"10.0.0.1", true},
        {"[::1]", true},
        {"[2001:db8::1]:8443", true},
        {"http://a.test", true},
        {"https://a.test:8443", true},
        {"HTTPS://A.test", true},
        {"", false},
        {"https://", false},
        {"a.test:", false},
        {"a.test:0x50", false},
        {"a.test:65536", false},
        {"::1", false},
        {"[::1", false},
        {"a.test/", false},
        {"a.test/path", false},
        {"http://a.test/", false},
        {"a.test?q", false},
        {"a.test#f", false},
        {"me@a.test", false},
        {"http://me:secret@a.test", false},
        {"*.example.com", false},
        {"*", false},
        {"a b", false},
        {"a\\b", false},
        {"a%62", false},
        {"//a.test", false},
        {"ftp://a.test", false},
        {"file://", false},
        {"a.test, b.test", false},
        {"a\nb", false},
    };
    char name[400];
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *problem = redirect_check(cases[i].allowed);
        if (!problem != cases[i].ok)
            fail_msg("%s: %s", cases[i].allowed, problem ? problem : "taken");
    }
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_non_null(redirect_check(name));
}

/* Lists for `redirects`, by what is in them. */
static const char *const lists[][4] = {
    {NULL},
    {"cdn.test", NULL},
    {"cdn.test:8080", "http://[::1]", NULL},
    {"https://api.test:9000", "https://CDN.test.", "ex%C3%A4.test", NULL},
};
enum { NOTHING, CDN, PORTS, TLS };

static void test_redirects(void **state)
{
    static const char own[] = "http://me:se%40cret@API.test:9000/n/{name}?key={name}";
    static const char plain[] = "http://api.test/{name}", tls[] = "https://api.test:443/{name}";
    static const char *from_own = "http://me:se%40cret@API.test:9000/n/a?key=a";
    static const struct {
        const char *url, *location;
        int list;
        const char *target; /* NULL: it is refused */
        const char *why;    /* has this in it */
    } cases[] = {
        /* Back to the same host, in every spelling; user and password are kept. */
        {own, "/b", NOTHING, "http://me:se%40cret@API.test:9000/b", NULL},
        {own, "b?x=1", NOTHING, "http://me:se%40cret@API.test:9000/n/b?x=1", NULL},
        {own, "/a b", NOTHING, "http://me:se%40cret@API.test:9000/a%20b", NULL},
        {own, "/b#part", NOTHING, "http://me:se%40cret@API.test:9000/b", NULL},
        {own, "//api.test:9000/b", NOTHING, "http://me:se%40cret@api.test:9000/b", NULL},
        {own, "HTTP://api.TEST:9000/b", NOTHING, "http://me:se%40cret@api.TEST:9000/b", NULL},
        {own, "http://api.test.:9000/b", NOTHING, "http://me:se%40cret@api.test.:9000/b", NULL},
        {own, "http://%61pi.test:9000/b", NOTHING, "http://me:se%40cret@api.test:9000/b", NULL},
        {own, "http://x:y@api.test:9000/b", NOTHING, "http://me:se%40cret@api.test:9000/b", NULL},
        {plain, "http://api.test:80/b", NOTHING, "http://api.test:80/b", NULL},
        {plain, "http://x:y@api.test/b", NOTHING, "http://api.test/b", NULL},
        {tls, "https://api.test/b", NOTHING, "https://api.test/b", NULL},
        {"http://127.0.0.1:80/", "http://0x7f.1/b", NOTHING, "http://127.0.0.1/b", NULL},
        {"http://127.0.0.1/", "http://2130706433/b", NOTHING, "http://127.0.0.1/b", NULL},
        {"http://[::1]/", "http://[0:0::0:1]:80/b", NOTHING, "http://[::1]:80/b", NULL},
        /* Anywhere else. The message shows what to list. */
        {own, "/\\evil", NOTHING, "http://me:se%40cret@API.test:9000/\\evil", NULL},
        {own, "http://api.test/b", NOTHING, NULL, "redirects to http://api.test, which is refused"},
        {own, "http://api.test:9001/", NOTHING, NULL, "to http://api.test:9001, which"},
        {own, "https://api.test:9000/", NOTHING, NULL, "to https://api.test:9000, which"},
        {plain, "https://api.test/", NOTHING, NULL, "to https://api.test, which is refused (list"},
        {tls, "http://api.test/", NOTHING, NULL, "to http://api.test, which"},
        {tls, "http://api.test:443/", NOTHING, NULL, "to http://api.test:443, which"},
        {own, "//cdn.test/b", NOTHING, NULL, "to http://cdn.test, which"},
        {own, "http://u:secret@10.0.0.1/secret?secret", NOTHING, NULL, "to http://10.0.0.1, which"},
        {own, "http://api.test:9000@evil.test/", NOTHING, NULL, "to http://evil.test, which"},
        {own, "http://evil.test\\@api.test:9000@evil.test/", NOTHING, NULL, "redirects to"},
        {own, "http://evil.test#@api.test:9000/", NOTHING, NULL, "to http://evil.test, which"},
        {own, "http://evil.test?@api.test:9000/", NOTHING, NULL, "to http://evil.test, which"},
        {own, "http://%2561pi.test:9000/", NOTHING, NULL, "redirects to"},
        {own, "http://api.test..:9000/", NOTHING, NULL, "redirects to"},
        {own, "http://[fe80::1%25eth0]/", NOTHING, NULL, "to http://[fe80::1]%eth0, which"},
        {own, "http://169.254.169.254/latest", CDN, NULL, "to http://169.254.169.254, which"},
        {own, "ftp://api.test:9000/b", NOTHING, NULL, "to neither http nor https"},
        {own, "file:///etc/hostname", NOTHING, NULL, "to neither http nor https"},
        {own, "javascript:alert(1)", NOTHING, NULL, "malformed"},
        {own, "http://", NOTHING, NULL, "malformed"},
        {own, "http://a b/", NOTHING, NULL, "malformed"},
        {own, "http://h:port/", NOTHING, NULL, "malformed"},
        /* To listed hosts, without user and password. */
        {own, "http://cdn.test/b", CDN, "http://cdn.test/b", NULL},
        {own, "http://CDN.test.:80/b?q", CDN, "http://CDN.test.:80/b?q", NULL},
        {own, "http://x:y@cdn.test/b", CDN, "http://cdn.test/b", NULL},
        {own, "http://cdn.test:9000/b", CDN, NULL, "to http://cdn.test:9000, which"},
        {own, "https://cdn.test/b", CDN, NULL, "to https://cdn.test, which"},
        {own, "http://www.cdn.test/", CDN, NULL, "to http://www.cdn.test, which"},
        {own, "http://cdn.test.evil.test/", CDN, NULL, "which is refused"},
        {tls, "https://cdn.test/b", CDN, "https://cdn.test/b", NULL},
        {tls, "http://cdn.test/b", CDN, NULL, "to http://cdn.test, which"},
        {own, "http://cdn.test:8080/b", PORTS, "http://cdn.test:8080/b", NULL},
        {own, "http://cdn.test/b", PORTS, NULL, "to http://cdn.test, which"},
        {tls, "https://cdn.test:8080/b", PORTS, "https://cdn.test:8080/b", NULL},
        {tls, "http://[0::1]/b", PORTS, "http://[::1]/b", NULL},
        {own, "https://api.test:9000/b", TLS, "https://api.test:9000/b", NULL},
        {own, "https://cdn.test/b", TLS, "https://cdn.test/b", NULL},
        {own, "http://cdn.test/b", TLS, NULL, "to http://cdn.test, which"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *const *list = lists[cases[i].list];
        char why[REDIRECT_WHY_ROOM] = "";
        struct http_settings settings = {.url = cases[i].url, .redirects = list};
        while (list[settings.redirect_count])
            settings.redirect_count++;
        const char *from = cases[i].url == own ? from_own : "http://h/";
        bool elsewhere;
        char *target = redirect_target(&settings, from, cases[i].location, &elsewhere, why);
        if (!target != !cases[i].target || (target && strcmp(target, cases[i].target) != 0) ||
            (!target && (!strstr(why, cases[i].why) || strstr(why, "secret"))))
            fail_msg("row %zu, %s: %s, \"%s\"", i, cases[i].location, target ? target : "NULL",
                     why);
        assert_row(i, !target || elsewhere == (cases[i].list != NOTHING));
        free(target);
    }

    /* A second redirect: relative to the first target, and without user and password if that had
     * none. */
    struct http_settings settings = {.url = own, .redirects = lists[CDN], .redirect_count = 1};
    char why[REDIRECT_WHY_ROOM];
    bool elsewhere = false;
    char *target = redirect_target(&settings, "http://cdn.test/x/y", "z", &elsewhere, why);
    assert_string_equal(target, "http://cdn.test/x/z");
    assert_true(elsewhere);
    free(target);
    alloc_fail_after(0);
    target = redirect_target(&settings, from_own, "/b", &elsewhere, why);
    alloc_fail_after(-1);
    assert_null(target);
    assert_non_null(strstr(why, "memory"));
}

/* --- the simulated source --- */

struct seen { /* the result of one call */
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
        seen->starts->call =
            source_start(seen->source, &(struct source_request){.name = SLICE("started")}, on_done,
                         seen->starts);
        assert_int_equal(seen->starts->count, 0);
    }
}

static void start(struct seen *seen, struct source *source, const char *name)
{
    seen->source = source;
    seen->started = clock_monotonic();
    seen->call =
        source_start(source, &(struct source_request){.name = slice_of(name)}, on_done, seen);
    assert_non_null(seen->call);
    assert_int_equal(seen->count, 0);
}

static struct simulated_settings delays(double delay_min, double delay_max)
{
    return (struct simulated_settings){.settings.type = source_type_find("simulated"),
                                       .delay_min = delay_min,
                                       .delay_max = delay_max};
}

static struct source *simulated(const struct simulated_settings *settings)
{
    struct source *source =
        source_create(&(struct source_environment){.loop = EV_DEFAULT}, &settings->settings);
    assert_non_null(source);
    return source;
}

/* The loop ends when nothing is left to wait for: all calls are done, and no timer stays. */
static void test_simulated(void **state)
{
    struct simulated_settings settings = delays(0.02, 0.08);
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
    struct simulated_settings settings = delays(0, 0);
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
    struct simulated_settings slow = delays(1000, 1000);
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
    struct simulated_settings settings = delays(0, 0);
    (void)state;
    alloc_fail_after(0);
    struct source *source =
        source_create(&(struct source_environment){.loop = EV_DEFAULT}, &settings.settings);
    alloc_fail_after(-1);
    assert_null(source);
    source_destroy(NULL);

    source = simulated(&settings);
    struct seen seen = {0};
    alloc_fail_after(0);
    struct source_call *call =
        source_start(source, &(struct source_request){.name = SLICE("a")}, on_done, &seen);
    alloc_fail_after(-1);
    assert_null(call);
    ev_run(EV_DEFAULT, 0);
    assert_int_equal(seen.count, 0);
    source_destroy(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_delay),         cmocka_unit_test(test_check_redirects),
        cmocka_unit_test(test_redirects),           cmocka_unit_test(test_simulated),
        cmocka_unit_test(test_simulated_at_once),   cmocka_unit_test(test_simulated_cancel),
        cmocka_unit_test(test_simulated_no_memory),
    };
    int failed = cmocka_run_group_tests_name("source", tests, NULL, NULL);
    ev_loop_destroy(EV_DEFAULT);
    return failed;
}
