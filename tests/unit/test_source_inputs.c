/* The inputs of a request on their way through source/http: what a real server gets to read. */
#include "source/http_settings.h"

#include <stdio.h>
#include <ev.h>

#include "base/alloc.h"
#include "requests.h"
#include "unit.h"
#include "upstream.h"

#define GUARD_SECONDS 60 /* when a test is given up */
#define INPUT_COUNT   5

struct fixture {
    struct upstream *upstream;
    struct source *source;
    struct http_settings settings;
    char url[128];
};

struct seen { /* what one call came to */
    struct source_call *call;
    unsigned count;
    enum source_status status;
    char body[100], reason[400];
};

static void on_done(void *caller, const struct source_result *result)
{
    struct seen *seen = caller;
    seen->count++;
    seen->status = result->status;
    seen->call = NULL;
    snprintf(seen->body, sizeof seen->body, "%.*s", SLICE_ARGS(result->body));
    if (result->status != SOURCE_OK)
        snprintf(seen->reason, sizeof seen->reason, "%s", result->reason);
}

/* A source whose url is `url` on the server. */
static void open_source(struct fixture *fixture, const char *url, const char *const *redirects)
{
    source_destroy(fixture->source);
    snprintf(fixture->url, sizeof fixture->url, "http://me:secret@127.0.0.1:%u%s",
             upstream_port(fixture->upstream), url);
    fixture->settings = (struct http_settings){
        .settings = {.type = source_type_find("http"),
                     .name = "api",
                     .limits = {.connections = 1, .queue = 1}},
        .url = fixture->url,
        .timeout = 30,
        .max_body = 1000,
        .redirects = redirects,
        .redirect_count = redirects ? 1 : 0,
    };
    fixture->source = source_create(&(struct source_environment){.loop = EV_DEFAULT},
                                    &fixture->settings.settings);
    assert_non_null(fixture->source);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->upstream = upstream_start();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    source_destroy(fixture->source);
    upstream_stop(fixture->upstream);
    for (int i = 0; i < 20; i++)
        ev_run(EV_DEFAULT, EVRUN_NOWAIT);
    free(fixture);
    return 0;
}

