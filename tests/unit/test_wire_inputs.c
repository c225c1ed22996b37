/* wire/request and web: requests for fragments that have inputs, up to their source and back. */
#include "wire/request.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/counters.h"
#include "fastcgi/params.h"
#include "flight_bench.h"
#include "web/client_list.h"
#include "web/feed.h"
#include "web/route.h"
#include "wire/connection.h"
#include "wire/output.h"

enum { CITY, CART, PRICE, PLAIN, CLOSED, ROUTES };

static const struct input city[] = {{INPUT_QUERY, SLICE_INIT("city")},
                                    {INPUT_LANGUAGE, SLICE_INIT("en,de")}};
static const struct input cart[] = {{INPUT_COOKIE, SLICE_INIT("session")}};
static const struct input price[] = {{INPUT_HEADER, SLICE_INIT("x-currency")},
                                     {INPUT_HOST, SLICE_INIT("")}};
#define VARY(list) .rules.vary = {list, LENGTH(list)}
#define TIMES      .freshness.ttl = 60, .hold = 60
static struct route routes[ROUTES] = {
    [CITY] = {.pattern = "city/*",
              .recipe = {.number = CITY, TIMES, VARY(city)},
              .stream = true,
              .vary = SLICE_INIT("Accept-Language")},
    [CART] = {.pattern = "cart",
              .recipe = {.number = CART, TIMES, VARY(cart), .rules.is_private = true},
              .stream = true,
              .vary = SLICE_INIT("Cookie")},
    [PRICE] = {.pattern = "price/*",
               .recipe = {.number = PRICE, TIMES, VARY(price)},
               .stream = true,
               .vary = SLICE_INIT("X-Currency")},
    [PLAIN] = {.pattern = "plain*", .recipe = {.number = PLAIN, TIMES}, .stream = true},
    [CLOSED] = {.pattern = "closed", .recipe = {.number = CLOSED, TIMES, VARY(price)}},
};
static const struct connection_limits limits = {.max_params = 20000,
                                                .receive_timeout = 60,
                                                .heartbeat = 60};
static const char *const purgers[] = {"127.0.0.1"};
static const struct client_list may_purge = {.addresses = purgers, .count = 1}, nobody;
static const struct cache_settings in_memory = {.redis = {.address = ""},
                                                .memory_bytes = (size_t)4 << 20};

static struct ev_loop *loop;
static struct cache *cache;
static struct hand_source hand;
static struct source *sources[] = {&hand.source};
static struct flights *flights;
static struct rules *rules;
static struct service *service;
static struct request_groups groups;
static struct request_group group;
static struct request *asking;
static bool starves; /* no memory is left when the service is called */

static void on_settled(void *context, const struct waiter_address *who,
                       const struct settlement *settlement)
{
    (void)context, (void)who;
    assert_non_null(asking);
    request_settle(asking, settlement);
    ev_break(loop, EVBREAK_ONE);
}

static void on_ready(struct request_group *of)
{
    (void)of;
}

static int setup(void **state)
{
    static const struct flight_limits few = {.max_parked = 100, .max_flights = 100};
    struct recipe *recipes[ROUTES];
    (void)state;
    for (size_t i = 0; i < ROUTES; i++)
        recipes[i] = &routes[i].recipe;
    hand = (struct hand_source){.source = {.type = &hand_type, .settings = &hand_settings}};
    loop = ev_loop_new(0);
    assert_non_null(loop);
    cache = cache_new(loop, &in_memory);
    assert_non_null(cache);
    flights = flights_new(loop, &few, cache);
    assert_non_null(flights);
    rules = rules_begin(flights, sources, recipes, ROUTES);
    flights_on_settled(flights, on_settled, NULL);
    service = service_new(&(struct site){.routes = routes,
                                         .route_count = ROUTES,
                                         .purge = &may_purge,
                                         .status = &nobody,
                                         .max_stream = 20},
                          flights);
    assert_non_null(service);
    request_groups_init(&groups, loop, &limits, service, on_ready);
    group = (struct request_group){.all = &groups, .connection = 1};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    request_free(asking);
    asking = NULL;
    request_groups_stop(&groups);
    service_free(service);
    flights_cancel_all(flights);
    cache_free(cache);
    flights_free(flights);
    rules_end(rules);
    ev_loop_destroy(loop);
    return 0;
}

