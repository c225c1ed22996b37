/* wire/request: from the first PARAMS byte to the answer. Its states are in test_wire_state.c, how
 * answers are framed is in test_wire_answer.c. */
#include "wire/request.h"

#include <inttypes.h>
#include <malloc.h>

#include "base/alloc.h"
#include "base/counters.h"
#include "base/log.h"
#include "request_bench.h"
#include "web/endpoint.h"

/* Each request fed in all ways. */
static void test_requests(void **state)
{
    static const struct {
        const char *method, *path, *content_length;
        size_t body_len;
        int status; /* 0: parked */
    } cases[] = {
        {"GET", "/fragment/a", NULL, 0, 0},
        {"HEAD", "/fragment/a", NULL, 0, 0},
        {"GET", "/fragment/user/42", "", 0, 0},
        {"GET", "/workerless/health", NULL, 0, 200},
        {"GET", "/workerless/ready", NULL, 0, 200},
        {"HEAD", "/workerless/ready", NULL, 0, 200},
        {"POST", "/workerless/ready", NULL, 0, 405},
        {"GET", "/workerless/ready/", NULL, 0, 404},
        {"GET", "/", NULL, 0, 404},
        {"GET", "", NULL, 0, 404},
        {"GET", "/fragment", NULL, 0, 404},
        {"GET", "/fragment/unknown", NULL, 0, 404},
        {"GET", "/fragment/", NULL, 0, 400},
        {"GET", "/fragment/user/../a", NULL, 0, 400},
        {"GET", "/fragment/user/\r\nx", NULL, 0, 400},
        {"POST", "/fragment/a", NULL, 0, 405},
        {"get", "/fragment/a", NULL, 0, 405},
        {"", "/fragment/a", NULL, 0, 405},
        {"POST", "/workerless/health", NULL, 0, 405},
        {"POST", "/", NULL, 0, 404},
        {"GET", "/fragment/a", "-1", 0, 400}, /* checklist 43 */
        {"GET", "/fragment/a", "1e9", 0, 400},
        {"GET", "/fragment/a", "501", 501, 413},
        {"GET", "/fragment/a", "500", 500, 0},
        {"GET", "/fragment/a", "500", 499, 400}, /* checklist 41 */
        {"GET", "/fragment/a", "1", 0, 400},
        {"GET", "/fragment/a", "1", 500, 0}, /* checklist 42 */
        {"GET", "/fragment/a", NULL, 500, 0},
        {"GET", "/fragment/a", NULL, 501, 413},
        {"GET", "/fragment/a", "1", 501, 413},
        {"POST", "/fragment/a", "5", 5, 405},
        {"POST", "/fragment/a", NULL, 5, 405},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases) * FEED_WAYS; i++) {
        size_t row = i / FEED_WAYS;
        struct buffer params = {0};
        put_pair(&params, "REQUEST_METHOD", cases[row].method);
        put_pair(&params, "DOCUMENT_URI", cases[row].path);
        if (cases[row].content_length)
            put_pair(&params, "CONTENT_LENGTH", cases[row].content_length);
        struct request *request = request_new(&group, 9, false);
        assert_non_null(request);
        assert_true(request_receiving(request));
        feed(request, buffer_slice(&params), cases[row].body_len, (enum unit_feed)(i % FEED_WAYS));
        assert_false(request_receiving(request));
        assert_row(row, status_of(request) == cases[row].status);
        assert_row(row, flights_parked(flights) == (cases[row].status ? 0 : 1));
        request_free(request);
        assert_row(row, flights_parked(flights) == 0);
        buffer_free(&params);
    }
    ev_run(loop, EVRUN_NOWAIT);
    assert_int_equal(hand.started, 2); /* a, user/42: their flights went on */
}

