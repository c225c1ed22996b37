/* Flights: from the first request of a key to the settlement of all.
 *
 *     join --> LOOKING --found--------------------------> LANDED --> waiters settled --> gone
 *                 `--missed--> GENERATING --completed--> LANDED
 *
 * Callbacks of the cache and of the sources only mark a flight as landed; one runner, before the
 * loop sleeps, settles the waiters. So nothing is settled while somebody is still parking it, and
 * nothing is freed under anybody's feet.
 */
#include "park/flight.h"

#include <ev.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/table.h"
#include "base/timeout.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "render/text.h"
#include "source/source.h"

#define RENDERED_TYPE SLICE("text/html; charset=utf-8")

/* Rendered text may grow by escaping; past that it is refused. */
#define RENDERED_MAX ((size_t)64 << 20)

enum flight_state { FLIGHT_LOOKING, FLIGHT_GENERATING, FLIGHT_LANDED };

struct waiter {
    struct waiter *next, *prev; /* in flight->waiters, in the order of joining */
    struct flight *flight;
    struct timeout hold; /* in the queue of the recipe */
    struct waiter_address who;
    bool collapsed;
};

struct flight {
    UT_hash_handle hh; /* in flights->table until it is settled */
    struct flights *flights;
    const struct recipe *recipe;
    struct flight *next, *prev; /* in flights->landed */
    struct waiter *waiters;
    struct source_call *call;  /* while GENERATING */
    double started;            /* when the generation was, by clock_monotonic() */
    struct settlement outcome; /* outcome.entry is an owned reference */
    enum flight_state state;
    bool looking; /* the cache owes an answer: until then the flight can't be freed */
    struct slice key, name;
    char text[]; /* key and name */
};

struct flights {
    struct ev_loop *loop;
    struct flight_limits limits;
    struct cache *cache;
    struct source *const *sources;
    struct flight *table; /* by key */
    struct flight *landed;
    size_t count, parked;
    ev_prepare runner;
    flight_settled_fn *settled;
    void *context;
    size_t recipe_count;
    struct timeout_queue holds[]; /* by recipe number */
};

/* --- waiters --- */

static void waiter_remove(struct waiter *waiter)
{
    timeout_stop(&waiter->hold);
    DL_DELETE(waiter->flight->waiters, waiter);
    waiter->flight->flights->parked--;
}

void waiter_leave(struct waiter *waiter)
{
    waiter_remove(waiter);
    free(waiter);
}

static void waiter_settle(struct waiter *waiter, struct settlement settlement)
{
    struct flights *flights = waiter->flight->flights;
    struct waiter_address who = waiter->who;
    settlement.collapsed = waiter->collapsed;
    waiter_leave(waiter);
    flights->settled(flights->context, &who, &settlement);
}

static void on_hold_over(void *context, struct timeout *hold)
{
    struct waiter *waiter = (struct waiter *)((char *)hold - offsetof(struct waiter, hold));
    (void)context;
    waiter_settle(waiter, (struct settlement){.kind = SETTLED_NOT_READY});
}

/* --- a flight's life --- */

static void flight_free(struct flight *flight)
{
    entry_unref(flight->outcome.entry);
    free(flight);
}

/* The flight has its outcome; the runner does the rest. */
static void flight_land(struct flight *flight, enum settlement_kind kind, struct entry *owned)
{
    flight->outcome.kind = kind;
    flight->outcome.entry = owned;
    flight->state = FLIGHT_LANDED;
    DL_APPEND(flight->flights->landed, flight);
}

