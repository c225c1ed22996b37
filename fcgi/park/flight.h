/* One flight, from the first question about its key to its settlement. Only for flights.c. Until the
 * call of its source it is in flight.c, from then on in flight_call.c; flight_state.c has what both
 * do to it.
 *
 *     NEW --> LOOKING --not there--> CLAIMING --ours, alone--> GENERATING -in doubt--> FAILING
 *      |         |                   ^  |  |                       |                      |
 *      '---refresh, cold (11)--------'  |  |<--theirs, again-->    |                      |
 *                |                      |             WAITING      | result,              | answer
 *              found                  found              |         | failure,              |
 *                |                      |              left        | found                |
 *                v                      v                v         v                      v
 *              LANDED <-----------------'----------------'---------'----------------------'
 *                '--> SETTLED --> freed, when no answer of the cache is pending
 *
 * CLAIMING also leads to itself: when the claim found an unusable entry, or one that may have
 * changed. GENERATING leads to WAITING if the lease of a call that needs it was lost. Any state
 * before LANDED leads there when the flight is cancelled. The table shows what an event does in each
 * state (capitals: the next state; blank: it can't happen):
 *
 *                      LOOKING    CLAIMING     WAITING    GENERATING    FAILING
 *     found, usable    LANDED (9) LANDED (9)              LANDED (12)   LANDED
 *     found a marker   LANDED (8) LANDED (8)              LANDED (8)    LANDED (8)
 *     found, too old   CLAIMING*  CLAIMING (5,6)          stays         LANDED
 *     not there        CLAIMING*                          stays         LANDED
 *     unreadable                  CLAIMING (5)
 *     lease is ours               GENERATING              stays (1)     LANDED (1)
 *     lease is theirs             WAITING (4)             stays (1)     LANDED (1)
 *     no Redis to ask  CLAIMING*  GENERATING (7)          stays         LANDED
 *     lease was lost                                      detached (13) detached
 *     key has changed  (2)        (2)          CLAIMING   asks (2)      (2)
 *     time to look                             CLAIMING   asks (12)
 *     source: result                                      LANDED (8)
 *     source: failure                                     LANDED (3)
 *     we purge it      (2)        (2)          CLAIMING   detached (13) detached
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
 *     (11) nothing is looked up: while many keys in a row had no value (cache_is_cold), or if
 *         there is no Redis, and nothing in memory
 *     (12) if results of its source come by the cache; and what is found is the one of its call
 *     (13) if they do, and there is none: WAITING, to claim again immediately. After a purge of ours
 *         the cache is asked first, as after any change. LANDED if the old entry is still fresh: an
 *         early refresh has failed.
 *     *   LANDED on a route whose calls are not shared, and its waiters get solo flights
 *
 * A refresh knows the old entry, which is served meanwhile. On a route with stale_wait, requests
 * wait for the refresh first; when that time is over, they get the old entry, and the flight goes
 * on. A flight that is purged after its source was called is detached: it is removed from the
 * table, and continues for its waiters. An optional one is declined if it would have to queue at
 * its source.
 *
 * Results of some sources come by the cache (source_type.via_cache): a worker writes the value and
 * deletes the lease, which identifies the call. Only the one who has the newest lease can write, so
 * a call whose lease was lost is cancelled, and the flight takes another lease, with another call.
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

#include "cache/cache.h"
#include "park/flight_call.h"
#include "park/flight_state.h"

/* Asks the cache for the value; or for the lease at once, if there is probably no value. */
void flight_look(struct flight *flight);

/* Asks for the lease instead, if the value is known to be missing or to be `known`. */
void flight_claim(struct flight *flight);

/* The key has changed. A result that is purged while it is generated has to be generated again for
 * later requests in any case, so after a purge the cache is not asked. */
void flight_changed(struct flight *flight, enum cache_change_kind kind);

/* Lands it with SETTLED_SHUTDOWN, unless it has landed already. */
void flight_cancel(struct flight *flight);

#endif
