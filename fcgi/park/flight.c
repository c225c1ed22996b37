/* One flight on its way to an entry or to the lease. Callbacks of the cache and of sources only advance
 * the state, until the flight lands; settling and freeing happen later, from the run loop. */
#include "park/flight.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/usdt.h"
#include "cache/cache.h"
#include "park/outcome.h"
#include "park/rules.h"
#include "source/source.h"

/* A flight that waits for another process, or for somebody to write the result of its call, looks
 * again after at most this many seconds, even if no change was reported. */
#define LOOK_AGAIN_S 3.0

/* An unusable value that can't be removed (on a read-only replica, for example) is claimed at most
 * this often; then the entry is generated without a lease. */
#define ROUNDS_MAX 3

static void on_look_again(struct ev_loop *loop, ev_timer *timer, int events);

/* --- waiting for another process --- */

/* Looks again in so many seconds, or earlier, at random. */
static void look_again_within(struct flight *flight, double seconds)
{
    double most = LOOK_AGAIN_S * (0.5 + drand48() / 2);
    ev_timer_set(&flight->look_again, seconds < most ? seconds : most, 0.);
    ev_timer_start(flight->shared->loop, &flight->look_again);
}

/* Waits for another process, which has the lease. */
static void flight_wait(struct flight *flight, const struct cache_answer *theirs)
{
    check(!flight->asking);
    if (flight_drained(flight))
        return;
    USDT(lease_theirs, USDT_SLICE(flight->fragment.key), USDT_SLICE(theirs->holder));
    flight_set_state(flight, FLIGHT_WAITING);
    flight->rounds = 0;
    free(flight->holder);
    flight->holder =
        theirs->holder.len > 0 ? alloc_copy(theirs->holder.data, theirs->holder.len) : NULL;
    look_again_within(flight, theirs->wait_s);
}

/* The claim found an unusable entry. */
static void flight_claim_again(struct flight *flight)
{
    if (flight->rounds++ < ROUNDS_MAX)
        flight_claim(flight);
    else
        flight_generate(flight, NULL);
}

static void conclude_claim(struct flight *flight, const struct cache_answer *answer)
{
    bool changed = flight_changed_since_asked(flight);
    bool value_changed = flight_value_changed_since_asked(flight);
    ev_init(&flight->look_again, on_look_again);
    flight->look_again.data = flight;
    flight->known_as_of = flight->asked.value;
    if (answer->known_gone)
        flight_forget_known(flight);
    switch (answer->outcome) {
    case CACHE_OURS:
        flight_generate(flight, answer->lease);
        if (flight_needs_lease(flight))
            look_again_within(flight, LOOK_AGAIN_S);
        if (changed && flight->state == FLIGHT_GENERATING)
            flight_check(flight); /* the change may be newer than the answer */
        break;
    case CACHE_FOUND: /* it was missing a moment ago; if unusable, it is `known` now */
        if ((value_changed && flight->rounds < ROUNDS_MAX) || !flight_accept(flight, answer))
            flight_claim_again(flight);
        break;
    case CACHE_THEIRS:
        if (changed)
            flight_claim(flight);
        else if (!flight->waiters && flight->known &&
                 usability_serves(outcome_usability(flight_freshness(flight), flight->known)))
            flight_land(flight, SETTLED_ENTRY, entry_ref(flight->known)); /* others refresh it */
        else
            flight_wait(flight, answer);
        break;
    case CACHE_UNREADABLE: /* and discarded, if possible */
        flight_claim_again(flight);
        break;
    case CACHE_ALONE:
        flight->known_as_of = flight->told.value; /* nobody can tell whether it is still there */
        flight_generate(flight, NULL);
        break;
    case CACHE_SAME:
    case CACHE_NONE:
    case CACHE_PURGED:
    case CACHE_NOT_PURGED:
        check_never("an answer to a claim");
    }
}

/* --- claiming --- */

static void on_claimed(void *caller, const struct cache_answer *answer)
{
    struct flight *flight = caller;
    struct cache *cache = flight->shared->cache;
    if (flight_answered(flight))
        conclude_claim(flight, answer);
    else
        cache_release(cache, answer->lease);
}

