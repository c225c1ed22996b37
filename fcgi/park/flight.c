/* The states of one flight. Callbacks of the cache and of sources only advance the state, until the
 * flight lands; settling and freeing happen later, from the run loop. */
#include "park/flight.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/usdt.h"
#include "base/users.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "park/flight_store.h"
#include "park/outcome.h"
#include "park/rules.h"
#include "source/source.h"
#include "source/tally.h"
#include "source/trace.h"

/* A flight that waits for another process looks again after at most this many seconds, even if no
 * change was reported. */
#define LOOK_AGAIN_S 3.0

/* An unusable value that can't be removed (on a read-only replica, for example) is claimed at most
 * this often; then the entry is generated without a lease. */
#define ROUNDS_MAX 3

/* Used instead of an answer when the cache has no memory to ask. */
static const struct cache_answer nobody_asked = {.outcome = CACHE_ALONE};

static void flight_check(struct flight *flight);

/* --- its state --- */

#define TO(state) (1u << (FLIGHT_##state))

/* The allowed transitions. The drawings in flight.h have an arrow for each. */
static const unsigned ways[] = {
    [FLIGHT_NEW] = TO(LOOKING) | TO(CLAIMING) | TO(GENERATING) | TO(LANDED),
    [FLIGHT_LOOKING] = TO(CLAIMING) | TO(LANDED),
    [FLIGHT_CLAIMING] = TO(CLAIMING) | TO(WAITING) | TO(GENERATING) | TO(LANDED),
    [FLIGHT_WAITING] = TO(CLAIMING) | TO(LANDED),
    [FLIGHT_GENERATING] = TO(FAILING) | TO(LANDED),
    [FLIGHT_FAILING] = TO(LANDED),
    [FLIGHT_LANDED] = TO(SETTLED),
    [FLIGHT_SETTLED] = 0,
};

const char *const flight_state_names[FLIGHT_STATES] = {
    [FLIGHT_NEW] = "new",
    [FLIGHT_LOOKING] = "looking",
    [FLIGHT_CLAIMING] = "claiming",
    [FLIGHT_WAITING] = "waiting",
    [FLIGHT_GENERATING] = "generating",
    [FLIGHT_FAILING] = "failing",
    [FLIGHT_LANDED] = "landed",
    [FLIGHT_SETTLED] = "settled",
};

const struct timing *flight_timing(struct flight *flight)
{
    static const enum timing_phase phases[FLIGHT_STATES] = {
        [FLIGHT_LOOKING] = TIMING_REDIS, [FLIGHT_CLAIMING] = TIMING_REDIS,
        [FLIGHT_WAITING] = TIMING_LEASE, [FLIGHT_GENERATING] = TIMING_CALL,
        [FLIGHT_FAILING] = TIMING_REDIS,
    };
    if (flight->timing.began <= 0)
        return NULL;
    timing_add(&flight->timing, phases[flight->state]);
    return &flight->timing;
}

/* The only place that sets the state. Moves the flight between the lists, and stops the timer of
 * the state that it leaves. */
static void flight_set_state(struct flight *flight, enum flight_state state)
{
    struct flight_shared *shared = flight->shared;
    check(ways[flight->state] & 1u << state);
    log_debug("flight", "fragment \"%.*s\": %s -> %s", SLICE_ARGS(flight->fragment.name),
              flight_state_names[flight->state], flight_state_names[state]);
    flight->settlement.timing = flight_timing(flight);
    if (flight->state == FLIGHT_WAITING)
        ev_timer_stop(shared->loop, &flight->look_again);
    if (state == FLIGHT_LANDED) {
        timeout_stop(&flight->stale_wait);
        if (flight->solo || flight->detached)
            DL_DELETE(shared->unlisted, flight);
        DL_APPEND(shared->landed, flight);
    }
    shared->by_state[flight->state]--;
    shared->by_state[state]++;
    flight->state = state;
}

/* Whether its source was called, and it has no settlement yet. */
static bool flight_has_begun(const struct flight *flight)
{
    return flight->state == FLIGHT_GENERATING || flight->state == FLIGHT_FAILING;
}

static struct source *source_of(const struct flight *flight)
{
    return flight->fragment.recipe->use->source;
}

