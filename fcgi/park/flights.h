/* The heart: key -> flight -> waiters.
 *
 * A flight is the one ongoing attempt to obtain the entry of a key. Any number of requests wait on
 * it. It continues whether they stay or leave, and settles them all at once. Between processes, the
 * lease in Redis ensures that there is only one.
 *
 *     a result may be shared   --> all waiters
 *     its source forbids that  --> the waiter that started the flight; a marker --> the cache
 *                                  '--> the other waiters: a solo flight each
 *     the cache has a marker   --> a solo flight for each request, at once
 *
 * A solo flight is for one waiter, and ends with it. See flight.h.
 */
#ifndef WORKERLESS_PARK_FLIGHTS_H
#define WORKERLESS_PARK_FLIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "park/fragment.h"
#include "park/inspect.h"
#include "park/waiter.h"

struct cache;
struct cache_purge;
struct entry;
struct ev_loop;
struct flights;
struct rules;
struct source;

struct flight_limits {
    size_t max_parked; /* waiters, of all flights and purges together */
    size_t max_flights;
};

enum join_refusal {
    JOIN_OK,
    JOIN_TOO_MANY_PARKED,
    JOIN_TOO_MANY_FLIGHTS,
    JOIN_TOO_MANY_INPUTS,
    JOIN_NO_MEMORY
};

/* Borrows `cache` until flights_free. Returns what the caller owns, or NULL when out of memory. */
struct flights *flights_new(struct ev_loop *loop, const struct flight_limits *limits,
                            struct cache *cache);

struct ev_loop *flights_loop(const struct flights *flights);

/* As rules_new, for the recipes of fragments that these flights are asked for. */
struct rules *flights_rules(struct flights *flights, struct source *const *sources,
                            struct recipe *const *recipes, size_t recipe_count);

/* The rules of the config that counts from now on: its sources are those that are shown. A fragment
 * that is being made by a source that is not among them is made again for new requests; its result
 * is not stored. */
void flights_use(struct flights *flights, const struct rules *rules);

void flights_set_limits(struct flights *flights, const struct flight_limits *limits);

/* Sets the callback for settlements. Call it before the first join. */
void flights_on_settled(struct flights *flights, waiter_settled_fn *settled, void *context);

/* Serves what needs no waiting: an entry from memory, or the stale entry that a flight is about to
 * replace (on a route with stale_wait, not before that is over). Starts a refresh if one is due.
 * The settlement is SETTLED_ENTRY or a cached failure; its entry is valid until the next call.
 * Returns false if there is nothing to serve. */
bool flights_serve(struct flights *flights, const struct fragment *fragment,
                   struct settlement *settlement);

/* The longest hold that a request may ask for; and the value for one that does not. */
#define HOLD_MAX_S    60
#define HOLD_OF_ROUTE (-1)

/* Waits on the key's flight, which is started if there is none. The fragment is copied. Never
 * settles the waiter before it returns. Returns NULL and sets *refusal if the request can't be
 * parked.
 *
 * `hold_s` is how long to wait: 0 to HOLD_MAX_S seconds, or HOLD_OF_ROUTE. With 0, the request
 * waits only for the answer of Redis. If all requests have joined a flight with 0 and its source is
 * busy, the source is not called, and they are SETTLED_DECLINED. So is a request with 0 that needs
 * a solo flight: a result that must not be shared can only be waited for. */
struct waiter *flights_join(struct flights *flights, const struct fragment *fragment,
                            struct waiter_address who, int hold_s, enum join_refusal *refusal);

/* As flights_join, for a waiter in the caller's memory, with a callback of its own. It has no hold.
 * Returns false if it can't wait. */
bool flights_join_in(struct flights *flights, const struct fragment *fragment,
                     struct waiter *waiter, waiter_embedded_fn *settled);

/* As purges_start; the purge counts as parked. A result that is being generated is still given to
 * its present waiters, but not stored. Returns NULL and sets *refusal if the purge is refused. */
struct waiter *flights_purge(struct flights *flights, const struct cache_purge *what,
                             struct waiter_address who, enum join_refusal *refusal);

/* As inspects_start; it counts as parked. Returns NULL and sets *refusal if it is refused; then
 * `write` is never called. */
struct waiter *flights_inspect(struct flights *flights, struct slice key, struct waiter_address who,
                               inspect_write_fn *write, void *context, enum join_refusal *refusal);

/* Returns cache_trouble of the cache. */
const char *flights_trouble(const struct flights *flights);

/* The number of flights that are not settled, and of waiters on flights and purges. */
size_t flights_under_way(const struct flights *flights);
size_t flights_parked(const struct flights *flights);

/* Everything that an operator may want to see of the flights. */
struct flights_view {
    const struct flight_limits *limits;
    struct cache *cache;
    struct source *const *sources;
    size_t source_count;
    const char *const *state_names;
    const size_t *by_state; /* number of flights in each */
    size_t state_count;
};

/* Everything is borrowed, and valid until the loop runs again. */
struct flights_view flights_look(const struct flights *flights);

/* One flight in progress. Everything is borrowed for the call. */
struct flight_row {
    struct slice key;
    const char *state;
    const char *source;  /* its name */
    struct slice holder; /* of the lease: another process while `state` is "waiting", else this one;
                            see cache/holder.h; empty: unknown, or there is no lease */
    double age_s;
    size_t waiters;
    bool waiters_known; /* false: so many are parked that they are not counted for this row */
    bool solo;
};

/* Called for each row; returns false if it wants no more. */
typedef bool flight_row_fn(void *context, const struct flight_row *row);

/* Lists at most that many flights that have not landed: those that requests can join, the oldest
 * first, and then the others in no particular order. Returns false if there are more. */
bool flights_list(const struct flights *flights, size_t most, flight_row_fn *row, void *context);

/* The same for the flights of one key. Returns false if there are more. */
bool flights_list_key(const struct flights *flights, struct slice key, size_t most,
                      flight_row_fn *row, void *context);

/* Lands flights without waiters whose fragment another process generates. */
void flights_leave_to_others(struct flights *flights);

/* The process ends soon, and others will be asked. Requests that wait for a source or for another
 * process are settled now with SETTLED_SHUTDOWN, or with the stale entry whose refresh they wait
 * for; those that wait for an answer of Redis, when that has come. From now on a request that joins
 * waits only for that answer, and no source is called. Calls in progress continue, so that their
 * results are stored; except those for one request only, which has been settled. */
void flights_drain(struct flights *flights);

/* Cancels every flight: each waiter is settled with SETTLED_SHUTDOWN, each lease is released. */
void flights_cancel_all(struct flights *flights);

/* Call it after flights_cancel_all and cache_free, since an answer of the cache may be pending
 * until then. NULL is allowed. */
void flights_free(struct flights *flights);

#endif
