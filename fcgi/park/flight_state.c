/* The state of one flight, its old entry, and its settlement. */
#include "park/flight_state.h"

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
#include "cache/entry.h"
#include "park/outcome.h"
#include "park/rules.h"
#include "source/trace.h"

/* --- its state --- */

#define TO(state) (1u << (FLIGHT_##state))

/* The allowed transitions. The drawings in flight.h have an arrow for each. */
static const unsigned ways[] = {
    [FLIGHT_NEW] = TO(LOOKING) | TO(CLAIMING) | TO(GENERATING) | TO(LANDED),
    [FLIGHT_LOOKING] = TO(CLAIMING) | TO(LANDED),
    [FLIGHT_CLAIMING] = TO(CLAIMING) | TO(WAITING) | TO(GENERATING) | TO(LANDED),
    [FLIGHT_WAITING] = TO(CLAIMING) | TO(LANDED),
    [FLIGHT_GENERATING] = TO(WAITING) | TO(FAILING) | TO(LANDED),
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

void flight_set_state(struct flight *flight, enum flight_state state)
{
    struct flight_shared *shared = flight->shared;
    check(ways[flight->state] & 1u << state);
    log_debug("flight", "fragment \"%.*s\": %s -> %s", SLICE_ARGS(flight->fragment.name),
              flight_state_names[flight->state], flight_state_names[state]);
    flight->settlement.timing = flight_timing(flight);
    if (flight->state == FLIGHT_WAITING || flight->state == FLIGHT_GENERATING)
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

/* --- what it knows --- */

void flight_set_known(struct flight *flight, struct entry *entry)
{
    flight->known = entry_hold(entry);
    flight->from = FROM_MEMORY;
    flight->known_as_of = flight->asked.value;
}

void flight_forget_known(struct flight *flight)
{
    entry_let_go(flight->known);
    flight->known = NULL;
}

void flight_forget_offered(struct flight *flight)
{
    entry_let_go(flight->offered);
    flight->offered = NULL;
}

/* Whether its waiters wait for a refresh of the entry, which could be served. If none of them wants
 * to wait, or the entry can't be held, it is served immediately. */
static bool waits_for_refresh(const struct flight *flight, const struct entry *entry)
{
    const struct recipe *recipe = flight->fragment.recipe;
    return recipe->stale_wait > 0 && flight->waiters && !flight->optional &&
           !recipe->rules.solo_calls && !flight_has_begun(flight) && outcome_is_stale(entry) &&
           entry_can_hold(entry);
}

bool flight_serves_stale(const struct flight *flight, struct settlement *settlement)
{
    struct entry *old = flight_old_entry(flight);
    if (!old || !usability_serves(outcome_usability(flight_freshness(flight), old)))
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

/* --- landing --- */

/* Releases the old entry now, to make room in BUDGET_UNSENT for the new one. */
void flight_land(struct flight *flight, enum settlement_kind kind, struct entry *owned)
{
    if (flight->known != owned)
        flight_forget_known(flight);
    flight_forget_offered(flight);
    flight->settlement.kind = kind;
    flight->settlement.entry = owned;
    flight_set_state(flight, FLIGHT_LANDED);
}

void flight_land_partly(struct flight *flight, enum flight_audience audience,
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

bool flight_accept(struct flight *flight, const struct cache_answer *answer)
{
    struct entry *entry = answer->entry;
    enum usability usability = outcome_usability(flight_freshness(flight), entry);
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
    flight_forget_known(flight);
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

/* --- its questions to the cache --- */

void flight_begin_question(struct flight *flight)
{
    check(!flight->asking);
    if (flight_changed_since_asked(flight)) {
        counter_add(COUNTER_WAKEUPS, 1);
        USDT(woken, USDT_SLICE(flight->fragment.key));
    }
    flight->asking = true;
    flight->asked = flight->told;
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

bool flight_answered(struct flight *flight)
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