/* Sends the claim. `missing`: there is probably no entry. */
static bool send_claim(struct flight *flight, bool missing)
{
    struct cache *cache = flight->shared->cache;
    struct slice key = flight->fragment.key;
    int64_t extra_ms = freshness_extra_ms(flight_freshness(flight));
    return missing ? cache_claim_missing(cache, key, extra_ms, on_claimed, flight)
                   : cache_claim(cache, key, extra_ms, flight->known, on_claimed, flight);
}

static void claim(struct flight *flight, bool missing)
{
    if (flight_drained(flight) || flight_declined(flight))
        return;
    flight_set_state(flight, FLIGHT_CLAIMING);
    if (!cache_is_shared(flight->shared->cache)) { /* there are no other processes and no leases */
        flight_generate(flight, NULL);
        return;
    }
    flight_begin_question(flight);
    if (!send_claim(flight, missing))
        on_claimed(flight, &flight_nobody_asked);
}

void flight_claim(struct flight *flight)
{
    claim(flight,
          flight->state == FLIGHT_LOOKING && !flight->known && !flight_changed_since_asked(flight));
}

static void on_look_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct flight *flight = timer->data;
    (void)loop, (void)events;
    if (flight->state == FLIGHT_WAITING) {
        flight_claim(flight);
        return;
    }
    if (!flight->asking)
        flight_check(flight);
    look_again_within(flight, LOOK_AGAIN_S);
}

/* --- looking --- */

static void on_looked_up(void *caller, const struct cache_answer *answer)
{
    struct flight *flight = caller;
    if (!flight_answered(flight))
        return;
    /* An entry read before a change must not be given to requests that joined after it. */
    if (answer->outcome == CACHE_FOUND && !flight_value_changed_since_asked(flight) &&
        flight_accept(flight, answer))
        return;
    if (flight->fragment.recipe->rules.solo_calls)
        flight_land_partly(flight, AUDIENCE_NONE, SETTLED_DECLINED, NULL, flight->known);
    else
        flight_claim(flight);
}

/* Whether a call is the next step if the value is missing. Else the flight might end then. */
static bool is_certain(const struct flight *flight)
{
    return !flight->optional && !flight->fragment.recipe->rules.solo_calls &&
           !flight->shared->draining;
}

static void flight_look_up(struct flight *flight)
{
    flight_set_state(flight, FLIGHT_LOOKING);
    flight_begin_question(flight);
    if (!cache_lookup(flight->shared->cache, flight->fragment.key,
                      freshness_extra_ms(flight_freshness(flight)), on_looked_up, flight))
        on_looked_up(flight, &flight_nobody_asked);
}

void flight_look(struct flight *flight)
{
    struct cache *cache = flight->shared->cache;
    struct slice key = flight->fragment.key;
    if (is_certain(flight) && cache_is_cold(cache, key))
        claim(flight, true); /* the call begins a round trip earlier */
    else if (is_certain(flight) && !cache_is_shared(cache) && !cache_peek(cache, key))
        flight_claim(flight); /* what memory lacks is nowhere else */
    else
        flight_look_up(flight);
}

/* --- changes, and the end --- */

/* While we generate it, a change of the lease may be our own renewal. */
void flight_changed(struct flight *flight, enum cache_change_kind kind)
{
    if (flight->solo) {
        if (kind == CHANGED_BY_PURGE) {
            flight->detached = true;
            flight_forget_known(flight);
        }
        return;
    }
    flight->told.all++;
    flight->told.value += kind != CHANGED_LEASE;
    if (kind == CHANGED_BY_PURGE && flight_has_begun(flight) && !flight_needs_lease(flight)) {
        flight_detach(flight);
        return;
    }
    if (flight->asking || flight->state == FLIGHT_LANDED)
        return;
    check(flight->state == FLIGHT_WAITING || flight->state == FLIGHT_GENERATING);
    if (flight->state == FLIGHT_WAITING)
        flight_claim(flight);
    else
        flight_check(flight);
}

void flight_cancel(struct flight *flight)
{
    if (flight->call) {
        source_cancel(flight->call);
    } else if (flight->state < FLIGHT_LANDED) {
        cache_release(flight->shared->cache, flight_take_lease(flight));
        flight_land(flight, SETTLED_SHUTDOWN, NULL);
    }
}
