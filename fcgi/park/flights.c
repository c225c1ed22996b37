/* The table of flights, and their waiters.
 *
 * Events only make flights land; one runner, before the loop sleeps, settles their waiters. So a
 * waiter is never settled while it is being parked.
 */
#include "park/flights.h"

#include <ev.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/budget.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/table.h"
#include "base/timeout.h"
#include "base/usdt.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "cache/holder.h"
#include "park/flight.h"
#include "park/outcome.h"
#include "park/purge.h"
#include "park/rules.h"
#include "park/tally.h"

/* A request that does not want to wait still waits this long for the answer of Redis. */
#define NO_HOLD_S 0.1

/* Listing the flights visits at most this many waiters to count them, since it blocks the loop. */
#define LISTED_WAITERS_MAX 100000

struct flights {
    struct flight_limits limits;
    struct flight_shared shared;
    struct purges purges;
    struct inspects inspects;
    struct parking parking;
    size_t count;
    bool cancelling; /* no call is started */
    ev_prepare runner;
    struct timeout_queue brief_holds[HOLD_MAX_S + 1]; /* by seconds */
    const struct rules *rules;                        /* of the config that counts */
};

/* A request that waits for a refresh has a stale entry. */
static void on_hold_over(void *context, struct timeout *hold)
{
    struct held_waiter *held = container_of(hold, struct held_waiter, hold);
    struct flight *flight = container_of(held->waiter.list, struct flight, waiters);
    (void)context;
    waiter_settle(&held->waiter, flight_unready(flight, SETTLED_NOT_READY));
}

/* The waiters have waited long enough for the refresh, which goes on. If it is not known at the
 * moment whether the stale entry still exists, they wait once more. */
static void on_stale_wait_over(void *context, struct timeout *wait)
{
    struct flight *flight = container_of(wait, struct flight, stale_wait);
    struct settlement settlement;
    (void)context;
    if (!flight_serves_stale(flight, &settlement)) {
        timeout_start(&flight->fragment.recipe->use->stale_wait, wait);
        return;
    }
    flight->stale_served = true;
    settlement.timing = flight_timing(flight);
    entry_ref(settlement.entry);
    while (flight->waiters)
        waiter_settle(flight->waiters, settlement);
    entry_unref(settlement.entry);
}

/* --- flights --- */

static struct flight *flights_find(const struct flights *flights, struct slice key)
{
    struct flight *flight;
    HASH_FIND(hh, flights->shared.table, key.data, key.len, flight);
    return flight;
}

static struct flight *flights_add(struct flights *flights, const struct fragment *fragment)
{
    struct flight *flight = flight_new(&flights->shared, fragment);
    if (flight)
        flights->count++;
    return flight;
}

static bool has_room_for_inputs(const struct fragment *fragment)
{
    return budget_has_room(BUDGET_INPUTS, fragment->inputs.packed.len);
}

/* Refreshes an entry that is served meanwhile. Best effort. The refresh queues at a busy source
 * even if the request does not wait, since there is at most one for each existing entry. */
static void flights_refresh(struct flights *flights, const struct fragment *fragment,
                            struct entry *known)
{
    if (flights->shared.draining || flights->count >= flights->limits.max_flights ||
        flights_find(flights, fragment->key) || !entry_can_hold(known) ||
        !has_room_for_inputs(fragment))
        return;
    struct flight *flight = flights_add(flights, fragment);
    if (!flight)
        return;
    flight_set_known(flight, known);
    flight_claim(flight);
}

static struct flight *flights_add_solo(struct flights *flights, const struct fragment *fragment,
                                       struct entry *known)
{
    struct flight *flight = flight_new_solo(&flights->shared, fragment, known);
    if (flight)
        flights->count++;
    return flight;
}

/* The waiter of a solo flight has left, or its hold is over: nobody could get the result. */
static void on_solo_gone(struct waiter **list)
{
    struct flight *flight = container_of(list, struct flight, waiters);
    if (flight->state < FLIGHT_LANDED)
        flight_cancel(flight);
}

/* Moves a waiter of a landed flight to a solo flight, or settles it if it can't have one. The
 * variables are those of the request that started the landed flight, so other waiters do not get
 * them. */