/* --- what it knows --- */

void flight_set_known(struct flight *flight, struct entry *entry)
{
    flight->known = entry_hold(entry);
    flight->from = FROM_MEMORY;
    flight->known_as_of = flight->asked.value;
}

/* The old entry was removed or replaced. */
static void forget_known(struct flight *flight)
{
    entry_let_go(flight->known);
    flight->known = NULL;
}

static void forget_offered(struct flight *flight)
{
    entry_let_go(flight->offered);
    flight->offered = NULL;
}

/* Releases the old entry now, to make room in BUDGET_UNSENT for the new one. */
void flight_land(struct flight *flight, enum settlement_kind kind, struct entry *owned)
{
    if (flight->known != owned)
        forget_known(flight);
    forget_offered(flight);
    flight->settlement.kind = kind;
    flight->settlement.entry = owned;
    flight_set_state(flight, FLIGHT_LANDED);
}

/* Lands it for some of its waiters only. The others get solo flights, which know what the cache
 * has. */
static void flight_land_partly(struct flight *flight, enum flight_audience audience,
                               enum settlement_kind kind, struct entry *owned, struct entry *known)
{
    if (known)
        entry_ref(known); /* it may be the flight's own */
    flight_land(flight, kind, owned);
    flight->audience = audience;
    if (known && entry_can_hold(known))
        flight_set_known(flight, known);
    entry_unref(known);
}

bool flight_is_for(const struct flight *flight, const struct waiter *waiter)
{
    return flight->audience == AUDIENCE_ALL ||
           (flight->audience == AUDIENCE_STARTER && !waiter->collapsed);
}

/* Whether the old entry may have been removed or replaced, so that it must not be used for now. */
static bool known_is_doubted(const struct flight *flight)
{
    return flight->known && !flight_old_entry(flight);
}

/* Whether a change may be newer than the cache's pending or latest answer. */
static bool changed_since_asked(const struct flight *flight)
{
    return flight->told.all != flight->asked.all;
}

/* Call it just before asking the cache. */
static void begin_question(struct flight *flight)
{
    check(!flight->asking);
    if (changed_since_asked(flight)) {
        counter_add(COUNTER_WAKEUPS, 1);
        USDT(woken, USDT_SLICE(flight->fragment.key));
    }
    flight->asking = true;
    flight->asked = flight->told;
}

/* --- generating --- */

/* The source failed: lands with the old entry or the failure. */
static void flight_fall_back(struct flight *flight)
{
    const struct freshness *terms = flight_terms(flight);
    enum settlement_kind kind = flight->failure;
    int64_t keep_until_ms;
    bool marked = flight->solo && flight_knows_marker(flight);
    if (flight->known &&
        (known_is_doubted(flight) || !outcome_serves_stale(terms, flight->known, kind)))
        forget_known(flight);
    struct entry *kept = NULL;
    if (!flight->detached && !marked) /* a purged entry must not come back */
        kept = outcome_to_remember(terms, flight->known, kind, &keep_until_ms);
    if (kept)
        flight_remember(flight, kept, keep_until_ms);
    else
        cache_release(flight->shared->cache, flight_take_lease(flight));
    entry_unref(kept);
    flight->settlement.stale = flight->known != NULL;
    flight_land(flight, flight->known ? SETTLED_ENTRY : kind,
                flight->known ? entry_ref(flight->known) : NULL);
}

/* If the old entry may have changed, defers the failure until the cache has answered. */
static void flight_fail(struct flight *flight, enum source_status status, const char *reason)
{
    outcome_log_failure(flight->fragment.recipe->use->failures, &flight->fragment, status, reason);
    flight->failure = outcome_of_failure(status);
    if (status != SOURCE_CANCELLED)
        flight_note_unstored(flight, "there was no result", reason);
    if (status == SOURCE_FAILED)
        counter_add(COUNTER_CALLS_FAILED, 1);
    else if (status == SOURCE_TIMED_OUT)
        counter_add(COUNTER_CALLS_TIMED_OUT, 1);
    if (!known_is_doubted(flight) || status == SOURCE_CANCELLED) {
        flight_fall_back(flight);
        return;
    }
    flight_set_state(flight, FLIGHT_FAILING);
    if (!flight->asking)
        flight_check(flight);
}

