/* One flight while its source generates the fragment: the call, its result, and what changes
 * meanwhile.
 *
 *     flight_generate() --> flight_call() --> the source --> on_source_done() --> conclude_call()
 *                                ^                              |                  stores the entry
 *                                '--- flight_not_modified() <---'                  and lands; or
 *                                     (304 for another version)                    flight_fail()
 *
 * Meanwhile another process may write the value or purge the key, or the lease may be lost:
 * flight_check() --> on_checked(). For a source whose results come by the cache, that is how the
 * result arrives: flight_deliver().
 */
#include "park/flight_call.h"

#include <stdio.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/usdt.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "park/flight_store.h"
#include "park/outcome.h"
#include "park/rules.h"
#include "source/source.h"
#include "source/tally.h"
#include "source/trace.h"

#define JOB_REASON_MAX 200 /* bytes that are logged of what a worker says */

static void flight_call(struct flight *flight);

/* --- failing --- */

/* The source has failed: lands with the old entry, or with the failure. */
static void flight_fall_back(struct flight *flight)
{
    const struct freshness *terms = flight_freshness(flight);
    enum settlement_kind kind = flight->failure;
    int64_t keep_until_ms;
    bool marked = flight->solo && flight_knows_marker(flight);
    if (flight->known &&
        (flight_known_is_doubted(flight) || !outcome_serves_stale(terms, flight->known, kind)))
        flight_forget_known(flight);
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
    if (!flight_known_is_doubted(flight) || status == SOURCE_CANCELLED) {
        flight_fall_back(flight);
        return;
    }
    flight_set_state(flight, FLIGHT_FAILING);
    if (!flight->asking)
        flight_check(flight);
}

/* --- the result --- */

static void log_terms(struct flight *flight, const struct source_terms *terms)
{
    if (terms)
        outcome_log_terms(&flight->fragment.recipe->use->terms_log, &flight->fragment, terms);
}

/* The process that has made a result also checks whether it is balanced, and logs its flaws. Entries
 * from Redis are checked only when a template is to contain them. */
static struct entry *make_entry(struct flight *flight, const struct source_result *result,
                                const struct entry *same_body, char reason[RENDER_WHY_ROOM])
{
    const struct fragment *fragment = &flight->fragment;
    struct entry *entry = outcome_make_entry(fragment, result, same_body, flight->started, reason);
    if (entry && same_body)
        entry->balance = same_body->balance;
    if (entry && entry->is_html)
        outcome_fits_template(&fragment->recipe->use->balance_log, fragment->name, entry);
    return entry;
}

/* Lands with a result that is only for the request that it was made for. */
static void flight_end_uncacheable(struct flight *flight, const struct source_result *result,
                                   const struct entry *same_body)
{
    bool found = result->status == SOURCE_OK;
    struct entry *entry = NULL;
    char reason[RENDER_WHY_ROOM];
    if (found) {
        entry = make_entry(flight, result, same_body, reason);
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

/* Why the entry of a successful call is not stored, for `explain`. */
static const char *why_unstored(const struct flight *flight, const struct entry *entry)
{
    if (flight->detached)
        return "it was purged while it was made";
    if (!outcome_is_stored(flight_freshness(flight), entry))
        return "it may not be kept: its ttl is 0";
    return "it is larger than max_value or the memory cache, or there was no memory for it";
}

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

    char reason[RENDER_WHY_ROOM];
    struct entry *entry = make_entry(flight, result, same_body, reason);
    if (!entry) {
        flight_fail(flight, SOURCE_FAILED, reason);
        return;
    }
    log_terms(flight, result->terms);
    const struct freshness *terms = flight_freshness(flight);
    if (!flight->detached && outcome_is_stored(terms, entry))
        flight->settlement.stored =
            flight_store(flight, entry,
                         entry->fresh_until_ms + entry_extra_ms(entry, freshness_extra_ms(terms)),
                         same_body);
    else
        cache_release(flight->shared->cache, flight_take_lease(flight));
    if (!flight->settlement.stored)
        flight_note_unstored(flight, why_unstored(flight, entry), NULL);
    flight->settlement.replaced = flight->known && !flight_knows_marker(flight);
    flight_land(flight, SETTLED_ENTRY, entry);
}

/* --- the call --- */

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
        flight_forget_offered(flight);
        flight_call(flight);
    }
}