static void flights_part(struct flights *flights, const struct flight *landed,
                         struct waiter *waiter)
{
    enum settlement_kind kind = SETTLED_REFUSED;
    struct flight *solo = NULL;
    struct fragment fragment = landed->fragment;
    if (waiter->collapsed)
        fragment.variables = (struct slice){0};
    if (!waiter->waits)
        kind = SETTLED_DECLINED;
    else if (flights->cancelling || flights->shared.draining)
        kind = SETTLED_SHUTDOWN;
    else if (flights->count >= flights->limits.max_flights)
        counter_add(COUNTER_REFUSED_MAX_FLIGHTS, 1);
    else if (!has_room_for_inputs(&fragment))
        budget_log_refusal(BUDGET_INPUTS);
    else
        solo = flights_add_solo(flights, &fragment, landed->known);
    if (!solo) {
        waiter_settle(waiter, (struct settlement){.kind = kind});
        return;
    }
    solo->timing = landed->timing; /* it has waited for that one, too */
    solo->timing.waited = 1;
    waiter_move(waiter, &solo->waiters);
    flight_go_solo(solo);
}

static void log_if_slow(const struct flight *landed)
{
    const struct recipe_use *use = landed->fragment.recipe->use;
    enum settlement_kind kind = landed->settlement.kind;
    const char *name = use->source->settings->name;
    struct timing_flight about = {.key = landed->fragment.key, .source = name ? name : ""};
    if (kind != SETTLED_ENTRY && landed->audience != AUDIENCE_NONE)
        about.failure = route_outcome_names[route_outcomes_of_kinds[kind]];
    timing_log(&landed->timing, &about, &use->failures->slow);
}

/* Settles the waiters of a landed flight and takes it out of the table. */
static void flights_settle(struct flights *flights, struct flight *flight)
{
    flight_unlist(flight);
    flights->count--;
    if (flight->timing.began > 0)
        log_if_slow(flight);
    while (flight->waiters) {
        if (flight_is_for(flight, flight->waiters))
            waiter_settle(flight->waiters, flight->settlement);
        else
            flights_part(flights, flight, flight->waiters);
    }
    if (flight->refresh_next && !flight->detached)
        flights_refresh(flights, &flight->fragment, flight->settlement.entry);
    flight_settled(flight);
}

static void flights_run(struct flights *flights)
{
    struct flight *landed;
    while ((landed = flights->shared.landed)) {
        DL_DELETE(flights->shared.landed, landed);
        flights_settle(flights, landed);
    }
}

static void on_prepare(struct ev_loop *loop, ev_prepare *runner, int events)
{
    struct flights *flights = runner->data;
    (void)loop, (void)events;
    flights_run(flights);
    purges_run(&flights->purges);
    inspects_run(&flights->inspects);
}

/* --- all flights --- */

static bool change_is_of(const struct cache_change *change, struct slice key)
{
    return change->is_prefix ? slice_starts(key, change->key) : slice_equal(key, change->key);
}

/* The only way by which flights are told of changes, purges included. */
static void on_changed(void *context, const struct cache_change *change)
{
    struct flights *flights = context;
    struct flight *flight, *next;
    if (change->kind == CHANGED_BY_PURGE) {
        DL_FOREACH(flights->shared.unlisted, flight)
        if (flight->solo && change_is_of(change, flight->fragment.key))
            flight_changed(flight, change->kind);
    }
    if (!change->is_prefix) {
        flight = flights_find(flights, change->key);
        if (flight)
            flight_changed(flight, change->kind);
        return;
    }
    HASH_ITER(hh, flights->shared.table, flight, next)
    {
        if (change_is_of(change, flight->fragment.key))
            flight_changed(flight, change->kind);
    }
}

struct flights *flights_new(struct ev_loop *loop, const struct flight_limits *limits,
                            struct cache *cache)
{
    struct flights *flights = alloc_zeroed(sizeof *flights);
    if (!flights)
        return NULL;
    flights->shared.loop = loop;
    flights->limits = *limits;
    flights->shared.cache = cache;
    flights->parking.gone = on_solo_gone;
    flights->purges = (struct purges){.parking = &flights->parking, .cache = cache};
    flights->inspects = (struct inspects){.parking = &flights->parking, .cache = cache};
    for (unsigned i = 0; i <= HOLD_MAX_S; i++)
        timeout_queue_init(&flights->brief_holds[i], loop, i > 0 ? i : NO_HOLD_S, on_hold_over,
                           flights);

    /* Normal priority: it runs after the cache's answers, and before the connections' runner, which
     * writes what is settled here (see server.c). */
    ev_prepare_init(&flights->runner, on_prepare);
    flights->runner.data = flights;
    ev_prepare_start(loop, &flights->runner);
    cache_on_changed(cache, on_changed, flights);
    return flights;
}

