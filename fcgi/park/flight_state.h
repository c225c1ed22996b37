/* What a flight is: its state, its old entry, and how it lands. The functions in the second half are
 * only for flight.c and flight_call.c. */
#ifndef WORKERLESS_PARK_FLIGHT_STATE_H
#define WORKERLESS_PARK_FLIGHT_STATE_H

#include <ev.h>
#include <stdbool.h>

#include "base/log.h"
#include "base/slice.h"
#include "base/table.h"
#include "base/timeout.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "park/fragment.h"
#include "park/rules.h"
#include "park/timing.h"
#include "park/waiter.h"
#include "source/source.h"

struct entry;
struct lease;

enum flight_state {
    FLIGHT_NEW,        /* just created */
    FLIGHT_LOOKING,    /* the cache is asked for the value */
    FLIGHT_CLAIMING,   /* the cache is asked for the value or the lease */
    FLIGHT_WAITING,    /* another process generates the fragment */
    FLIGHT_GENERATING, /* our source generates the fragment */
    FLIGHT_FAILING, /* our source failed; the cache is asked whether the old entry still exists */
    FLIGHT_LANDED,  /* the settlement is known, but no waiter is told yet */
    FLIGHT_SETTLED, /* all waiters are told; it only has to be freed */
    FLIGHT_STATES
};

extern const char *const flight_state_names[FLIGHT_STATES];

/* What all flights share. */
struct flight_shared {
    struct ev_loop *loop;
    struct cache *cache;
    struct log_limit too_many_negatives;
    struct flight *table;    /* by key */
    struct flight *landed;   /* to be settled by the runner */
    struct flight *unlisted; /* not in the table: solo or detached; NEW to FAILING */
    bool draining;           /* the process ends soon: no source is called any more */
    size_t by_state[FLIGHT_STATES];
};

/* Number of changes that a flight was told of. */
struct change_count {
    unsigned all;   /* of the value, or of the lease */
    unsigned value; /* of the value */
};

/* Who gets the settlement of a flight. The other waiters get solo flights. */
enum flight_audience {
    AUDIENCE_ALL,
    AUDIENCE_STARTER, /* the waiter that started the flight, if it is still there */
    AUDIENCE_NONE,
};

struct flight {
    UT_hash_handle hh; /* in shared->table while `listed` */
    struct flight_shared *shared;
    struct fragment fragment;   /* its bytes are in `text` */
    struct flight *next, *prev; /* in shared->landed, or in shared->unlisted */
    struct waiter *waiters;
    struct entry *known; /* held: the old entry that will be replaced, by its waiters' solo flights
                            once it has LANDED; or NULL */
    struct entry *offered;    /* held: the source was asked whether this one has changed; or NULL */
    unsigned known_as_of;     /* told.value when `known` certainly existed */
    struct change_count told; /* so far */
    struct change_count asked;     /* `told` when the cache was asked last */
    struct lease *lease;           /* owned, since GENERATING; NULL: generated without a lease */
    struct source_call *call;      /* while GENERATING */
    double started;                /* start of GENERATING, by clock_monotonic() */
    double born;                   /* by clock_monotonic_coarse() */
    struct timing timing;          /* where its time goes */
    ev_timer look_again;           /* active while WAITING; and while GENERATING, if the result of
                                      its call comes by the cache */
    char *holder;                  /* owned: while WAITING, whose the lease is (see cache/holder.h);
                                      NULL: unknown */
    struct timeout stale_wait;     /* active while requests wait for the refresh of `known` */
    enum settlement_detail from;   /* where `known` was found */
    enum settlement_kind failure;  /* the outcome of its source, if that is not a result */
    struct settlement settlement;  /* once LANDED; its entry is an owned reference */
    enum flight_audience audience; /* once LANDED */
    enum flight_state state;       /* set only by flight_set_state */
    unsigned rounds;               /* claims that found an unusable entry; see ROUNDS_MAX */
    bool stale_served;             /* stale_wait is over: the old entry is served meanwhile */
    bool asking;        /* an answer of the cache is pending, so the flight can't be freed */
    bool refresh_next;  /* the entry is served, and another flight will refresh it */
    bool listed;        /* in the table: requests for the key join it */
    bool detached;      /* purged, or its source replaced, after that was called: its result is not
                          stored */
    bool solo;          /* for one waiter */
    bool starting_over; /* its call is cancelled, and it will claim again */
    bool optional;      /* no requester waits for it, so it must not queue at the source */
    char text[];
};

