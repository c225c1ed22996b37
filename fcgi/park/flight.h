/* The heart: key -> flight -> waiters.
 *
 * A flight is the one ongoing attempt to obtain the entry of a key. Any number of requests wait on
 * it; it goes on whether they stay or leave, and settles them all at once.
 */
#ifndef WORKERLESS_PARK_FLIGHT_H
#define WORKERLESS_PARK_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct ev_loop;
struct cache;
struct entry;
struct source;
struct flights;
struct waiter;

struct flight_limits {
    size_t max_parked; /* waiters, of all flights together */
    size_t max_flights;
};

/* How the fragments of one route are made. Belongs to the config. */
struct recipe {
    unsigned source; /* index into the sources given to flights_new */
    unsigned number; /* of the recipe: index of its route */
    double ttl;      /* seconds that a result stays fresh; 0: it is not cached */
    double hold;     /* seconds that a request is parked at the most */
};

/* Who waits: a name, not a pointer, so nothing dangles when the request goes first. */
struct waiter_address {
    uint32_t connection; /* the connection's number; never reused while it could matter */
    uint32_t generation; /* of the request on that connection: tells two uses of an id apart */
    uint16_t request_id;
};

enum settlement_kind {
    SETTLED_ENTRY,     /* entry is set */
    SETTLED_NOT_FOUND, /* the source knows no such fragment */
    SETTLED_FAILED,
    SETTLED_TIMED_OUT, /* the source did not answer in time */
    SETTLED_NOT_READY, /* the hold is over; the flight goes on */
    SETTLED_SHUTDOWN,
};

struct settlement {
    enum settlement_kind kind;
    struct entry *entry; /* borrowed for the call */
    bool hit;            /* the entry was in the cache */
    bool collapsed;      /* this waiter joined a flight that another one had started */
    bool stored;         /* the result was given to the cache */
};

/* Called once for a waiter that has not left. The waiter is gone after it. */
typedef void flight_settled_fn(void *context, const struct waiter_address *who,
                               const struct settlement *settlement);

enum join_refusal { JOIN_OK, JOIN_TOO_MANY_PARKED, JOIN_TOO_MANY_FLIGHTS, JOIN_NO_MEMORY };

/* `sources`, `cache` and `recipes` are borrowed for the flights' life. Returns NULL when out of
 * memory. */
struct flights *flights_new(struct ev_loop *loop, const struct flight_limits *limits,
                            struct cache *cache, struct source *const *sources,
                            const struct recipe *const *recipes, size_t recipe_count);

/* Who is told about settlements. To be called before the first join. */
void flights_on_settled(struct flights *flights, flight_settled_fn *settled, void *context);

/* Waits on the key's flight, which is started if there is none. Key and name are copied. Never
 * settles the waiter before it returns. Returns NULL and sets *refusal if it can't be parked. */
struct waiter *flights_join(struct flights *flights, const struct recipe *recipe, struct slice key,
                            struct slice name, struct waiter_address who,
                            enum join_refusal *refusal);

/* The waiter's request went away. The flight goes on. */
void waiter_leave(struct waiter *waiter);

/* Flights not settled yet, and those who wait on them. */
size_t flights_under_way(const struct flights *flights);
size_t flights_parked(const struct flights *flights);

/* Cancels every flight: each waiter is settled with SETTLED_SHUTDOWN. */
void flights_cancel_all(struct flights *flights);

/* NULL is allowed. Flights under way are cancelled first. */
void flights_free(struct flights *flights);

#endif
