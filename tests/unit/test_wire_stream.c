/* wire/request: a response that continues as its fragments get ready, from query to records. */
#include "wire/request.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/budget.h"
#include "fake_cache.h"
#include "fastcgi/params.h"
#include "fastcgi/record.h"
#include "web/feed.h"
#include "web/client_list.h"
#include "web/route.h"
#include "wire/limits.h"
#include "wire/output.h"

#define ID         258
#define RECORD_MAX 8192 /* content of one record */
#define MAX_STREAM 5

static const struct connection_limits limits = {.max_params = 10000,
                                                .max_request_body = 500,
                                                .receive_timeout = 60,
                                                .heartbeat = 60};
static const struct client_list nobody;

static struct route routes[] = {{.pattern = "a*", .stream = true},
                                {.pattern = "b*", .stream = true},
                                {.pattern = "user/*", .stream = true},
                                {.pattern = "closed/*", .fallback = SLICE_INIT("<p>later</p>")},
                                {.pattern = "clo*", .stream = true}};
static struct service *service;
static struct request_groups groups;
static struct request_group group;
static unsigned woken; /* how often on_ready was called */
static struct request *request;
static struct output output;
static struct buffer bytes; /* all that has been written */
static int near_end, far_end;

static void on_ready(struct request_group *of)
{
    assert_ptr_equal(of, &group);
    woken++;
}

static int setup(void **state)
{
    int ends[2];
    (void)state;
    fake_begin((struct flight_limits){1000, 1000});
    for (size_t i = 0; i < LENGTH(routes); i++)
        routes[i].recipe = bench->recipes[i];
    service = service_new(&(struct site){.routes = routes,
                                         .route_count = LENGTH(routes),
                                         .purge = &nobody,
                                         .status = &nobody,
                                         .max_stream = MAX_STREAM},
                          bench->flights);
    assert_non_null(service);
    request_groups_init(&groups, bench->loop, &limits, service, on_ready);
    group = (struct request_group){.all = &groups, .connection = 4711, .next_generation = 77};
    woken = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
        return -1;
    near_end = ends[0];
    far_end = ends[1];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    request_free(request);
    request = NULL;
    assert_int_equal(flights_parked(bench->flights), 0);
    output_free(&output);
    buffer_free(&bytes);
    assert_null(group.turns);
    request_groups_stop(&groups);
    service_free(service);
    close(near_end);
    close(far_end);
    fake_end();
    return 0;
}

static void put_pair(struct buffer *params, const char *name, const char *value)
{
    char pair[2 + 127 + 127];
    if (value)
        unit_append(params, pair, params_encode_short(pair, slice_of(name), slice_of(value)));
}

/* A new request, which replaces the last one. */
static void ask(const char *method, const char *query, const char *accept)
{
    struct buffer params = {0};
    request_free(request);
    group.next_generation = 77;
    request = request_new(&group, ID, true);
    assert_non_null(request);
    put_pair(&params, "REQUEST_METHOD", method);
    put_pair(&params, "DOCUMENT_URI", "/fragments");
    put_pair(&params, "QUERY_STRING", query);
    put_pair(&params, "HTTP_ACCEPT", accept);
    struct slice exact = unit_exact(buffer_slice(&params));
    request_add_params(request, exact);
    request_end_read();
    unit_drop(exact);
    if (request->state == REQUEST_PARAMS)
        request_end_params(request);
    if (request->state == REQUEST_STDIN)
        request_end_input(request);
    buffer_free(&params);
}

/* Appends to `bytes` what is queued, through the socket. */
static void flush(void)
{
    static char read_bytes[65536];
    enum output_state state;
    do {
        state = output_write(&output, near_end);
        assert_int_not_equal(state, OUTPUT_FAILED);
        ssize_t len;
        while ((len = recv(far_end, read_bytes, sizeof read_bytes, 0)) > 0)
            unit_append(&bytes, read_bytes, (size_t)len);
        assert_true(len < 0 && errno == EAGAIN);
    } while (state == OUTPUT_BLOCKED);
}

/* What a front server receives. */
struct seen {
    struct buffer out; /* the STDOUT stream */
    unsigned records, stream_ends, request_ends;
};

static void see_record(struct seen *seen, const struct record_header *header, struct slice content)
{
    assert_int_equal(header->request_id, ID);
    assert_int_equal(seen->request_ends, 0);
    assert_int_equal((FCGI_HEADER_LEN + content.len + header->padding) % 8, 0);
    assert_true(header->padding < 8 && content.len <= RECORD_MAX);
    if (header->type == FCGI_END_REQUEST) {
        assert_int_equal(content.data[4], FCGI_REQUEST_COMPLETE);
        seen->request_ends++;
        return;
    }
    assert_int_equal(header->type, FCGI_STDOUT);
    assert_int_equal(seen->stream_ends, 0);
    if (content.len == 0)
        seen->stream_ends++;
    else
        seen->records++;
    unit_append(&seen->out, content.data, content.len);
}