/* What the source gave, as the HTML that is cached and sent. NULL, with the reason: none. */
static struct entry *make_entry(const struct flight *flight, const struct source_result *result,
                                const char **reason)
{
    int64_t fresh_ms = (int64_t)(flight->recipe->ttl * 1000);
    int64_t cost_ms = (int64_t)((clock_monotonic() - flight->started) * 1000);
    int64_t now_ms = clock_wall_ms();
    struct buffer html = {0};
    struct entry *entry = NULL;

    *reason = "no memory for the result, or too much text to escape";
    if (text_is_html(result->type)) {
        entry = entry_new(result->type, result->body, now_ms, fresh_ms, cost_ms);
    } else if (!text_is_text(result->type)) {
        *reason = "the result is neither HTML nor text";
    } else if (text_render(&html, flight->name, result->body, RENDERED_MAX)) {
        entry = entry_new(RENDERED_TYPE, buffer_slice(&html), now_ms, fresh_ms, cost_ms);
    }
    buffer_free(&html);
    return entry;
}

static enum settlement_kind kind_of_failure(enum source_status status)
{
    switch (status) {
    case SOURCE_NOT_FOUND:
        return SETTLED_NOT_FOUND;
    case SOURCE_TIMED_OUT:
        return SETTLED_TIMED_OUT;
    case SOURCE_CANCELLED:
        return SETTLED_SHUTDOWN;
    default:
        return SETTLED_FAILED;
    }
}

static void flight_fail(struct flight *flight, enum source_status status, const char *reason)
{
    enum log_level level =
        status == SOURCE_FAILED || status == SOURCE_TIMED_OUT ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG;
    log_message(level, "flight", "fragment \"%.*s\": %s", SLICE_ARGS(flight->name), reason);
    flight_land(flight, kind_of_failure(status), NULL);
}

static void on_source_done(void *caller, const struct source_result *result)
{
    struct flight *flight = caller;
    flight->call = NULL;
    if (result->status != SOURCE_OK) {
        flight_fail(flight, result->status, result->reason ? result->reason : "the source failed");
        return;
    }

    const char *reason;
    struct entry *entry = make_entry(flight, result, &reason);
    if (!entry) {
        flight_fail(flight, SOURCE_FAILED, reason);
        return;
    }
    flight->outcome.stored =
        flight->recipe->ttl > 0 && cache_store(flight->flights->cache, flight->key, entry);
    flight_land(flight, SETTLED_ENTRY, entry);
}

static void flight_generate(struct flight *flight)
{
    flight->state = FLIGHT_GENERATING;
    flight->started = clock_monotonic();
    flight->call = source_start(flight->flights->sources[flight->recipe->source], flight->name,
                                on_source_done, flight);
    if (!flight->call)
        flight_fail(flight, SOURCE_FAILED, "the source could not be started: out of memory");
}

static void on_cache_answer(void *caller, struct entry *entry)
{
    struct flight *flight = caller;
    flight->looking = false;
    if (flight->state == FLIGHT_LANDED) { /* cancelled and settled meanwhile */
        flight_free(flight);
    } else if (entry) {
        flight->outcome.hit = true;
        flight_land(flight, SETTLED_ENTRY, entry_ref(entry));
    } else {
        flight_generate(flight);
    }
}

static struct flight *flight_new(struct flights *flights, const struct recipe *recipe,
                                 struct slice key, struct slice name)
{
    struct flight *flight = alloc_zeroed(sizeof *flight + key.len + name.len);
    if (!flight)
        return NULL;
    flight->flights = flights;
    flight->recipe = recipe;
    memcpy(flight->text, key.data, key.len);
    memcpy(flight->text + key.len, name.data, name.len);
    flight->key = (struct slice){.data = flight->text, .len = key.len};
    flight->name = (struct slice){.data = flight->text + key.len, .len = name.len};
    HASH_ADD_KEYPTR(hh, flights->table, flight->key.data, flight->key.len, flight);
    if (!flight->hh.tbl) {
        free(flight);
        return NULL;
    }
    flights->count++;
    return flight;
}

static void flight_start(struct flight *flight)
{
    flight->state = FLIGHT_LOOKING;
    flight->looking = true;
    cache_lookup(flight->flights->cache, flight->key, on_cache_answer, flight);
}

