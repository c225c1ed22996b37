/* The heart: key -> flight -> waiters.
 *
 * A flight is the one ongoing attempt to obtain the entry of a key. Any number of requests wait on
 * it; it goes on whether they stay or leave, and settles them all at once. Between processes it is
 * the lease in Redis that makes it the only one.
 */
#ifndef WORKERLESS_PARK_FLIGHTS_H
#define WORKERLESS_PARK_FLIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "park/fragment.h"
#include "park/waiter.h"

struct cache;
struct cache_purge;
struct entry;
struct ev_loop;
struct flights;
struct source;

struct flight_limits {
    size_t max_parked; /* waiters, of all flights and purges together */
    size_t max_flights;
};

enum join_refusal { JOIN_OK, JOIN_TOO_MANY_PARKED, JOIN_TOO_MANY_FLIGHTS, JOIN_NO_MEMORY };

/* `sources`, `cache` and each recipe are borrowed for the flights' life. The number of a recipe is
 * its index in `recipes`. Returns what the caller owns, or NULL when out of memory. */
struct flights *flights_new(struct ev_loop *loop, const struct flight_limits *limits,
                            struct cache *cache, struct source *const *sources,
                            const struct recipe *const *recipes, size_t recipe_count);

/* Who is told about settlements. To be called before the first join. */
void flights_on_settled(struct flights *flights, waiter_settled_fn *settled, void *context);

/* What can be served without waiting: from memory, or the stale entry that a flight is about to
 * replace. Sees to it that what should be made anew is. The settlement is SETTLED_ENTRY, or the
 * failure that is remembered; its entry is valid until the next call. False: there is none. */
bool flights_serve(struct flights *flights, const struct fragment *fragment,
                   struct settlement *settlement);

/* The longest hold that a request may name; and for one that names none. */
#define HOLD_MAX_S    60
#define HOLD_OF_ROUTE (-1)

/* Waits on the key's flight, which is started if there is none. The fragment is copied. Never
 * settles the waiter before it returns. Returns NULL and sets *refusal if it can't be parked.
 *
 * `hold_s` is how long it waits: from 0 to HOLD_MAX_S seconds, or HOLD_OF_ROUTE. With 0 it waits
 * for no flight, only for what Redis has; and a flight that all have joined so asks nothing of a
 * source that is busy: they are SETTLED_DECLINED. */
struct waiter *flights_join(struct flights *flights, const struct fragment *fragment,
                            struct waiter_address who, int hold_s, enum join_refusal *refusal);

/* As flights_join, for a waiter whose memory is the caller's, and who is told by `settled`. It has
 * no hold. False: it does not wait. */
bool flights_join_in(struct flights *flights, const struct fragment *fragment,
                     struct waiter *waiter, waiter_embedded_fn *settled);

/* As purges_start; a purge counts as parked. What is being made is given to those who wait for it
 * already, and not kept. Returns NULL and sets *refusal if it is refused. */
struct waiter *flights_purge(struct flights *flights, const struct cache_purge *what,
                             struct waiter_address who, enum join_refusal *refusal);

/* cache_trouble of the cache. */
const char *flights_trouble(const struct flights *flights);

/* Flights not settled yet; and those who wait, on them and on purges. */
size_t flights_under_way(const struct flights *flights);
size_t flights_parked(const struct flights *flights);

/* Gives up those on which nobody waits while another process makes what they are for. */
void flights_leave_to_others(struct flights *flights);

/* Cancels every flight: each waiter is settled with SETTLED_SHUTDOWN, each lease is given up. */
void flights_cancel_all(struct flights *flights);

/* To be called when all has been cancelled and the cache is freed: it may owe an answer until then.
 * NULL is allowed. */
void flights_free(struct flights *flights);

#endif