static void log_terms(struct flight *flight, const struct source_terms *terms)
{
    if (terms)
        outcome_log_terms(&flight->fragment.recipe->use->terms_log, &flight->fragment, terms);
}

/* Lands with a result that is only for the request that it was made for. */
static void flight_end_uncacheable(struct flight *flight, const struct source_result *result,
                                   const struct entry *same_body)
{
    bool found = result->status == SOURCE_OK;
    struct entry *entry = NULL;
    const char *reason;
    if (found) {
        entry = outcome_make_entry(&flight->fragment, result, same_body, flight->started, &reason);
        if (!entry) {
            flight_fail(flight, SOURCE_FAILED, reason);
            return;
        }
    }
    counter_add(COUNTER_UNCACHEABLE, 1);
    log_terms(flight, result->terms);
    flight_note_unstored(flight, "its source forbids sharing it", result->terms->why);
    struct entry *marker = flight_mark(flight, result->terms);
    flight->settlement.uncacheable = true;
    flight->settlement.replaced = flight->known && !flight_knows_marker(flight);
    flight_land_partly(flight, flight->solo ? AUDIENCE_ALL : AUDIENCE_STARTER,
                       found ? SETTLED_ENTRY : SETTLED_NOT_FOUND, entry, marker);
    entry_unref(marker);
}

static void flight_call(struct flight *flight);

/* The call has ended. `same_body` is an older entry with the body of its result, or NULL. */
static void conclude_call(struct flight *flight, const struct source_result *result,
                          struct entry *same_body)
{
    bool judged = result->status == SOURCE_OK || result->status == SOURCE_NOT_FOUND;
    if (judged && !outcome_is_shared(result)) {
        flight_end_uncacheable(flight, result, same_body);
        return;
    }
    if (result->status != SOURCE_OK) {
        flight->settlement.retry_after_s = result->retry_after_s;
        flight_fail(flight, result->status, result->reason ? result->reason : "the source failed");
        return;
    }

    const char *reason;
    struct entry *entry =
        outcome_make_entry(&flight->fragment, result, same_body, flight->started, &reason);
    if (!entry) {
        flight_fail(flight, SOURCE_FAILED, reason);
        return;
    }
    log_terms(flight, result->terms);
    const struct freshness *terms = flight_terms(flight);
    if (!flight->detached && outcome_is_stored(terms, entry))
        flight->settlement.stored =
            flight_store(flight, entry,
                         entry->fresh_until_ms + entry_extra_ms(entry, freshness_extra_ms(terms)),
                         same_body);
    else
        cache_release(flight->shared->cache, flight_take_lease(flight));
    if (!flight->settlement.stored)
        flight_note_unstored(flight,
                             flight->detached ? "it was purged while it was made"
                             : outcome_is_stored(terms, entry)
                                 ? "it is larger than max_value or than memory, or there was no "
                                   "memory for it"
                                 : "it may not be kept: its ttl is 0",
                             NULL);
    flight->settlement.replaced = flight->known && !flight_knows_marker(flight);
    flight_land(flight, SETTLED_ENTRY, entry);
}

/* The source answered that the entry has not changed. If it means another version, it is called
 * once more, without conditions (RFC 9111 4.3.4). */
static void flight_not_modified(struct flight *flight, const struct source_result *answer)
{
    struct renewal renewal;
    counter_add(COUNTER_CALLS_NOT_MODIFIED, 1);
    if (!flight->offered) {
        flight_fail(flight, SOURCE_FAILED,
                    "the source answered that the result has not changed, but was not asked");
    } else if (outcome_renew(flight->offered, answer, &renewal)) {
        conclude_call(flight, &renewal.result, flight->offered);
    } else {
        forget_offered(flight);
        flight_call(flight);
    }
}

