/* Flights: from the first request of a key to the settlement of all.
 *
 *     join --> LOOKING --none--> CLAIMING --ours, alone--> GENERATING --completed--> LANDED
 *                 |   refresh----^ |  |  ^                     |                       ^
 *                 |                |  |  '-changed, or time-.  '--somebody wrote it----|
 *                 |                |  |        to look      |                          |
 *                 |                |  '--theirs--> WAITING -'                          |
 *                 '----found-------'-----found-----------------------------------------'
 *
 * A refresh knows the old entry, which is served meanwhile. A flight that is purged while
 * GENERATING is detached: it goes on for those who wait, out of the table.
 *
 * Callbacks of the cache and of the sources only mark a flight as landed; one runner, before the
 * loop sleeps, settles the waiters. So nothing is settled while somebody is still parking it, and
 * nothing is freed under anybody's feet.
 */
#include "park/flight.h"

#include <ev.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/table.h"
#include "base/timeout.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "park/outcome.h"
#include "park/purge.h"
#include "source/source.h"

/* Who does not want to wait at all still waits for Redis to say whether the entry is there. */
#define NO_HOLD_S 0.1

/* Who waits for another process looks again after so many seconds at the latest, even if no change
 * was told of. */
#define LOOK_AGAIN_S 3.0

/* A value that is of no use and stays all the same (on a read-only replica, say) is claimed so
 * often; then the entry is made without a lease. */
#define ROUNDS_MAX 3

enum flight_state {
    FLIGHT_NEW,        /* it has just been made */
    FLIGHT_LOOKING,    /* the value is asked for */
    FLIGHT_CLAIMING,   /* the value or the lease is asked for */
    FLIGHT_WAITING,    /* another process makes it */
    FLIGHT_GENERATING, /* our source makes it */
    FLIGHT_LANDED,     /* the outcome is there */
    FLIGHT_SETTLED,    /* and everybody has it; what remains is to be freed */
};

struct flight {
    UT_hash_handle hh; /* in flights->table until it is settled */
    struct flights *flights;
    const struct recipe *recipe;
    struct flight *next, *prev; /* in flights->landed, or in flights->detached */
    struct waiter *waiters;
    struct entry *known;       /* owned: the old entry that is to be replaced, or NULL */
    struct lease *lease;       /* owned: while GENERATING, unless there is nobody to ask for it */
    struct source_call *call;  /* while GENERATING */
    double started;            /* when the generation was, by clock_monotonic() */
    ev_timer look_again;       /* while WAITING */
    struct settlement outcome; /* outcome.entry is an owned reference */
    enum flight_state state;
    unsigned rounds;    /* claims that found what is of no use; see ROUNDS_MAX */
    bool asking;        /* the cache owes an answer: until then the flight can't be freed */
    bool changed;       /* the key changed while the cache was asked: what it answers may be old */
    bool value_changed; /* and not only its lease */
    bool doubted; /* known may be another by now, or gone: not to be used until that is clear */
    bool failed;  /* the source did; outcome.kind says how. It lands when known is not doubted */
    bool refresh_next; /* what landed is served, and made anew by a flight that follows */
    bool detached;     /* purged meanwhile: no longer in the table, so nobody joins it */
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
    struct flight *detached;
    struct purges purges;
    struct parking parking;
    size_t count;
    ev_prepare runner;
    struct timeout_queue brief_holds[HOLD_MAX_S + 1]; /* by seconds */
    size_t recipe_count;
    struct timeout_queue holds[]; /* by recipe number */
};

static void flight_claim(struct flight *flight);
static void flight_check(struct flight *flight);

static void on_hold_over(void *context, struct timeout *hold)
{
    struct held_waiter *held =
        (struct held_waiter *)((char *)hold - offsetof(struct held_waiter, hold));
    (void)context;
    waiter_settle(&held->waiter, (struct settlement){.kind = SETTLED_NOT_READY});
}

