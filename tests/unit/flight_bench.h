/* Flights on a loop of their own, a source that answers when the test says so, and notes of which
 * waiters were settled, how, and how often. */
#ifndef WORKERLESS_TESTS_FLIGHT_BENCH_H
#define WORKERLESS_TESTS_FLIGHT_BENCH_H

#include <ev.h>
#include <stdio.h>

#include "cache/cache.h"
#include "cache/entry.h"
#include "base/users.h"
#include "park/flights.h"
#include "park/rules.h"
#include "source/simulated.h"
#include "source/source.h"
#include "unit.h"

#define WATCHDOG_S 20.0 /* a test that waits that long has failed */

/* --- a source by hand --- */

struct hand_call {
    struct source_call call;
    unsigned lane;
    source_done_fn *done;
    void *caller;
    struct hand_call *next;
    char name[64], rest[64], etag[64], last_modified[64];
    char inputs[400]; /* each as KIND:NAME=VALUE, or KIND:NAME if it is absent, and a space */
};

struct hand_source {
    struct source source;
    struct hand_call *calls; /* under way, the latest first */
    unsigned started, cancelled;
    bool refuses; /* as one without memory does */
    bool busy;
};

static inline void hand_note_inputs(char *out, size_t size, struct inputs inputs)
{
    struct inputs_reader reader = inputs_read(inputs);
    const struct input *input;
    struct slice value;
    size_t len = 0;
    while ((input = inputs_next(&reader, &value))) {
        len += (size_t)snprintf(out + len, size - len, "%d:%.*s%s%.*s ", (int)input->kind,
                                SLICE_ARGS(input->name), value.data ? "=" : "", (int)value.len,
                                value.data ? value.data : "");
        assert_true(len < size);
    }
}

static inline struct source_call *hand_start(struct source *source,
                                             const struct source_request *request,
                                             source_done_fn *done, void *caller)
{
    struct hand_source *hand = (struct hand_source *)source;
    if (hand->refuses)
        return NULL;
    struct hand_call *call = calloc(1, sizeof *call);
    assert_non_null(call);
    *call = (struct hand_call){.call.source = source,
                               .lane = request->lane,
                               .done = done,
                               .caller = caller};
    snprintf(call->name, sizeof call->name, "%.*s", SLICE_ARGS(request->name));
    snprintf(call->rest, sizeof call->rest, "%.*s", SLICE_ARGS(request->rest));
    snprintf(call->etag, sizeof call->etag, "%.*s", SLICE_ARGS(request->etag));
    snprintf(call->last_modified, sizeof call->last_modified, "%.*s",
             SLICE_ARGS(request->last_modified));
    hand_note_inputs(call->inputs, sizeof call->inputs, request->inputs);
    call->next = hand->calls;
    hand->calls = call;
    hand->started++;
    return &call->call;
}

/* The call completes; it is gone afterwards. */
static inline void hand_complete(struct hand_source *hand, struct hand_call *call,
                                 const struct source_result *result)
{
    struct hand_call **at = &hand->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    call->done(call->caller, result);
    free(call);
}

static inline void hand_cancel(struct source_call *call)
{
    struct hand_source *hand = (struct hand_source *)call->source;
    hand->cancelled++;
    hand_complete(hand, (struct hand_call *)call,
                  &(struct source_result){.status = SOURCE_CANCELLED, .reason = "cancelled"});
}

static inline bool hand_is_busy(const struct source *source)
{
    return ((const struct hand_source *)source)->busy;
}

static const struct source_type hand_type = {.start = hand_start,
                                             .is_busy = hand_is_busy,
                                             .cancel = hand_cancel};

static const struct source_settings hand_settings = {.type = &hand_type, .name = "hand"};

/* The latest call for the fragment. */
static inline struct hand_call *hand_find(const struct hand_source *hand, const char *name)
{
    struct hand_call *call = hand->calls;
    while (call && strcmp(call->name, name) != 0)
        call = call->next;
    assert_non_null(call);
    return call;
}