static void on_source_done(void *caller, const struct source_result *result)
{
    struct flight *flight = caller;
    flight->call = NULL;
    flight->timing.source = result->times;
    check(flight->state == FLIGHT_GENERATING || flight->state == FLIGHT_LANDED);
    USDT(call_ended, USDT_SLICE(flight->fragment.key), source_of(flight)->settings->name,
         source_status_names[result->status]);
    if (flight->state == FLIGHT_LANDED) /* another process wrote the value: cancelled */
        cache_release(flight->shared->cache, flight_take_lease(flight));
    else if (result->status == SOURCE_NOT_MODIFIED)
        flight_not_modified(flight, result);
    else
        conclude_call(flight, result, NULL);
}

/* A flight without waiters is not started while its source is busy; otherwise one client could fill
 * the source's queue with new names, without ever waiting. Returns true if it has landed. */
static bool flight_declined(struct flight *flight)
{
    if (!flight->optional || !source_is_busy(source_of(flight)))
        return false;
    flight_land(flight, SETTLED_DECLINED, NULL);
    flight_unlist(flight); /* a later request may be one that waits */
    return true;
}

bool flight_drained(struct flight *flight)
{
    struct settlement settlement = {.kind = SETTLED_SHUTDOWN};
    if (!flight->shared->draining)
        return false;
    flight_serves_stale(flight, &settlement);
    flight->settlement.hit = settlement.hit;
    flight->settlement.detail = settlement.detail;
    flight_land(flight, settlement.kind, settlement.entry ? entry_ref(settlement.entry) : NULL);
    return true;
}

/* Calls the source, and asks it whether the offered entry has changed, if there is one. */
static void flight_call(struct flight *flight)
{
    const struct fragment *fragment = &flight->fragment;
    struct source_request request = {.name = fragment->name,
                                     .rest = slice_from(fragment->name, fragment->rest_at),
                                     .inputs = fragment->inputs,
                                     .rules = &fragment->recipe->rules,
                                     .lane = fragment->recipe->number,
                                     .wants_times = flight->timing.began > 0};
    trace_find(fragment->variables, &request.request_id, &request.traceparent);
    if (flight->offered) {
        struct entry_terms terms = entry_terms_of(flight->offered);
        request.etag = terms.etag;
        request.last_modified = terms.last_modified;
    }
    counter_add(COUNTER_CALLS_STARTED, 1);
    if (flight->solo)
        counter_add(COUNTER_CALLS_SOLO, 1);
    USDT(call_begun, USDT_SLICE(fragment->key), source_of(flight)->settings->name);
    flight->call = source_start(source_of(flight), &request, on_source_done, flight);
    if (!flight->call)
        flight_fail(flight, SOURCE_FAILED, "the source could not be started: out of memory");
}

/* Takes the lease, which is NULL if Redis can't be asked for one. */
static void flight_generate(struct flight *flight, struct lease *lease)
{
    if (flight_drained(flight) || flight_declined(flight)) {
        cache_release(flight->shared->cache, lease);
        return;
    }
    flight_set_state(flight, FLIGHT_GENERATING);
    flight->lease = lease;
    flight->started = clock_monotonic();
    if (flight->known && flight_terms(flight)->revalidate > 0 && entry_has_validator(flight->known))
        flight->offered = entry_hold(flight->known);
    flight_call(flight);
}

void flight_go_solo(struct flight *flight)
{
    check(flight->solo);
    flight_generate(flight, NULL);
}

/* --- looking --- */

/* Whether its waiters wait for a refresh of the entry, which could be served. If none of them wants
 * to wait, or the entry can't be held, it is served immediately. */
static bool waits_for_refresh(const struct flight *flight, const struct entry *entry)
{
    const struct recipe *recipe = flight->fragment.recipe;
    return recipe->stale_wait > 0 && flight->waiters && !flight->optional && !recipe->solo_calls &&
           !flight_has_begun(flight) && outcome_is_stale(entry) && entry_can_hold(entry);
}

bool flight_serves_stale(const struct flight *flight, struct settlement *settlement)
{
    struct entry *old = flight_old_entry(flight);
    if (!old || !usability_serves(outcome_usability(flight_terms(flight), old)))
        return false;
    *settlement = (struct settlement){.kind = outcome_of_entry(old),
                                      .entry = old,
                                      .detail = flight->from,
                                      .hit = true,
                                      .stale_hit = outcome_is_stale(old)};
    return true;
}