/* The flight has its outcome; the runner does the rest. */
static void flight_land(struct flight *flight, enum settlement_kind kind, struct entry *owned)
{
    ev_timer_stop(flight->flights->loop, &flight->look_again);
    if (flight->detached)
        DL_DELETE(flight->flights->detached, flight);
    flight->outcome.kind = kind;
    flight->outcome.entry = owned;
    flight->state = FLIGHT_LANDED;
    DL_APPEND(flight->flights->landed, flight);
}

/* --- making it --- */

static struct lease *take_lease(struct flight *flight)
{
    struct lease *lease = flight->lease;
    flight->lease = NULL;
    return lease;
}

/* What is known is not there any longer, or another. */
static void forget_known(struct flight *flight)
{
    entry_unref(flight->known);
    flight->known = NULL;
    flight->doubted = false;
}

/* The source failed: the old entry is the outcome, or the failure is. */
static void flight_fall_back(struct flight *flight)
{
    const struct freshness *terms = &flight->recipe->freshness;
    enum settlement_kind kind = flight->outcome.kind;
    int64_t keep_until_ms;
    if (flight->known && (flight->doubted || !outcome_serves_stale(terms, flight->known, kind)))
        forget_known(flight);
    struct entry *kept = NULL;
    if (!flight->detached) /* else it would come back */
        kept = outcome_to_remember(terms, flight->known, kind, &keep_until_ms);
    if (kept)
        cache_store(flight->flights->cache, flight->key, take_lease(flight), kept, keep_until_ms);
    else
        cache_release(flight->flights->cache, take_lease(flight));
    entry_unref(kept);
    flight->outcome.stale = flight->known != NULL;
    flight_land(flight, flight->known ? SETTLED_ENTRY : kind,
                flight->known ? entry_ref(flight->known) : NULL);
}

/* Whether the old entry is still there is about to be known: so long the failure can wait. */
static void flight_fail(struct flight *flight, enum source_status status, const char *reason)
{
    outcome_log_failure(flight->name, status, reason);
    flight->failed = true;
    flight->outcome.kind = outcome_of_failure(status);
    if (!flight->known || !flight->doubted || !flight->asking || status == SOURCE_CANCELLED)
        flight_fall_back(flight);
}

static void on_source_done(void *caller, const struct source_result *result)
{
    struct flight *flight = caller;
    const struct freshness *terms = &flight->recipe->freshness;
    flight->call = NULL;
    if (flight->state == FLIGHT_LANDED) { /* somebody else wrote the value: cancelled by us */
        cache_release(flight->flights->cache, take_lease(flight));
        return;
    }
    if (result->status != SOURCE_OK) {
        flight_fail(flight, result->status, result->reason ? result->reason : "the source failed");
        return;
    }

    const char *reason;
    struct entry *entry = outcome_make_entry(terms, flight->name, result, flight->started, &reason);
    if (!entry) {
        flight_fail(flight, SOURCE_FAILED, reason);
        return;
    }
    if (entry->fresh_until_ms > entry->made_ms && !flight->detached)
        flight->outcome.stored =
            cache_store(flight->flights->cache, flight->key, take_lease(flight), entry,
                        entry->fresh_until_ms + freshness_extra_ms(terms));
    else
        cache_release(flight->flights->cache, take_lease(flight));
    flight->outcome.replaced = flight->known != NULL;
    flight_land(flight, SETTLED_ENTRY, entry);
}

/* Takes the lease, which is NULL if there is nobody to ask for one. */
static void flight_generate(struct flight *flight, struct lease *lease)
{
    flight->state = FLIGHT_GENERATING;
    flight->lease = lease;
    flight->started = clock_monotonic();
    flight->call = source_start(flight->flights->sources[flight->recipe->source], flight->name,
                                on_source_done, flight);
    if (!flight->call)
        flight_fail(flight, SOURCE_FAILED, "the source could not be started: out of memory");
}

/* --- finding it --- */

/* An entry of the cache: the flight lands with it (true), or it is what is to be replaced. */
static bool flight_accept(struct flight *flight, const struct cache_answer *answer)
{
    struct entry *entry = answer->entry;
    enum usability usability = outcome_usability(&flight->recipe->freshness, entry);
    if (usability_serves(usability)) {
        flight->outcome.hit = true;
        flight->outcome.detail = answer->from_memory ? FROM_MEMORY : FROM_REDIS;
        flight->refresh_next = usability == USABLE_REFRESH;
        flight_land(flight, outcome_of_entry(entry), entry_ref(entry));
        return true;
    }
    forget_known(flight);
    flight->known = entry_ref(entry);
    return false;
}

