/* wire/exchange: what it wants its connection to do, after each record. */
#include "wire/exchange.h"

#include "base/budget.h"
#include "flight_bench.h"
#include "web/client_list.h"
#include "web/route.h"
#include "web/service.h"
#include "wire/limits.h"

#define NUMBER 4711

static const struct connection_limits limits = {
    .max_connections = 10,
    .max_connection_requests = 2,
    .max_params = 1000,
    .max_request_body = 10,
    .receive_timeout = 60,
    .heartbeat = 60,
};
static const struct client_list nobody;
static const struct cache_settings in_memory = {.redis.address = "",
                                                .memory_bytes = (size_t)4 << 20};
static struct route routes[] = {{.pattern = "a", .recipe = {.freshness.ttl = 60, .hold = 60}}};

static struct ev_loop *loop;
static struct cache *cache;
static struct hand_source hand;
static struct source *sources[] = {&hand.source};
static struct flights *flights;
static struct rules *rules;
static struct service *service;
static struct request_groups groups;
static struct exchange exchange;

static void on_settled(void *context, const struct waiter_address *who,
                       const struct settlement *settlement)
{
    (void)context;
    assert_int_equal(who->connection, NUMBER);
    exchange_settle(&exchange, who, settlement);
}

static void on_ready(struct request_group *of)
{
    (void)of;
    fail_msg("no time has passed");
}

static int setup(void **state)
{
    static struct recipe *const recipes[] = {&routes[0].recipe};
    (void)state;
    hand = (struct hand_source){.source = {.type = &hand_type, .settings = &hand_settings}};
    loop = ev_loop_new(0);
    assert_non_null(loop);
    cache = cache_new(loop, &in_memory);
    assert_non_null(cache);
    flights = flights_new(loop, &(struct flight_limits){10, 10}, cache);
    assert_non_null(flights);
    rules = rules_begin(flights, sources, recipes, 1);
    flights_on_settled(flights, on_settled, NULL);
    service = service_new(&(struct site){.routes = routes,
                                         .route_count = LENGTH(routes),
                                         .purge = &nobody,
                                         .status = &nobody,
                                         .max_stream = 64},
                          flights);
    assert_non_null(service);
    request_groups_init(&groups, loop, &limits, service, on_ready);
    exchange = (struct exchange){0};
    exchange_init(&exchange, &groups, NUMBER);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    exchange_free(&exchange);
    assert_int_equal(flights_parked(flights), 0);
    assert_int_equal(budgets[BUDGET_UNFINISHED].used, 0);
    assert_int_equal(budgets[BUDGET_UNSENT].used, 0);
    request_groups_stop(&groups);
    service_free(service);
    flights_cancel_all(flights);
    cache_free(cache);
    flights_free(flights);
    rules_end(rules);
    ev_loop_destroy(loop);
    return 0;
}

/* --- what a front server sends, one letter for each record --- */

static uint16_t id; /* of the records: set by a digit */

static void put(struct buffer *bytes, uint8_t type, uint16_t request_id, struct slice content)
{
    char header[FCGI_HEADER_LEN];
    unit_append(bytes, header,
                record_encode_header(header, type, request_id, (uint16_t)content.len, 0));
    unit_append(bytes, content.data, content.len);
}

