/* A service, and the one request to it, for the tests of wire/request. Its first user
 * includes wire/request.h before it. */
#ifndef WORKERLESS_TESTS_REQUEST_BENCH_H
#define WORKERLESS_TESTS_REQUEST_BENCH_H

#include "base/budget.h"
#include "fastcgi/params.h"
#include "flight_bench.h"
#include "responses.h"
#include "web/client_list.h"
#include "web/route.h"
#include "wire/connection.h"
#include "wire/output.h"

#define FALLBACK "<p>fallback</p>"

static const struct connection_limits limits = {.max_params = 1000,
                                                .max_request_body = 500,
                                                .receive_timeout = 60,
                                                .heartbeat = 60};
static const char *const purgers[] = {"127.0.0.1", "::1"};
static const struct client_list may_purge = {.addresses = purgers, .count = 2};
static const struct client_list may_read = {.addresses = purgers, .count = 1};
static const struct cache_settings in_memory = {.redis = {.address = ""},
                                                .memory_bytes = (size_t)4 << 20};
static struct route routes[] = {
    {.pattern = "a",
     .recipe = {.number = 0, .freshness.ttl = 60, .hold = 60, .rendering.html_max = 1 << 20}},
    {.pattern = "user/*",
     .recipe = {.number = 1, .freshness.ttl = 60, .hold = 60, .rendering.html_max = 1 << 20},
     .fallback = SLICE_INIT(FALLBACK)},
    {.pattern = "brief",
     .recipe = {.number = 2, .freshness.ttl = 60, .hold = 0.005, .rendering.html_max = 1 << 20}},
};

static struct ev_loop *loop;
static struct cache *cache;
static struct hand_source hand;
static struct source *sources[] = {&hand.source};
static struct flights *flights;
static struct rules *rules;
static struct service *service;
static struct request_groups groups;
static struct request_group group;
static unsigned woken;         /* how often on_ready was called */
static struct request *asking; /* may be parked */

static inline void on_settled(void *context, const struct waiter_address *who,
                              const struct settlement *settlement)
{
    (void)context;
    assert_non_null(asking);
    assert_int_equal(who->connection, 4711);
    assert_int_equal(who->request_id, asking->id);
    assert_int_equal(who->generation, asking->generation);
    assert_int_equal(asking->state, REQUEST_PARKED);
    request_settle(asking, settlement);
    ev_break(loop, EVBREAK_ONE);
}

static inline void on_ready(struct request_group *of)
{
    assert_ptr_equal(of, &group);
    woken++;
}

static inline int setup(void **state)
{
    static struct recipe *const recipes[] = {&routes[0].recipe, &routes[1].recipe,
                                             &routes[2].recipe};
    static const struct flight_limits few = {.max_parked = 1, .max_flights = 10};
    (void)state;
    hand = (struct hand_source){.source = {.type = &hand_type, .settings = &hand_settings}};
    loop = ev_loop_new(0);
    assert_non_null(loop);
    cache = cache_new(loop, &in_memory);
    assert_non_null(cache);
    flights = flights_new(loop, &few, cache);
    assert_non_null(flights);
    rules = rules_begin(flights, sources, recipes, LENGTH(routes));
    flights_on_settled(flights, on_settled, NULL);
    service = service_new(&(struct site){.routes = routes,
                                         .route_count = LENGTH(routes),
                                         .purge = &may_purge,
                                         .status = &may_read,
                                         .max_stream = 64},
                          flights);
    assert_non_null(service);
    request_groups_init(&groups, loop, &limits, service, on_ready);
    group = (struct request_group){.all = &groups, .connection = 4711, .next_generation = 77};
    woken = 0;
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    request_free(asking);
    asking = NULL;
    assert_null(group.turns);
    assert_null(groups.receiving.oldest);
    request_groups_stop(&groups);
    service_free(service);
    flights_cancel_all(flights);
    cache_free(cache);
    flights_free(flights);
    rules_end(rules);
    ev_loop_destroy(loop);
    return 0;
}

static inline void put_pair(struct buffer *stream, const char *name, const char *value)
{
    char pair[2 + 127 + 127];
    unit_append(stream, pair, params_encode_short(pair, slice_of(name), slice_of(value)));
}

/* Gives the request its PARAMS and a body of so many bytes, as a connection would. */
static inline void feed(struct request *request, struct slice params, size_t body_len,
                        enum unit_feed how)
{
    static char zeros[2000];
    struct slice body = {.data = zeros, .len = body_len};
    while (request->state == REQUEST_PARAMS && params.len > 0) {
        struct slice piece = unit_exact(unit_piece(&params, how));
        request_add_params(request, piece);
        request_end_read();
        unit_drop(piece);
    }
    if (request->state == REQUEST_PARAMS)
        request_end_params(request);
    while (request->state == REQUEST_STDIN && body.len > 0)
        request_add_input(request, unit_piece(&body, how));
    if (request->state == REQUEST_STDIN)
        request_end_input(request);
}

/* Sends a new request, which replaces the last one. */
static inline void ask(const char *method, const char *path, const char *if_none_match)
{
    struct buffer params = {0};
    request_free(asking);
    asking = request_new(&group, 9, true);
    assert_non_null(asking);
    put_pair(&params, "REQUEST_METHOD", method);
    put_pair(&params, "DOCUMENT_URI", path);
    if (if_none_match)
        put_pair(&params, "HTTP_IF_NONE_MATCH", if_none_match);
    feed(asking, buffer_slice(&params), 0, FEED_WHOLE);
    buffer_free(&params);
}

/* The status that it is answered with; 0 when it is parked. */
static inline int status_of(const struct request *request)
{
    if (request->state == REQUEST_PARKED)
        return 0;
    assert_int_equal(request->state, REQUEST_ANSWERING);
    return request->answer.response.status;
}

static inline const struct response *answer(void)
{
    assert_int_equal(asking->state, REQUEST_ANSWERING);
    return &asking->answer.response;
}

static inline void complete(enum source_status status)
{
    ev_run(loop, EVRUN_NOWAIT);
    assert_non_null(hand.calls);
    hand_complete(&hand, hand.calls,
                  &(struct source_result){.status = status,
                                          .type = SLICE("text/html"),
                                          .body = SLICE("<p>x</p>")});
    ev_run(loop, EVRUN_NOWAIT);
}

#endif