/* Asks for "METHOD PATH?QUERY", with variables "NAME=value|NAME=value". Parts of PARAMS come one by
 * one, so that they are in a buffer of the request. */
static void ask(const char *what, const char *variables)
{
    char text[200], *rest = text, pair[2 + 127 + 127], *copy = strdup(variables);
    struct buffer params = {0};
    assert_true(snprintf(text, sizeof text, "%s", what) < (int)sizeof text);
    const char *method = strsep(&rest, " "), *path = strsep(&rest, "?");
    const struct slice both[][2] = {{SLICE("REQUEST_METHOD"), slice_of(method)},
                                    {SLICE("DOCUMENT_URI"), slice_of(path)},
                                    {SLICE("QUERY_STRING"), slice_of(rest)},
                                    {SLICE("REMOTE_ADDR"), SLICE("127.0.0.1")}};
    for (size_t i = 0; i < LENGTH(both); i++)
        unit_append(&params, pair, params_encode_short(pair, both[i][0], both[i][1]));
    for (char *at = copy, *item; (item = strsep(&at, "|"));) {
        char *value = item;
        const char *name = strsep(&value, "=");
        if (value)
            unit_append(&params, pair, params_encode_short(pair, slice_of(name), slice_of(value)));
    }
    free(copy);
    request_free(asking);
    asking = request_new(&group, 9, true);
    assert_non_null(asking);
    struct slice stream = buffer_slice(&params);
    while (asking->state == REQUEST_PARAMS && stream.len > 0) {
        struct slice piece = unit_exact(unit_piece(&stream, FEED_RANDOM));
        request_add_params(asking, piece);
        request_end_read();
        unit_drop(piece);
    }
    if (asking->state == REQUEST_PARAMS)
        request_end_params(asking);
    if (starves)
        alloc_fail_after(0);
    if (asking->state == REQUEST_STDIN)
        request_end_input(asking);
    alloc_fail_after(-1);
    buffer_free(&params);
    if (asking->state == REQUEST_PARKED)
        ev_run(loop, EVRUN_NOWAIT); /* now its source is called */
}

static const struct response *answer(void)
{
    assert_int_equal(asking->state, REQUEST_ANSWERING);
    return &asking->answer.response;
}

static void give(const char *html)
{
    assert_non_null(hand.calls);
    hand_complete(&hand, hand.calls,
                  &(struct source_result){.status = SOURCE_OK,
                                          .type = SLICE("text/html"),
                                          .body = slice_of(html)});
    ev_run(loop, EVRUN_NOWAIT);
}

static bool is_cached(const char *key)
{
    return cache_peek(cache, slice_of(key)) != NULL;
}