struct ev_loop *flights_loop(const struct flights *flights)
{
    return flights->shared.loop;
}

struct rules *flights_rules(struct flights *flights, struct source *const *sources,
                            struct recipe *const *recipes, size_t recipe_count)
{
    return rules_new(flights->shared.loop, sources, recipes, recipe_count,
                     &(struct rules_events){.hold_over = on_hold_over,
                                            .stale_wait_over = on_stale_wait_over,
                                            .context = flights});
}

static bool has_source(const struct rules *rules, const struct source *source)
{
    for (size_t i = 0; i < rules->source_count; i++)
        if (rules->sources[i] == source)
            return true;
    return false;
}

void flights_use(struct flights *flights, const struct rules *rules)
{
    struct flight *flight, *next;
    flights->rules = rules;
    HASH_ITER(hh, flights->shared.table, flight, next)
    {
        if (!has_source(rules, flight->fragment.recipe->use->source))
            flight_supersede(flight);
    }
}

void flights_set_limits(struct flights *flights, const struct flight_limits *limits)
{
    flights->limits = *limits;
}

void flights_on_settled(struct flights *flights, waiter_settled_fn *settled, void *context)
{
    flights->parking.settled = settled;
    flights->parking.context = context;
}

/* Whether a request waits for the refresh of the stale entry, and can be parked for that: until the
 * refreshing flight's stale_wait is over. */
static bool waits_for_refresh(struct flights *flights, const struct fragment *fragment,
                              const struct entry *entry)
{
    const struct flight *flight = flights_find(flights, fragment->key);
    return outcome_is_stale(entry) && !(flight && flight->stale_served) &&
           !flights->shared.draining && !fragment->recipe->rules.solo_calls &&
           flights->parking.parked < flights->limits.max_parked &&
           (flight || flights->count < flights->limits.max_flights);
}

bool flights_serve(struct flights *flights, const struct fragment *fragment,
                   struct settlement *settlement)
{
    struct entry *entry = cache_peek(flights->shared.cache, fragment->key);
    if (!entry) {
        struct flight *flight = flights_find(flights, fragment->key);
        entry = flight ? flight_old_entry(flight) : NULL;
    }
    if (!entry)
        return false;
    enum usability usability = outcome_usability(&fragment->recipe->freshness, entry);
    if (!usability_serves(usability))
        return false;
    if (usability == USABLE_REFRESH && fragment->recipe->stale_wait > 0 &&
        waits_for_refresh(flights, fragment, entry))
        return false;
    *settlement = (struct settlement){.kind = outcome_of_entry(entry),
                                      .entry = entry,
                                      .detail = FROM_MEMORY,
                                      .hit = true};
    counter_add(COUNTER_HITS_MEMORY, 1);
    if (usability == USABLE_REFRESH) {
        settlement->stale_hit = outcome_is_stale(entry);
        flights_refresh(flights, fragment, entry);
    }
    return true;
}

/* Whether a request that could not be served needs a solo flight, instead of joining the key's
 * flight (NULL: there is none): memory has a marker; or the route does not share calls, and that
 * flight is about to make one (to refresh an entry that may no longer be served). Sets *known to
 * what the cache has. */
static bool needs_solo(struct flights *flights, const struct fragment *fragment,
                       const struct flight *flight, struct entry **known)
{
    const struct recipe *recipe = fragment->recipe;
    *known = cache_peek(flights->shared.cache, fragment->key);
    if (*known && outcome_usability(&recipe->freshness, *known) == UNCACHEABLE)
        return true;
    *known = flight ? flight_old_entry(flight) : NULL;
    return recipe->rules.solo_calls && flight && flight->state > FLIGHT_LOOKING &&
           flight->state < FLIGHT_LANDED;
}

/* Returns the key's flight, or a new one, which does not look yet. NULL: *refusal says why. */
static struct flight *flight_to_join(struct flights *flights, const struct fragment *fragment,
                                     bool waits, enum join_refusal *refusal)
{
    struct flight *flight = flights_find(flights, fragment->key);
    struct entry *known;
    bool solo = waits && needs_solo(flights, fragment, flight, &known);
    if (solo)
        flight = NULL;

    *refusal = JOIN_TOO_MANY_PARKED;
    if (flights->parking.parked >= flights->limits.max_parked) {
        counter_add(COUNTER_REFUSED_MAX_PARKED, 1);
        return NULL;
    }
    *refusal = JOIN_TOO_MANY_FLIGHTS;
    if (!flight && flights->count >= flights->limits.max_flights) {
        counter_add(COUNTER_REFUSED_MAX_FLIGHTS, 1);
        return NULL;
    }
    *refusal = JOIN_TOO_MANY_INPUTS;
    if (!flight && !has_room_for_inputs(fragment)) {
        budget_log_refusal(BUDGET_INPUTS);
        return NULL;
    }
    *refusal = JOIN_NO_MEMORY;
    if (solo)
        return flights_add_solo(flights, fragment, known);
    return flight ? flight : flights_add(flights, fragment);
}