static void on_source_done(void *caller, const struct source_result *result)
{
    struct flight *flight = caller;
    flight->call = NULL;
    flight->timing.source = result->times;
    check(flight->state == FLIGHT_GENERATING || flight->state == FLIGHT_LANDED);
    if (flight->starting_over)
        return;
    USDT(call_ended, USDT_SLICE(flight->fragment.key), flight_source(flight)->settings->name,
         source_status_names[result->status]);
    if (flight->state == FLIGHT_LANDED) /* another process wrote the value: cancelled */
        cache_release(flight->shared->cache, flight_take_lease(flight));
    else if (result->status == SOURCE_NOT_MODIFIED)
        flight_not_modified(flight, result);
    else
        conclude_call(flight, result, NULL);
}

bool flight_declined(struct flight *flight)
{
    if (!flight->optional || !source_is_busy(flight_source(flight)))
        return false;
    flight_land(flight, SETTLED_DECLINED, NULL);
    flight_unlist(flight); /* a later request may be one that waits */
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
                                     .key = fragment->key,
                                     .awaited = flight->waiters != NULL,
                                     .lifetimes = outcome_lifetimes(flight_freshness(flight)),
                                     .wants_times = flight->timing.began > 0};
    if (flight->lease)
        request.lease = slice_of(cache_lease_token(flight->lease));
    trace_find(fragment->variables, &request.request_id, &request.traceparent);
    if (flight->offered) {
        struct entry_terms terms = entry_terms_of(flight->offered);
        request.etag = terms.etag;
        request.last_modified = terms.last_modified;
    }
    counter_add(COUNTER_CALLS_STARTED, 1);
    if (flight->solo)
        counter_add(COUNTER_CALLS_SOLO, 1);
    USDT(call_begun, USDT_SLICE(fragment->key), flight_source(flight)->settings->name);
    flight->call = source_start(flight_source(flight), &request, on_source_done, flight);
    if (!flight->call)
        flight_fail(flight, SOURCE_FAILED, "the source could not be started: out of memory");
}

void flight_await(struct flight *flight)
{
    flight_limit_wait(flight);
    if (flight->call)
        source_await(flight->call);
}

void flight_generate(struct flight *flight, struct lease *lease)
{
    if (flight_drained(flight) || flight_declined(flight)) {
        cache_release(flight->shared->cache, lease);
        return;
    }
    flight_set_state(flight, FLIGHT_GENERATING);
    flight->lease = lease;
    flight->started = clock_monotonic();
    if (flight->known && flight_freshness(flight)->revalidate > 0 &&
        entry_has_validator(flight->known) &&
        flight->known->by == flight->fragment.recipe->rendering.digest)
        flight->offered = entry_hold(flight->known);
    flight_call(flight);
}

void flight_go_solo(struct flight *flight)
{
    check(flight->solo);
    flight_generate(flight, NULL);
}

/* --- changes meanwhile --- */

void flight_detach(struct flight *flight)
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
    if (flight_needs_lease(flight)) {
        source_cancel(flight->call); /* its waiters ask again, and get the new source */
        return;
    }
    flight_detach(flight);
    cache_release(flight->shared->cache, flight_take_lease(flight));
}

/* The lease is gone, without which nobody can complete the call. If the old entry is still fresh, this
 * was an early refresh, which may have failed: the flight lands with that entry. Otherwise it waits
 * as if another process had the lease, and claims it immediately. */
static void flight_start_over(struct flight *flight)
{
    struct entry *old = flight_old_entry(flight);
    if (old && !outcome_is_stale(old)) {
        flight->settlement.stale = true;
        flight_land(flight, SETTLED_ENTRY, entry_ref(old));
        source_found(flight->call, SOURCE_FAILED);
        return;
    }
    flight->starting_over = true;
    source_cancel(flight->call);
    flight->starting_over = false;
    flight_forget_offered(flight);
    cache_release(flight->shared->cache, flight_take_lease(flight));
    flight_set_state(flight, FLIGHT_WAITING);
    ev_timer_set(&flight->look_again, 0., 0.);
    ev_timer_start(flight->shared->loop, &flight->look_again);
}