static void flight_wait(struct flight *flight, double seconds)
{
    struct ev_loop *loop = flight->flights->loop;
    double most = LOOK_AGAIN_S * (0.5 + drand48() / 2);
    flight->state = FLIGHT_WAITING;
    flight->rounds = 0;
    ev_timer_stop(loop, &flight->look_again);
    ev_timer_set(&flight->look_again, seconds < most ? seconds : most, 0.);
    ev_timer_start(loop, &flight->look_again);
}

/* What was there is of no use. */
static void flight_claim_again(struct flight *flight)
{
    if (flight->rounds++ < ROUNDS_MAX)
        flight_claim(flight);
    else
        flight_generate(flight, NULL);
}

static void conclude_claim(struct flight *flight, const struct cache_answer *answer)
{
    bool changed = flight->changed;
    flight->doubted = flight->value_changed;
    flight->changed = flight->value_changed = false;
    if (answer->known_gone)
        forget_known(flight);
    switch (answer->outcome) {
    case CACHE_OURS:
        flight_generate(flight, answer->lease);
        if (changed && flight->state == FLIGHT_GENERATING)
            flight_check(flight); /* the change may be younger than the answer */
        break;
    case CACHE_FOUND: /* which was missing a moment ago; if it is of no use, it is known now */
        if ((changed && flight->rounds < ROUNDS_MAX) || !flight_accept(flight, answer))
            flight_claim_again(flight);
        break;
    case CACHE_THEIRS:
        if (changed)
            flight_claim(flight);
        else if (!flight->waiters && flight->known &&
                 usability_serves(outcome_usability(&flight->recipe->freshness, flight->known)))
            flight_land(flight, SETTLED_ENTRY, entry_ref(flight->known)); /* they refresh it */
        else
            flight_wait(flight, answer->wait_s);
        break;
    case CACHE_NONE: /* what was there could not be read, and is discarded, if that is possible */
        flight_claim_again(flight);
        break;
    case CACHE_SAME: /* never of a claim */
    case CACHE_DONE: /* nor this */
    case CACHE_ALONE:
        flight->doubted = false; /* nobody can tell */
        flight_generate(flight, NULL);
        break;
    }
}

/* To be called first by whoever gets an answer of the cache, which owes none any longer. False: it
 * comes too late, as the flight has its outcome; if it is settled as well, it is freed. */
static bool flight_answered(struct flight *flight);

static void on_claimed(void *caller, const struct cache_answer *answer)
{
    struct flight *flight = caller;
    struct cache *cache = flight->flights->cache;
    if (flight_answered(flight))
        conclude_claim(flight, answer);
    else
        cache_release(cache, answer->lease);
}

static void flight_claim(struct flight *flight)
{
    ev_timer_stop(flight->flights->loop, &flight->look_again);
    flight->state = FLIGHT_CLAIMING;
    flight->asking = true;
    cache_claim(flight->flights->cache, flight->key, freshness_extra_ms(&flight->recipe->freshness),
                flight->known, on_claimed, flight);
}

static void on_look_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    flight_claim(timer->data);
}

static void on_looked_up(void *caller, const struct cache_answer *answer)
{
    struct flight *flight = caller;
    if (!flight_answered(flight))
        return;
    bool changed = flight->changed;
    flight->changed = flight->value_changed = false;
    /* What was read before a change is not for those who joined after it. */
    if (answer->outcome != CACHE_FOUND || changed || !flight_accept(flight, answer))
        flight_claim(flight);
}

static void flight_look(struct flight *flight)
{
    flight->state = FLIGHT_LOOKING;
    flight->asking = true;
    cache_lookup(flight->flights->cache, flight->key,
                 freshness_extra_ms(&flight->recipe->freshness), on_looked_up, flight);
}