/* Completes it with an HTML body. */
static inline void hand_give(struct hand_source *hand, const char *name, const char *html)
{
    hand_complete(hand, hand_find(hand, name),
                  &(struct source_result){.status = SOURCE_OK,
                                          .type = SLICE("text/html"),
                                          .body = slice_of(html)});
}

#define WHY "Cache-Control: private"

/* The call completes with a body that must not be shared; NULL: there is no such fragment, which
 * must not be told either. */
static inline void hand_give_unshared(struct hand_source *hand, struct hand_call *call,
                                      const char *html)
{
    static const struct source_terms terms = {.sharing = SHARING_FORBIDDEN, .why = WHY};
    hand_complete(hand, call,
                  &(struct source_result){.status = html ? SOURCE_OK : SOURCE_NOT_FOUND,
                                          .type = SLICE("text/html"),
                                          .body = slice_of(html),
                                          .terms = &terms});
}

/* Completes it without one. */
static inline void hand_fail(struct hand_source *hand, const char *name, enum source_status status)
{
    hand_complete(hand, hand_find(hand, name),
                  &(struct source_result){.status = status, .reason = "by hand"});
}

/* --- rules --- */

/* Who keeps a recipe longer than for a call is counted here: the test itself, and nobody else at its
 * end. */
static struct users keepers = {.count = 1};

/* Lets the flights use the recipes, which gets them ready. */
static inline struct rules *rules_begin(struct flights *flights, struct source *const *sources,
                                        struct recipe *const *recipes, size_t count)
{
    struct rules *rules = flights_rules(flights, sources, recipes, count);
    assert_non_null(rules);
    for (size_t i = 0; i < count; i++)
        recipes[i]->users = &keepers;
    flights_use(flights, rules);
    return rules;
}

/* Call it after flights_free. */
static inline void rules_end(struct rules *rules)
{
    assert_int_equal(keepers.count, 1);
    rules_free(rules);
}

/* --- the bench --- */

/* Routes, by what is special about them. */
enum {
    BY_HAND,
    BRIEF_HOLD,
    UNCACHED,
    SIMULATED,
    STALE,
    STALE_ERROR,
    NEGATIVE,
    APART,
    UNMARKED,
    STALE_WAIT,
    LONG_WAIT,
    RECIPES
};

#define TTL_S         60
#define STALE_S       20 /* of STALE, STALE_WAIT and LONG_WAIT */
#define STALE_WAIT_S  0.02
#define STALE_ERROR_S 40  /* of STALE_ERROR and NEGATIVE */
#define NEGATIVE_S    2   /* of NEGATIVE and APART */
#define UNCACHEABLE_S 120 /* of all but UNMARKED, which has no marker */

struct note {
    struct waiter *waiter; /* NULL: settled, or left */
    unsigned settled;
    struct settlement how; /* without its entry */
    char body[64];
};

struct flight_bench {
    struct ev_loop *loop;
    struct hand_source hand;
    struct simulated_settings simulated_settings;
    struct source *sources[2];
    struct recipe recipes[RECIPES];
    struct recipe *recipe_list[RECIPES];
    struct flights *flights;
    struct rules *rules;
    struct note notes[3000];
    uint32_t joined, settled, wanted;
    bool joining;
    void (*then)(struct flight_bench *bench, uint32_t number); /* when that one was settled */
};

static inline struct waiter_address bench_address(uint32_t number)
{
    return (struct waiter_address){
        .connection = number,
        .generation = number * 7 + 1,
        .request_id = (uint16_t)(65535 - number),
    };
}

static inline void bench_settled(void *context, const struct waiter_address *who,
                                 const struct settlement *settlement)
{
    struct flight_bench *bench = context;
    struct waiter_address address = bench_address(who->connection);
    struct note *note = &bench->notes[who->connection];
    assert_true(who->connection < bench->joined);
    assert_int_equal(who->generation, address.generation);
    assert_int_equal(who->request_id, address.request_id);
    assert_false(bench->joining); /* never before the join has returned */
    assert_non_null(note->waiter);
    note->waiter = NULL;
    note->settled++;
    note->how = *settlement;
    note->how.entry = NULL;
    if (settlement->kind == SETTLED_ENTRY)
        assert_non_null(settlement->entry);
    if (settlement->entry)
        snprintf(note->body, sizeof note->body, "%.*s", SLICE_ARGS(settlement->entry->body));
    bench->settled++;
    if (bench->then)
        bench->then(bench, who->connection);
    if (bench->wanted > 0 && bench->settled >= bench->wanted)
        ev_break(bench->loop, EVBREAK_ONE);
}

