/* source/http on a real loop, against a real server in another thread. */
#include "source/http.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <curl/curl.h>
#include <ev.h>

#include "base/alloc.h"
#include "unit.h"
#include "upstream.h"

#define GUARD_SECONDS 60 /* when a test is aborted */
#define MAX_BODY      1000

/* --- name lookups that hang until they are let go --- */

static pthread_mutex_t lookup_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t lookup_changed = PTHREAD_COND_INITIALIZER;
static unsigned lookups_hanging;
static bool lookups_released;

/* Replaces libc's for libcurl too. The name "hang.test" never resolves. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!node || strcmp(node, "hang.test") != 0)
        return real(node, service, hints, result);
    pthread_mutex_lock(&lookup_lock);
    lookups_hanging++;
    while (!lookups_released)
        pthread_cond_wait(&lookup_changed, &lookup_lock);
    lookups_hanging--;
    pthread_cond_broadcast(&lookup_changed);
    pthread_mutex_unlock(&lookup_lock);
    return EAI_AGAIN;
}

/* --- a source, its server and its calls --- */

struct fixture {
    struct upstream *upstream;
    struct source *source;
    struct http_settings settings;
    char url[128];
    unsigned held_wanted;
};

struct seen { /* the result of one call */
    struct fixture *fixture;
    struct source_call *call;
    unsigned count;
    enum source_status status;
    char type[64], body[2 * MAX_BODY], reason[300];
    size_t body_len;
    unsigned retry_after_s;
    struct seen *cancels[3], *starts; /* what is done inside of its `done` */
    const char *starts_name;
    unsigned lane;
    bool refused; /* there is memory for the call, and none to begin */
};

static void start(struct fixture *fixture, struct seen *seen, const char *name);

static void on_done(void *caller, const struct source_result *result)
{
    struct seen *seen = caller;
    seen->count++;
    seen->status = result->status;
    seen->call = NULL;
    snprintf(seen->type, sizeof seen->type, "%.*s", SLICE_ARGS(result->type));
    snprintf(seen->body, sizeof seen->body, "%.*s", SLICE_ARGS(result->body));
    seen->body_len = result->body.len;
    seen->retry_after_s = result->retry_after_s;
    if (result->status != SOURCE_OK)
        snprintf(seen->reason, sizeof seen->reason, "%s", result->reason);
    for (unsigned i = 0; i < 3; i++)
        if (seen->cancels[i] && seen->cancels[i]->call)
            source_cancel(seen->cancels[i]->call);
    if (seen->starts)
        start(seen->fixture, seen->starts, seen->starts_name);
}

static void start(struct fixture *fixture, struct seen *seen, const char *name)
{
    char copy[256];
    snprintf(copy, sizeof copy, "%s", name);
    seen->fixture = fixture;
    if (seen->refused)
        alloc_fail_after(2);
    seen->call = source_start(fixture->source,
                              &(struct source_request){.name = slice_of(copy), .lane = seen->lane},
                              on_done, seen);
    alloc_fail_after(-1);
    assert_non_null(seen->call);
    assert_int_equal(seen->count, 0);
    memset(copy, '?', sizeof copy);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

/* Runs the loop until the condition holds. */
static void run_until(bool (*holds)(const void *context), const void *context)
{
    ev_timer tick;
    double start_time = ev_time();
    ev_timer_init(&tick, on_tick, 0.005, 0.005);
    ev_timer_start(EV_DEFAULT, &tick);
    while (!holds(context)) {
        assert_true(ev_time() - start_time < GUARD_SECONDS);
        ev_run(EV_DEFAULT, EVRUN_ONCE);
    }
    ev_timer_stop(EV_DEFAULT, &tick);
}

static bool is_done(const void *context)
{
    return ((const struct seen *)context)->count > 0;
}

static bool holds_wanted(const void *context)
{
    const struct fixture *fixture = context;
    return upstream_held(fixture->upstream) == fixture->held_wanted;
}

/* Until the server holds so many requests. */
static void run_until_held(struct fixture *fixture, unsigned count)
{
    fixture->held_wanted = count;
    run_until(holds_wanted, fixture);
}

/* Handles what has arrived already, without waiting. */
static void run_what_is_due(void)
{
    for (int i = 0; i < 20; i++)
        ev_run(EV_DEFAULT, EVRUN_NOWAIT);
}

/* A source with the given options; its url is `url` with the server's port for %u. */
static void open_source(struct fixture *fixture, const char *url, double timeout,
                        unsigned connections)
{
    source_destroy(fixture->source);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(fixture->url, sizeof fixture->url, url, upstream_port(fixture->upstream));
#pragma GCC diagnostic pop
    fixture->settings = (struct http_settings){
        .settings = {.type = source_type_find("http"),
                     .name = "api",
                     .limits = {.connections = connections, .queue = 100}},
        .url = fixture->url,
        .timeout = timeout,
        .max_body = MAX_BODY,
    };
    fixture->source = source_create(EV_DEFAULT, &fixture->settings.settings);
    assert_non_null(fixture->source);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->upstream = upstream_start();
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 8);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    source_destroy(fixture->source);
    upstream_stop(fixture->upstream);
    run_what_is_due();
    free(fixture);
    return 0;
}

