/* source/http: what it sends, and what comes of an answer. */
#include "source/http_settings.h"
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <curl/curl.h>

#include "http_bench.h"
#include "source/http_features.h"

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
        {"blank-type", SOURCE_OK, "text/plain", "<b>", NULL}, /* RFC 9112 5.1 */
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
         "/png answered with image/png, which is neither HTML nor text (render = \"raw\" passes "
         "any type)"},
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

/* A head that libcurl appended to the one before it, whose memory had been freed. The first handle of
 * an old libcurl refuses it, and so do the later ones. */
static void test_blank(void **state)
{
    static const char *const names[] = {"blank", "blank/tab", "blank/interim", "blank/case",
                                        "to-blank"};
    struct fixture *fixture = *state;
    bool refuses = http_features_remembers_header();
    for (size_t i = 0; i < LENGTH(names); i++)
        for (unsigned calls = 0; calls < 2; calls++) {
            enum source_status status = call(fixture, names[i]).status;
            assert_row(i, status == SOURCE_FAILED || (status == SOURCE_OK && !refuses));
            assert_row(i, call(fixture, "html").status == SOURCE_OK);
            assert_row(i, call(fixture, "204").status == SOURCE_OK); /* has no field at all */
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
    bool written = http_features_keeps_targets();
    char host[64];
    open_source(fixture, "http://me:secret@127.0.0.1:%u/n/{name}?again={name}", 30, 1);
    snprintf(host, sizeof host, " HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s",
             upstream_port(fixture->upstream), written ? "Accept: " : "");
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_int_equal(call(fixture, cases[i].name).status, SOURCE_OK);
        assert_true(upstream_saw(fixture->upstream, cases[i].line));
        assert_false(upstream_saw(fixture->upstream, "\nX-Forged"));
        assert_true(upstream_saw(fixture->upstream, "\r\nAccept: text/html, text/plain;q=0.9, "
                                                    "application/json;q=0.8, */*;q=0.1\r\n"));
        assert_true(upstream_saw(fixture->upstream,
                                 written ? "\r\nUser-Agent: workerless/" PACKAGE_VERSION
                                           " HTTP/1.1\r\n"
                                         : "\r\nUser-Agent: workerless/" PACKAGE_VERSION "\r\n"));
        assert_true(upstream_saw(fixture->upstream, "\r\nAccept-Encoding: "));
        assert_true(upstream_saw(fixture->upstream, host));
        assert_false(upstream_saw(fixture->upstream, PACKAGE_VERSION " HTTP/1.1\r\nHost: "));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
        TEST(test_answers),       TEST(test_blank),
        TEST(test_codings),       TEST(test_retry_after),
        TEST(test_body_at_bound), TEST(test_request),
        TEST(test_trace),         TEST(test_refused_connection),
        TEST(test_reasons),       TEST(test_redirects),
    };
    return cmocka_run_group_tests_name("source_http_answers", tests, set_up_group, tear_down_group);
}