/* Those who wait get what was begun; nobody joins them, and nobody keeps it. */
static void flight_detach(struct flight *flight)
{
    HASH_DEL(flight->flights->table, flight);
    flight->detached = true;
    DL_APPEND(flight->flights->detached, flight);
}

/* While we make it, somebody else wrote the value: then there is no need to go on. A value that
 * merely went away, by its expiry say, is none of that. */
static void conclude_check(struct flight *flight, const struct cache_answer *answer,
                           bool known_gone)
{
    if (flight->changed) {
        flight_check(flight); /* what was answered may be from before */
        return;
    }
    if (answer->outcome == CACHE_FOUND && flight_accept(flight, answer)) {
        if (flight->call)
            source_cancel(flight->call);
        else
            cache_release(flight->flights->cache, take_lease(flight));
        return;
    }
    if (known_gone)
        forget_known(flight);
    flight->doubted = false;
    if (flight->failed)
        flight_fall_back(flight);
}

/* Whether it was purged the lease shows, since a key without a value has nothing else: then who
 * comes now is not to get what was begun before. */
static void on_checked(void *caller, const struct cache_answer *answer)
{
    struct flight *flight = caller;
    if (!flight_answered(flight))
        return;
    if (answer->lease_lost && !flight->detached)
        flight_detach(flight);
    conclude_check(flight, answer, answer->outcome == CACHE_NONE);
}

/* It was begun without a lease, with nobody there to ask for one. If one is to be had by now,
 * nobody else begins, and the result takes the place of what is known. */
static void on_claimed_late(void *caller, const struct cache_answer *answer)
{
    struct flight *flight = caller;
    struct cache *cache = flight->flights->cache;
    bool going_on = flight_answered(flight);
    if (going_on && !flight->detached)
        flight->lease = answer->lease;
    else
        cache_release(cache, answer->lease);
    if (going_on)
        conclude_check(flight, answer, answer->known_gone);
}

static void flight_check(struct flight *flight)
{
    flight->asking = true;
    flight->changed = flight->value_changed = false;
    if (!flight->lease) {
        cache_claim(flight->flights->cache, flight->key,
                    freshness_extra_ms(&flight->recipe->freshness), flight->known, on_claimed_late,
                    flight);
        return;
    }
    cache_check(flight->flights->cache, flight->key, freshness_extra_ms(&flight->recipe->freshness),
                flight->lease, flight->known, on_checked, flight);
}

/* Somebody wrote or purged the value, or something happened to the lease. While we make it that
 * may have been our own renewal. */
static void flight_changed(struct flight *flight, bool lease_only)
{
    flight->doubted |= !lease_only;
    flight->value_changed |= !lease_only;
    if (flight->asking)
        flight->changed = true;
    else if (flight->state == FLIGHT_WAITING)
        flight_claim(flight);
    else if (flight->state == FLIGHT_GENERATING)
        flight_check(flight);
}

/* --- a flight's life --- */

static void flight_free(struct flight *flight)
{
    entry_unref(flight->outcome.entry);
    entry_unref(flight->known);
    free(flight);
}

static bool flight_answered(struct flight *flight)
{
    flight->asking = false;
    if (flight->state < FLIGHT_LANDED)
        return true;
    if (flight->state == FLIGHT_SETTLED)
        flight_free(flight);
    return false;
}

static struct flight *flights_find(struct flights *flights, struct slice key)
{
    struct flight *flight;
    HASH_FIND(hh, flights->table, key.data, key.len, flight);
    return flight;
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
    ev_timer_init(&flight->look_again, on_look_again, 0., 0.);
    flight->look_again.data = flight;
    HASH_ADD_KEYPTR(hh, flights->table, flight->key.data, flight->key.len, flight);
    if (!flight->hh.tbl) {
        free(flight);
        return NULL;
    }
    flights->count++;
    return flight;
}

/* Makes an entry anew that is served meanwhile. Best effort. */
static void flights_refresh(struct flights *flights, const struct recipe *recipe, struct slice key,
                            struct slice name, struct entry *known)
{
    if (flights->count >= flights->limits.max_flights || flights_find(flights, key))
        return;
    struct flight *flight = flight_new(flights, recipe, key, name);
    if (!flight)
        return;
    flight->known = entry_ref(known);
    flight_claim(flight);
}