static struct seen call(struct fixture *fixture, const char *name)
{
    struct seen seen = {0};
    start(fixture, &seen, name);
    run_until(is_done, &seen);
    run_what_is_due();
    assert_int_equal(seen.count, 1);
    return seen;
}

/* --- results by answer --- */

static void test_answers(void **state)
{
    static const struct {
        const char *name;
        enum source_status status;
        const char *type, *body, *reason; /* the reason has this in it */
    } cases[] = {
        {"html", SOURCE_OK, "text/html; charset=utf-8", "<p>hello</p>", NULL},
        {"plain", SOURCE_OK, "text/plain", "hello", NULL},
        {"no-type", SOURCE_OK, "", "<b>untyped</b>", NULL},
        {"close", SOURCE_OK, "", "bye", NULL},
        {"203", SOURCE_OK, "text/plain", "other", NULL},
        {"204", SOURCE_OK, "text/html", "", NULL},
        {"201", SOURCE_FAILED, "", "", " answered 201"},
        {"205", SOURCE_FAILED, "", "", " answered 205"},
        {"206", SOURCE_FAILED, "", "", " answered 206"},
        {"404", SOURCE_NOT_FOUND, "", "", " answered 404"},
        {"410", SOURCE_NOT_FOUND, "", "", " answered 410"},
        {"500", SOURCE_FAILED, "", "", " answered 500"},
        {"304", SOURCE_FAILED, "", "", " answered 304"},
        {"long-404", SOURCE_NOT_FOUND, "", "", " answered 404"},
        {"redirect/2", SOURCE_OK, "text/html; charset=utf-8", "<p>hello</p>", NULL},
        {"redirect/3", SOURCE_FAILED, "", "", "/redirect/0 redirects again, after 3 redirects"},
        {"to-file", SOURCE_FAILED, "", "", "redirects to neither http nor https"},
        {"to-ftp", SOURCE_FAILED, "", "", "redirects to neither http nor https"},
        {"to-no-type", SOURCE_OK, "", "<b>untyped</b>", NULL}, /* not the redirect's type */
        {"to/300//html", SOURCE_FAILED, "", "", "/to/300//html answered 300"},
        {"to/301//html", SOURCE_OK, "text/html; charset=utf-8", "<p>hello</p>", NULL},
        {"to/303//html", SOURCE_OK, "text/html; charset=utf-8", "<p>hello</p>", NULL},
        {"to/307//html", SOURCE_OK, "text/html; charset=utf-8", "<p>hello</p>", NULL},
        {"to/308//html", SOURCE_OK, "text/html; charset=utf-8", "<p>hello</p>", NULL},
        {"to-big/302//plain", SOURCE_OK, "text/plain", "hello", NULL},
        {"to/302//500", SOURCE_FAILED, "", "", "/500 answered 500"},
        {"to/302/", SOURCE_FAILED, "", "", "/to/302/ answered 302 without a Location"},
        {"to/302/http://", SOURCE_FAILED, "", "", "redirects to a malformed url"},
        {"png", SOURCE_FAILED, "", "",
         "/png answered with image/png, which is neither HTML nor text"},
        {"cut", SOURCE_FAILED, "", "", "4 bytes"},
        {"garbage", SOURCE_FAILED, "", "", "HTTP/0.9"},
        {"length/1001", SOURCE_FAILED, "", "", "more than max_body = 1000 bytes"},
        {"length/1000000", SOURCE_FAILED, "", "", "more than max_body = 1000 bytes"},
        {"chunked/1001", SOURCE_FAILED, "", "", "more than max_body = 1000 bytes"},
        {"chunked/1000000", SOURCE_FAILED, "", "", "more than max_body = 1000 bytes"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct seen seen = call(*state, cases[i].name);
        if (seen.status != cases[i].status || strcmp(seen.type, cases[i].type) != 0 ||
            strcmp(seen.body, cases[i].body) != 0 || !seen.reason[0] != !cases[i].reason ||
            (cases[i].reason && !strstr(seen.reason, cases[i].reason)))
            fail_msg("%s: status %d, type \"%s\", body \"%.40s\", reason \"%s\"", cases[i].name,
                     (int)seen.status, seen.type, seen.body, seen.reason);
    }
}

/* In all codings that this libcurl has. What max_body limits is the decoded body. */
static void test_codings(void **state)
{
    static const struct {
        int feature; /* of libcurl */
        const char *name;
        enum source_status status;
        const char *said; /* the body, or a part of the reason */
    } cases[] = {
        {CURL_VERSION_LIBZ, "gzip/short", SOURCE_OK, "compressed"},
        {CURL_VERSION_LIBZ, "gzip/long", SOURCE_FAILED, "more than max_body = 1000 bytes"},
        {CURL_VERSION_LIBZ, "gzip/wrong", SOURCE_FAILED, ""},
        {CURL_VERSION_LIBZ, "gzip/many", SOURCE_FAILED, ""},
        {CURL_VERSION_BROTLI, "br/short", SOURCE_OK, "compressed"},
        {CURL_VERSION_BROTLI, "br/long", SOURCE_FAILED, "more than max_body = 1000 bytes"},
        {CURL_VERSION_BROTLI, "br/huge", SOURCE_FAILED, "more than max_body = 1000 bytes"},
        {CURL_VERSION_ZSTD, "zstd/short", SOURCE_OK, "compressed"},
        {CURL_VERSION_ZSTD, "zstd/long", SOURCE_FAILED, "more than max_body = 1000 bytes"},
        {0, "unknown/short", SOURCE_FAILED, ""},
        {0, "plain", SOURCE_OK, "hello"},
    };
    int features = curl_version_info(CURLVERSION_NOW)->features;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        if (cases[i].feature && !(features & cases[i].feature))
            continue;
        struct seen seen = call(*state, cases[i].name);
        const char *said = seen.status == SOURCE_OK ? seen.body : seen.reason;
        if (seen.status != cases[i].status || !strstr(said, cases[i].said))
            fail_msg("%s: status %d, \"%.40s\"", cases[i].name, (int)seen.status, said);
    }
}