static inline struct flight_bench *bench_new(struct flight_limits limits, struct ev_loop *loop,
                                             struct cache *cache)
{
    struct flight_bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    bench->loop = loop;
    bench->hand.source = (struct source){.type = &hand_type, .settings = &hand_settings};
    bench->simulated_settings =
        (struct simulated_settings){.settings.type = source_type_find("simulated"),
                                    .delay_max = 0.005};
    bench->sources[0] = &bench->hand.source;
    bench->sources[1] = source_create(&(struct source_environment){.loop = loop},
                                      &bench->simulated_settings.settings);
    assert_non_null(bench->sources[1]);
    for (unsigned i = 0; i < RECIPES; i++)
        bench->recipes[i] = (struct recipe){.hold = 60,
                                            .rendering.html_max = 64 << 20,
                                            .max_negative = 100,
                                            .uncacheable = UNCACHEABLE_S,
                                            .freshness.ttl = TTL_S};
    bench->recipes[BRIEF_HOLD].hold = 0.005;
    bench->recipes[UNCACHED].freshness.ttl = 0;
    bench->recipes[SIMULATED].source = 1;
    bench->recipes[STALE].freshness.stale = STALE_S;
    bench->recipes[STALE_ERROR].freshness.stale_error = STALE_ERROR_S;
    bench->recipes[NEGATIVE].freshness.stale_error = STALE_ERROR_S;
    bench->recipes[NEGATIVE].freshness.negative = NEGATIVE_S;
    bench->recipes[APART].rules.solo_calls = true;
    bench->recipes[APART].freshness.stale = STALE_S;
    bench->recipes[APART].freshness.stale_error = STALE_ERROR_S;
    bench->recipes[APART].freshness.negative = NEGATIVE_S;
    bench->recipes[UNMARKED].uncacheable = 0;
    bench->recipes[UNMARKED].freshness.stale = STALE_S;
    bench->recipes[STALE_WAIT].stale_wait = STALE_WAIT_S;
    bench->recipes[STALE_WAIT].freshness.stale = STALE_S;
    bench->recipes[LONG_WAIT].stale_wait = 60;
    bench->recipes[LONG_WAIT].freshness.stale = STALE_S;
    bench->recipes[LONG_WAIT].hold = 0.005;
    for (unsigned i = 0; i < RECIPES; i++) {
        bench->recipes[i].number = i;
        bench->recipe_list[i] = &bench->recipes[i];
    }
    bench->flights = flights_new(loop, &limits, cache);
    assert_non_null(bench->flights);
    bench->rules = rules_begin(bench->flights, bench->sources, bench->recipe_list, RECIPES);
    flights_on_settled(bench->flights, bench_settled, bench);
    return bench;
}

/* Ends the flights, in the order that they require: `cache_gone` makes the cache answer all pending
 * commands, and frees it. */
static inline void bench_free(struct flight_bench *bench, void (*cache_gone)(void))
{
    flights_cancel_all(bench->flights);
    assert_int_equal(flights_under_way(bench->flights), 0);
    assert_null(bench->hand.calls);
    cache_gone();
    struct flights_view view = flights_look(bench->flights);
    for (size_t i = 0; i < view.state_count; i++)
        assert_row(i, view.by_state[i] == 0);
    flights_free(bench->flights);
    rules_end(bench->rules);
    source_destroy(bench->sources[1]);
    free(bench);
}

