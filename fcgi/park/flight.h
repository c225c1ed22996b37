/* One flight, from the first question about its key to its settlement. Only for flights.c. Until the
 * call of its source it is in flight.c, from then on in flight_call.c; flight_state.c has what both
 * do to it.
 *
 *     NEW --> LOOKING --not there--> CLAIMING --ours, alone--> GENERATING -in doubt--> FAILING
 *      |         |                   ^  |  |                       |                      |
 *      '------refresh----------------'  |  |<--theirs, again-->    |                      |
 *                |                      |             WAITING      | result,              | answer
 *              found                  found              |         | failure,              |
 *                |                      |              left        | found                |
 *                v                      v                v         v                      v
 *              LANDED <-----------------'----------------'---------'----------------------'
 *                '--> SETTLED --> freed, when no answer of the cache is pending
 *
 * CLAIMING also leads to itself: when the claim found an unusable entry, or one that may have
 * changed. Any state before LANDED leads there when the flight is cancelled. The table shows what
 * an event does in each state (capitals: the next state; blank: it can't happen):
 *
 *                      LOOKING    CLAIMING     WAITING    GENERATING    FAILING
 *     found, usable    LANDED (9) LANDED (9)              LANDED        LANDED
 *     found a marker   LANDED (8) LANDED (8)              LANDED (8)    LANDED (8)
 *     found, too old   CLAIMING*  CLAIMING (5,6)          stays         LANDED
 *     not there        CLAIMING*                          stays         LANDED
 *     unreadable                  CLAIMING (5)
 *     lease is ours               GENERATING              stays (1)     LANDED (1)
 *     lease is theirs             WAITING (4)             stays (1)     LANDED (1)
 *     no Redis to ask  CLAIMING*  GENERATING (7)          stays         LANDED
 *     lease was lost                                      detached      detached
 *     key has changed  (2)        (2)          CLAIMING   asks (2)      (2)
 *     time to look                             CLAIMING
 *     source: result                                      LANDED (8)
 *     source: failure                                     LANDED (3)
 *     we purge it      (2)        (2)          CLAIMING   detached      detached
 *     last waiter left stays      stays        stays      stays         stays
 *     declined         LANDED     LANDED       LANDED
 *     draining         LANDED(10) LANDED (10)  LANDED (10)  stays (10)    stays
 *     left to others                           LANDED
 *
 *     (1) it was started without a lease, so the cache is asked for one
 *     (2) while an answer of the cache is pending, it is asked again after that
 *     (3) FAILING if there is an old entry that may have changed: the cache's answer decides
 *         whether it replaces the result
 *     (4) LANDED if nobody waits and the old entry may be served: the other process refreshes it
 *     (5) GENERATING, without a lease, if that happens too often: see ROUNDS_MAX
 *     (6) also in LOOKING: LANDED, refused, if BUDGET_UNSENT has no room to hold the old entry
 *     (7) immediately, if no Redis is configured
 *     (8) for a marker, and a result that must not be shared: its waiters get solo flights
 *     (9) as if it were too old, if it is stale and its waiters wait for a refresh (stale_wait)
 *     (10) in LOOKING and CLAIMING when the cache has answered, so a hit is still served; in
 *         WAITING and GENERATING its waiters are told immediately to ask another process
 *     *   LANDED on a route whose calls are not shared, and its waiters get solo flights
 *
 * A refresh knows the old entry, which is served meanwhile. On a route with stale_wait, requests
 * wait for the refresh first; when that time is over, they get the old entry, and the flight goes
 * on. A flight that is purged after its source was called is detached: it is removed from the
 * table, and continues for its waiters. An optional one is declined if it would have to queue at
 * its source.
 *
 * A result that its source forbids to share (RFC 9111 3, 5.2.2) is only for the request that it was
 * made for: the waiter that started the flight. If that one has left, nobody gets it. In Redis a
 * marker takes the place of the result. All other waiters, and requests that find the marker, in
 * any process, continue in parallel, each on a solo flight:
 *
 *     NEW --> GENERATING --> LANDED --> SETTLED
 *
 * It is in no table, so no request joins it; it has no lease, and one waiter. If that one leaves,
 * its call is cancelled, since nobody could get the result. Of purges it learns only those of its
 * own process. It knows what the cache had, usually the marker, and that decides what becomes of
 * its result:
 *
 *     result              known: a marker       an old entry         nothing
 *     may be shared       replaces it           replaces it          stored, if there is no value
 *     must not be shared  renews it at its end  a marker replaces it nothing
 *     a failure           nothing               as other flights     as other flights
 *
 * An entry is replaced only if it is still there, so neither a purge nor an entry that came
 * meanwhile is undone. (If there was no value, a purge by another process goes unnoticed.) On a
 * route whose calls are not shared (solo_calls), every flight ends with the lookup unless that
 * finds something usable, and its waiters continue like this. A request that does not want to wait
 * gets no call: each of its attempts would start another one, whose result nobody gets. */