/* Starts a call, and forgets all that the request pointed to. */
static void start(struct fixture *fixture, struct seen *seen, struct slice name,
                  const struct slice *inputs)
{
    static struct request_room room;
    struct slice copy = unit_exact(name);
    seen->call =
        source_start(fixture->source, request_of(&room, copy, SLICE("r"), inputs, INPUT_COUNT),
                     on_done, seen);
    unit_drop(copy);
    memset(room.packed, 0xff, sizeof room.packed);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

static void run_until_done(const struct seen *seen)
{
    ev_timer tick;
    double start_time = ev_time();
    ev_timer_init(&tick, on_tick, 0.005, 0.005);
    ev_timer_start(EV_DEFAULT, &tick);
    while (seen->count == 0) {
        assert_true(ev_time() - start_time < GUARD_SECONDS);
        ev_run(EV_DEFAULT, EVRUN_ONCE);
    }
    ev_timer_stop(EV_DEFAULT, &tick);
}

static struct seen call(struct fixture *fixture, struct slice name, const struct slice *inputs)
{
    struct seen seen = {0};
    start(fixture, &seen, name, inputs);
    assert_non_null(seen.call);
    assert_int_equal(seen.count, 0);
    run_until_done(&seen);
    return seen;
}

/* Writes the lines of the server's latest request, without those that every request has, and
 * counts the latter. */
static unsigned latest_lines(struct upstream *upstream, char *lines, size_t room)
{
    static const char *const usual[] = {
        "Host: 127.0.0.1:",
        "Authorization: Basic bWU6c2VjcmV0",
        "User-Agent: workerless/",
        "Accept-Encoding: ",
        "X-Request-Id: ",
        "traceparent: ",
        "Accept: text/html, text/plain;q=0.9, application/json;q=0.8, */*;q=0.1",
    };
    char head[5000];
    unsigned found = 0;
    size_t len = 0;
    upstream_latest(upstream, head, sizeof head);
    lines[0] = '\0';
    for (char *line = head, *end; (end = strstr(line, "\r\n")) && end > line; line = end + 2) {
        bool is_usual = false;
        *end = '\0';
        for (size_t i = 0; i < LENGTH(usual); i++)
            is_usual = is_usual || strncmp(line, usual[i], strlen(usual[i])) == 0;
        found += is_usual;
        if (!is_usual)
            len += (size_t)snprintf(lines + len, room - len, "%s\n", line);
        assert_true(len < room);
    }
    return found;
}

#define USUAL 7

/* What is sent is this, to the byte, and no line more. */
static void test_sent(void **state)
{
    static const struct {
        const char *url, *lines;
        unsigned usual;
        struct slice inputs[INPUT_COUNT];
    } cases[] = {
        {"/n/{name}", "GET /n/a/b HTTP/1.1\n", USUAL, {{0}}},
        {"/n/{rest}",
         "GET /n/r?q=1&p= HTTP/1.1\n",
         USUAL,
         {SLICE_INIT("query:q=1"), SLICE_INIT("query:p="), SLICE_INIT("query:o")}},
        {"/n/{query:q}?{query}",
         "GET /n/%2F%3F%26%23%3B%20%C3%BC?p=%26%3D%2B HTTP/1.1\n",
         USUAL,
         {SLICE_INIT("query:q=/?&#; \xc3\xbc"), SLICE_INIT("query:p=&=+")}},
        {"/n",
         "GET /n HTTP/1.1\nCookie: a=1; b=2\n",
         USUAL,
         {SLICE_INIT("cookie:a=1"), SLICE_INIT("cookie:c"), SLICE_INIT("cookie:b=2")}},
        {"/n",
         "GET /n HTTP/1.1\nCookie: a=b, c d&e#f=g\n",
         USUAL,
         {SLICE_INIT("cookie:a=b, c d&e#f=g")}},
        {"/n",
         "GET /n HTTP/1.1\nx-cur: a: b; c, d\nx-empty:\n",
         USUAL,
         {SLICE_INIT("header:x-cur=a: b; c, d"), SLICE_INIT("header:x-empty="),
          SLICE_INIT("header:x-absent")}},
        {"/n",
         "GET /n HTTP/1.1\nAccept-Language: de-CH\nX-Forwarded-Host: shop.test:8080\n",
         USUAL,
         {SLICE_INIT("language:en,de-CH=de-CH"), SLICE_INIT("host=shop.test:8080")}},
        {"/{language}/{host}?c={header:x-cur}",
         "GET /de/a.test?c=EUR HTTP/1.1\n",
         USUAL,
         {SLICE_INIT("language:de=de"), SLICE_INIT("host=a.test"), SLICE_INIT("header:x-cur=EUR")}},
        /* An input takes the place of our own header. */
        {"/n",
         "GET /n HTTP/1.1\naccept: text/x\n",
         USUAL - 1,
         {SLICE_INIT("header:accept=text/x")}},
        {"/n",
         "GET /n HTTP/1.1\nuser-agent: me\n",
         USUAL - 1,
         {SLICE_INIT("header:user-agent=me")}},
        {"/n",
         "GET /n HTTP/1.1\nauthorization: Bearer x\n",
         USUAL - 1,
         {SLICE_INIT("header:authorization=Bearer x")}},
        {"/n", "GET /n HTTP/1.1\n", USUAL, {SLICE_INIT("header:accept")}},
        {"/n", "GET /n HTTP/1.1\naccept-x: 1\n", USUAL, {SLICE_INIT("header:accept-x=1")}},
        /* Nothing of it is left for the next. */
        {"/n", "GET /n HTTP/1.1\n", USUAL, {{0}}},
    };
    struct fixture *fixture = *state;
    char lines[1000];
    for (size_t i = 0; i < LENGTH(cases); i++) {
        open_source(fixture, cases[i].url, NULL);
        for (int round = 0; round < 2; round++) {
            assert_row(i, call(fixture, SLICE("a/b"), cases[i].inputs).status == SOURCE_OK);
            unsigned usual = latest_lines(fixture->upstream, lines, sizeof lines);
            assert_slice(i, slice_of(lines), slice_of(cases[i].lines));
            assert_row(i, usual == cases[i].usual);
        }
    }

    /* By the same handle, which curl keeps. */
    const struct slice cookie[INPUT_COUNT] = {SLICE("cookie:a=1"), SLICE("header:accept=x")};
    const struct slice absent[INPUT_COUNT] = {SLICE("cookie:a"), SLICE("header:accept")};
    open_source(fixture, "/n", NULL);
    call(fixture, SLICE("n"), cookie);
    assert_true(upstream_saw(fixture->upstream, "\r\nCookie: a=1\r\n"));
    call(fixture, SLICE("n"), absent);
    assert_int_equal(latest_lines(fixture->upstream, lines, sizeof lines), USUAL);
    assert_string_equal(lines, "GET /n HTTP/1.1\n");
}

/* What must not be sent ends the call before anything is. */
static void test_refused(void **state)
{
    static const struct {
        const char *url;
        struct slice name;
        const char *reason;
        struct slice inputs[INPUT_COUNT];
    } cases[] = {
        {"/n", SLICE_INIT("n"), "control character", {SLICE_INIT("cookie:a=1\r\nX-Forged: 1")}},
        {"/n", SLICE_INIT("n"), "control character", {SLICE_INIT("header:a=1\nX-Forged: 1")}},
        {"/n", SLICE_INIT("n"), "control character", {SLICE_INIT("header:a=1\0")}},
        {"/n", SLICE_INIT("n"), "control character", {SLICE_INIT("host=h\r\n")}},
        {"/n", SLICE_INIT("n"), "control character", {SLICE_INIT("language:de=de\n")}},
        {"/n", SLICE_INIT("n"), "semicolon", {SLICE_INIT("cookie:a=1; admin=1")}},
        {"/n/{name}", SLICE_INIT(".."), "part of the path", {{0}}},
        {"/n/{name}/x", SLICE_INIT("a/../b"), "part of the path", {{0}}},
        {"/n/{query:q}/x", SLICE_INIT("n"), "part of the path", {SLICE_INIT("query:q=..")}},
        {"/n/{query:q}/x", SLICE_INIT("n"), "part of the path", {SLICE_INIT("query:q=../admin")}},
        {"/n/{query:q}", SLICE_INIT("n"), "part of the path", {SLICE_INIT("query:q=a\\..")}},
        {"/n/{query:q}{query:r}",
         SLICE_INIT("n"),
         "part of the path",
         {SLICE_INIT("query:q=."), SLICE_INIT("query:r=.")}},
        {"/n/.{query:q}/x", SLICE_INIT("n"), "part of the path", {SLICE_INIT("query:q")}},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        open_source(fixture, cases[i].url, NULL);
        struct seen seen = call(fixture, cases[i].name, cases[i].inputs);
        if (seen.status != SOURCE_FAILED || seen.count != 1 ||
            !strstr(seen.reason, cases[i].reason) ||
            strncmp(seen.reason, "source \"api\": http://127.0.0.1:", 31) != 0 ||
            strstr(seen.reason, "secret") || strstr(seen.reason, "admin"))
            fail_msg("row %zu: status %d, \"%s\"", i, (int)seen.status, seen.reason);
    }
    assert_int_equal(upstream_connections(fixture->upstream), 0);

    /* The connection is free for the next call. */
    open_source(fixture, "/{name}", NULL);
    assert_int_equal(call(fixture, SLICE(".."), cases[0].inputs).status, SOURCE_FAILED);
    const struct slice none[INPUT_COUNT] = {{0}};
    assert_int_equal(call(fixture, SLICE("n"), none).status, SOURCE_OK);
}

/* A call that had to wait has its own inputs. */
static void test_queued(void **state)
{
    static const struct slice held[INPUT_COUNT] = {SLICE_INIT("cookie:a=held")};
    static const struct slice queued[INPUT_COUNT] = {SLICE_INIT("cookie:a=queued"),
                                                     SLICE_INIT("query:q=q")};
    struct fixture *fixture = *state;
    struct seen first = {0}, second = {0};
    char lines[1000];
    open_source(fixture, "/{name}", NULL);
    start(fixture, &first, SLICE("hold"), held);
    start(fixture, &second, SLICE("html"), queued);
    upstream_release(fixture->upstream);
    run_until_done(&first);
    run_until_done(&second);
    assert_string_equal(first.body, "released");
    latest_lines(fixture->upstream, lines, sizeof lines);
    assert_string_equal(lines, "GET /html?q=q HTTP/1.1\nCookie: a=queued\n");
}

/* Only the source's own server gets what the client has sent. */
static void test_redirects(void **state)
{
    static const struct slice inputs[INPUT_COUNT] = {SLICE_INIT("cookie:a=1"),
                                                     SLICE_INIT("header:authorization=Bearer x"),
                                                     SLICE_INIT("header:accept=text/x"),
                                                     SLICE_INIT("language:de=de")};
    static const char sent[] = "Cookie: a=1\nauthorization: Bearer x\naccept: text/x\n"
                               "Accept-Language: de\n";
    struct fixture *fixture = *state;
    struct upstream *other = upstream_start();
    char listed[64], name[200], lines[1000], expected[1000];
    const char *const list[] = {listed};
    snprintf(listed, sizeof listed, "127.0.0.1:%u", upstream_port(other));
    open_source(fixture, "/{name}", list);

    assert_int_equal(call(fixture, SLICE("redirect/1"), inputs).status, SOURCE_OK);
    latest_lines(fixture->upstream, lines, sizeof lines);
    snprintf(expected, sizeof expected, "GET /html HTTP/1.1\n%s", sent);
    assert_string_equal(lines, expected);

    snprintf(name, sizeof name, "to/302/http://127.0.0.1:%u/html", upstream_port(other));
    assert_int_equal(call(fixture, slice_of(name), inputs).status, SOURCE_OK);
    assert_int_equal(latest_lines(other, lines, sizeof lines), USUAL - 3); /* no password either */
    assert_string_equal(lines, "GET /html HTTP/1.1\n");

    /* There and back. */
    snprintf(name, sizeof name, "to/302/http://127.0.0.1:%u/to/302/http%%3A//127.0.0.1:%u/plain",
             upstream_port(other), upstream_port(fixture->upstream));
    assert_int_equal(call(fixture, slice_of(name), inputs).status, SOURCE_OK);
    latest_lines(fixture->upstream, lines, sizeof lines);
    snprintf(expected, sizeof expected, "GET /plain HTTP/1.1\n%s", sent);
    assert_string_equal(lines, expected);
    assert_false(upstream_saw(other, "Cookie:"));
    assert_false(upstream_saw(other, "earer"));
    source_destroy(fixture->source);
    fixture->source = NULL;
    upstream_stop(other);
}

/* Without memory nothing is sent, or all of it. */
static void test_no_memory(void **state)
{
    static const struct slice inputs[INPUT_COUNT] = {SLICE_INIT("cookie:a=1"),
                                                     SLICE_INIT("query:q=1")};
    struct fixture *fixture = *state;
    long successes;
    bool ok = false;
    char lines[1000];
    for (successes = 0; !ok; successes++) {
        struct seen seen = {0};
        assert_true(successes < 50);
        open_source(fixture, "/{name}", NULL);
        alloc_fail_after(successes);
        start(fixture, &seen, SLICE("html"), inputs);
        if (seen.call) {
            run_until_done(&seen);
            ok = seen.status == SOURCE_OK;
            assert_true(ok || (seen.status == SOURCE_FAILED && strstr(seen.reason, "emory")));
        }
        alloc_fail_after(-1);
    }
    assert_true(successes > 6);
    latest_lines(fixture->upstream, lines, sizeof lines);
    assert_string_equal(lines, "GET /html?q=1 HTTP/1.1\nCookie: a=1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
        TEST(test_sent),      TEST(test_refused),   TEST(test_queued),
        TEST(test_redirects), TEST(test_no_memory),
    };
    int failed = cmocka_run_group_tests_name("source_inputs", tests, NULL, NULL);
    ev_loop_destroy(EV_DEFAULT);
    return failed;
}