static void put_step(struct buffer *bytes, char step)
{
    switch (step) {
    case 'b': /* keep the connection */
        put(bytes, FCGI_BEGIN_REQUEST, id, SLICE("\0\1\1\0\0\0\0\0"));
        break;
    case 'B': /* close it */
        put(bytes, FCGI_BEGIN_REQUEST, id, SLICE("\0\1\0\0\0\0\0\0"));
        break;
    case 'r': /* the same, of a role that we don't have */
        put(bytes, FCGI_BEGIN_REQUEST, id, SLICE("\0\3\1\0\0\0\0\0"));
        break;
    case 'R':
        put(bytes, FCGI_BEGIN_REQUEST, id, SLICE("\0\3\0\0\0\0\0\0"));
        break;
    case 'h': /* answered at once */
        put(bytes, FCGI_PARAMS, id,
            SLICE("\x0e\3REQUEST_METHODGET\x0c\x12"
                  "DOCUMENT_URI/workerless/health"));
        break;
    case 'p': /* parks */
        put(bytes, FCGI_PARAMS, id,
            SLICE("\x0e\3REQUEST_METHODGET\x0c\x0b"
                  "DOCUMENT_URI/fragment/a"));
        break;
    case 'm': /* answered before its body comes */
        put(bytes, FCGI_PARAMS, id,
            SLICE("\x0e\4REQUEST_METHODPOST\x0c\x0b"
                  "DOCUMENT_URI/fragment/a\x0e\1"
                  "CONTENT_LENGTH5"));
        break;
    case 'e':
        put(bytes, FCGI_PARAMS, id, SLICE(""));
        break;
    case 's':
        put(bytes, FCGI_STDIN, id, SLICE("12345"));
        break;
    case 'i':
        put(bytes, FCGI_STDIN, id, SLICE(""));
        break;
    case 'a':
        put(bytes, FCGI_ABORT_REQUEST, id, SLICE(""));
        break;
    case 'v':
        put(bytes, FCGI_GET_VALUES, 0, SLICE("\x0f\0FCGI_MPXS_CONNS"));
        break;
    case 'V':
        put(bytes, FCGI_GET_VALUES, 0, SLICE("\x0f"));
        break;
    case 'u':
        put(bytes, 77, 0, SLICE("?"));
        break;
    case 'z':
        put(bytes, FCGI_BEGIN_REQUEST, 0, SLICE("\0\1\1\0\0\0\0\0"));
        break;
    case 'l':
        put(bytes, FCGI_BEGIN_REQUEST, id, SLICE("\0\1\1\0\0\0\0"));
        break;
    case '<': /* a record that is cut off */
        unit_append(bytes, "\1\5", 2);
        break;
    case '!':
        unit_append(bytes, "HTTP/1.1", 8);
        break;
    default:
        fail_msg("no such step: %c", step);
    }
}

/* Each byte is fed in a block of its own, or all together: then requests stay where they were read. */
static void feed(struct slice bytes, bool whole)
{
    while (bytes.len > 0) {
        struct slice piece = unit_exact(whole ? bytes : (struct slice){bytes.data, 1}),
                     rest = piece;
        bytes = slice_from(bytes, piece.len);
        exchange_feed(&exchange, &rest);
        assert_true(rest.len == 0 || exchange.verdict == EXCHANGE_BROKEN);
        unit_drop(piece);
    }
}

static void take(struct buffer *bytes, bool whole)
{
    feed(buffer_slice(bytes), whole);
    buffer_free(bytes);
}

/* 'x': the fragment is ready; 'f': pending output is sent; '.': the peer sends no more; 'q': the
 * process ends. */
static void say(const char *steps, bool whole)
{
    struct buffer bytes = {0};
    id = 1;
    for (const char *step = steps; *step; step++) {
        if (*step >= '0' && *step <= '9')
            id = (uint16_t)(*step - '0');
        else if (!strchr("xf.q", *step))
            put_step(&bytes, *step);
        else
            take(&bytes, whole);
        if (*step == 'x') {
            ev_run(loop, EVRUN_NOWAIT); /* the cache answers in the loop's next turn */
            hand_give(&hand, "a", "<p>x</p>");
            ev_run(loop, EVRUN_NOWAIT);
        } else if (*step == 'f') {
            exchange_fill(&exchange);
            output_free(&exchange.output);
        } else if (*step == '.') {
            exchange_end_input(&exchange);
        } else if (*step == 'q') {
            exchange_close_when_quiet(&exchange, "the end");
        }
    }
    take(&bytes, whole);
}

/* --- tests --- */