static void see(struct seen *seen)
{
    struct slice rest = buffer_slice(&bytes);
    *seen = (struct seen){0};
    while (rest.len > 0) {
        struct record_decoder decoder = {0};
        struct slice content = {0};
        assert_int_equal(record_decode(&decoder, &rest, &content), RECORD_START);
        if (decoder.header.content_len > 0)
            assert_int_equal(record_decode(&decoder, &rest, &content), RECORD_CONTENT);
        assert_int_equal(content.len, decoder.header.content_len);
        assert_true(rest.len >= decoder.header.padding);
        for (size_t i = 0; i < decoder.header.padding; i++)
            assert_int_equal(rest.data[i], 0);
        rest = slice_from(rest, decoder.header.padding);
        see_record(seen, &decoder.header, content);
    }
}

/* What has arrived so far, without the head. */
static struct slice body_of(const struct seen *seen)
{
    struct slice out = buffer_slice(&seen->out);
    const char *blank = out.len < 4 ? NULL : memmem(out.data, out.len, "\r\n\r\n", 4);
    assert_non_null(blank);
    assert_true((size_t)(blank - out.data) + 4 <= RESPONSE_HEAD_MAX);
    return slice_from(out, (size_t)(blank - out.data) + 4);
}

static void check_body(size_t row, const char *body, bool ended)
{
    struct seen seen;
    flush();
    see(&seen);
    assert_slice(row, body_of(&seen), slice_of(body));
    assert_row(row, seen.stream_ends == ended && seen.request_ends == ended);
    buffer_free(&seen.out);
}

/* --- tests --- */

/* What belongs to the state, according to the table in request.h. */
static void check_state(enum request_state state)
{
    assert_int_equal(request->state, state);
    assert_int_equal(request_has_output(request), state == REQUEST_STREAMING);
    assert_ptr_equal(group.turns, state == REQUEST_STREAMING ? request : NULL);
    assert_int_equal(timeout_active(&request->stream.beat), state == REQUEST_PAUSED);
}

/* Like the queue of the heartbeat when the time is over. */
static void pass_heartbeat(void)
{
    struct timeout *beat = &request->stream.beat;
    struct timeout_queue *queue = beat->queue;
    assert_non_null(queue);
    timeout_stop(beat);
    queue->expired(queue->context, beat);
}