static void test_retry_after(void **state)
{
    static const struct {
        const char *name;
        unsigned seconds;
    } cases[] = {{"429", 7}, {"503", 3600}, {"500-later", 0}, {"500", 0}, {"html", 0}};
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, call(*state, cases[i].name).retry_after_s == cases[i].seconds);
}

static void test_body_at_bound(void **state)
{
    static const char *const names[] = {"length/999", "length/1000", "chunked/999", "chunked/1000"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        struct seen seen = call(*state, names[i]);
        assert_int_equal(seen.status, SOURCE_OK);
        assert_int_equal(seen.body_len, i % 2 ? 1000 : 999);
    }
}

static void test_request(void **state)
{
    static const struct {
        const char *name, *line;
    } cases[] = {
        {"a", "GET /n/a?again=a HTTP/1.1\r\n"},
        {"user/42", "GET /n/user/42?again=user/42 HTTP/1.1\r\n"},
        {"a b", "GET /n/a%20b?again=a%20b HTTP/1.1\r\n"},
        {"gr\xc3\xbc\xc3\x9f", "GET /n/gr%C3%BC%C3%9F?again=gr%C3%BC%C3%9F HTTP/1.1\r\n"},
        {"100%", "GET /n/100%25?again=100%25 HTTP/1.1\r\n"},
        {"%2e%2e", "GET /n/%252e%252e?again=%252e%252e HTTP/1.1\r\n"},
        {"a?b#c&d", "GET /n/a%3Fb%23c%26d?again=a%3Fb%23c%26d HTTP/1.1\r\n"},
        {"a\r\nX-Forged: 1", "GET /n/a%0D%0AX-Forged%3A%201?again="},
    };
    struct fixture *fixture = *state;
    open_source(fixture, "http://me:secret@127.0.0.1:%u/n/{name}?again={name}", 30, 1);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_int_equal(call(fixture, cases[i].name).status, SOURCE_OK);
        assert_true(upstream_saw(fixture->upstream, cases[i].line));
        assert_false(upstream_saw(fixture->upstream, "\nX-Forged"));
        assert_true(upstream_saw(fixture->upstream, "\r\nAccept: text/html, text/plain;q=0.9, "
                                                    "application/json;q=0.8, */*;q=0.1\r\n"));
        assert_true(upstream_saw(fixture->upstream, "\r\nUser-Agent: workerless/"));
        assert_true(upstream_saw(fixture->upstream, "\r\nAccept-Encoding: "));
        assert_true(upstream_saw(fixture->upstream, "\r\nAuthorization: Basic bWU6c2VjcmV0\r\n"));
        assert_false(upstream_saw(fixture->upstream, "\r\nCookie:"));
    }
}