/* A new flight looks, even if no request waits on it, since it is in the table. */
static void flight_joined(struct flight *flight, struct waiter *waiter, bool waits)
{
    if (waiter) {
        waiter->waits = waits;
        waiter->solo = flight->solo;
        flight->timing.waited++;
    }
    if (flight->solo) {
        (waiter ? flight_go_solo : flight_cancel)(flight);
        return;
    }
    bool first = flight->state == FLIGHT_NEW;
    flight->optional = !waits && (first || flight->optional);
    if (waiter)
        waiter->collapsed = !first;
    if (first)
        flight_look(flight);
    else if (waits)
        flight_await(flight); /* it may have been a refresh that nobody waited for */
}

struct waiter *flights_join(struct flights *flights, const struct fragment *fragment,
                            struct waiter_address who, int hold_s, enum join_refusal *refusal)
{
    check(hold_s == HOLD_OF_ROUTE || (hold_s >= 0 && hold_s <= HOLD_MAX_S));
    if (flights->shared.draining)
        hold_s = 0;
    struct flight *flight = flight_to_join(flights, fragment, hold_s != 0, refusal);
    if (!flight)
        return NULL;
    struct waiter *waiter = waiter_new(&flights->parking, &flight->waiters, who);
    if (waiter) {
        timeout_start(hold_s == HOLD_OF_ROUTE ? &fragment->recipe->use->hold
                                              : &flights->brief_holds[hold_s],
                      waiter_hold(waiter));
        *refusal = JOIN_OK;
    }
    USDT(request_parked, USDT_SLICE(fragment->key));
    flight_joined(flight, waiter, hold_s != 0);
    return waiter;
}

bool flights_join_in(struct flights *flights, const struct fragment *fragment,
                     struct waiter *waiter, waiter_embedded_fn *settled)
{
    enum join_refusal refusal;
    struct flight *flight = flight_to_join(flights, fragment, true, &refusal);
    if (!flight)
        return false;
    waiter_add(&flights->parking, &flight->waiters, waiter, settled);
    flight_joined(flight, waiter, true);
    return true;
}

struct waiter *flights_purge(struct flights *flights, const struct cache_purge *what,
                             struct waiter_address who, enum join_refusal *refusal)
{
    *refusal = JOIN_TOO_MANY_PARKED;
    if (flights->parking.parked >= flights->limits.max_parked ||
        flights->purges.count >= flights->limits.max_parked) {
        counter_add(COUNTER_REFUSED_MAX_PARKED, 1);
        return NULL;
    }
    *refusal = JOIN_NO_MEMORY;
    struct waiter *waiter = purges_start(&flights->purges, what, who);
    if (waiter)
        *refusal = JOIN_OK;
    return waiter;
}

struct waiter *flights_inspect(struct flights *flights, struct slice key, struct waiter_address who,
                               inspect_write_fn *write, void *context, enum join_refusal *refusal)
{
    *refusal = JOIN_TOO_MANY_PARKED;
    if (flights->parking.parked >= flights->limits.max_parked ||
        flights->inspects.count >= flights->limits.max_parked) {
        counter_add(COUNTER_REFUSED_MAX_PARKED, 1);
        return NULL;
    }
    *refusal = JOIN_NO_MEMORY;
    struct waiter *waiter = inspects_start(&flights->inspects, key, who, write, context);
    if (waiter)
        *refusal = JOIN_OK;
    return waiter;
}

const char *flights_trouble(const struct flights *flights)
{
    return cache_trouble(flights->shared.cache);
}

size_t flights_under_way(const struct flights *flights)
{
    return flights->count;
}

size_t flights_parked(const struct flights *flights)
{
    return flights->parking.parked;
}

struct flights_view flights_look(const struct flights *flights)
{
    const struct flight_shared *shared = &flights->shared;
    return (struct flights_view){.limits = &flights->limits,
                                 .cache = shared->cache,
                                 .sources = flights->rules->sources,
                                 .source_count = flights->rules->source_count,
                                 .state_names = flight_state_names,
                                 .by_state = shared->by_state,
                                 .state_count = FLIGHT_STATES};
}