/* Adds a flight to the table, with a copy of the fragment. Call flight_look or flight_claim next.
 * Returns NULL when out of memory. */
struct flight *flight_new(struct flight_shared *shared, const struct fragment *fragment);

/* Returns a solo flight, which is in no table, with a copy of the fragment. `known` is what the
 * cache has of it, or NULL. Call flight_go_solo next, or flight_cancel. Returns NULL when out of
 * memory. */
struct flight *flight_new_solo(struct flight_shared *shared, const struct fragment *fragment,
                               struct entry *known);

/* Removes it from the table, if it is there: no more requests join it. */
void flight_unlist(struct flight *flight);

/* All waiters have been told: frees the flight, now or when the cache has answered. */
void flight_settled(struct flight *flight);

/* Where its time has gone so far; NULL: nobody wants to know. */
const struct timing *flight_timing(struct flight *flight);

/* The old entry, if it certainly still exists; else NULL. */
static inline struct entry *flight_old_entry(const struct flight *flight)
{
    return flight->known_as_of == flight->told.value ? flight->known : NULL;
}

/* Makes the flight refresh that entry, which it holds. Call it before flight_claim. */
void flight_set_known(struct flight *flight, struct entry *entry);

/* Sets the settlement with the old entry, if that certainly still exists, and may be served while
 * the flight goes on; else returns false. The entry is borrowed. */
bool flight_serves_stale(const struct flight *flight, struct settlement *settlement);

/* What a waiter gets if it has to leave before the result is known: the old entry, if it waits only
 * for the refresh of that; else `kind`. The entry is borrowed. */
struct settlement flight_unready(struct flight *flight, enum settlement_kind kind);

/* From now on a request waits for the refresh of the old entry, if there is one that may be served:
 * starts its stale_wait, unless that was started before. */
void flight_limit_wait(struct flight *flight);

/* While the process drains, no source is called, and no other process is waited for: then this
 * lands the flight, with the old entry if that may be served, else with SETTLED_SHUTDOWN, and
 * returns true. */
bool flight_drained(struct flight *flight);

/* Sets the settlement and moves the flight to shared->landed. Takes `owned`, the entry or NULL. */
void flight_land(struct flight *flight, enum settlement_kind kind, struct entry *owned);

/* Whether the waiter gets the settlement of the flight, which has landed; else a solo flight. */
bool flight_is_for(const struct flight *flight, const struct waiter *waiter);

/* --- for flight.c and flight_call.c --- */

static inline const struct freshness *flight_freshness(const struct flight *flight)
{
    return &flight->fragment.recipe->freshness;
}

/* Whether what it knows is a marker and not an old entry. */
static inline bool flight_knows_marker(const struct flight *flight)
{
    return flight->known && entry_is_marker(flight->known);
}

/* Returns the lease, which the caller owns then; or NULL. */
static inline struct lease *flight_take_lease(struct flight *flight)
{
    struct lease *lease = flight->lease;
    flight->lease = NULL;
    return lease;
}

/* Used instead of an answer when the cache has no memory to ask. */
static const struct cache_answer flight_nobody_asked = {.outcome = CACHE_ALONE};

static inline struct source *flight_source(const struct flight *flight)
{
    return flight->fragment.recipe->use->source;
}

/* Whether its call is one whose result comes by the cache, which needs the flight's lease. */
static inline bool flight_needs_lease(const struct flight *flight)
{
    return flight->call && flight_source(flight)->type->via_cache;
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

/* Whether the value may have changed, and not only the lease. */
static inline bool flight_value_changed_since_asked(const struct flight *flight)
{
    return flight->told.value != flight->asked.value;
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