struct settlement flight_unready(struct flight *flight, enum settlement_kind kind)
{
    struct settlement settlement = {.kind = kind};
    if (timeout_active(&flight->stale_wait) || flight->stale_served)
        flight_serves_stale(flight, &settlement);
    settlement.timing = flight_timing(flight);
    return settlement;
}

void flight_limit_wait(struct flight *flight)
{
    const struct recipe *recipe = flight->fragment.recipe;
    struct settlement settlement;
    if (recipe->stale_wait > 0 && !flight->stale_served && !timeout_active(&flight->stale_wait) &&
        flight->state < FLIGHT_LANDED && flight_serves_stale(flight, &settlement))
        timeout_start(&recipe->use->stale_wait, &flight->stale_wait);
}

/* Handles an entry from the cache: the flight lands with it, or because it is a marker (true), or
 * keeps it as the entry to replace. Such an entry is held, so if BUDGET_UNSENT has no room for it,
 * the flight lands as well: there may be any number of flights. */
static bool flight_accept(struct flight *flight, const struct cache_answer *answer)
{
    struct entry *entry = answer->entry;
    enum usability usability = outcome_usability(flight_terms(flight), entry);
    enum settlement_detail from = answer->from_memory ? FROM_MEMORY : FROM_REDIS;
    bool waits = usability == USABLE_REFRESH && waits_for_refresh(flight, entry);
    if (usability_serves(usability) && !waits) {
        flight->settlement.hit = true;
        flight->settlement.stale_hit = outcome_is_stale(entry);
        flight->settlement.detail = from;
        flight->refresh_next = usability == USABLE_REFRESH;
        flight_land(flight, outcome_of_entry(entry), entry_ref(entry));
        return true;
    }
    if (usability == UNCACHEABLE) {
        flight_land_partly(flight, AUDIENCE_NONE, SETTLED_DECLINED, NULL, entry);
        return true;
    }
    forget_known(flight);
    if (entry_can_hold(entry)) {
        flight_set_known(flight, entry);
        flight->from = from;
        if (waits)
            flight_limit_wait(flight);
    } else if (!flight_has_begun(flight)) {
        budget_log_refusal(BUDGET_UNSENT);
        flight_land(flight, SETTLED_REFUSED, NULL);
    }
    return flight->state == FLIGHT_LANDED;
}