/* Existing paths say what they allow; others say nothing about methods. */
static void test_allow(void **state)
{
    static const struct {
        const char *path, *allow;
    } cases[] = {
        {"/fragment/a", "\r\nAllow: GET, HEAD\r\n"},
        {"/fragments", "\r\nAllow: GET, HEAD\r\n"},
        {"/workerless/health", "\r\nAllow: GET, HEAD\r\n"},
        {"/workerless/ready", "\r\nAllow: GET, HEAD\r\n"},
        {"/workerless/counters", "\r\nAllow: GET, HEAD\r\n"},
        {"/workerless/metrics", "\r\nAllow: GET, HEAD\r\n"},
        {"/workerless/status", "\r\nAllow: GET, HEAD\r\n"},
        {"/fragment/unknown", NULL},
        {"/fragment//", NULL},
        {"/fragments/", NULL},
        {"/workerless/healthy", NULL},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char head[RESPONSE_HEAD_MAX + 1];
        ask("DELETE", cases[i].path, NULL);
        assert_row(i, (status_of(asking) == 405) == (cases[i].allow != NULL));
        head[response_head(&asking->answer.response, 0, head)] = '\0';
        assert_row(i, strstr(head, cases[i].allow ? cases[i].allow : "\r\n\r\n"));
        assert_row(i, cases[i].allow || !strstr(head, "Allow"));
    }
}

/* Checklist 29 to 32: streams that hold no pair, or a broken one, or empty ones. */
static void test_params_streams(void **state)
{
    static const struct {
        struct slice stream;
        int status;
    } cases[] = {
        {SLICE_INIT(""), 400},
        {SLICE_INIT("\x80"), 400},
        {SLICE_INIT("\4\5NAMEvalu"), 400},
        {SLICE_INIT("\xff\xff\xff\xff\xff\xff\xff\xff"), 400},
        {SLICE_INIT("\0\0"), 404},
        {SLICE_INIT("\4\0NAME\0\5value"), 404},
        {SLICE_INIT("\x0e\3REQUEST_METHODGET\x0c\x0b"
                    "DOCUMENT_URI/fragment/a"),
         0},
        {SLICE_INIT("\x0e\3REQUEST_METHODGET\x0c\x0b"
                    "DOCUMENT_URI/fragment/a\1"),
         400},
        {SLICE_INIT("\x0c\x0b"
                    "DOCUMENT_URI/fragment/x\x0e\3REQUEST_METHODGET\x0c\x0b"
                    "DOCUMENT_URI/fragment/a"),
         0}, /* checklist 33: the last one wins */
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases) * FEED_WAYS; i++) {
        struct request *request = request_new(&group, 9, false);
        assert_non_null(request);
        feed(request, cases[i / FEED_WAYS].stream, 0, (enum unit_feed)(i % FEED_WAYS));
        assert_row(i / FEED_WAYS, status_of(request) == cases[i / FEED_WAYS].status);
        request_free(request);
    }
}

/* Checklist 35: at the cap, below and above it. */
static void test_params_cap(void **state)
{
    (void)state;
    for (int way = 0; way < FEED_WAYS; way++) {
        for (size_t len = limits.max_params - 2; len <= limits.max_params + 2; len++) {
            struct buffer params = {0};
            put_pair(&params, "REQUEST_METHOD", "GET");
            put_pair(&params, "DOCUMENT_URI", "/workerless/health");
            size_t rest = len - params.len - 5;
            const char head[] = {0, (char)0x80, 0, (char)(rest >> 8), (char)rest};
            unit_append(&params, head, sizeof head);
            while (params.len < len)
                unit_append(&params, "x", 1);
            struct request *request = request_new(&group, 9, false);
            assert_non_null(request);
            feed(request, buffer_slice(&params), 0, (enum unit_feed)way);
            assert_row(len, status_of(request) == (len <= limits.max_params ? 200 : 431));
            request_free(request);
            buffer_free(&params);
        }
    }
}

/* Only clients in the config may purge, whatever else the request says; and then one fragment, or
 * all with a prefix. */