/* What identifies the request is passed on; else it begins. A redirect to another host ends it. */
static void test_trace(void **state)
{
    static const char parent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++) { /* the same handle serves them all */
        struct seen seen = {0};
        struct source_request request = {.name = SLICE("html")};
        if (i != 1) {
            request.request_id = SLICE("request-7");
            request.traceparent = slice_of(parent);
        }
        seen.fixture = fixture;
        seen.call = source_start(fixture->source, &request, on_done, &seen);
        assert_non_null(seen.call);
        run_until(is_done, &seen);
        assert_true(upstream_saw(fixture->upstream, "\r\nX-Request-Id: "));
        assert_true(upstream_saw(fixture->upstream, "\r\ntraceparent: 00-"));
        assert_int_equal(upstream_saw(fixture->upstream, "\r\nX-Request-Id: request-7\r\n"),
                         i != 1);
        assert_int_equal(upstream_saw(fixture->upstream, parent), i != 1);
    }
}

static void test_refused_connection(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    struct fixture *fixture = *state;
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound, so not used by others, but not listening */
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);

    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/{name}", ntohs(address.sin_port));
    open_source(fixture, url, 30, 1);
    struct seen seen = call(fixture, "a");
    assert_int_equal(seen.status, SOURCE_FAILED);
    assert_non_null(strstr(seen.reason, "onnect"));
    close(fd);
}

/* The log names the source and the url, without anything that may be secret. */
static void test_reasons(void **state)
{
    static const struct {
        const char *name, *reason; /* after the host and the port */
    } cases[] = {
        {"500", "/500?... answered 500"},
        {"cut", "/cut?...: "},
        {"length/1001", "/length/1001?... answered with more than max_body = 1000 bytes"},
        {"hold", "/hold?...: no complete response within timeout = 0.3s"},
        {"to/302/http://u:secret@evil.test:81/secret",
         "/to/302/http%3A//u%3Asecret%40evil.test%3A81/secret?... redirects to "
         "http://evil.test:81, which is refused (list it in redirects to allow it)"},
    };
    struct fixture *fixture = *state;
    char expected[300];
    open_source(fixture, "http://me:secret@127.0.0.1:%u/{name}?key=secret", 0.3, 1);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct seen seen = call(fixture, cases[i].name);
        snprintf(expected, sizeof expected, "source \"api\": http://127.0.0.1:%u%s",
                 upstream_port(fixture->upstream), cases[i].reason);
        if (strncmp(seen.reason, expected, strlen(expected)) != 0)
            fail_msg("%s: \"%s\"", cases[i].name, seen.reason);
    }
    upstream_release(fixture->upstream);
}

/* --- redirects to another server --- */