/* Settles the waiters of a landed flight and takes it out of the table. */
static void flight_settle(struct flight *flight)
{
    struct flights *flights = flight->flights;
    HASH_DEL(flights->table, flight);
    flights->count--;
    while (flight->waiters)
        waiter_settle(flight->waiters, flight->outcome);
}

static void flights_run(struct flights *flights)
{
    struct flight *landed;
    while ((landed = flights->landed)) {
        DL_DELETE(flights->landed, landed);
        flight_settle(landed);
        if (!landed->looking)
            flight_free(landed);
    }
}

static void on_prepare(struct ev_loop *loop, ev_prepare *runner, int events)
{
    (void)loop, (void)events;
    flights_run(runner->data);
}

/* --- all flights --- */

struct flights *flights_new(struct ev_loop *loop, const struct flight_limits *limits,
                            struct cache *cache, struct source *const *sources,
                            const struct recipe *const *recipes, size_t recipe_count)
{
    struct flights *flights =
        alloc_zeroed(sizeof *flights + recipe_count * sizeof(struct timeout_queue));
    if (!flights)
        return NULL;
    flights->loop = loop;
    flights->limits = *limits;
    flights->cache = cache;
    flights->sources = sources;
    flights->recipe_count = recipe_count;
    for (size_t i = 0; i < recipe_count; i++)
        timeout_queue_init(&flights->holds[i], loop, recipes[i]->hold, on_hold_over, flights);

    /* Before the connections' runner, which writes what is settled here. */
    ev_prepare_init(&flights->runner, on_prepare);
    flights->runner.data = flights;
    ev_set_priority(&flights->runner, EV_MAXPRI);
    ev_prepare_start(loop, &flights->runner);
    return flights;
}

void flights_on_settled(struct flights *flights, flight_settled_fn *settled, void *context)
{
    flights->settled = settled;
    flights->context = context;
}

struct waiter *flights_join(struct flights *flights, const struct recipe *recipe, struct slice key,
                            struct slice name, struct waiter_address who,
                            enum join_refusal *refusal)
{
    struct flight *flight;
    HASH_FIND(hh, flights->table, key.data, key.len, flight);

    *refusal = JOIN_TOO_MANY_PARKED;
    if (flights->parked >= flights->limits.max_parked)
        return NULL;
    *refusal = JOIN_TOO_MANY_FLIGHTS;
    if (!flight && flights->count >= flights->limits.max_flights)
        return NULL;

    *refusal = JOIN_NO_MEMORY;
    struct waiter *waiter = alloc_zeroed(sizeof *waiter);
    if (!waiter)
        return NULL;
    bool first = !flight;
    if (first)
        flight = flight_new(flights, recipe, key, name);
    if (!flight) {
        free(waiter);
        return NULL;
    }
    waiter->flight = flight;
    waiter->who = who;
    waiter->collapsed = !first;
    DL_APPEND(flight->waiters, waiter);
    timeout_start(&flights->holds[recipe->number], &waiter->hold);
    flights->parked++;
    if (first)
        flight_start(flight);
    *refusal = JOIN_OK;
    return waiter;
}

size_t flights_under_way(const struct flights *flights)
{
    return flights->count;
}

size_t flights_parked(const struct flights *flights)
{
    return flights->parked;
}

void flights_cancel_all(struct flights *flights)
{
    struct flight *flight, *next;
    HASH_ITER(hh, flights->table, flight, next)
    {
        if (flight->call)
            source_cancel(flight->call);
        else if (flight->state == FLIGHT_LOOKING)
            flight_land(flight, SETTLED_SHUTDOWN, NULL);
    }
    flights_run(flights);
}

void flights_free(struct flights *flights)
{
    if (!flights)
        return;
    flights_cancel_all(flights);
    for (size_t i = 0; i < flights->recipe_count; i++)
        timeout_queue_stop(&flights->holds[i]);
    ev_prepare_stop(flights->loop, &flights->runner);
    free(flights);
}
