/* What flight.c and flight_call.c know of a flight, and do to it: its state, its old entry, and how it
 * lands. Only for them. */
#ifndef WORKERLESS_PARK_FLIGHT_STATE_H
#define WORKERLESS_PARK_FLIGHT_STATE_H

#include <stdbool.h>

#include "cache/cache.h"
#include "park/flight.h"
#include "park/rules.h"

struct source;

/* Used instead of an answer when the cache has no memory to ask. */
static const struct cache_answer flight_nobody_asked = {.outcome = CACHE_ALONE};

static inline struct source *flight_source(const struct flight *flight)
{
    return flight->fragment.recipe->use->source;
}

/* Whether its source was called, and it has no settlement yet. */
static inline bool flight_has_begun(const struct flight *flight)
{
    return flight->state == FLIGHT_GENERATING || flight->state == FLIGHT_FAILING;
}

/* Whether a change may be newer than the cache's pending or latest answer. */
static inline bool flight_changed_since_asked(const struct flight *flight)
{
    return flight->told.all != flight->asked.all;
}

/* Whether the old entry may have been removed or replaced, so that it must not be used for now. */
static inline bool flight_known_is_doubted(const struct flight *flight)
{
    return flight->known && !flight_old_entry(flight);
}

/* The only function that sets the state. Moves the flight between the lists, and stops the timer of
 * the state that it leaves. */
void flight_set_state(struct flight *flight, enum flight_state state);

/* The old entry was removed or replaced; the one that the source was offered is of no use. */
void flight_forget_known(struct flight *flight);
void flight_forget_offered(struct flight *flight);

/* Lands it for some of its waiters only. The others get solo flights, which know what the cache
 * has. */
void flight_land_partly(struct flight *flight, enum flight_audience audience,
                        enum settlement_kind kind, struct entry *owned, struct entry *known);

/* Handles an entry from the cache: the flight lands with it, or because it is a marker (true), or
 * keeps it as the entry to replace. Such an entry is held, so if BUDGET_UNSENT has no room for it,
 * the flight lands as well: there may be any number of flights. */
bool flight_accept(struct flight *flight, const struct cache_answer *answer);

/* Call it just before asking the cache. */
void flight_begin_question(struct flight *flight);

/* Call it first on each answer of the cache; no answer is pending after it. Returns false if the
 * flight has landed already, so that the answer is too late; if it is settled as well, it is
 * freed. */
bool flight_answered(struct flight *flight);

#endif