/* What has been listed, and how much more may be. */
struct listing {
    size_t rows, waiters; /* how many more may be visited */
    double now;
    flight_row_fn *row;
    void *context;
};

static struct slice holder_of(const struct flight *flight)
{
    if (flight->state == FLIGHT_WAITING && flight->holder)
        return slice_of(flight->holder);
    return flight->lease ? holder_of_process() : (struct slice){0};
}

/* Returns false if no more may be listed. */
static bool list_flight(struct listing *listing, const struct flight *flight)
{
    const struct source *source = flight->fragment.recipe->use->source;
    struct flight_row row = {.key = flight->fragment.key,
                             .state = flight_state_names[flight->state],
                             .source = source->settings->name ? source->settings->name : "",
                             .holder = holder_of(flight),
                             .age_s = listing->now - flight->born,
                             .solo = flight->solo};
    if (listing->rows == 0)
        return false;
    listing->rows--;
    const struct waiter *waiter = flight->waiters;
    for (; waiter && listing->waiters > 0; waiter = waiter->next, listing->waiters--)
        row.waiters++;
    row.waiters_known = !waiter;
    return listing->row(listing->context, &row);
}

static struct listing listing_of(size_t most, flight_row_fn *row, void *context)
{
    return (struct listing){.rows = most,
                            .waiters = LISTED_WAITERS_MAX,
                            .now = clock_monotonic_coarse(),
                            .row = row,
                            .context = context};
}

bool flights_list_key(const struct flights *flights, struct slice key, size_t most,
                      flight_row_fn *row, void *context)
{
    struct listing listing = listing_of(most, row, context);
    const struct flight *flight = flights_find(flights, key);
    if (flight && flight->state < FLIGHT_LANDED && !list_flight(&listing, flight))
        return false;
    for (flight = flights->shared.unlisted; flight; flight = flight->next)
        if (slice_equal(flight->fragment.key, key) && !list_flight(&listing, flight))
            return false;
    return true;
}

bool flights_list(const struct flights *flights, size_t most, flight_row_fn *row, void *context)
{
    struct listing listing = listing_of(most, row, context);
    const struct flight *flight;
    for (flight = flights->shared.table; flight; flight = flight->hh.next)
        if (flight->state < FLIGHT_LANDED && !list_flight(&listing, flight))
            return false;
    for (flight = flights->shared.unlisted; flight; flight = flight->next)
        if (!list_flight(&listing, flight))
            return false;
    return true;
}

void flights_leave_to_others(struct flights *flights)
{
    struct flight *flight, *next;
    HASH_ITER(hh, flights->shared.table, flight, next)
    {
        if (flight->state == FLIGHT_WAITING && !flight->waiters)
            flight_land(flight, SETTLED_SHUTDOWN, NULL);
    }
}

/* The flight goes on if it has called its source; a solo flight ends with its only waiter. */
static void send_away(struct flight *flight)
{
    if (flight->state == FLIGHT_WAITING)
        flight_drained(flight);
    while (flight->state == FLIGHT_GENERATING && flight->waiters)
        waiter_settle(flight->waiters, flight_unready(flight, SETTLED_SHUTDOWN));
}

void flights_drain(struct flights *flights)
{
    struct flight *flight, *next;
    flights->shared.draining = true;
    HASH_ITER(hh, flights->shared.table, flight, next)
    {
        send_away(flight);
    }
    DL_FOREACH_SAFE(flights->shared.unlisted, flight, next)
    {
        send_away(flight);
    }
}

void flights_cancel_all(struct flights *flights)
{
    struct flight *flight, *next;
    flights->cancelling = true;
    HASH_ITER(hh, flights->shared.table, flight, next)
    {
        flight->refresh_next = false;
        flight_cancel(flight);
    }
    while (flights->shared.unlisted)
        flight_cancel(flights->shared.unlisted);
    flights_run(flights);
    flights->cancelling = false;
}

void flights_free(struct flights *flights)
{
    if (!flights)
        return;
    purges_run(&flights->purges);
    inspects_run(&flights->inspects);
    for (unsigned i = 0; i <= HOLD_MAX_S; i++)
        timeout_queue_stop(&flights->brief_holds[i]);
    ev_prepare_stop(flights->shared.loop, &flights->runner);
    log_limit_end(&flights->shared.too_many_negatives);
    free(flights);
}