/* A request's join. Its number, which counts up from 0, is taken only if it is parked. */
static inline enum join_refusal bench_join_for(struct flight_bench *bench, unsigned recipe,
                                               const char *name, int hold_s)
{
    enum join_refusal refusal = JOIN_NO_MEMORY;
    struct note *note = &bench->notes[bench->joined];
    assert_true(bench->joined < LENGTH(bench->notes));
    struct slice exact = unit_exact(slice_of(name)); /* both are copied */
    bench->joining = true;
    struct fragment fragment = {&bench->recipes[recipe], .key = exact, .name = exact};
    note->waiter =
        flights_join(bench->flights, &fragment, bench_address(bench->joined), hold_s, &refusal);
    bench->joining = false;
    unit_drop(exact);
    assert_int_equal(note->waiter != NULL, refusal == JOIN_OK);
    if (note->waiter)
        bench->joined++;
    return refusal;
}

static inline enum join_refusal bench_join(struct flight_bench *bench, unsigned recipe,
                                           const char *name)
{
    return bench_join_for(bench, recipe, name, HOLD_OF_ROUTE);
}

/* A request's purge of a key, or, if it ends with '*', of a prefix. It takes a number as well if it
 * is parked. */
static inline enum join_refusal bench_purge(struct flight_bench *bench, const char *key, bool soft)
{
    enum join_refusal refusal = JOIN_NO_MEMORY;
    struct note *note = &bench->notes[bench->joined];
    assert_true(bench->joined < LENGTH(bench->notes));
    struct slice exact = unit_exact(slice_of(key));
    struct cache_purge what = {.key = exact, .soft = soft};
    what.is_prefix = exact.data[exact.len - 1] == '*';
    what.key.len -= what.is_prefix;
    bench->joining = true;
    note->waiter = flights_purge(bench->flights, &what, bench_address(bench->joined), &refusal);
    bench->joining = false;
    unit_drop(exact);
    assert_int_equal(note->waiter != NULL, refusal == JOIN_OK);
    if (note->waiter)
        bench->joined++;
    return refusal;
}

/* What is served at once: the body ("" for a remembered failure), or NULL. */
static inline const char *bench_serve(struct flight_bench *bench, unsigned recipe, const char *name,
                                      struct settlement *how)
{
    static char body[64];
    struct slice exact = unit_exact(slice_of(name));
    bench->joining = true;
    struct fragment fragment = {&bench->recipes[recipe], .key = exact, .name = exact};
    bool served = flights_serve(bench->flights, &fragment, how);
    bench->joining = false;
    unit_drop(exact);
    if (!served)
        return NULL;
    assert_non_null(how->entry);
    snprintf(body, sizeof body, "%.*s", SLICE_ARGS(how->entry->body));
    return body;
}

static inline void bench_leave(struct flight_bench *bench, uint32_t number)
{
    struct waiter *waiter = bench->notes[number].waiter;
    assert_non_null(waiter);
    bench->notes[number].waiter = NULL;
    waiter_leave(waiter);
}

/* The waiter of that number leaves, if it still waits; it must not be settled then. */
static inline void bench_leave_any(struct flight_bench *bench)
{
    uint32_t number = bench->joined > 0 ? (uint32_t)unit_random(bench->joined) : 0;
    if (bench->joined == 0 || !bench->notes[number].waiter)
        return;
    bench_leave(bench, number);
    bench->notes[number].settled = 100; /* must not become 101 */
}

/* One turn of the loop, which does not wait. */
static inline void bench_turn(struct flight_bench *bench)
{
    ev_run(bench->loop, EVRUN_NOWAIT);
}

static inline void bench_watchdog(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer, (void)events;
    ev_break(loop, EVBREAK_ONE);
}

/* Runs the loop until so many have been settled since the beginning. */
static inline void bench_run(struct flight_bench *bench, uint32_t settled)
{
    ev_timer watchdog;
    ev_timer_init(&watchdog, bench_watchdog, WATCHDOG_S, 0.);
    ev_timer_start(bench->loop, &watchdog);
    bench->wanted = settled;
    if (bench->settled < settled)
        ev_run(bench->loop, 0);
    bench->wanted = 0;
    ev_timer_stop(bench->loop, &watchdog);
    assert_int_equal(bench->settled, settled);
}

#endif