/* What a source is told, and the key that the result gets. */
static void test_source(void **state)
{
    static const struct {
        const char *what, *variables, *rest, *inputs, *key;
    } rows[] = {
        {"GET /fragment/city/a?city=Paris&x=1", "HTTP_ACCEPT_LANGUAGE=de", "a",
         "0:city=Paris 3:en,de=de ", "city/a?city=Paris&language=de"},
        {"GET /fragment/city/a?x=1", "", "a", "0:city 3:en,de=en ", "city/a?language=en"},
        {"GET /fragment/city/a?city=", "", "a", "0:city= 3:en,de=en ", "city/a?city=&language=en"},
        {"GET /fragment/city/a%?city=%25", "", "a%", "0:city=% 3:en,de=en ",
         "city/a%25?city=%25&language=en"},
        {"GET /fragment/city/", "", NULL, NULL, NULL}, /* no name */
        {"GET /fragment/cart", "HTTP_COOKIE=a=b; session=abc", "", "1:session=abc ",
         "cart?cookie:session=a1062c1b565a45fbad8c0086c7dd75e7"},
        {"GET /fragment/cart", "HTTP_HOST=x", "", "1:session ", "cart?"},
        {"GET /fragment/price/7", "HTTP_X_CURRENCY=EUR|HTTP_HOST=A:1", "7",
         "2:x-currency=EUR 4:=a:1 ", "price/7?header:x-currency=EUR&host=a:1"},
        {"GET /fragment/plain/x?city=Paris", "HTTP_COOKIE=session=abc", "/x", "", "plain/x"},
        {"GET /fragment/city/a?city=%", "", NULL, NULL, NULL},
        {"GET /fragment/cart", "HTTP_COOKIE=session=a\nb", NULL, NULL, NULL},
        {"GET /fragment/price/7", "HTTP_HOST=a b", NULL, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        unsigned started = hand.started;
        ask(rows[i].what, rows[i].variables);
        if (!rows[i].key) {
            assert_row(i, answer()->status == 400 && hand.started == started);
            continue;
        }
        assert_row(i, hand.started == started + 1 && hand.calls);
        assert_slice(i, slice_of(hand.calls->rest), slice_of(rows[i].rest));
        assert_slice(i, slice_of(hand.calls->inputs), slice_of(rows[i].inputs));
        give("x");
        assert_row(i, answer()->status == 200 && is_cached(rows[i].key));
        ask(rows[i].what, rows[i].variables);
        assert_row(i, answer()->status == 200 && hand.started == started + 1);
    }
}

/* Requests with the same inputs share a call, others do not; each gets what is its own. */
static void test_variants(void **state)
{
    (void)state;
    ask("GET /fragment/cart", "HTTP_COOKIE=session=1");
    give("of 1");
    assert_slice(0, answer()->entry->body, SLICE("of 1"));
    ask("GET /fragment/cart", "HTTP_COOKIE=session=2");
    assert_int_equal(hand.started, 2);
    give("of 2");
    assert_slice(0, answer()->entry->body, SLICE("of 2"));
    ask("GET /fragment/cart", "HTTP_COOKIE=x=y; session=1; z");
    assert_slice(0, answer()->entry->body, SLICE("of 1"));
    ask("GET /fragment/cart", "HTTP_COOKIE=x=y");
    assert_int_equal(hand.started, 3);
}

/* A hit with inputs takes no memory, apart from the request itself. */
static void test_no_memory_needed(void **state)
{
    static const char *const variables =
        "HTTP_COOKIE=session=1|HTTP_X_CURRENCY=EUR|HTTP_X_CURRENCY=USD|HTTP_HOST=A|"
        "HTTP_ACCEPT_LANGUAGE=de";
    static const char *const rows[] = {"GET /fragment/cart", "GET /fragment/price/1",
                                       "GET /fragment/city/a?city=Paris"};
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        ask(rows[i], variables);
        give("x");
        starves = true;
        ask(rows[i], variables);
        starves = false;
        assert_row(i, answer()->status == 200 && answer()->entry);
    }
}

static void test_head(void **state)
{
    char head[RESPONSE_HEAD_MAX + 1];
    (void)state;
    ask("GET /fragment/cart", "HTTP_COOKIE=session=1");
    assert_int_equal(asking->state, REQUEST_PARKED);
    give("x");
    head[response_head(answer(), 0, head)] = '\0';
    assert_non_null(strstr(head, "\r\nCache-Control: private, "));
    assert_non_null(strstr(head, "\r\nVary: Cookie\r\n"));
    ask("HEAD /fragment/city/a", "");
    give("x");
    head[response_head(answer(), 0, head)] = '\0';
    assert_non_null(strstr(head, "\r\nCache-Control: max-age="));
    assert_non_null(strstr(head, "\r\nVary: Accept-Language\r\n"));
    ask("GET /fragment/plain", "");
    give("x");
    head[response_head(answer(), 0, head)] = '\0';
    assert_null(strstr(head, "private"));
    assert_null(strstr(head, "Vary"));
}

/* --- streams --- */

/* All that is ready of the stream, with its head. */
static const char *streamed(void)
{
    static char text[4000];
    assert_int_equal(asking->state, REQUEST_STREAMING);
    size_t len = feed_write_head(asking->stream.feed, 0, text);
    len += feed_write(asking->stream.feed, text + len, sizeof text - len - 1);
    text[len] = '\0';
    return text;
}

