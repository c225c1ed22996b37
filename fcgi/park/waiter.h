/* Parked requests: who waits, and what they are told at the end. */
#ifndef WORKERLESS_PARK_WAITER_H
#define WORKERLESS_PARK_WAITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/container.h"
#include "base/timeout.h"

struct entry;

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
    SETTLED_NOT_READY, /* the hold is over, and the flight goes on */
    SETTLED_DECLINED,  /* it was not begun: nobody waits for it, and the source is busy */
    SETTLED_SHUTDOWN,
    SETTLED_PURGED,
    SETTLED_NOT_PURGED, /* Redis could not be asked */
    SETTLED_REFUSED,    /* a limit is reached */
};

/* Where what is settled came from. */
enum settlement_detail { FROM_SOURCE, FROM_REDIS, FROM_MEMORY };

struct settlement {
    enum settlement_kind kind;
    enum settlement_detail detail;
    struct entry *entry; /* borrowed for the call */
    bool hit;            /* it, be it a failure that is remembered, was in memory or in Redis */
    bool stale;          /* making it anew failed, and this is the old one */
    bool replaced;       /* there was an old one, past its time, and this is the new one */
    bool collapsed;      /* this waiter joined a flight that another one had started */
    bool stored;         /* the result was given to the cache */
};

struct waiter;

/* Called once for a waiter that has not left. The waiter is gone already. */
typedef void waiter_settled_fn(void *context, const struct waiter_address *who,
                               const struct settlement *settlement);

/* The same for one that is embedded in something of its request's. That leaves before it is freed, so
 * it needs no address. The memory of the waiter is its owner's again. */
typedef void waiter_embedded_fn(struct waiter *waiter, const struct settlement *settlement);

/* All that wait in this process, and who is told when they are settled. */
struct parking {
    size_t parked;
    waiter_settled_fn *settled;
    void *context;
};

struct waiter {
    struct waiter *next, *prev; /* in *list, in the order of joining */
    struct waiter **list;       /* of the flight or of the purge that it waits on */
    struct parking *parking;
    waiter_embedded_fn *settled; /* NULL: it is not embedded, and `parking` has who is told */
    struct waiter_address who;   /* of one that is not embedded */
    bool collapsed;
};

/* One that may be held for a time only. */
struct held_waiter {
    struct waiter waiter;
    struct timeout hold;
};

/* Adds a waiter to the list. Returns NULL when out of memory. */
struct waiter *waiter_new(struct parking *parking, struct waiter **list, struct waiter_address who);

/* Adds one whose memory is the caller's. It has no hold. */
void waiter_add(struct parking *parking, struct waiter **list, struct waiter *waiter,
                waiter_embedded_fn *settled);

/* Its hold, for whoever made it by waiter_new to start. */
static inline struct timeout *waiter_hold(struct waiter *waiter)
{
    return &container_of(waiter, struct held_waiter, waiter)->hold;
}

/* The waiter is gone, and whoever waits is told. */
void waiter_settle(struct waiter *waiter, struct settlement settlement);

/* The waiter's request went away. The flight, or the purge, goes on. */
void waiter_leave(struct waiter *waiter);

#endif