static void test_redirects(void **state)
{
    static const struct {
        const char *listed; /* with the other server's port for %u, or NULL */
        const char *name;   /* likewise */
        bool followed;
    } cases[] = {
        {NULL, "to/302/http://127.0.0.1:%u/html", false},
        {NULL, "to/302///127.0.0.1:%u/html", false},
        {"127.0.0.1", "to/302/http://127.0.0.1:%u/html", false},
        {"https://127.0.0.1:%u", "to/302/http://127.0.0.1:%u/html", false},
        {"localhost:%u", "to/302/http://127.0.0.1:%u/html", false},
        {"127.0.0.1:%u", "to/302/http://127.0.0.1:%u/html", true},
        {"127.0.0.1:%u", "to/307/http://a:b@0x7f.1:%u/html", true},
        {"http://127.0.0.1:%u", "to-big/308///127.0.0.1:%u/html", true},
        {"http://127.0.0.1:%u", "to/301//to/301/http%%3A//127.0.0.1:%u/html", true},
    };
    struct fixture *fixture = *state;
    struct upstream *other = upstream_start();
    unsigned followed = 0;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char listed[64], name[128];
        const char *list = listed;
        open_source(fixture, "http://me:secret@127.0.0.1:%u/{name}", 30, 1);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(listed, sizeof listed, cases[i].listed ? cases[i].listed : "",
                 upstream_port(other));
        snprintf(name, sizeof name, cases[i].name, upstream_port(other));
#pragma GCC diagnostic pop
        fixture->settings.redirects = &list;
        fixture->settings.redirect_count = cases[i].listed != NULL;
        struct seen seen = call(fixture, name);
        followed += cases[i].followed;
        if ((seen.status == SOURCE_OK) != cases[i].followed || upstream_requests(other) != followed)
            fail_msg("row %zu: status %d, %u requests, \"%s\"", i, (int)seen.status,
                     upstream_requests(other), seen.reason);
        assert_false(upstream_saw(other, "Authorization:"));
        assert_true(upstream_saw(fixture->upstream, "\r\nAuthorization: Basic bWU6c2VjcmV0\r\n"));
    }
    source_destroy(fixture->source);
    fixture->source = NULL;
    upstream_stop(other);
}

/* --- time --- */

static void test_timeout(void **state)
{
    static const char *const names[] = {"hold", "hold-body"};
    struct fixture *fixture = *state;
    open_source(fixture, "http://127.0.0.1:%u/{name}", 0.1, 1);
    for (size_t i = 0; i < LENGTH(names); i++) {
        struct seen running = {0}, queued = {0};
        start(fixture, &running, names[i]);
        start(fixture, &queued, names[i]);
        run_until(is_done, &queued);
        assert_int_equal(running.count, 1);
        assert_int_equal(running.status, SOURCE_TIMED_OUT);
        assert_non_null(strstr(running.reason, ": no complete response within timeout = 0.1s"));
        assert_int_equal(queued.count, 1);
        if (queued.status == SOURCE_BUSY)
            assert_non_null(
                strstr(queued.reason, "no connection was free within timeout = 0.1s (connections"));
        else /* its turn has come just before */
            assert_non_null(strstr(queued.reason, ": no complete response within timeout = 0.1s"));
    }
    upstream_release(fixture->upstream);
}

static bool lookup_hangs(const void *context)
{
    (void)context;
    pthread_mutex_lock(&lookup_lock);
    bool hangs = lookups_hanging > 0;
    pthread_mutex_unlock(&lookup_lock);
    return hangs;
}

/* The loop, a timeout, a cancel and a destroy go on while a lookup hangs: if one of them waited for
 * it, this would never end. */
static void test_hanging_lookup(void **state)
{
    struct fixture *fixture = *state;
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    if (curl->ares || !(curl->features & CURL_VERSION_ASYNCHDNS))
        skip();

    struct fixture other = {.upstream = fixture->upstream};
    open_source(&other, "http://hang.test:%u/{name}", 0.3, 2);
    struct seen late = {0}, cancelled = {0};
    start(&other, &late, "a");
    start(&other, &cancelled, "b");
    run_until(lookup_hangs, NULL);
    assert_int_equal(call(fixture, "html").status, SOURCE_OK);
    run_until(is_done, &late);
    assert_int_equal(late.status, SOURCE_TIMED_OUT);
    if (cancelled.call)
        source_cancel(cancelled.call);
    assert_int_equal(cancelled.count, 1);

    open_source(&other, "http://hang.test:%u/{name}", 30, 2);
    memset(&cancelled, 0, sizeof cancelled);
    start(&other, &cancelled, "c");
    run_what_is_due();
    source_cancel(cancelled.call);
    assert_int_equal(cancelled.status, SOURCE_CANCELLED);
    source_destroy(other.source);
    assert_int_equal(call(fixture, "html").status, SOURCE_OK);

    pthread_mutex_lock(&lookup_lock);
    lookups_released = true;
    pthread_cond_broadcast(&lookup_changed);
    while (lookups_hanging > 0)
        pthread_cond_wait(&lookup_changed, &lookup_lock);
    pthread_mutex_unlock(&lookup_lock);
}