static void test_purge(void **state)
{
    static const struct {
        const char *path, *remote_addr, *mode;
        int status; /* 0: parked, and then 204 */
    } cases[] = {
        {"/fragment/a", "127.0.0.1", NULL, 0},
        {"/fragment/a", "::1", "soft", 0},
        {"/fragment/user/*", "::1", NULL, 0},
        {"/fragment/*", "::1", "", 0},
        {"/fragment/a", "::1", "Soft", 0},
        {"/fragment/a", "::1", "hard", 400},
        {"/fragment/a", "::1", "sof", 400},
        {"/fragment/a", "::1", "soft exact", 400},
        {"/fragment/a", "::1", "soft,exact", 0},
        {"/fragment/*", "::1", " EXACT , soft", 0},
        {"/fragment/a", "::1", ",soft", 400},
        {"/fragment/a", "127.0.0.2", "hard", 403},
        {"/fragment/unknown", "::1", NULL, 0}, /* a route that existed once */
        {"/fragment/a", NULL, NULL, 403},
        {"/fragment/a", "", NULL, 403},
        {"/fragment/a", "127.0.0.10", NULL, 403},
        {"/fragment/a", "127.0.0.", NULL, 403},
        {"/fragment/a", "127.0.0.1, ::1", NULL, 403},
        {"/fragment/a", "::ffff:127.0.0.1", NULL, 0}, /* of an IPv6 socket: the same client */
        {"/fragment/a", "::ffff:127.0.0.2", NULL, 403},
        {"/", "127.0.0.2", NULL, 403},
        {"/fragment/user/..", "127.0.0.2", NULL, 403},
        {"/", "127.0.0.1", NULL, 404},
        {"/fragment/", "127.0.0.1", NULL, 400},
        {"/fragment/user//1", "127.0.0.1", NULL, 400},
        {"/workerless/health", "127.0.0.1", NULL, 404},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases) * FEED_WAYS; i++) {
        size_t row = i / FEED_WAYS;
        struct buffer params = {0};
        put_pair(&params, "REQUEST_METHOD", "PURGE");
        put_pair(&params, "DOCUMENT_URI", cases[row].path);
        put_pair(&params, "HTTP_X_FORWARDED_FOR", "127.0.0.1");
        if (cases[row].remote_addr)
            put_pair(&params, "REMOTE_ADDR", cases[row].remote_addr);
        if (cases[row].mode)
            put_pair(&params, "HTTP_WORKERLESS_PURGE", cases[row].mode);
        asking = request_new(&group, 9, true);
        assert_non_null(asking);
        feed(asking, buffer_slice(&params), 0, (enum unit_feed)(i % FEED_WAYS));
        assert_row(row, status_of(asking) == cases[row].status);
        if (cases[row].status == 0) {
            ev_run(loop, EVRUN_NOWAIT);
            assert_row(row, status_of(asking) == 204);
        }
        request_free(asking);
        asking = NULL;
        assert_row(row, flights_parked(flights) == 0);
        buffer_free(&params);
    }
    assert_int_equal(hand.started, 0);
}

/* It does what it says, and the requester may leave before it is done. */
static void test_purged(void **state)
{
    (void)state;
    ask("GET", "/fragment/a", NULL);
    ev_run(loop, EVRUN_NOWAIT);
    hand_give(&hand, "a", "<p>x</p>");
    ev_run(loop, EVRUN_NOWAIT);
    assert_int_equal(status_of(asking), 200);
    ask("GET", "/fragment/a", NULL);
    assert_int_equal(status_of(asking), 200);
    request_free(asking);

    struct buffer params = {0};
    put_pair(&params, "REQUEST_METHOD", "PURGE");
    put_pair(&params, "DOCUMENT_URI", "/fragment/a");
    put_pair(&params, "REMOTE_ADDR", "::1");
    asking = request_new(&group, 9, true);
    assert_non_null(asking);
    feed(asking, buffer_slice(&params), 0, FEED_WHOLE);
    assert_int_equal(status_of(asking), 0);
    request_free(asking);
    asking = NULL;
    buffer_free(&params);
    ev_run(loop, EVRUN_NOWAIT);
    ask("GET", "/fragment/a", NULL);
    assert_int_equal(status_of(asking), 0);
    ev_run(loop, EVRUN_NOWAIT);
    assert_int_equal(hand.started, 2);
}