/* What is streamed, in which format, and what is rejected completely. */
static void test_requests(void **state)
{
    static const struct {
        const char *method, *query, *accept;
        int status;   /* 0: it is streamed */
        size_t waits; /* for so many */
    } cases[] = {
        {"GET", "name=a", NULL, 0, 1},
        {"GET", "name=a&name=b", "text/event-stream", 0, 2},
        {"GET", "x=1&name=a&name=a&y=2", "*/*", 0, 1},
        {"GET", "name=user/7%20%C3%A9&name=user%2F7+%c3%a9", NULL, 0, 1},
        {"GET", "name=a1&name=a2&name=a3&name=a4&name=a5", NULL, 0, 5},
        {"GET", "name=a1&name=a2&name=a3&name=a4&name=a5&name=a6", NULL, 400, 0},
        {"GET", "name=a&name=a&name=a&name=a&name=a&name=a", NULL, 400, 0},
        {"GET", "name=nobody", NULL, 0, 0},
        {"GET", "name=closed/7", NULL, 0, 0},
        {"GET", "name=closed/7", "text/html", 0, 0},
        {"GET", "name=closed%2F7&name=a", NULL, 0, 1},
        {"GET", "name=close", NULL, 0, 1},
        {"HEAD", "name=closed/7", NULL, 200, 0},
        {"GET", NULL, NULL, 400, 0},
        {"GET", "", NULL, 400, 0},
        {"GET", "names=a", NULL, 400, 0},
        {"GET", "name=", NULL, 400, 0},
        {"GET", "name", NULL, 400, 0},
        {"GET", "name=a&name=", NULL, 400, 0},
        {"GET", "name=a&name=%", NULL, 400, 0},
        {"GET", "name=..", NULL, 400, 0},
        {"GET", "name=/a", NULL, 400, 0},
        {"GET", "name=a//b", NULL, 400, 0},
        {"GET", "name=a%0Ab", NULL, 400, 0},
        {"GET", "name=a%00", NULL, 400, 0},
        {"GET", "name=%FF", NULL, 400, 0},
        {"GET", "name=end", NULL, 400, 0},
        {"GET", "name=a&name=a:error", NULL, 400, 0},
        {"GET", "name=a%3Aerror", "text/html", 400, 0},
        {"HEAD", "name=a", NULL, 200, 0},
        {"HEAD", "name=", NULL, 400, 0},
        {"POST", "name=a", NULL, 405, 0},
        {"PURGE", "name=a", NULL, 403, 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        ask(cases[i].method, cases[i].query, cases[i].accept);
        assert_row(i, flights_parked(bench->flights) == cases[i].waits);
        if (cases[i].status) {
            assert_row(i, request->state == REQUEST_ANSWERING);
            assert_row(i, request->answer.response.status == cases[i].status);
        } else {
            assert_row(i, request->state == REQUEST_STREAMING);
            assert_true(request_has_output(request)); /* its head */
        }
    }
}

/* A name may be as long as any, and together they may be long. */
static void test_long_names(void **state)
{
    struct buffer query = {0};
    char name[ROUTE_NAME_MAX + 2];
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        memset(name, 'a', sizeof name);
        name[ROUTE_NAME_MAX + over] = '\0';
        query.len = 0;
        for (int i = 0; i < MAX_STREAM; i++) {
            name[1] = (char)('0' + i);
            unit_append(&query, "&name=", 6);
            unit_append(&query, name, strlen(name));
        }
        struct web_request web = {.method = SLICE("GET"),
                                  .document_uri = SLICE("/fragments"),
                                  .query = buffer_slice(&query)};
        union answer answer;
        struct waiter_address who = {4711, 77, ID};
        enum answer_kind kind = service_start(service, &web, &who, &answer);
        assert_int_equal(kind, over ? ANSWER_RESPONSE : ANSWER_FEED);
        if (over)
            assert_int_equal(answer.response.status, 400);
        else
            feed_free(answer.feed);
    }
    assert_int_equal(flights_under_way(bench->flights), MAX_STREAM);
    buffer_free(&query);
}

/* The head is sent at once, with a heartbeat; the Accept header decides the format. */
static void test_head(void **state)
{
    static const struct {
        const char *accept, *type;
    } cases[] = {
        {NULL, "text/event-stream"},
        {"text/event-stream", "text/event-stream"},
        {"*/*", "text/event-stream"},
        {"text/html", "text/html; charset=utf-8"},
        {"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"},
        {"text/html, text/event-stream", "text/event-stream"},
        {"application/json", "text/event-stream"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases) * 2; i++) {
        size_t row = i / 2;
        bool head_only = i % 2;
        char type[64];
        struct seen seen;
        bytes.len = 0;
        ask(head_only ? "HEAD" : "GET", "name=a", cases[row].accept);
        assert_row(row,
                   request_emit(request, &output) == (head_only ? REQUEST_DONE : REQUEST_WAITS));
        flush();
        see(&seen);
        struct slice out = buffer_slice(&seen.out);
        int len = snprintf(type, sizeof type, "\r\nContent-Type: %s\r\n", cases[row].type);
        assert_row(row, slice_starts(out, SLICE("Status: 200 OK\r\n")));
        assert_row(row, memmem(out.data, out.len, type, (size_t)len));
        assert_row(row, memmem(out.data, out.len, "\r\nX-Accel-Buffering: no\r\n", 25));
        assert_row(row, memmem(out.data, out.len, "\r\nCache-Control: no-store\r\n", 27));
        assert_row(row, memmem(out.data, out.len, "\r\nVary: Accept\r\n", 16));
        assert_row(row, !memmem(out.data, out.len, "Content-Length", 14));
        bool events = slice_equal(slice_of(cases[row].type), SLICE("text/event-stream"));
        assert_slice(row, body_of(&seen),
                     head_only ? SLICE("")
                     : events  ? SLICE(":\n\n")
                               : SLICE("\n"));
        assert_int_equal(seen.records, 1);
        assert_int_equal(seen.request_ends, head_only);
        if (!head_only)
            check_state(REQUEST_PAUSED);
        buffer_free(&seen.out);
    }
}