/* Settles the waiters of a landed flight and takes it out of the table. */
static void flight_settle(struct flight *flight)
{
    struct flights *flights = flight->flights;
    if (!flight->detached)
        HASH_DEL(flights->table, flight);
    flights->count--;
    while (flight->waiters)
        waiter_settle(flight->waiters, flight->outcome);
    flight->state = FLIGHT_SETTLED;
    if (flight->refresh_next && !flight->detached)
        flights_refresh(flights, flight->recipe, flight->key, flight->name, flight->outcome.entry);
}

static void flights_run(struct flights *flights)
{
    struct flight *landed;
    while ((landed = flights->landed)) {
        DL_DELETE(flights->landed, landed);
        flight_settle(landed);
        if (!landed->asking)
            flight_free(landed);
    }
}

static void on_prepare(struct ev_loop *loop, ev_prepare *runner, int events)
{
    struct flights *flights = runner->data;
    (void)loop, (void)events;
    flights_run(flights);
    purges_run(&flights->purges);
}

/* --- all flights --- */

static void on_changed(void *context, struct slice key, bool lease_only)
{
    struct flights *flights = context;
    struct flight *flight, *next;
    if (key.data) {
        flight = flights_find(flights, key);
        if (flight)
            flight_changed(flight, lease_only);
        return;
    }
    HASH_ITER(hh, flights->table, flight, next)
    {
        flight_changed(flight, lease_only);
    }
}

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
    flights->purges = (struct purges){.parking = &flights->parking, .cache = cache};
    for (size_t i = 0; i < recipe_count; i++)
        timeout_queue_init(&flights->holds[i], loop, recipes[i]->hold, on_hold_over, flights);
    for (unsigned i = 0; i <= HOLD_MAX_S; i++)
        timeout_queue_init(&flights->brief_holds[i], loop, i > 0 ? i : NO_HOLD_S, on_hold_over,
                           flights);

    /* Before the connections' runner, which writes what is settled here. */
    ev_prepare_init(&flights->runner, on_prepare);
    flights->runner.data = flights;
    ev_set_priority(&flights->runner, EV_MAXPRI);
    ev_prepare_start(loop, &flights->runner);
    cache_on_changed(cache, on_changed, flights);
    return flights;
}

void flights_on_settled(struct flights *flights, waiter_settled_fn *settled, void *context)
{
    flights->parking.settled = settled;
    flights->parking.context = context;
}

bool flights_serve(struct flights *flights, const struct recipe *recipe, struct slice key,
                   struct slice name, struct settlement *settlement)
{
    struct entry *entry = cache_peek(flights->cache, key);
    if (!entry) {
        struct flight *flight = flights_find(flights, key);
        entry = flight && !flight->doubted ? flight->known : NULL;
    }
    if (!entry)
        return false;
    enum usability usability = outcome_usability(&recipe->freshness, entry);
    if (!usability_serves(usability))
        return false;
    *settlement = (struct settlement){.kind = outcome_of_entry(entry),
                                      .entry = entry,
                                      .detail = FROM_MEMORY,
                                      .hit = true};
    if (usability == USABLE_REFRESH)
        flights_refresh(flights, recipe, key, name, entry);
    return true;
}

/* The key's flight, or a new one, which has yet to look. NULL: none, and *refusal says why. */
static struct flight *flight_to_join(struct flights *flights, const struct recipe *recipe,
                                     struct slice key, struct slice name,
                                     enum join_refusal *refusal)
{
    struct flight *flight = flights_find(flights, key);

    *refusal = JOIN_TOO_MANY_PARKED;
    if (flights->parking.parked >= flights->limits.max_parked)
        return NULL;
    *refusal = JOIN_TOO_MANY_FLIGHTS;
    if (!flight && flights->count >= flights->limits.max_flights)
        return NULL;
    *refusal = JOIN_NO_MEMORY;
    return flight ? flight : flight_new(flights, recipe, key, name);
}