/* `successes`: so often memory is given; -1: always. */
static void ask_for_report(const char *path, const char *query, const char *method,
                           const char *remote_addr, long successes)
{
    struct buffer params = {0};
    put_pair(&params, "REQUEST_METHOD", method);
    put_pair(&params, "DOCUMENT_URI", path);
    put_pair(&params, "QUERY_STRING", query);
    put_pair(&params, "HTTP_X_FORWARDED_FOR", "127.0.0.1");
    if (remote_addr)
        put_pair(&params, "REMOTE_ADDR", remote_addr);
    request_free(asking);
    asking = request_new(&group, 9, true);
    assert_non_null(asking);
    alloc_fail_after(successes);
    feed(asking, buffer_slice(&params), 0, FEED_WHOLE);
    alloc_fail_after(-1);
    buffer_free(&params);
}

static void ask_for_counters(const char *method, const char *remote_addr, long successes)
{
    ask_for_report("/workerless/counters", "", method, remote_addr, successes);
}

/* Only clients in the config may read them. */
static void test_counters_access(void **state)
{
    static const struct {
        const char *method, *remote_addr;
        int status;
    } cases[] = {
        {"GET", "127.0.0.1", 200},  {"HEAD", "127.0.0.1", 200}, {"GET", "::1", 403},
        {"HEAD", "::1", 403},       {"GET", "127.0.0.10", 403}, {"GET", "127.0.0.", 403},
        {"GET", "", 403},           {"GET", NULL, 403},         {"GET", "127.0.0.1, ::1", 403},
        {"POST", "127.0.0.1", 405}, {"POST", "127.0.0.2", 405},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char head[RESPONSE_HEAD_MAX + 1];
        ask_for_counters(cases[i].method, cases[i].remote_addr, -1);
        assert_row(i, status_of(asking) == cases[i].status);
        head[response_head(&asking->answer.response, 0, head)] = '\0';
        assert_row(i, strstr(head, "\r\nCache-Control: no-store\r\n"));
        assert_row(i, !strstr(head, "ETag") && !strstr(head, "Age"));
    }
}