/* A record for each fragment that is ready, and the end with the last one. */
static void test_records(void **state)
{
    (void)state;
    ask("GET", "name=b1&name=b2&name=b3&name=nobody", NULL);
    for (int i = 1; i <= 3; i++)
        answer_outcome(LOOKUP, (const char[]){'b', (char)('0' + i), '\0'}, CACHE_NONE);
    for (int i = 1; i <= 3; i++)
        answer_outcome(CLAIM, (const char[]){'b', (char)('0' + i), '\0'}, CACHE_OURS);
    check_state(REQUEST_STREAMING);
    assert_int_equal(request_emit(request, &output), REQUEST_WAITS);
    check_state(REQUEST_PAUSED);
#define FIRST                                                                                      \
    "event: nobody:error\ndata: <p class=\"fragment-error\">There is no such fragment.</p>\n"      \
    "data: \n\n"
    check_body(0, FIRST, false);
    assert_int_equal(output.queued, 0);
    assert_true(request_unsent(request) > 0); /* of the stream itself */
    assert_int_equal(request_unsent(request), budgets[BUDGET_UNSENT].used);

    hand_give(&bench->hand, "b2", "two");
    bench_turn(bench);
    check_state(REQUEST_STREAMING);
    assert_int_equal(request_emit(request, &output), REQUEST_WAITS);
    check_body(1, FIRST "event: b2\ndata: two\n\n", false);

    assert_int_equal(woken, 1); /* the writer was told of the fragment */
    pass_heartbeat();
    assert_int_equal(woken, 2);
    check_state(REQUEST_STREAMING);
    assert_int_equal(request_emit(request, &output), REQUEST_WAITS);
    check_body(2, FIRST "event: b2\ndata: two\n\n:\n\n", false);

    hand_give(&bench->hand, "b3", "three");
    hand_give(&bench->hand, "b1", "one");
    bench_turn(bench);
    assert_int_equal(woken, 4);
    assert_int_equal(request_emit(request, &output), REQUEST_DONE);
    check_body(3,
               FIRST "event: b2\ndata: two\n\n:\n\nevent: b3\ndata: three\n\n"
                     "event: b1\ndata: one\n\nevent: end\ndata:\n\n",
               true);
}

static void test_all_at_once(void **state)
{
    (void)state;
    remember(entry_left("old", LEFT_FRESH));
    ask("GET", "name=a", NULL);
    check_counts(0, 0);
    assert_int_equal(request_emit(request, &output), REQUEST_DONE);
    check_body(0, "event: a\ndata: old\n\nevent: end\ndata:\n\n", true);
}

/* A route that is not open to streams is treated as missing, whatever the cache holds, and nothing
 * is started for it. */
static void test_closed(void **state)
{
    static const struct {
        const char *accept, *before, *after;
    } cases[] = {
        {NULL, "event: ",
         ":error\ndata: <p class=\"fragment-error\">There is no such fragment.</p>\n"
         "data: \n\nevent: end\ndata:\n\n"},
        {"text/html", "<template for=\"",
         "\" data-failed><!--failed-->"
         "<p class=\"fragment-error\">There is no such fragment.</p>\n</template>\n"},
    };
    static const char *const names[] = {"nobody", "closed/7", "a"};
    (void)state;
    routes[0].stream = false;
    remember(entry_left("secret", LEFT_FRESH)); /* "a" */
    for (size_t i = 0; i < LENGTH(cases) * LENGTH(names); i++) {
        size_t row = i / LENGTH(names);
        const char *name = names[i % LENGTH(names)];
        char query[64], body[256];
        bytes.len = 0;
        snprintf(query, sizeof query, "name=%s", name);
        snprintf(body, sizeof body, "%s%s%s", cases[row].before, name, cases[row].after);
        ask("GET", query, cases[row].accept);
        check_counts(0, 0);
        assert_int_equal(request_emit(request, &output), REQUEST_DONE);
        check_body(i, body, true);
    }
    assert_int_equal(bench->hand.started, 0);
    assert_int_equal(cache.asked[LOOKUP], 0);
    routes[0].stream = true;
}

/* A body of so many bytes, of lines. */
static struct entry *large_entry(size_t len)
{
    struct buffer body = {0};
    for (size_t i = 0; i < len; i++)
        unit_append(&body, i % 100 == 99 ? "\n" : "x", 1);
    struct entry *entry =
        entry_new(SLICE("text/html"), buffer_slice(&body), clock_fleet_ms(), TTL_S * 1000, 500);
    assert_non_null(entry);
    buffer_free(&body);
    return entry;
}