/* A flight that was just made looks, even if nobody waits on it: it is in the table. */
static void flight_joined(struct flight *flight, struct waiter *waiter)
{
    bool first = flight->state == FLIGHT_NEW;
    if (waiter)
        waiter->collapsed = !first;
    if (first)
        flight_look(flight);
}

struct waiter *flights_join(struct flights *flights, const struct recipe *recipe, struct slice key,
                            struct slice name, struct waiter_address who,
                            enum join_refusal *refusal)
{
    struct flight *flight = flight_to_join(flights, recipe, key, name, refusal);
    if (!flight)
        return NULL;
    struct waiter *waiter = waiter_new(&flights->parking, &flight->waiters, who);
    if (waiter) {
        timeout_start(&flights->holds[recipe->number], waiter_hold(waiter));
        *refusal = JOIN_OK;
    }
    flight_joined(flight, waiter);
    return waiter;
}

void flights_hold(struct flights *flights, struct waiter *waiter, unsigned seconds)
{
    timeout_start(&flights->brief_holds[seconds], waiter_hold(waiter));
}

bool flights_join_in(struct flights *flights, const struct recipe *recipe, struct slice key,
                     struct slice name, struct waiter *waiter)
{
    enum join_refusal refusal;
    struct flight *flight = flight_to_join(flights, recipe, key, name, &refusal);
    if (!flight)
        return false;
    waiter_add(&flights->parking, &flight->waiters, waiter);
    flight_joined(flight, waiter);
    return true;
}

/* What is not being made yet looks again anyway, as the cache tells of the change. */
static void flight_purged(struct flight *flight)
{
    if (flight->state == FLIGHT_GENERATING)
        flight_detach(flight);
}

struct waiter *flights_purge(struct flights *flights, struct slice key, bool soft,
                             struct waiter_address who, enum join_refusal *refusal)
{
    struct flight *flight, *next;
    *refusal = JOIN_TOO_MANY_PARKED;
    if (flights->parking.parked >= flights->limits.max_parked ||
        flights->purges.count >= flights->limits.max_parked)
        return NULL;
    *refusal = JOIN_NO_MEMORY;
    struct waiter *waiter = purges_start(&flights->purges, key, soft, who);
    if (!waiter)
        return NULL;
    *refusal = JOIN_OK;
    if (key.len > 0 && key.data[key.len - 1] == '*') {
        key.len--;
        HASH_ITER(hh, flights->table, flight, next)
        {
            if (slice_starts(flight->key, key))
                flight_purged(flight);
        }
    } else if ((flight = flights_find(flights, key))) {
        flight_purged(flight);
    }
    return waiter;
}

size_t flights_under_way(const struct flights *flights)
{
    return flights->count;
}

size_t flights_parked(const struct flights *flights)
{
    return flights->parking.parked;
}

static void flight_cancel(struct flight *flight)
{
    if (flight->call) {
        source_cancel(flight->call);
    } else if (flight->state < FLIGHT_LANDED) {
        cache_release(flight->flights->cache, take_lease(flight));
        flight_land(flight, SETTLED_SHUTDOWN, NULL);
    }
}

void flights_leave_to_others(struct flights *flights)
{
    struct flight *flight, *next;
    HASH_ITER(hh, flights->table, flight, next)
    {
        if (flight->state == FLIGHT_WAITING && !flight->waiters)
            flight_land(flight, SETTLED_SHUTDOWN, NULL);
    }
}

void flights_cancel_all(struct flights *flights)
{
    struct flight *flight, *next;
    HASH_ITER(hh, flights->table, flight, next)
    {
        flight->refresh_next = false;
        flight_cancel(flight);
    }
    while (flights->detached)
        flight_cancel(flights->detached);
    flights_run(flights);
}

void flights_free(struct flights *flights)
{
    if (!flights)
        return;
    purges_run(&flights->purges);
    for (size_t i = 0; i < flights->recipe_count; i++)
        timeout_queue_stop(&flights->holds[i]);
    for (unsigned i = 0; i <= HOLD_MAX_S; i++)
        timeout_queue_stop(&flights->brief_holds[i]);
    ev_prepare_stop(flights->loop, &flights->runner);
    free(flights);
}