/* A worker may have left its reason in the place of the body. */
static void log_failed_job(struct flight *flight, enum source_status status,
                           const struct entry *found)
{
    char reason[JOB_REASON_MAX + 64];
    struct slice why = found->body;
    if (found->status == 200) /* the old result */
        why.len = 0;
    if (why.len > JOB_REASON_MAX)
        why.len = JOB_REASON_MAX;
    snprintf(reason, sizeof reason, "its job has failed%s%.*s", why.len > 0 ? ": " : "",
             SLICE_ARGS(why));
    outcome_log_failure(flight->fragment.recipe->use->failures, &flight->fragment, status, reason);
}

/* The flight has landed with a result that a worker has written into the cache: ends its call.
 * `failed`: the worker could not refresh the old entry, which stays. */
static void flight_deliver(struct flight *flight, const struct entry *found, bool failed,
                           bool replaced)
{
    static const struct {
        enum settlement_kind kind;
        enum source_status status;
    } statuses[] = {{SETTLED_ENTRY, SOURCE_OK},
                    {SETTLED_NOT_FOUND, SOURCE_NOT_FOUND},
                    {SETTLED_TIMED_OUT, SOURCE_TIMED_OUT},
                    {SETTLED_FAILED, SOURCE_FAILED}};
    struct settlement *settlement = &flight->settlement;
    enum source_status status = SOURCE_CANCELLED; /* a marker, of which our source has none */
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i].kind == settlement->kind)
            status = failed ? SOURCE_FAILED : statuses[i].status;
    settlement->hit = settlement->stale_hit = false;
    settlement->detail = FROM_SOURCE;
    settlement->stored = !failed && status != SOURCE_CANCELLED;
    settlement->stale = failed;
    settlement->replaced = replaced && !failed;
    if (status != SOURCE_OK && status != SOURCE_CANCELLED)
        log_failed_job(flight, status, found);
    if (status == SOURCE_FAILED || status == SOURCE_TIMED_OUT)
        counter_add(status == SOURCE_FAILED ? COUNTER_CALLS_FAILED : COUNTER_CALLS_TIMED_OUT, 1);
    source_found(flight->call, status);
}

/* If another process has written the value while we generate it, we can stop. If the value has only
 * expired or been removed, we go on. */
static void conclude_check(struct flight *flight, const struct cache_answer *answer,
                           bool known_gone)
{
    if (flight_changed_since_asked(flight)) {
        flight_check(flight); /* the answer may be older than the change */
        return;
    }
    bool replaces = flight->known && !flight_knows_marker(flight);
    bool prolongs = replaces && answer->outcome == CACHE_FOUND &&
                    flight->known->made_ms == answer->entry->made_ms;
    if (answer->outcome == CACHE_FOUND && flight_accept(flight, answer)) {
        if (flight_needs_lease(flight))
            flight_deliver(flight, answer->entry, prolongs, replaces);
        else if (flight->call)
            source_cancel(flight->call);
        else
            cache_release(flight->shared->cache, flight_take_lease(flight));
        return;
    }
    if (known_gone)
        flight_forget_known(flight);
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
    bool lost = answer->lease_lost && !flight->detached;
    if (lost)
        USDT(lease_lost, USDT_SLICE(flight->fragment.key));
    if (lost && !flight_needs_lease(flight))
        flight_detach(flight);
    conclude_check(flight, answer, answer->outcome == CACHE_NONE);
    if (lost && flight_needs_lease(flight) && !flight->asking)
        flight_start_over(flight);
}

/* The call was started without a lease, since Redis could not be asked. If the flight gets the lease
 * now, no other process starts a call, and the result replaces the known entry. */
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

void flight_check(struct flight *flight)
{
    struct cache *cache = flight->shared->cache;
    int64_t extra_ms = freshness_extra_ms(flight_freshness(flight));
    flight_begin_question(flight);
    if (flight->lease) {
        if (!cache_check(cache, flight->fragment.key, extra_ms, flight->lease, flight->known,
                         on_checked, flight))
            on_checked(flight, &flight_nobody_asked);
    } else if (!cache_claim(cache, flight->fragment.key, extra_ms, flight->known, on_claimed_late,
                            flight)) {
        on_claimed_late(flight, &flight_nobody_asked);
    }
}