/* Emits to the end. Returns how many bytes the response's body has. */
static size_t emit_all(const struct entry *entry, bool events)
{
    struct seen seen;
    enum request_progress progress;
    bytes.len = 0;
    do {
        size_t before = output.queued;
        assert_true(request_has_output(request));
        progress = request_emit(request, &output);
        assert_true(output.queued - before <=
                    FCGI_HEADER_LEN + RECORD_MAX + FCGI_HEADER_LEN + RECORD_END_LEN);
    } while (progress == REQUEST_MORE);
    assert_int_equal(progress, REQUEST_DONE);
    flush();
    see(&seen);
    struct slice body = body_of(&seen);
    size_t len = body.len, at = 0;
    if (events) {
        for (size_t i = 0; i < len && at < entry->body.len; i++) /* without what each line has */
            at += body.data[i] == entry->body.data[at];
    } else {
        const char *start = memchr(body.data, '>', len);
        assert_non_null(start);
        at = entry->body.len;
        assert_memory_equal(start + 1, entry->body.data, at);
    }
    assert_int_equal(at, entry->body.len);
    assert_int_equal(seen.stream_ends, 1);
    assert_int_equal(seen.request_ends, 1);
    buffer_free(&seen.out);
    return len;
}

/* One record in a turn. The last fragment may end exactly with a record: an empty record after it
 * would end the response. */
static void test_large(void **state)
{
    (void)state;
    for (int events = 0; events < 2; events++) {
        const char *accept = events ? "text/event-stream" : "text/html";
        for (size_t len = RECORD_MAX - 900; len < RECORD_MAX; len++) {
            struct entry *entry = large_entry(len);
            remember(entry);
            ask("GET", "name=a", accept);
            emit_all(entry, events);
        }
        struct entry *entry = large_entry((size_t)1 << 20);
        remember(entry);
        ask("GET", "name=a&name=nobody", accept);
        assert_true(emit_all(entry, events) > (size_t)1 << 20);
    }
}

/* Checklist 46, before the head, after it, and in the middle of an event. The flight goes on. */
static void test_aborted(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct entry *entry = large_entry(50000);
        struct seen seen;
        bytes.len = 0;
        remember(entry);
        ask("GET", way == 2 ? "name=a&name=b" : "name=b", NULL);
        if (way > 0)
            assert_int_equal(request_emit(request, &output),
                             way == 2 ? REQUEST_MORE : REQUEST_WAITS);
        check_counts(1, 1);
        assert_true(request_emit_end(request, &output));
        request_free(request);
        request = NULL;
        check_counts(1, 0);
        assert_int_equal(entry->references, 1);
        flush();
        see(&seen);
        assert_int_equal(seen.request_ends, 1);
        assert_int_equal(seen.stream_ends, way > 0);
        assert_int_equal(seen.records, way > 0);
        buffer_free(&seen.out);
    }
}

/* Memory fails from the n-th allocation on: the stream fails, or one fragment, or the connection
 * has to end; nothing leaks. */
static void test_no_memory(void **state)
{
    bool enough = false;
    (void)state;
    for (long successes = 0; !enough; successes++) {
        assert_true(successes < 60);
        setup(NULL);
        request = request_new(&group, ID, true);
        assert_non_null(request);
        alloc_fail_after(successes);
        request_add_params(request, SLICE("\x0e\3REQUEST_METHODGET\x0c\x0e"
                                          "QUERY_STRINGname=b&name=b1\x0c\x0a"
                                          "DOCUMENT_URI/fragments"));
        if (request->state == REQUEST_PARAMS)
            request_end_params(request);
        if (request->state == REQUEST_STDIN)
            request_end_input(request);
        bool streams = request->state == REQUEST_STREAMING;
        if (!streams)
            assert_int_equal(request->answer.response.status, 503);
        answer_all();
        while (bench->hand.calls)
            hand_give(&bench->hand, bench->hand.calls->name, "x");
        bench_turn(bench);
        enum request_progress progress = request_emit(request, &output);
        alloc_fail_after(-1);
        if (progress != REQUEST_NO_MEMORY) {
            struct seen seen;
            assert_int_equal(progress, REQUEST_DONE);
            flush();
            see(&seen);
            assert_int_equal(seen.request_ends, 1);
            enough = memmem(seen.out.data, seen.out.len, "event: b\ndata: x\n", 17) &&
                     memmem(seen.out.data, seen.out.len, "event: b1\ndata: x\n", 18);
            buffer_free(&seen.out);
        }
        teardown(NULL);
    }
}

#define on_bench(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_bench(test_requests), on_bench(test_long_names),  on_bench(test_head),
        on_bench(test_records),  on_bench(test_all_at_once), on_bench(test_closed),
        on_bench(test_large),    on_bench(test_aborted),     cmocka_unit_test(test_no_memory),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("wire_stream", tests, NULL, NULL);
}
