/* web/response: the exact text of the head, and its limit. */
#include "web/response.h"

#include <stdio.h>

#include "cache/entry.h"
#include "park/freshness.h"
#include "responses.h"
#include "unit.h"
#include "web/method.h"

#define NOW_MS 1700000000000

/* The head, with room for just RESPONSE_HEAD_MAX bytes. */
static struct slice head_of(const struct response *response, int64_t now_ms, char *out)
{
    size_t len = response_head(response, now_ms, out);
    assert_true(len <= response_head_max(response));
    return (struct slice){.data = out, .len = len};
}

/* Lines of "Name: value", none empty but the last, and nothing in a value that ends it. */
static void check_shape(struct slice head)
{
    assert_true(slice_starts(head, SLICE("Status: ")));
    while (!slice_equal(head, SLICE("\r\n"))) {
        const char *end = memchr(head.data, '\r', head.len);
        assert_non_null(end);
        struct slice line = {.data = head.data, .len = (size_t)(end - head.data)};
        assert_true(line.len > 0);
        const char *colon = memchr(line.data, ':', line.len);
        assert_non_null(colon);
        assert_true(colon > line.data && colon[1] == ' ');
        for (size_t i = 0; i < line.len; i++)
            assert_true((unsigned char)line.data[i] >= 0x20 && line.data[i] != 0x7f);
        head = slice_from(head, line.len);
        assert_true(slice_starts(head, SLICE("\r\n")));
        head = slice_from(head, 2);
    }
}

/* --- answers of our own --- */