static void test_streams(void **state)
{
    static const struct {
        const char *what, *variables, *vary;
        const char *inputs[3]; /* of the calls, the latest first */
    } rows[] = {
        {"GET /fragments?name=plain&name=plain2&city=a", "", "Accept", {"", ""}},
        {"GET /fragments?name=city/1&name=cart&city=Paris",
         "HTTP_COOKIE=session=1|HTTP_ACCEPT_LANGUAGE=de",
         "Accept, Accept-Language, Cookie",
         {"1:session=1 ", "0:city=Paris 3:en,de=de "}},
        {"GET /fragments?city=London&name=city/1&name=city/2&city=x&name=city/1",
         "",
         "Accept, Accept-Language",
         {"0:city=London 3:en,de=en ", "0:city=London 3:en,de=en "}},
        {"GET /fragments?name=plain3&name=price/1&name=cart",
         "HTTP_X_CURRENCY=EUR",
         "Accept, X-Currency, Cookie",
         {"1:session ", "2:x-currency=EUR 4: ", ""}},
        {"GET /fragments?name=closed&name=cart", /* what is closed may be malformed */
         "HTTP_HOST=a b|HTTP_COOKIE=session=3",
         "Accept, Cookie",
         {"1:session=3 "}},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char expected[100];
        ask(rows[i].what, rows[i].variables);
        const char *text = streamed();
        snprintf(expected, sizeof expected, "\r\nVary: %s\r\n", rows[i].vary);
        if (!strstr(text, expected))
            fail_msg("row %zu: no \"%s\" in \"%s\"", i, expected, text);
        assert_row(i, strstr(text, "\r\nCache-Control: no-store\r\n"));
        ev_run(loop, EVRUN_NOWAIT);
        const struct hand_call *call = hand.calls;
        for (size_t k = 0; k < LENGTH(rows[i].inputs) && rows[i].inputs[k]; k++) {
            assert_row(i, call != NULL);
            assert_slice(i, slice_of(call->inputs), slice_of(rows[i].inputs[k]));
            call = call->next;
        }
        assert_row(i, !call);
        while (hand.calls)
            give("x");
        assert_row(i, !feed_is_over(asking->stream.feed));
        assert_non_null(strstr(streamed() + strlen("Status"), "event: end"));
        assert_row(i, feed_is_over(asking->stream.feed));
    }
    assert_true(is_cached("city/1?city=Paris&language=de"));
    assert_true(is_cached("city/2?city=London&language=en"));
    assert_true(is_cached("cart?cookie:session=1fe4c3b51bc6c9738514a1e3bb0d847e"));
    assert_true(is_cached("price/1?header:x-currency=EUR"));
    assert_true(is_cached("plain") && is_cached("plain2"));
}

/* A malformed input of one of the fragments: nothing is started. */
static void test_bad_streams(void **state)
{
    static const char *const rows[][2] = {
        {"GET /fragments?name=plain&name=city/1&city=%", ""},
        {"GET /fragments?city=%00&name=plain&name=city/1", ""},
        {"GET /fragments?name=plain&name=cart", "HTTP_COOKIE=session=a\nb"},
        {"HEAD /fragments?name=plain&name=price/1", "HTTP_HOST=a b"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        ask(rows[i][0], rows[i][1]);
        assert_row(i, answer()->status == 400 && flights_under_way(flights) == 0);
    }
    ask("HEAD /fragments?name=city/1", "");
    assert_int_equal(answer()->status, 200);
}

/* More routes than are remembered, in turns. */
static void test_many_routes(void **state)
{
    enum { MANY = 20 };
    static struct route many[MANY];
    static char patterns[MANY][8], fields[MANY][60];
    static struct input inputs[MANY];
    struct recipe *recipes[MANY];
    char what[200] = "GET /fragments?";
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(patterns[i], sizeof patterns[i], "n%02u", i);
        snprintf(fields[i], sizeof fields[i], "X%02u-%050u", i, 0);
        inputs[i] = (struct input){INPUT_QUERY, slice_of(patterns[i])};
        many[i] = (struct route){.pattern = patterns[i],
                                 .recipe = {.number = i, TIMES, .rules.vary = {&inputs[i], 1}},
                                 .stream = true,
                                 .vary = slice_of(fields[i])};
        recipes[i] = &many[i].recipe;
    }
    service_free(service);
    rules_end(rules);
    rules = rules_begin(flights, sources, recipes, MANY);
    service = service_new(&(struct site){.routes = many,
                                         .route_count = MANY,
                                         .purge = &may_purge,
                                         .status = &nobody,
                                         .max_stream = MANY},
                          flights);
    assert_non_null(service);
    groups.service = service;

    for (unsigned i = 0; i < 10; i++)
        snprintf(what + strlen(what), sizeof what - strlen(what), "name=n%02u&", i);
    strcat(what, "n00=a&n08=b&n09=c");
    ask(what, "");
    const char *text = streamed();
    assert_non_null(strstr(text, "\r\nVary: Accept, X00-0000"));
    assert_non_null(strstr(text, ", X09-0000"));
    ev_run(loop, EVRUN_NOWAIT);
    assert_int_equal(hand.started, 10);
    while (hand.calls)
        give("x");
    assert_true(is_cached("n00?n00=a") && is_cached("n08?n08=b") && is_cached("n01?"));

    strcpy(what, "GET /fragments?"); /* the header would be too long */
    for (unsigned i = 0; i < 12; i++)
        snprintf(what + strlen(what), sizeof what - strlen(what), "name=n%02u&", i);
    ask(what, "");
    assert_non_null(strstr(streamed(), "\r\nVary: Accept, *\r\n"));
}