static void test_verdicts(void **state)
{
    enum { OPEN = EXCHANGE_OPEN, CLOSE = EXCHANGE_CLOSE_WHEN_QUIET, BROKEN = EXCHANGE_BROKEN };
    static const struct {
        const char *steps;
        int verdict;
        bool quiet, expects_input;
    } cases[] = {
        {"", OPEN, true, false},
        {"vf", OPEN, true, false},
        {"uf", OPEN, true, false},
        {"<", OPEN, true, true},
        /* KEEP_CONN: with it the connection stays open, without it the request is its last. */
        {"b", OPEN, false, false},
        {"bheif", OPEN, true, false},
        {"bheifbheif", OPEN, true, false},
        {"B", OPEN, false, false},
        {"Bhe", OPEN, false, false},
        {"Bhei", CLOSE, false, false},
        {"Bheif", CLOSE, true, false},
        {"Bpeif", OPEN, false, false},
        {"Bpeixf", CLOSE, true, false},
        {"1Bpei2bheif", OPEN, false, false},
        {"1bpei2Bheif", CLOSE, false, false},
        {"1bpei2Bheifxf", CLOSE, true, false},
        {"BheifB", CLOSE, false, false},
        /* Requests that are rejected as they begin. */
        {"rf", OPEN, true, true},
        {"rif", OPEN, true, false},
        {"Rf", CLOSE, true, true},
        {"1bpei2bpei3bf", OPEN, false, true},
        {"1bpei2bpei3bif", OPEN, false, false},
        {"1bpei2bpei3Bif", CLOSE, false, false},
        /* Answered before all of it has arrived. */
        {"bmef", OPEN, true, true},
        {"bmesf", OPEN, true, true},
        {"bmefsi", OPEN, true, false},
        {"Bmef", CLOSE, true, true},
        {"Bmef<", CLOSE, true, true},
        {"bsf", OPEN, true, true},
        {"bhesssf", OPEN, true, true},
        /* ABORT_REQUEST ends a request, and its input. */
        {"baf", OPEN, true, false},
        {"Baf", CLOSE, true, false},
        {"Bpeiaf", CLOSE, true, false},
        {"bmeaf", OPEN, true, false},
        {"a", OPEN, true, false},
        /* The peer sends no more, or the process ends. */
        {".", CLOSE, true, false},
        {"bpei.", CLOSE, false, false},
        {"bpei.xf", CLOSE, true, false},
        {"1bpei2bp.", CLOSE, false, true},
        {"q", CLOSE, true, false},
        {"bpeiq", CLOSE, false, false},
        {"bpeiqxf", CLOSE, true, false},
        {"qbpei", CLOSE, false, false},
        /* Errors that end the connection. */
        {"!", BROKEN, true, false},
        {"V", BROKEN, true, false},
        {"z", BROKEN, true, true},
        {"l", BROKEN, true, true},
        {"bb", BROKEN, false, false},
        {"bpeib", BROKEN, false, false},
        {"Bheif!", BROKEN, true, false},
        {".q!", BROKEN, true, false},
        {"!.q", BROKEN, true, false},
        {"bpei!x", BROKEN, false, false},
    };
    (void)state;
    for (size_t i = 0; i < 2 * LENGTH(cases); i++) {
        size_t row = i / 2;
        setup(NULL);
        say(cases[row].steps, i % 2);
        assert_row(row, exchange.verdict == (enum exchange_verdict)cases[row].verdict);
        assert_row(row, !exchange.why == (cases[row].verdict == OPEN));
        if (exchange.verdict != EXCHANGE_BROKEN || exchange.output.queued == 0)
            assert_row(row, exchange_is_quiet(&exchange) == cases[row].quiet);
        if (exchange.verdict != EXCHANGE_BROKEN)
            assert_row(row, exchange_expects_input(&exchange) == cases[row].expects_input);
        teardown(NULL);
    }
}

/* The first reason is reported; a broken exchange adds nothing to its output. */
static void test_reasons(void **state)
{
    (void)state;
    setup(NULL);
    exchange_close_when_quiet(&exchange, "first");
    say(".Bhei", true);
    assert_string_equal(exchange.why, "first");
    say("!", true);
    assert_string_equal(exchange.why, "not FastCGI 1");
    say("Vq", true);
    assert_string_equal(exchange.why, "not FastCGI 1");
    teardown(NULL);

    setup(NULL);
    say("bpei!x", true);
    assert_int_equal(exchange.verdict, EXCHANGE_BROKEN);
    assert_true(exchange_has_more(&exchange));
    exchange_fill(&exchange);
    assert_int_equal(exchange.output.queued, 0);
    teardown(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_reasons),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("wire_exchange", tests, NULL, NULL);
}