/* --- many calls --- */

static void test_bounded_connections(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen[50] = {0};
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 2);
    for (unsigned i = 0; i < 50; i++)
        start(fixture, &seen[i], i % 5 ? "plain" : "redirect/1");
    for (unsigned i = 0; i < 50; i++)
        run_until(is_done, &seen[i]);
    run_what_is_due();
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(seen[i].count, 1);
        assert_int_equal(seen[i].status, SOURCE_OK);
    }
    assert_int_equal(upstream_requests(fixture->upstream), 50 + 10 * 2);
    assert_true(upstream_most_at_once(fixture->upstream) <= 2);
    assert_true(upstream_connections(fixture->upstream) <= 2);
}

static void test_many_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen[8] = {0}, queued = {0};
    for (unsigned i = 0; i < 8; i++)
        start(fixture, &seen[i], "hold");
    start(fixture, &queued, "plain");
    run_until_held(fixture, 8);
    run_what_is_due();
    assert_int_equal(queued.count, 0);
    upstream_release(fixture->upstream);
    for (unsigned i = 0; i < 8; i++) {
        run_until(is_done, &seen[i]);
        assert_string_equal(seen[i].body, "released");
    }
    run_until(is_done, &queued);
    assert_int_equal(queued.status, SOURCE_OK);
}

static void test_connection_reuse(void **state)
{
    static const char *const names[] = {"html", "404", "500", "204", "redirect/2", "chunked/1000"};
    struct fixture *fixture = *state;
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < LENGTH(names); i++)
            call(fixture, names[i]);
    assert_int_equal(upstream_connections(fixture->upstream), 1);
    assert_int_equal(call(fixture, "close").status, SOURCE_OK);
    assert_int_equal(upstream_connections(fixture->upstream), 1);
    assert_int_equal(call(fixture, "html").status, SOURCE_OK);
    assert_int_equal(upstream_connections(fixture->upstream), 2);
}

/* A flood in one lane does not delay the others, and in each the oldest call is the first. */
static void test_turns(void **state)
{
    static const struct {
        unsigned lane;
        const char *name;
    } calls[] = {{4, "hold"}, {4, "a1"}, {4, "a2"}, {4, "a3"}, {4, "a4"}, {0, "b1"},
                 {0, "b2"},   {9, "c1"}, {4, "a5"}, {0, "b3"}, {2, "d1"}, {2, "d2"}};
    static const char *const order[] = {"a1", "b1", "c1", "a2", "b2", "a3", "b3", "a4", "a5"};
    struct fixture *fixture = *state;
    struct seen seen[LENGTH(calls)] = {0};
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 1);
    for (size_t i = 0; i < LENGTH(calls); i++) {
        seen[i].lane = calls[i].lane;
        start(fixture, &seen[i], calls[i].name);
    }
    run_until_held(fixture, 1);
    source_cancel(seen[10].call); /* all that its lane had: its turn is gone */
    source_cancel(seen[11].call);
    upstream_release(fixture->upstream);
    for (size_t i = 0; i < LENGTH(order); i++) {
        struct seen *next = seen;
        while (strcmp(calls[next - seen].name, order[i]) != 0)
            next++;
        assert_row(i, next->count == 0);
        run_until(is_done, next);
        for (size_t k = i + 1; k < LENGTH(order); k++)
            for (size_t j = 0; j < LENGTH(calls); j++)
                if (strcmp(calls[j].name, order[k]) == 0)
                    assert_row(i, seen[j].count == 0);
    }
}

static void test_busy(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen[3] = {0};
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 2);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(source_is_busy(fixture->source), i >= 2);
        start(fixture, &seen[i], "hold");
    }
    run_until_held(fixture, 2);
    source_cancel(seen[0].call); /* what is queued takes the place */
    assert_true(source_is_busy(fixture->source));
    run_what_is_due();
    assert_true(source_is_busy(fixture->source));
    source_cancel(seen[1].call);
    assert_false(source_is_busy(fixture->source));
    upstream_release(fixture->upstream);
    run_until(is_done, &seen[2]);
    assert_false(source_is_busy(fixture->source));
}