static void test_own(void **state)
{
    static const struct {
        int status;
        short retry_after;
        const char *first;
    } cases[] = {
        {200, -1, "Status: 200 OK\r\n"},
        {202, 0, "Status: 202 Accepted\r\n"},
        {400, -1, "Status: 400 Bad Request\r\n"},
        {403, -1, "Status: 403 Forbidden\r\n"},
        {404, -1, "Status: 404 Not Found\r\n"},
        {405, -1, "Status: 405 Method Not Allowed\r\n"},
        {408, -1, "Status: 408 Request Timeout\r\n"},
        {413, -1, "Status: 413 Content Too Large\r\n"},
        {431, -1, "Status: 431 Request Header Fields Too Large\r\n"},
        {500, -1, "Status: 500 Internal Server Error\r\n"},
        {502, -1, "Status: 502 Bad Gateway\r\n"},
        {503, 1, "Status: 503 Service Unavailable\r\n"},
        {504, -1, "Status: 504 Gateway Timeout\r\n"},
        {999, -1, "Status: 500 Internal Server Error\r\n"}, /* none of ours */
        {0, -1, "Status: 500 Internal Server Error\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char out[RESPONSE_HEAD_MAX], retry[32] = "", expected[512];
        struct response response = response_of_status(cases[i].status);
        assert_row(i, response.retry_after == cases[i].retry_after);
        if (cases[i].retry_after >= 0)
            snprintf(retry, sizeof retry, "Retry-After: %d\r\n", cases[i].retry_after);
        snprintf(expected, sizeof expected,
                 "%sContent-Type: text/html; charset=utf-8\r\nContent-Length: %zu\r\n%s"
                 "Cache-Control: no-store\r\n\r\n",
                 cases[i].first, response_body(&response).len, retry);
        struct slice head = head_of(&response, NOW_MS, out);
        check_shape(head);
        assert_slice(i, head, slice_of(expected));
        response_release(&response);
        response_release(&response);
    }
}

/* A 405 lists what is allowed (RFC 9110 15.5.6). */
static void test_allow(void **state)
{
    static const struct {
        unsigned char methods;
        const char *header;
    } cases[] = {
        {0, ""},
        {METHOD_GET, "Allow: GET\r\n"},
        {METHOD_PURGE, "Allow: PURGE\r\n"},
        {METHOD_GET | METHOD_HEAD, "Allow: GET, HEAD\r\n"},
        {METHOD_HEAD | METHOD_GET | METHOD_PURGE, "Allow: GET, HEAD, PURGE\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char out[RESPONSE_HEAD_MAX], expected[512];
        struct response response = response_of_status(405);
        response.allow = cases[i].methods;
        snprintf(expected, sizeof expected,
                 "Status: 405 Method Not Allowed\r\nContent-Type: text/html; charset=utf-8\r\n"
                 "Content-Length: %zu\r\n%sCache-Control: no-store\r\n\r\n",
                 response_body(&response).len, cases[i].header);
        assert_slice(i, head_of(&response, NOW_MS, out), slice_of(expected));
    }
}

static void test_plain(void **state)
{
    char out[RESPONSE_HEAD_MAX];
    struct response response = response_of_status(200);
    (void)state;
    response.body = SLICE("ok\n");
    response.type = BODY_PLAIN;
    assert_slice(0, head_of(&response, NOW_MS, out),
                 SLICE("Status: 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
                       "Content-Length: 3\r\nCache-Control: no-store\r\n\r\n"));
    assert_slice(0, response_body(&response), SLICE("ok\n"));
}

/* No body, and no header that speaks of one (RFC 9110 8.6, 15.3.5). */
static void test_no_content(void **state)
{
    char out[RESPONSE_HEAD_MAX];
    struct response response = response_of_status(204);
    (void)state;
    assert_slice(0, head_of(&response, NOW_MS, out),
                 SLICE("Status: 204 No Content\r\nCache-Control: no-store\r\n\r\n"));
    assert_slice(0, response_body(&response), SLICE(""));
}

/* Each error has a body, and all markup in it is complete. */
static void test_bodies(void **state)
{
    static const int errors[] = {400, 403, 404, 405, 408, 413, 431, 502, 503, 504};
    (void)state;
    for (size_t i = 0; i < LENGTH(errors); i++) {
        struct response response = response_of_status(errors[i]);
        struct slice body = response_body(&response);
        assert_row(i, slice_starts(body, SLICE("<p class=\"fragment-error\">")));
        assert_row(i, body.len > 5 && memcmp(body.data + body.len - 5, "</p>\n", 5) == 0);
    }
}

/* --- fragments --- */

/* Browsers must not take for HTML what is not. */
static void test_nosniff(void **state)
{
    static const struct {
        struct slice type;
        bool told;
    } cases[] = {
        {SLICE_INIT("text/html"), false},
        {SLICE_INIT("application/xhtml+xml"), false},
        {SLICE_INIT("text/plain"), true},
        {SLICE_INIT("application/json"), true},
        {SLICE_INIT("application/octet-stream"), true},
    };
    char out[RESPONSE_HEAD_MAX];
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct entry *entry = entry_new(cases[i].type, SLICE("x"), NOW_MS, 1000, 1);
        assert_non_null(entry);
        struct response response = response_of_entry(entry);
        struct slice head = head_of(&response, NOW_MS, out),
                     told = SLICE("\r\nX-Content-Type-Options: nosniff\r\n");
        check_shape(head);
        assert_row(i, (memmem(head.data, head.len, told.data, told.len) != NULL) == cases[i].told);
        response_release(&response);
        entry_unref(entry);
    }
}

/* The source's header fields go last, with a 304 and with what must not be shared as well. */
static void test_kept(void **state)
{
    static char kept[KEEP_MAX];
    char out[RESPONSE_HEAD_MAX + 2 * KEEP_MAX];
    (void)state;
    struct entry_terms terms = {.etag = SLICE("\"v1\""),
                                .kept = SLICE("link: <a>\nserver-timing: db\nx: \nlink: <b>\n"
                                              "server-timing: \n")};
    struct entry *entry =
        entry_new_on_terms(SLICE("text/x"), SLICE("body"), NOW_MS, 1000, 1, &terms);
    assert_non_null(entry);
    for (int i = 0; i < 4; i++) {
        struct response response = response_of_entry(entry);
        response.status = i == 1 ? 304 : 200;
        response.uncacheable = i == 2;
        response.no_store = i == 3;
        struct slice head = head_of(&response, NOW_MS, out);
        check_shape(head);
        struct slice end = SLICE("\r\nlink: <a>\r\nx: \r\nlink: <b>\r\n\r\n");
        bool there = slice_equal(slice_from(head, head.len - end.len), end);
        assert_row(i, there == (i != 3));
        struct slice timing = SLICE("\r\nServer-Timing: source;dur=1, db\r\n");
        assert_row(i, (memmem(head.data, head.len, timing.data, timing.len) != NULL) == (i != 3));
        assert_row(i, !memmem(head.data, head.len, "v1", 2)); /* a validator of the source's own */
        response_release(&response);
    }
    entry_unref(entry);

    /* The smallest lines have the most CRs. */
    for (size_t i = 0; i < KEEP_MAX; i += 4)
        memcpy(kept + i, "x: \n", 4);
    terms.kept = (struct slice){kept, KEEP_MAX};
    entry = entry_new_on_terms(SLICE("text/x"), SLICE("body"), NOW_MS, 1000, 1, &terms);
    assert_non_null(entry);
    struct response response = response_of_entry(entry);
    char *exact = malloc(response_head_max(&response));
    assert_non_null(exact);
    assert_true(head_of(&response, NOW_MS, exact).len > KEEP_MAX / 4 * 5);
    free(exact);
    response_release(&response);
    entry_unref(entry);
}

/* Cache-Control as the source's terms and the route's browser_ttl make it (RFC 9111 5.2.2, 5861). */
static void test_source_terms(void **state)
{
    static const struct freshness route = {.stale = 7, .stale_error = 8};
    static const struct freshness browser = {.stale = 7,
                                             .browser_ttl = 10,
                                             .browser_ttl_is_set = true};
    static const struct freshness none = {.stale = 7, .browser_ttl_is_set = true};
    static const struct {
        const struct freshness *terms;
        struct entry_terms said;
        int64_t ttl_ms;
        const char *control; /* of an entry that is 5.9s old */
    } cases[] = {
        {&route,
         {.etag = SLICE_INIT("x")},
         60000,
         "max-age=60, stale-while-revalidate=7, stale-if-error=8"},
        {&route, {.has_stale = true}, 60000, "max-age=60"},
        {&route,
         {.has_stale = true, .stale_ms = 2500, .stale_error_ms = 999},
         60000,
         "max-age=60, stale-while-revalidate=2"},
        {&route,
         {.has_stale = true, .must_revalidate = true},
         60000,
         "max-age=60, must-revalidate"},
        {&route, {.has_stale = true, .must_revalidate = true}, 0, "no-cache, must-revalidate"},
        {&route, {.has_clients = true, .clients_s = 9}, 60000, "max-age=14"},
        {&route, {.has_clients = true, .clients_s = 99}, 60000, "max-age=59"}, /* 54 are left */
        {&route, {.has_clients = true, .clients_s = 99}, 1000, "no-cache"},
        {&route, {.has_clients = true}, 60000, "no-cache"},
        {&route, {.clients_no_store = true}, 60000, "no-store"},
        {&browser, {.clients_no_store = true}, 60000, "max-age=15"},
        {&browser, {.etag = SLICE_INIT("x")}, 60000, "max-age=15"}, /* Age: 5 */
        {&browser, {.etag = SLICE_INIT("x")}, 1000, "max-age=15"},
        {&browser,
         {.has_stale = true, .must_revalidate = true},
         60000,
         "max-age=15, must-revalidate"},
        {&none, {.etag = SLICE_INIT("x")}, 60000, "no-cache"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char out[RESPONSE_HEAD_MAX], expected[200];
        struct entry *entry = entry_new_on_terms(SLICE("text/x"), SLICE("b"), NOW_MS - 5900,
                                                 cases[i].ttl_ms, 1, &cases[i].said);
        assert_non_null(entry);
        struct response response = response_of_entry(entry);
        response.terms = cases[i].terms;
        struct slice head = head_of(&response, NOW_MS, out);
        check_shape(head);
        snprintf(expected, sizeof expected, "Age: 5\r\nCache-Control: %s\r\nServer-Timing",
                 cases[i].control);
        if (!memmem(head.data, head.len, expected, strlen(expected)))
            fail_msg("row %zu: %.*s", i, SLICE_ARGS(head));
        response_release(&response);
        entry_unref(entry);
    }
}

static void test_entry(void **state)
{
    static const struct {
        int64_t age_ms, ttl_ms, cost_ms;
        struct response flags;
        const char *head; /* with %s where the entity tag goes */
    } cases[] = {
        {1500,
         60000,
         840,
         {.origin = ORIGIN_HIT},
         "Status: 200 OK\r\nContent-Type: text/html; y\r\nContent-Length: 4\r\nETag: %s\r\nAge: "
         "1\r\n"
         "Cache-Control: max-age=60\r\nServer-Timing: source;dur=840\r\n"
         "Cache-Status: workerless; hit; ttl=58\r\n\r\n"},
        {0,
         60000,
         0,
         {.origin = ORIGIN_MISS, .stored = true},
         "Status: 200 OK\r\nContent-Type: text/html; y\r\nContent-Length: 4\r\nETag: %s\r\nAge: "
         "0\r\n"
         "Cache-Control: max-age=60\r\nServer-Timing: source;dur=0\r\n"
         "Cache-Status: workerless; fwd=miss; stored; ttl=60\r\n\r\n"},
        {0,
         60000,
         1,
         {.origin = ORIGIN_MISS, .stored = true, .collapsed = true},
         "Status: 200 OK\r\nContent-Type: text/html; y\r\nContent-Length: 4\r\nETag: %s\r\nAge: "
         "0\r\n"
         "Cache-Control: max-age=60\r\nServer-Timing: source;dur=1\r\n"
         "Cache-Status: workerless; fwd=miss; stored; collapsed; ttl=60\r\n\r\n"},
        /* not cached: no time to live, and no other cache may use it without revalidation */
        {0,
         0,
         1,
         {.origin = ORIGIN_MISS, .collapsed = true},
         "Status: 200 OK\r\nContent-Type: text/html; y\r\nContent-Length: 4\r\nETag: %s\r\nAge: "
         "0\r\n"
         "Cache-Control: no-cache\r\nServer-Timing: source;dur=1\r\n"
         "Cache-Status: workerless; fwd=miss; collapsed\r\n\r\n"},
        {0,
         999,
         1,
         {.origin = ORIGIN_NONE},
         "Status: 200 OK\r\nContent-Type: text/html; y\r\nContent-Length: 4\r\nETag: %s\r\nAge: "
         "0\r\n"
         "Cache-Control: no-cache\r\nServer-Timing: source;dur=1\r\n\r\n"},
        {0,
         1999,
         1,
         {.origin = ORIGIN_NONE},
         "Status: 200 OK\r\nContent-Type: text/html; y\r\nContent-Length: 4\r\nETag: %s\r\nAge: "
         "0\r\n"
         "Cache-Control: max-age=1\r\nServer-Timing: source;dur=1\r\n\r\n"},
        /* past its time, and from a clock that is ahead of ours */
        {90000,
         60000,
         1,
         {.origin = ORIGIN_HIT},
         "Status: 200 OK\r\nContent-Type: text/html; y\r\nContent-Length: 4\r\nETag: %s\r\nAge: "
         "90\r\n"
         "Cache-Control: max-age=60\r\nServer-Timing: source;dur=1\r\n"
         "Cache-Status: workerless; hit; ttl=-30\r\n\r\n"},
        {-5000,
         60000,
         1,
         {.origin = ORIGIN_HIT},
         "Status: 200 OK\r\nContent-Type: text/html; y\r\nContent-Length: 4\r\nETag: %s\r\nAge: "
         "0\r\n"
         "Cache-Control: max-age=60\r\nServer-Timing: source;dur=1\r\n"
         "Cache-Status: workerless; hit; ttl=65\r\n\r\n"},
        /* a clock that was set back while the source worked */
        {0,
         60000,
         -7,
         {.origin = ORIGIN_NONE},
         "Status: 200 OK\r\nContent-Type: text/html; y\r\nContent-Length: 4\r\nETag: %s\r\nAge: "
         "0\r\n"
         "Cache-Control: max-age=60\r\nServer-Timing: source;dur=0\r\n\r\n"},
        /* a HEAD says how long the body would be */
        {0,
         60000,
         1,
         {.origin = ORIGIN_HIT, .head_only = true},
         "Status: 200 OK\r\nContent-Type: text/html; y\r\nContent-Length: 4\r\nETag: %s\r\nAge: "
         "0\r\n"
         "Cache-Control: max-age=60\r\nServer-Timing: source;dur=1\r\n"
         "Cache-Status: workerless; hit; ttl=60\r\n\r\n"},
        /* a 304 has what would go with the 200, but nothing about a body */
        {0,
         60000,
         1,
         {.origin = ORIGIN_HIT, .status = 304},
         "Status: 304 Not Modified\r\nETag: %s\r\nAge: 0\r\n"
         "Cache-Control: max-age=60\r\nServer-Timing: source;dur=1\r\n"
         "Cache-Status: workerless; hit; ttl=60\r\n\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct entry *entry =
            entry_new(SLICE("text/html; y"), SLICE("body"), NOW_MS - cases[i].age_ms,
                      cases[i].ttl_ms, cases[i].cost_ms);
        assert_non_null(entry);
        struct response response = response_of_entry(entry);
        assert_row(i, entry->references == 2);
        assert_row(i, response.status == 200 && response.retry_after == -1);
        response.origin = cases[i].flags.origin;
        response.stored = cases[i].flags.stored;
        response.collapsed = cases[i].flags.collapsed;
        response.head_only = cases[i].flags.head_only;
        if (cases[i].flags.status)
            response.status = cases[i].flags.status;

        char out[RESPONSE_HEAD_MAX], expected[1024];
        const char *mark = strstr(cases[i].head, "%s");
        assert_non_null(mark);
        snprintf(expected, sizeof expected, "%.*s%s%s", (int)(mark - cases[i].head), cases[i].head,
                 entry->etag, mark + 2);
        struct slice head = head_of(&response, NOW_MS, out);
        check_shape(head);
        assert_slice(i, head, slice_of(expected));
        bool empty = response.head_only || response.status == 304;
        assert_slice(i, response_body(&response), empty ? SLICE("") : SLICE("body"));

        response_release(&response);
        assert_row(i, entry->references == 1);
        response_release(&response);
        assert_row(i, entry->references == 1);
        entry_unref(entry);
    }
}

/* For this request only: no cache may keep it (RFC 9111 5.2.2.5, 5.2.2.7), so there is nothing to
 * validate, and no age. */
static void test_unshared(void **state)
{
    char out[RESPONSE_HEAD_MAX];
    struct entry *entry = entry_new(SLICE("text/html; y"), SLICE("body"), NOW_MS, 60000, 7);
    struct response response = response_of_entry(entry);
    static const struct freshness terms = {.ttl = 60, .stale = 10};
    (void)state;
    response.origin = ORIGIN_MISS;
    response.uncacheable = true;
    response.detail = SLICE("uncacheable");
    response.terms = &terms;
    assert_slice(0, head_of(&response, NOW_MS, out),
                 SLICE("Status: 200 OK\r\nContent-Type: text/html; y\r\nContent-Length: 4\r\n"
                       "Cache-Control: private, no-store\r\nServer-Timing: source;dur=7\r\n"
                       "Cache-Status: workerless; fwd=miss; detail=uncacheable\r\n\r\n"));
    assert_slice(0, response_body(&response), SLICE("body"));
    response_release(&response);
    entry_unref(entry);
}

/* RFC 5861: beside max-age, in whole seconds, and left out below one second. */
static void test_terms(void **state)
{
    static const struct {
        double stale, stale_error;
        int64_t lifetime_ms;
        const char *cache_control;
    } cases[] = {
        {0, 0, 60000, "max-age=60"},
        {10, 0, 60000, "max-age=60, stale-while-revalidate=10"},
        {0, 30, 60000, "max-age=60, stale-if-error=30"},
        {10, 30, 60000, "max-age=60, stale-while-revalidate=10, stale-if-error=30"},
        {0.999, 1, 60000, "max-age=60, stale-if-error=1"},
        {1.999, 0.5, 1000, "max-age=1, stale-while-revalidate=1"},
        {31536000, 31536000, 31536000000,
         "max-age=31536000, stale-while-revalidate=31536000, stale-if-error=31536000"},
        {10, 30, 999, "no-cache"}, /* no other cache may keep it: neither fresh nor stale */
        {10, 30, 0, "no-cache"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct freshness terms = {.stale = cases[i].stale, .stale_error = cases[i].stale_error};
        char out[RESPONSE_HEAD_MAX], expected[200];
        struct entry *entry =
            entry_new(SLICE("text/x"), SLICE("body"), NOW_MS, cases[i].lifetime_ms, 0);
        assert_non_null(entry);
        for (int status = 200; status <= 304; status += 104) {
            struct response response = response_of_entry(entry);
            response.terms = &terms;
            response.status = (short)status;
            struct slice head = head_of(&response, NOW_MS, out);
            check_shape(head);
            int len = snprintf(expected, sizeof expected, "\r\nCache-Control: %s\r\n",
                               cases[i].cache_control);
            if (!memmem(head.data, head.len, expected, (size_t)len))
                fail_msg("row %zu: no \"%s\" in \"%.*s\"", i, cases[i].cache_control,
                         SLICE_ARGS(head));
            response_release(&response);
        }
        entry_unref(entry);
    }
    /* A response without an entry must not be kept, whatever the route says. */
    struct freshness terms = {.stale = 10, .stale_error = 30};
    struct response response = response_of_status(502);
    char out[RESPONSE_HEAD_MAX];
    response.terms = &terms;
    struct slice head = head_of(&response, NOW_MS, out);
    assert_non_null(memmem(head.data, head.len, "\r\nCache-Control: no-store\r\n", 27));
}

/* RFC 9211: where it came from, and how long it is fresh; negative once it is stale (2.6). */
static void test_cache_status(void **state)
{
    static const struct {
        struct response flags;
        int64_t left_ms;
        bool entry;
        const char *value; /* NULL: no such header */
    } cases[] = {
        {{.origin = ORIGIN_NONE, .detail = SLICE_INIT("memory"), .stored = true}, 0, true, NULL},
        {{.origin = ORIGIN_NONE}, 0, false, NULL},
        {{.origin = ORIGIN_HIT}, 37000, true, "hit; ttl=37"},
        {{.origin = ORIGIN_HIT, .detail = SLICE_INIT("memory")},
         37999,
         true,
         "hit; ttl=37; detail=memory"},
        {{.origin = ORIGIN_HIT, .detail = SLICE_INIT("redis")},
         999,
         true,
         "hit; ttl=0; detail=redis"},
        {{.origin = ORIGIN_HIT}, 0, true, "hit; ttl=0"},
        {{.origin = ORIGIN_HIT}, -1, true, "hit; ttl=-1"},
        {{.origin = ORIGIN_HIT}, -999, true, "hit; ttl=-1"},
        {{.origin = ORIGIN_HIT}, -1000, true, "hit; ttl=-1"},
        {{.origin = ORIGIN_HIT}, -1001, true, "hit; ttl=-2"},
        {{.origin = ORIGIN_HIT}, -60000, true, "hit; ttl=-60"},
        {{.origin = ORIGIN_STALE, .detail = SLICE_INIT("source")},
         -5000,
         true,
         "fwd=stale; ttl=-5; detail=source"},
        {{.origin = ORIGIN_STALE, .collapsed = true}, -5000, true, "fwd=stale; collapsed; ttl=-5"},
        {{.origin = ORIGIN_MISS, .detail = SLICE_INIT("source")},
         60000,
         true,
         "fwd=miss; detail=source"},
        {{.origin = ORIGIN_MISS, .detail = SLICE_INIT("source"), .stored = true},
         60000,
         true,
         "fwd=miss; stored; ttl=60; detail=source"},
        {{.origin = ORIGIN_MISS, .detail = SLICE_INIT("source"), .stored = true, .collapsed = true},
         60000,
         true,
         "fwd=miss; stored; collapsed; ttl=60; detail=source"},
        {{.origin = ORIGIN_MISS, .detail = SLICE_INIT("source")},
         0,
         false,
         "fwd=miss; detail=source"},
        {{.origin = ORIGIN_HIT, .detail = SLICE_INIT("memory")}, 0, false, "hit; detail=memory"},
        {{.origin = ORIGIN_MISS}, 0, false, "fwd=miss"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char out[RESPONSE_HEAD_MAX], expected[200];
        struct entry *entry =
            entry_new(SLICE("text/x"), SLICE("body"), NOW_MS + cases[i].left_ms - 60000, 60000, 0);
        assert_non_null(entry);
        struct response response =
            cases[i].entry ? response_of_entry(entry) : response_of_status(502);
        response.origin = cases[i].flags.origin;
        response.detail = cases[i].flags.detail;
        response.stored = cases[i].flags.stored;
        response.collapsed = cases[i].flags.collapsed;
        struct slice head = head_of(&response, NOW_MS, out);
        check_shape(head);
        int len = snprintf(expected, sizeof expected, "\r\nCache-Status: workerless; %s\r\n",
                           cases[i].value);
        if (!cases[i].value)
            assert_row(i, !memmem(head.data, head.len, "Cache-Status", 12));
        else if (!memmem(head.data, head.len, expected, (size_t)len))
            fail_msg("row %zu: no \"%s\" in \"%.*s\"", i, cases[i].value, SLICE_ARGS(head));
        response_release(&response);
        entry_unref(entry);
    }
}

/* The envelope may have been written by anybody, with any content. */
static void test_longest(void **state)
{
    static const char *const numbers[] = {"0", "1", "1700000000000", "999999999999999"};
    static const int64_t nows[] = {INT64_MIN / 2, 0, NOW_MS, INT64_MAX / 2};
    static const struct freshness longest_terms = {.stale = 1e18, .stale_error = 1e18};
    char fields[RESPONSE_VARY_MAX];
    const struct slice longest_vary = {.data = fields, .len = sizeof fields};
    size_t longest = 0;
    (void)state;
    memset(fields, 'x', sizeof fields);
    for (int round = 0; round < 4 * 4 * 4 * 4; round++) {
        char envelope[400], type[128];
        memset(type, 'x', sizeof type - 1);
        type[sizeof type - 1] = '\0';
        int len =
            snprintf(envelope, sizeof envelope,
                     "workerless/1 made=%s fresh=%s cost=%s status=200 stale=999999999999999 "
                     "error=999999999999999 must-revalidate type=%s\n",
                     numbers[round % 4], numbers[round / 4 % 4], numbers[round / 16 % 4], type);
        struct entry *entry = entry_decode((struct slice){.data = envelope, .len = (size_t)len});
        assert_non_null(entry);
        struct response response = response_of_entry(entry);
        response.origin = ORIGIN_STALE;
        response.detail = SLICE("memory");
        response.terms = &longest_terms;
        response.vary = &longest_vary;
        response.is_private = true;
        response.stored = response.collapsed = true;
        response.retry_after = 32767;
        response.status = 431; /* the longest reason */
        char *out = malloc(RESPONSE_HEAD_MAX);
        assert_non_null(out);
        struct slice head = head_of(&response, nows[round / 64], out);
        check_shape(head);
        longest = head.len > longest ? head.len : longest;
        free(out);
        response_release(&response);
        entry_unref(entry);
    }
    assert_true(longest > 800 && longest <= RESPONSE_HEAD_MAX);
}

/* What a response depends on (RFC 9110 12.5.5), and who may keep it (RFC 9111 5.2.2.7). */
static void test_inputs(void **state)
{
    static const struct {
        const char *vary;
        bool is_private;
        int64_t lifetime_ms;
        const char *lines;
    } cases[] = {
        {NULL, false, 60000, "Cache-Control: max-age=60"},
        {"", false, 60000, "Cache-Control: max-age=60"},
        {"Cookie", false, 60000, "Cache-Control: max-age=60\r\nVary: Cookie"},
        {"Cookie", true, 60000, "Cache-Control: private, max-age=60\r\nVary: Cookie"},
        {"Cookie, X-Y", true, 0, "Cache-Control: private, no-cache\r\nVary: Cookie, X-Y"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases) * 2; i++) {
        struct slice vary = slice_of(cases[i / 2].vary);
        char out[RESPONSE_HEAD_MAX], expected[200];
        struct entry *entry =
            entry_new(SLICE("text/x"), SLICE("body"), NOW_MS, cases[i / 2].lifetime_ms, 0);
        assert_non_null(entry);
        struct response response = response_of_entry(entry);
        response.status = i % 2 ? 304 : 200; /* with the same fields: RFC 9110 15.4.5 */
        response.vary = vary.data ? &vary : NULL;
        response.is_private = cases[i / 2].is_private;
        struct slice head = head_of(&response, NOW_MS, out);
        check_shape(head);
        int len =
            snprintf(expected, sizeof expected, "\r\n%s\r\nServer-Timing", cases[i / 2].lines);
        if (!memmem(head.data, head.len, expected, (size_t)len))
            fail_msg("row %zu: no \"%s\" in \"%.*s\"", i / 2, expected, SLICE_ARGS(head));
        response_release(&response);
        entry_unref(entry);
    }
}

/* A stream depends on the Accept header, too; and nobody keeps it. */
static void test_stream_inputs(void **state)
{
    char fields[RESPONSE_STREAM_VARY_MAX], out[RESPONSE_HEAD_MAX];
    struct slice vary = SLICE("Cookie, Accept-Language");
    struct response response = response_of_status(200);
    (void)state;
    response.type = BODY_EVENTS;
    response.vary = &vary;
    struct slice head = head_of(&response, NOW_MS, out);
    check_shape(head);
    assert_non_null(
        memmem(head.data, head.len, "\r\nVary: Accept, Cookie, Accept-Language\r\n", 41));
    assert_non_null(memmem(head.data, head.len, "\r\nCache-Control: no-store\r\n", 27));
    memset(fields, 'x', sizeof fields);
    vary = (struct slice){.data = fields, .len = sizeof fields};
    check_shape(head_of(&response, NOW_MS, out));
}

/* Every combination of what else there may be in a head. */
static void test_combinations(void **state)
{
    static const int statuses[] = {200, 202, 204, 304, 400, 403, 405, 431, 503, 999};
    (void)state;
    for (size_t i = 0; i < LENGTH(statuses) * 256; i++) {
        struct response response = response_of_status(statuses[i / 256]);
        char *out = malloc(RESPONSE_HEAD_MAX);
        assert_non_null(out);
        response.type = i & 1 ? BODY_PLAIN : BODY_HTML;
        response.collapsed = i & 2;
        response.stored = i & 4;
        response.head_only = i & 8;
        response.origin = (unsigned char)(i / 16 % 4); /* all four of them */
        response.detail = slice_of(i & 3 ? "memory" : NULL);
        response.retry_after = i & 64 ? 32767 : i & 128 ? 0 : -1;
        struct slice head = head_of(&response, NOW_MS, out);
        check_shape(head);
        bool has_origin = memmem(head.data, head.len, "\r\nCache-Status: workerless; ", 28);
        assert_row(i, has_origin == (response.origin != ORIGIN_NONE));
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),          cmocka_unit_test(test_allow),
        cmocka_unit_test(test_plain),        cmocka_unit_test(test_no_content),
        cmocka_unit_test(test_bodies),       cmocka_unit_test(test_entry),
        cmocka_unit_test(test_unshared),     cmocka_unit_test(test_terms),
        cmocka_unit_test(test_source_terms), cmocka_unit_test(test_nosniff),
        cmocka_unit_test(test_kept),         cmocka_unit_test(test_cache_status),
        cmocka_unit_test(test_longest),      cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_inputs),       cmocka_unit_test(test_stream_inputs),
    };
    return cmocka_run_group_tests_name("response", tests, NULL, NULL);
}