/* All of them, in the table's order. The text does not change while they do. */
static void test_counters_text(void **state)
{
    char expected[COUNTERS * 64], head[RESPONSE_HEAD_MAX + 1], length[64];
    size_t len = 0;
    (void)state;
    counter_values[COUNTERS - 1] = UINT64_MAX;
    for (size_t i = 0; i < COUNTERS; i++)
        len += (size_t)sprintf(expected + len, "%s %" PRIu64 "\n", counter_rows[i].name,
                               counter_values[i]);
    sprintf(length, "\r\nContent-Length: %zu\r\n", len);
    for (size_t head_only = 0; head_only < 2; head_only++) {
        ask_for_counters(head_only ? "HEAD" : "GET", "127.0.0.1", -1);
        counter_add(COUNTERS - 1, 1);
        const struct response *response = &asking->answer.response;
        head[response_head(response, 0, head)] = '\0';
        assert_row(head_only, strstr(head, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
        assert_slice(head_only, response_body(response), slice_of(head_only ? "" : expected));
        assert_row(head_only, strstr(head, length));
        counter_sub(COUNTERS - 1, 1);
    }
    counter_values[COUNTERS - 1] = 0;

    ask_for_counters("GET", "127.0.0.1", 0);
    assert_int_equal(status_of(asking), 503);
}

/* Reports are for clients in the config, not stored, and answered with 503 when out of memory, at
 * whichever allocation. A flight is in progress. */
static void test_reports(void **state)
{
    static const struct {
        const char *path, *query, *type;
    } cases[] = {
        {"/workerless/metrics", "", "application/openmetrics-text; version=1.0.0; charset=utf-8"},
        {"/workerless/status", "", "text/plain; charset=utf-8"},
        {"/workerless/status", "full", "text/plain; charset=utf-8"},
        {"/workerless/status", "json", "application/json"},
        {"/workerless/status", "full&json=1", "application/json"},
        {"/workerless/status", "jso%6e", "application/json"},
        {"/workerless/status", "jsonx&xfull", "text/plain; charset=utf-8"},
    };
    (void)state;
    ask("GET", "/fragment/a", NULL);
    assert_int_equal(status_of(asking), 0);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char head[RESPONSE_HEAD_MAX + 1], type[100];
        ask_for_report(cases[i].path, cases[i].query, "GET", "127.0.0.2", -1);
        assert_row(i, status_of(asking) == 403);
        ask_for_report(cases[i].path, cases[i].query, "HEAD", "127.0.0.1", -1);
        assert_row(i, status_of(asking) == 200 && response_body(answer()).len == 0);
        long failures = 0;
        do {
            ask_for_report(cases[i].path, cases[i].query, "GET", "127.0.0.1", failures);
            assert_row(i, status_of(asking) == 503 || status_of(asking) == 200);
        } while (status_of(asking) == 503 && ++failures < 100);
        assert_row(i, status_of(asking) == 200 && failures > 1);
        head[response_head(answer(), 0, head)] = '\0';
        sprintf(type, "\r\nContent-Type: %s\r\n", cases[i].type);
        assert_row(i, strstr(head, type) && strstr(head, "\r\nCache-Control: no-store\r\n"));
        struct slice body = response_body(answer());
        assert_row(i, body.len > 300 && body.data[body.len - 1] == '\n');
        assert_row(i, (body.data[0] == '{') == (strstr(cases[i].type, "json") != NULL));
    }
}

/* What the headers decide is answered before the body has arrived; nothing else is. */
static void test_early(void **state)
{
    static const struct {
        const char *method, *path, *content_length;
        int status; /* 0: the body is waited for */
    } cases[] = {
        {"POST", "/fragment/a", "5", 405},  {"GET", "/nothing", "5", 404},
        {"GET", "/fragment//", "5", 400},   {"GET", "/fragment/a", "5", 0},
        {"GET", "/nothing", NULL, 0},       {"GET", "/workerless/health", "5", 0},
        {"GET", "/fragment/a", "501", 413}, {"GET", "/fragment/a", "x", 400},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buffer params = {0};
        put_pair(&params, "REQUEST_METHOD", cases[i].method);
        put_pair(&params, "DOCUMENT_URI", cases[i].path);
        if (cases[i].content_length)
            put_pair(&params, "CONTENT_LENGTH", cases[i].content_length);
        struct request *request = request_new(&group, 9, false);
        assert_non_null(request);
        request_add_params(request, buffer_slice(&params));
        request_end_params(request);
        assert_row(i, request->state == (cases[i].status ? REQUEST_ANSWERING : REQUEST_STDIN));
        if (cases[i].status)
            assert_row(i, status_of(request) == cases[i].status);
        request_free(request);
        buffer_free(&params);
    }
}

/* Two requests whose PARAMS stay where they were read, which is overwritten after each '|'. Each
 * gets its own answer in whichever order its parts come: 'a' and 'b' are the PARAMS, 'A' and 'B'
 * their ends, 'x' and 'y' those of the requests. */
static void test_params_in_place(void **state)
{
    static const char *const orders[] = {"aAxbBy",  "abABxy",  "abBAyx",  "aAbBxy",
                                         "aAbBx|y", "aAbxBy",  "baABxy",  "a|AxbB|y",
                                         "ab|ABxy", "aA|bByx", "aAb|xBy", "aAbB|xy"};
    (void)state;
    for (size_t i = 0; i < LENGTH(orders); i++) {
        struct request *requests[2] = {request_new(&group, 1, true), request_new(&group, 2, true)};
        char bytes[2][64];
        assert_non_null(requests[0]);
        assert_non_null(requests[1]);
        for (const char *step = orders[i]; *step; step++) {
            size_t which = *step == 'b' || *step == 'B' || *step == 'y';
            struct request *request = requests[which];
            struct slice params = which ? SLICE("\x0e\3REQUEST_METHODGET\x0c\5DOCUMENT_URI/none")
                                        : SLICE("\x0e\3REQUEST_METHODGET\x0c\x0b"
                                                "DOCUMENT_URI/fragment/a");
            if (*step == '|') {
                request_end_read();
                memset(bytes, 'x', sizeof bytes);
            } else if (*step == 'a' || *step == 'b') {
                memcpy(bytes[which], params.data, params.len);
                request_add_params(request, (struct slice){bytes[which], params.len});
            } else if (*step == 'A' || *step == 'B') {
                request_end_params(request);
            } else {
                request_end_input(request);
            }
        }
        assert_row(i, requests[0]->state == REQUEST_PARKED);
        assert_row(i, status_of(requests[1]) == 404);
        request_free(requests[0]);
        request_free(requests[1]);
    }
}

/* --- settled --- */

static void test_settled(void **state)
{
    static const struct {
        enum source_status result;
        const char *path;
        int status;
        const char *body; /* NULL: some text of our own */
    } cases[] = {
        {SOURCE_NOT_FOUND, "/fragment/a", 404, NULL},
        {SOURCE_NOT_FOUND, "/fragment/user/1", 404, NULL},
        {SOURCE_FAILED, "/fragment/a", 502, NULL},
        {SOURCE_FAILED, "/fragment/user/1", 502, FALLBACK},
        {SOURCE_TIMED_OUT, "/fragment/a", 504, NULL},
        {SOURCE_TIMED_OUT, "/fragment/user/1", 504, FALLBACK},
        {SOURCE_CANCELLED, "/fragment/user/1", 202,
         "<span class=\"fragment-pending\" aria-busy=\"true\"></span>\n"},
        {SOURCE_OK, "/fragment/a", 200, "<p>x</p>"},
        {SOURCE_OK, "/fragment/user/1", 200, "<p>x</p>"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        ask(i % 2 ? "GET" : "HEAD", cases[i].path, NULL);
        assert_row(i, status_of(asking) == 0);
        complete(cases[i].result);
        assert_row(i, answer()->status == cases[i].status);
        assert_row(i, answer()->retry_after == (cases[i].status == 202 ? 0 : -1));
        assert_row(i, answer()->origin == ORIGIN_MISS);
        assert_row(i, answer()->stored == (cases[i].status == 200));
        assert_row(i, answer()->head_only == (i % 2 == 0));
        struct slice body = answer()->entry ? answer()->entry->body : answer()->body;
        if (cases[i].body)
            assert_slice(i, body, slice_of(cases[i].body));
        else
            assert_row(i, slice_starts(body, SLICE("<p class=\"fragment-error\">")));
        assert_int_equal(flights_parked(flights), 0);
    }
}

/* The source was not called: Retry-After says when it may be. */
static void test_busy(void **state)
{
    static const struct {
        const char *path;
        unsigned retry_after_s;
        int retry_after;
        const char *body; /* NULL: some text of our own */
    } cases[] = {
        {"/fragment/a", 1, 1, NULL},
        {"/fragment/user/1", 1, 1, FALLBACK},
        {"/fragment/a", 300, 300, NULL},
        {"/fragment/a", 86400, 32767, NULL},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        ask("GET", cases[i].path, NULL);
        ev_run(loop, EVRUN_NOWAIT);
        hand_complete(&hand, hand.calls,
                      &(struct source_result){.status = SOURCE_BUSY,
                                              .reason = "busy",
                                              .retry_after_s = cases[i].retry_after_s});
        ev_run(loop, EVRUN_NOWAIT);
        assert_row(i, answer()->status == 503);
        assert_row(i, answer()->retry_after == cases[i].retry_after);
        assert_row(i, answer()->origin == ORIGIN_NONE && answer()->detail.len == 0);
        if (cases[i].body)
            assert_slice(i, answer()->body, slice_of(cases[i].body));
        else
            assert_row(i, slice_starts(answer()->body, SLICE("<p class=\"fragment-error\">")));
    }
}

static void test_not_ready(void **state)
{
    ev_timer watchdog;
    (void)state;
    ask("GET", "/fragment/brief", NULL);
    ev_timer_init(&watchdog, bench_watchdog, WATCHDOG_S, 0.);
    ev_timer_start(loop, &watchdog);
    ev_run(loop, 0);
    ev_timer_stop(loop, &watchdog);
    assert_int_equal(status_of(asking), 202);
    assert_int_equal(answer()->retry_after, 0);
    assert_int_equal(flights_under_way(flights), 1);

    ask("GET", "/fragment/brief", NULL); /* re-attaches */
    assert_int_equal(status_of(asking), 0);
    complete(SOURCE_OK);
    assert_int_equal(status_of(asking), 200);
    assert_true(answer()->collapsed);
    assert_int_equal(hand.started, 1);
}

/* A hit is answered without a wait; what the browser has is not sent again, parked or not. */
static void test_hits(void **state)
{
    char etag[ENTRY_ETAG_LEN + 1], list[100];
    (void)state;
    ask("GET", "/fragment/a", "\"other\"");
    complete(SOURCE_OK);
    assert_int_equal(status_of(asking), 200);
    memcpy(etag, answer()->entry->etag, sizeof etag);

    ask("GET", "/fragment/a", NULL);
    assert_int_equal(status_of(asking), 200);
    assert_int_equal(answer()->origin, ORIGIN_HIT);
    assert_false(answer()->collapsed || answer()->stored);
    ask("GET", "/fragment/a", "\"other\"");
    assert_int_equal(status_of(asking), 200);
    snprintf(list, sizeof list, "\"other\", W/%s", etag);
    ask("GET", "/fragment/a", list);
    assert_int_equal(status_of(asking), 304);
    assert_int_equal(answer()->origin, ORIGIN_HIT);
    assert_int_equal(hand.started, 1);

    ask("GET", "/fragment/user/1", list); /* the same body, so the same tag */
    assert_int_equal(status_of(asking), 0);
    complete(SOURCE_OK);
    assert_int_equal(status_of(asking), 304);
}

static void test_too_many(void **state)
{
    (void)state;
    ask("GET", "/fragment/a", NULL);
    struct request *first = asking;
    asking = NULL;
    ask("GET", "/fragment/a", NULL); /* there is room for one waiter */
    assert_int_equal(status_of(asking), 503);
    assert_int_equal(answer()->retry_after, 1);
    request_free(asking);
    asking = first;
}

/* Freed in each state: no wait and no reference is left. */
static void test_freed(void **state)
{
    struct entry *entry = entry_new(SLICE("x"), SLICE("x"), 0, 0, 0);
    (void)state;
    assert_non_null(entry);
    request_free(NULL);
    request_free(request_new(&group, 1, true));

    struct request *request = request_new(&group, 1, true);
    assert_non_null(request);
    request_add_params(request, SLICE("\1\1ab"));
    request_free(request);

    request = request_new(&group, 1, true);
    assert_non_null(request);
    request_add_params(request, SLICE("\1\1ab"));
    request_end_params(request);
    assert_int_equal(request->state, REQUEST_STDIN);
    request_free(request);

    ask("GET", "/fragment/a", "\"tag\"");
    assert_int_equal(flights_parked(flights), 1);
    request_free(asking);
    asking = NULL;
    assert_int_equal(flights_parked(flights), 0);
    assert_int_equal(flights_under_way(flights), 1);

    ask("GET", "/fragment/a", "\"tag\"");
    request_answer(asking, response_of_entry(entry)); /* from PARKED, by another reason */
    assert_int_equal(flights_parked(flights), 0);
    assert_int_equal(entry->references, 2);
    request_free(asking);
    asking = NULL;
    assert_int_equal(entry->references, 1);
    entry_unref(entry);
}

/* --- out of memory --- */

/* Memory fails from the n-th allocation on, during an entire request: it does not begin, or is
 * answered as far as possible, or its connection has to end. Returns whether there was enough. */
static bool one_refusal(long successes, struct slice params)
{
    struct output output = {0};
    bool enough = false;
    setup(NULL);
    alloc_fail_after(successes);
    asking = request_new(&group, 9, true);
    if (asking) {
        feed(asking, params, 0, FEED_BYTES);
        if (asking->state == REQUEST_PARKED)
            complete(SOURCE_OK);
        int status = status_of(asking);
        assert_true(status == 200 || status == 502 || status == 503);
        bool whole = request_emit(asking, &output) == REQUEST_DONE;
        enough = whole && status == 200 && answer()->stored;
    }
    alloc_fail_after(-1);
    output_free(&output);
    assert_int_equal(flights_parked(flights), 0);

    ask("GET", "/fragment/a", NULL); /* with memory, everything works again */
    if (asking->state == REQUEST_PARKED)
        complete(SOURCE_OK);
    assert_int_equal(status_of(asking), 200);
    teardown(NULL);
    return enough;
}

static void test_no_memory(void **state)
{
    struct buffer params = {0};
    long successes = 0;
    (void)state;
    put_pair(&params, "HTTP_IF_NONE_MATCH", "\"other\"");
    put_pair(&params, "DOCUMENT_URI", "/fragment/a");
    put_pair(&params, "REQUEST_METHOD", "GET");
    while (params.len < 600) /* so that the buffer grows */
        put_pair(&params, "HTTP_COOKIE", "0123456789012345678901234567890123456789");
    while (!one_refusal(successes, buffer_slice(&params)))
        assert_true(++successes < 100);
    assert_true(successes > 8); /* request, params, waiter, flight, entry, output, ... */
    buffer_free(&params);
}

/* After a reload, a parked request still gets the old fallback, and new ones get the new routes. */
static void test_other_routes(void **state)
{
    static struct route others[] = {{.pattern = "b",
                                     .recipe = {.freshness.ttl = 60, .hold = 60},
                                     .fallback = SLICE_INIT("<p>other</p>")}};
    struct recipe *recipes[] = {&others[0].recipe};
    (void)state;
    ask("GET", "/fragment/user/1", NULL);
    assert_int_equal(status_of(asking), 0);
    alloc_fail_after(0);
    assert_false(service_reserve(service, 1000));
    alloc_fail_after(-1);
    struct rules *next = rules_begin(flights, sources, recipes, 1);
    assert_true(service_reserve(service, 1));
    service_change(service, &(struct site){.routes = others,
                                           .route_count = 1,
                                           .purge = &may_purge,
                                           .status = &may_read,
                                           .max_stream = 64});
    complete(SOURCE_FAILED);
    assert_int_equal(status_of(asking), 502);
    assert_slice(0, answer()->body, SLICE(FALLBACK));
    assert_true(keepers.count > 1); /* its response has not been sent */
    ask("GET", "/fragment/user/1", NULL);
    assert_int_equal(status_of(asking), 404);
    ask("GET", "/fragment/b", NULL);
    complete(SOURCE_FAILED);
    assert_slice(1, answer()->body, SLICE("<p>other</p>"));
    request_free(asking);
    asking = NULL;
    flights_use(flights, rules);
    rules_end(next);
}

/* A reload that fails after room was made for fewer routes leaves the routes that there are. */
static void test_reserve(void **state)
{
    enum { MANY = 1000 };
    static struct route many[MANY];
    static const struct client_list nobody;
    struct service *one = service_new(&(struct site){.routes = many,
                                                     .route_count = MANY,
                                                     .purge = &nobody,
                                                     .status = &nobody,
                                                     .max_stream = 64},
                                      NULL);
    (void)state;
    assert_non_null(one);
    assert_true(service_reserve(one, 1));
    assert_true(malloc_usable_size(one->hinted) >= MANY);
    memset(one->hinted, 1, MANY);
    service_free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_allow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_params_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_params_cap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_params_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters_access, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_early, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_ready, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_routes, setup, teardown),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_reserve),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("wire_request", tests, NULL, NULL);
}