/* --- cancelling, and `done` that does things --- */

static void test_cancel(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 1);
    struct seen first = {0}, second = {0}, third = {0};

    start(fixture, &first, "html"); /* before anything is sent */
    source_cancel(first.call);
    assert_int_equal(first.status, SOURCE_CANCELLED);
    run_what_is_due();
    assert_int_equal(upstream_requests(fixture->upstream), 0);

    memset(&first, 0, sizeof first);
    start(fixture, &first, "hold-body"); /* amid the body, and one in the queue */
    start(fixture, &second, "hold");
    start(fixture, &third, "html");
    run_until_held(fixture, 1);
    run_what_is_due();
    source_cancel(second.call);
    source_cancel(first.call);
    assert_int_equal(first.status, SOURCE_CANCELLED);
    assert_int_equal(second.status, SOURCE_CANCELLED);
    run_until(is_done, &third); /* takes the place */
    assert_int_equal(third.status, SOURCE_OK);

    memset(&first, 0, sizeof first);
    start(fixture, &first, "hold"); /* in front of the answer */
    run_until_held(fixture, 2);
    source_cancel(first.call);
    run_what_is_due();
    assert_int_equal(first.count, 1);
    assert_int_equal(call(fixture, "html").status, SOURCE_OK);
    assert_int_equal(upstream_connections(fixture->upstream), 3);
}

static bool is_asked_once(const void *context)
{
    const struct fixture *fixture = context;
    return upstream_requests(fixture->upstream) == 1;
}

/* While a call waits to be made again: it ends, and is not made again. */
static void test_cancel_before_a_retry(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0}, retried = {0};
    fixture->settings.retries = 5;
    start(fixture, &seen, "502");
    run_until(is_asked_once, fixture);
    run_what_is_due();
    assert_int_equal(seen.count, 0);
    source_cancel(seen.call);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.status, SOURCE_CANCELLED);
    fixture->settings.retries = 2;
    start(fixture, &retried, "502");
    run_until(is_done, &retried);
    assert_int_equal(retried.status, SOURCE_FAILED);
    assert_int_equal(upstream_requests(fixture->upstream), 1 + 3);
}

static void test_start_inside_done(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 1);
    struct seen seen[4] = {0};
    static const char *const names[] = {"html", "500", "cut", "plain"};
    for (int i = 0; i < 3; i++) {
        seen[i].starts = &seen[i + 1];
        seen[i].starts_name = names[i + 1];
    }
    start(fixture, &seen[0], names[0]);
    run_until(is_done, &seen[3]);
    for (int i = 0; i < 4; i++)
        assert_int_equal(seen[i].count, 1);
    assert_string_equal(seen[3].body, "hello");

    struct seen cancelled = {0}, after = {0}; /* and inside the `done` of a cancel */
    start(fixture, &cancelled, "hold");
    cancelled.starts = &after;
    cancelled.starts_name = "html";
    source_cancel(cancelled.call);
    run_until(is_done, &after);
    assert_int_equal(after.status, SOURCE_OK);
}

/* One that runs, one that waits for its answer, one that is queued. */
static void test_cancel_inside_done(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 2);
    struct seen held = {0}, first = {0}, queued = {0}, last = {0};
    start(fixture, &held, "hold");
    run_until_held(fixture, 1);
    start(fixture, &first, "html");
    start(fixture, &queued, "html");
    start(fixture, &last, "plain");
    first.cancels[0] = &held;
    first.cancels[1] = &queued;
    run_until(is_done, &last);
    run_what_is_due();
    assert_int_equal(first.status, SOURCE_OK);
    assert_int_equal(held.status, SOURCE_CANCELLED);
    assert_int_equal(queued.status, SOURCE_CANCELLED);
    assert_int_equal(last.status, SOURCE_OK);
    assert_int_equal(held.count + first.count + queued.count + last.count, 4);
}

/* curl rejects all of these at once, so that all are finished when the first one's `done` is
 * called. The url would not pass source_check. */