#ifndef WORKERLESS_PARK_FLIGHT_H
#define WORKERLESS_PARK_FLIGHT_H

#include <ev.h>
#include <stdbool.h>

#include "base/log.h"
#include "base/slice.h"
#include "base/table.h"
#include "base/timeout.h"
#include "cache/cache.h"
#include "park/fragment.h"
#include "park/timing.h"
#include "park/waiter.h"

struct entry;
struct lease;
struct source_call;

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
    ev_timer look_again;           /* while WAITING */
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
    bool asking;       /* an answer of the cache is pending, so the flight can't be freed */
    bool refresh_next; /* the entry is served, and another flight will refresh it */
    bool listed;       /* in the table: requests for the key join it */
    bool detached;     /* purged, or its source replaced, after that was called: its result is not
                          stored */
    bool solo;         /* for one waiter */
    bool optional;     /* no requester waits for it, so it must not queue at the source */
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

/* Calls the source of a solo flight. */
void flight_go_solo(struct flight *flight);

/* The old entry, if it certainly still exists; else NULL. */
static inline struct entry *flight_old_entry(const struct flight *flight)
{
    return flight->known_as_of == flight->told.value ? flight->known : NULL;
}

/* What a waiter gets if it has to leave before the result is known: the old entry, if it waits only
 * for the refresh of that; else `kind`. The entry is borrowed. */
struct settlement flight_unready(struct flight *flight, enum settlement_kind kind);

/* Where its time has gone so far; NULL: nobody wants to know. */
const struct timing *flight_timing(struct flight *flight);

/* While the process drains, no source is called, and no other process is waited for: then this
 * lands the flight, with the old entry if that may be served, else with SETTLED_SHUTDOWN, and
 * returns true. */
bool flight_drained(struct flight *flight);

/* Sets the settlement with the old entry, if that certainly still exists, and may be served while
 * the flight goes on; else returns false. The entry is borrowed. */
bool flight_serves_stale(const struct flight *flight, struct settlement *settlement);

/* From now on a request waits for the refresh of the old entry, if there is one that may be served:
 * starts its stale_wait, unless that was started before. */
void flight_limit_wait(struct flight *flight);

/* Makes the flight refresh that entry, which it holds. Call it before flight_claim. */
void flight_set_known(struct flight *flight, struct entry *entry);

/* Asks the cache for the value. */
void flight_look(struct flight *flight);

/* Asks for the lease instead, if the value is known to be missing or to be `known`. */
void flight_claim(struct flight *flight);

/* The key has changed. A result that is purged while it is generated has to be generated again for
 * later requests in any case, so after a purge the cache is not asked. */
void flight_changed(struct flight *flight, enum cache_change_kind kind);

/* Its source does not count any more. If it has been called, the flight goes on for its waiters
 * only, and its lease is released. */
void flight_supersede(struct flight *flight);

/* Sets the settlement and moves the flight to shared->landed. Takes `owned`, the entry or NULL. */
void flight_land(struct flight *flight, enum settlement_kind kind, struct entry *owned);

/* Whether the waiter gets the settlement of the flight, which has landed; else a solo flight. */
bool flight_is_for(const struct flight *flight, const struct waiter *waiter);

/* Lands it with SETTLED_SHUTDOWN, unless it has landed already. */
void flight_cancel(struct flight *flight);

/* Removes it from the table, if it is there: no more requests join it. */
void flight_unlist(struct flight *flight);

/* All waiters have been told: frees the flight, now or when the cache has answered. */
void flight_settled(struct flight *flight);

#endif