/* --- purges --- */

static void keep_all(void)
{
    static const char *const requests[][2] = {
        {"GET /fragment/city/a?city=Paris", ""},
        {"GET /fragment/city/a?city=London", ""},
        {"GET /fragment/city/a?city=Paris", "HTTP_ACCEPT_LANGUAGE=de"},
        {"GET /fragment/city/ab?city=Paris", ""},
        {"GET /fragment/cart", "HTTP_COOKIE=session=1"},
        {"GET /fragment/cart", ""},
        {"GET /fragment/plain", ""},
    };
    for (size_t i = 0; i < LENGTH(requests); i++) {
        ask(requests[i][0], requests[i][1]);
        if (hand.calls)
            give("x");
        assert_int_equal(answer()->status, 200);
    }
}

static void test_purges(void **state)
{
    static const char *const keys[] = {
        "city/a?city=Paris&language=en",
        "city/a?city=London&language=en",
        "city/a?city=Paris&language=de",
        "city/ab?city=Paris&language=en",
        "cart?cookie:session=1fe4c3b51bc6c9738514a1e3bb0d847e",
        "cart?",
        "plain",
    };
    static const struct {
        const char *what, *variables;
        int status;
        const char *left; /* by their numbers */
    } rows[] = {
        {"PURGE /fragment/city/a", "", 204, "3456"},
        {"PURGE /fragment/city/a?city=Paris", "", 204, "123456"},
        {"PURGE /fragment/city/a?city=Paris&x=y", "HTTP_ACCEPT_LANGUAGE=de", 204, "013456"},
        {"PURGE /fragment/city/a?x=y", "", 204, "0123456"},
        {"PURGE /fragment/city/a?city=%", "", 400, "0123456"},
        {"PURGE /fragment/city/a*", "", 204, "456"},
        {"PURGE /fragment/city/*?city=Paris", "", 204, "456"},
        {"PURGE /fragment/city/", "", 400, "0123456"},
        {"PURGE /fragment/cart", "HTTP_COOKIE=session=1", 204, "01236"},
        {"PURGE /fragment/cart?x", "HTTP_COOKIE=session=1", 204, "012356"},
        {"PURGE /fragment/cart?x", "", 204, "012346"},
        {"PURGE /fragment/plain", "", 204, "012345"},
        {"PURGE /fragment/plain?city=Paris", "", 204, "012345"},
        {"PURGE /fragment/unknown?city=%", "", 204, "0123456"},
        {"PURGE /fragment/*", "", 204, ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char left[LENGTH(keys) + 1] = "";
        keep_all();
        ask(rows[i].what, rows[i].variables);
        for (int turn = 0; turn < 5 && asking->state == REQUEST_PARKED; turn++)
            ev_run(loop, EVRUN_NOWAIT);
        assert_row(i, answer()->status == rows[i].status);
        for (size_t k = 0; k < LENGTH(keys); k++)
            if (is_cached(keys[k]))
                left[strlen(left)] = (char)('0' + k);
        assert_slice(i, slice_of(left), slice_of(rows[i].left));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_variants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_routes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purges, setup, teardown),
    };
    return cmocka_run_group_tests_name("wire_inputs", tests, NULL, NULL);
}