static void test_cancel_finished_inside_done(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture, "gopher://127.0.0.1:%u/{name}", 30, 8);
    struct seen seen[4] = {0}, after = {0};
    for (int i = 0; i < 4; i++)
        start(fixture, &seen[i], "a");
    seen[0].cancels[0] = &seen[1];
    seen[0].cancels[1] = &seen[3];
    seen[2].starts = &after;
    seen[2].starts_name = "a";
    run_until(is_done, &after);
    run_what_is_due();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(seen[i].count, 1);
        assert_int_equal(seen[i].status, i % 2 ? SOURCE_CANCELLED : SOURCE_FAILED);
    }
    assert_int_equal(after.status, SOURCE_FAILED);
}

/* --- memory --- */

/* It fails at the first allocation, at the second, and so on until a call succeeds: no request is
 * ever made with a part of a url. */
static void test_no_memory(void **state)
{
    static const struct {
        const char *name, *line;
        unsigned requests;
    } cases[] = {{"html", "GET /html HTTP", 1}, {"redirect/1", "GET /html HTTP", 3}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        bool ok = false;
        long successes;
        for (successes = 0; !ok; successes++) {
            assert_true(successes < 50);
            open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 1);
            struct seen seen = {.fixture = fixture}, next;
            unsigned before = upstream_requests(fixture->upstream);
            alloc_fail_after(successes);
            seen.call =
                source_start(fixture->source,
                             &(struct source_request){.name = slice_of(cases[i].name), .lane = 3},
                             on_done, &seen);
            if (seen.call) {
                assert_int_equal(seen.count, 0);
                run_until(is_done, &seen);
                ok = seen.status == SOURCE_OK;
                assert_true(ok || seen.status == SOURCE_FAILED);
                assert_true(ok || strstr(seen.reason, "emory"));
                assert_int_equal(seen.count, 1);
            }
            alloc_fail_after(-1);
            unsigned made = upstream_requests(fixture->upstream) - before;
            /* One of a call before, which failed after it was sent, may be counted only now. */
            assert_true(!ok || made >= cases[i].requests);
            assert_true(!ok || upstream_saw(fixture->upstream, cases[i].line));
            next = call(fixture, "html"); /* the source works as before */
            assert_int_equal(next.status, SOURCE_OK);
        }
        assert_true(successes > 6);
    }

    alloc_fail_after(0);
    struct source *source = source_create(EV_DEFAULT, &fixture->settings.settings);
    alloc_fail_after(-1);
    assert_null(source);
}

/* Calls that can't begin do not block the loop, even if each one starts the next. */
static void test_no_memory_inside_done(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen[5] = {0};
    call(fixture, "html"); /* its lane is there from now on */
    for (int i = 0; i < 5; i++) {
        seen[i].refused = true;
        seen[i].starts = i < 4 ? &seen[i + 1] : NULL;
        seen[i].starts_name = "html";
    }
    start(fixture, &seen[0], "html");
    for (int i = 0; i < 5; i++) {
        run_until(is_done, &seen[i]);
        assert_true(i == 4 || seen[i + 1].count == 0);
        assert_int_equal(seen[i].status, SOURCE_FAILED);
    }
    run_what_is_due();
    for (int i = 0; i < 5; i++)
        assert_int_equal(seen[i].count, 1);
    assert_int_equal(call(fixture, "html").status, SOURCE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
        TEST(test_answers),
        TEST(test_codings),
        TEST(test_retry_after),
        TEST(test_body_at_bound),
        TEST(test_request),
        TEST(test_trace),
        TEST(test_refused_connection),
        TEST(test_reasons),
        TEST(test_redirects),
        TEST(test_timeout),
        TEST(test_hanging_lookup),
        TEST(test_bounded_connections),
        TEST(test_many_at_once),
        TEST(test_connection_reuse),
        TEST(test_turns),
        TEST(test_busy),
        TEST(test_cancel),
        TEST(test_cancel_before_a_retry),
        TEST(test_start_inside_done),
        TEST(test_cancel_inside_done),
        TEST(test_cancel_finished_inside_done),
        TEST(test_no_memory),
        TEST(test_no_memory_inside_done),
    };
    /* None of these may have an effect. */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    alarm(2 * GUARD_SECONDS); /* if the loop itself hangs */
    int failed = cmocka_run_group_tests_name("source_http", tests, NULL, NULL);
    ev_loop_destroy(EV_DEFAULT);
    return failed;
}