/* Waits for another process, which has the lease. */
static void flight_wait(struct flight *flight, const struct cache_answer *theirs)
{
    struct ev_loop *loop = flight->shared->loop;
    double most = LOOK_AGAIN_S * (0.5 + drand48() / 2);
    check(!flight->asking);
    if (flight_drained(flight))
        return;
    USDT(lease_theirs, USDT_SLICE(flight->fragment.key), USDT_SLICE(theirs->holder));
    flight_set_state(flight, FLIGHT_WAITING);
    flight->rounds = 0;
    free(flight->holder);
    flight->holder =
        theirs->holder.len > 0 ? alloc_copy(theirs->holder.data, theirs->holder.len) : NULL;
    ev_timer_set(&flight->look_again, theirs->wait_s < most ? theirs->wait_s : most, 0.);
    ev_timer_start(loop, &flight->look_again);
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
    bool changed = changed_since_asked(flight);
    flight->known_as_of = flight->asked.value;
    if (answer->known_gone)
        forget_known(flight);
    switch (answer->outcome) {
    case CACHE_OURS:
        flight_generate(flight, answer->lease);
        if (changed && flight->state == FLIGHT_GENERATING)
            flight_check(flight); /* the change may be newer than the answer */
        break;
    case CACHE_FOUND: /* it was missing a moment ago; if unusable, it is `known` now */
        if ((changed && flight->rounds < ROUNDS_MAX) || !flight_accept(flight, answer))
            flight_claim_again(flight);
        break;
    case CACHE_THEIRS:
        if (changed)
            flight_claim(flight);
        else if (!flight->waiters && flight->known &&
                 usability_serves(outcome_usability(flight_terms(flight), flight->known)))
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

/* Call it first on each answer of the cache; no answer is pending after it. Returns false if the
 * flight has landed already, so that the answer is too late; if it is settled as well, it is
 * freed. */
static bool flight_answered(struct flight *flight);

static void on_claimed(void *caller, const struct cache_answer *answer)
{
    struct flight *flight = caller;
    struct cache *cache = flight->shared->cache;
    if (flight_answered(flight))
        conclude_claim(flight, answer);
    else
        cache_release(cache, answer->lease);
}

/* Sends the claim. `missing`: the cache has just said that there is no entry. */
static bool send_claim(struct flight *flight, bool missing)
{
    struct cache *cache = flight->shared->cache;
    struct slice key = flight->fragment.key;
    int64_t extra_ms = freshness_extra_ms(flight_terms(flight));
    return missing ? cache_claim_missing(cache, key, extra_ms, on_claimed, flight)
                   : cache_claim(cache, key, extra_ms, flight->known, on_claimed, flight);
}

void flight_claim(struct flight *flight)
{
    bool missing =
        flight->state == FLIGHT_LOOKING && !flight->known && !changed_since_asked(flight);
    if (flight_drained(flight) || flight_declined(flight))
        return;
    flight_set_state(flight, FLIGHT_CLAIMING);
    if (!cache_is_shared(flight->shared->cache)) { /* there are no other processes and no leases */
        flight_generate(flight, NULL);
        return;
    }
    begin_question(flight);
    if (!send_claim(flight, missing))
        on_claimed(flight, &nobody_asked);
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
    /* An entry read before a change must not be given to requests that joined after it. */
    if (answer->outcome == CACHE_FOUND && !changed_since_asked(flight) &&
        flight_accept(flight, answer))
        return;
    if (flight->fragment.recipe->solo_calls)
        flight_land_partly(flight, AUDIENCE_NONE, SETTLED_DECLINED, NULL, flight->known);
    else
        flight_claim(flight);
}

void flight_look(struct flight *flight)
{
    flight_set_state(flight, FLIGHT_LOOKING);
    begin_question(flight);
    if (!cache_lookup(flight->shared->cache, flight->fragment.key,
                      freshness_extra_ms(flight_terms(flight)), on_looked_up, flight))
        on_looked_up(flight, &nobody_asked);
}

/* The present waiters still get the result, but no request joins, and the result is not stored. */
static void flight_detach(struct flight *flight)
{
    check(flight_has_begun(flight) && !flight->solo);
    flight_unlist(flight);
    flight->detached = true;
    DL_APPEND(flight->shared->unlisted, flight);
}

void flight_supersede(struct flight *flight)
{
    if (flight->solo || flight->detached || !flight_has_begun(flight))
        return;
    flight_detach(flight);
    cache_release(flight->shared->cache, flight_take_lease(flight));
}

/* If another process has written the value while we generate it, we can stop. A value that has only
 * expired or was removed is no reason to. */
static void conclude_check(struct flight *flight, const struct cache_answer *answer,
                           bool known_gone)
{
    if (changed_since_asked(flight)) {
        flight_check(flight); /* the answer may be older than the change */
        return;
    }
    if (answer->outcome == CACHE_FOUND && flight_accept(flight, answer)) {
        if (flight->call)
            source_cancel(flight->call);
        else
            cache_release(flight->shared->cache, flight_take_lease(flight));
        return;
    }
    if (known_gone)
        forget_known(flight);
    flight->known_as_of = flight->told.value;
    if (flight->state == FLIGHT_FAILING)
        flight_fall_back(flight);
}

/* The lease shows whether the key was purged, since a key without a value has nothing else. If so,
 * later requests must not get a result that was started before. */
static void on_checked(void *caller, const struct cache_answer *answer)
{
    struct flight *flight = caller;
    if (!flight_answered(flight))
        return;
    if (answer->lease_lost && !flight->detached) {
        USDT(lease_lost, USDT_SLICE(flight->fragment.key));
        flight_detach(flight);
    }
    conclude_check(flight, answer, answer->outcome == CACHE_NONE);
}

/* It was started without a lease, when Redis could not be asked. If it gets one now, no other
 * process starts, and the result replaces the known entry. */
static void on_claimed_late(void *caller, const struct cache_answer *answer)
{
    struct flight *flight = caller;
    struct cache *cache = flight->shared->cache;
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
    struct cache *cache = flight->shared->cache;
    int64_t extra_ms = freshness_extra_ms(flight_terms(flight));
    begin_question(flight);
    if (flight->lease) {
        if (!cache_check(cache, flight->fragment.key, extra_ms, flight->lease, flight->known,
                         on_checked, flight))
            on_checked(flight, &nobody_asked);
    } else if (!cache_claim(cache, flight->fragment.key, extra_ms, flight->known, on_claimed_late,
                            flight)) {
        on_claimed_late(flight, &nobody_asked);
    }
}

/* While we generate it, a change of the lease may be our own renewal. */
void flight_changed(struct flight *flight, enum cache_change_kind kind)
{
    if (flight->solo) {
        if (kind == CHANGED_BY_PURGE) {
            flight->detached = true;
            forget_known(flight);
        }
        return;
    }
    flight->told.all++;
    flight->told.value += kind != CHANGED_LEASE;
    if (kind == CHANGED_BY_PURGE && flight_has_begun(flight)) {
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

/* --- beginning and end --- */

static struct flight *flight_alloc(struct flight_shared *shared, const struct fragment *fragment)
{
    char variables[TRACE_VARIABLES_MAX];
    struct fragment kept = *fragment;
    kept.variables.len = trace_keep(fragment->variables, variables);
    kept.variables.data = variables;
    struct flight *flight = alloc_zeroed(sizeof *flight + fragment_text_len(&kept));
    if (!flight)
        return NULL;
    flight->shared = shared;
    flight->fragment = fragment_copy(&kept, flight->text);
    users_add(fragment->recipe->users);
    budget_add(BUDGET_INPUTS, flight->fragment.inputs.packed.len);
    ev_timer_init(&flight->look_again, on_look_again, 0., 0.);
    flight->look_again.data = flight;
    flight->born = clock_monotonic_coarse();
    if (timing_is_wanted)
        timing_begin(&flight->timing);
    shared->by_state[FLIGHT_NEW]++;
    return flight;
}

struct flight *flight_new(struct flight_shared *shared, const struct fragment *fragment)
{
    struct flight *flight = flight_alloc(shared, fragment);
    if (!flight)
        return NULL;
    HASH_ADD_KEYPTR(hh, shared->table, flight->fragment.key.data, flight->fragment.key.len, flight);
    if (!flight->hh.tbl) {
        users_drop(fragment->recipe->users);
        budget_sub(BUDGET_INPUTS, flight->fragment.inputs.packed.len);
        shared->by_state[FLIGHT_NEW]--;
        free(flight);
        return NULL;
    }
    flight->listed = true;
    return flight;
}

struct flight *flight_new_solo(struct flight_shared *shared, const struct fragment *fragment,
                               struct entry *known)
{
    struct flight *flight = flight_alloc(shared, fragment);
    if (!flight)
        return NULL;
    flight->solo = true;
    DL_APPEND(shared->unlisted, flight);
    if (known && entry_can_hold(known))
        flight_set_known(flight, known);
    return flight;
}

void flight_unlist(struct flight *flight)
{
    if (flight->listed)
        HASH_DEL(flight->shared->table, flight);
    flight->listed = false;
}

static void flight_free(struct flight *flight)
{
    check(!flight->waiters && !flight->lease && !flight->call && !flight->asking);
    check(!flight->listed);
    entry_unref(flight->settlement.entry);
    entry_let_go(flight->known);
    entry_let_go(flight->offered);
    budget_sub(BUDGET_INPUTS, flight->fragment.inputs.packed.len);
    flight->shared->by_state[flight->state]--;
    free(flight->holder);
    users_drop(flight->fragment.recipe->users);
    free(flight);
}

static bool flight_answered(struct flight *flight)
{
    check(flight->asking);
    flight->asking = false;
    if (flight->state < FLIGHT_LANDED)
        return true;
    if (flight->state == FLIGHT_SETTLED)
        flight_free(flight);
    return false;
}

void flight_settled(struct flight *flight)
{
    flight_set_state(flight, FLIGHT_SETTLED);
    if (!flight->asking)
        flight_free(flight);
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
