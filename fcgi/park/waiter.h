/* Parked requests, and how they are settled. */
#ifndef WORKERLESS_PARK_WAITER_H
#define WORKERLESS_PARK_WAITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/container.h"
#include "base/timeout.h"

struct entry;
struct timing;

/* Identifies a waiting request without a pointer, so nothing dangles if the request ends first. */
struct waiter_address {
    uint32_t connection; /* the connection's number; never reused while it could matter */
    uint32_t generation; /* of the request on that connection: distinguishes two uses of an id */
    uint16_t request_id;
};

enum settlement_kind {
    SETTLED_ENTRY,     /* entry is set */
    SETTLED_NOT_FOUND, /* the source knows no such fragment */
    SETTLED_FAILED,
    SETTLED_TIMED_OUT, /* the source did not answer in time */
    SETTLED_NOT_READY, /* the hold is over, and the flight continues */
    SETTLED_BUSY,     /* the source was not called: its queue is full, or it has failed too often */
    SETTLED_DECLINED, /* not started: no request waits for it, and the source is busy */
    SETTLED_SHUTDOWN, /* the process ends: another one is to be asked */
    SETTLED_PURGED,
    SETTLED_NOT_PURGED, /* Redis could not be asked */
    SETTLED_REFUSED,    /* a limit is reached */
};

/* Where the entry came from. */
enum settlement_detail { FROM_SOURCE, FROM_REDIS, FROM_MEMORY };

struct settlement {
    enum settlement_kind kind;
    enum settlement_detail detail;
    struct entry *entry;    /* borrowed for the call */
    unsigned retry_after_s; /* of SETTLED_BUSY: at least 1 */
    bool hit;               /* the entry, or cached failure, was in memory or in Redis */
    bool stale_hit;         /* a hit whose fresh time is over */
    bool stale;             /* the refresh failed, and this is the old entry */
    bool replaced;          /* there was an expired entry, and this is the new one */
    bool collapsed;         /* this waiter joined a flight that another one had started */
    bool stored;            /* the result was passed to the cache */
    bool uncacheable;       /* its source forbids sharing it: it is for this waiter only */
    /* Of its flight, borrowed for the call; NULL: it is not known. */
    const struct timing *timing;
};

struct waiter;

/* Called once for a waiter that has not left. The waiter no longer exists. */
typedef void waiter_settled_fn(void *context, const struct waiter_address *who,
                               const struct settlement *settlement);

/* The same for a waiter that is embedded in a struct of its request. That struct's owner leaves
 * before it frees it, so no address is needed. The waiter's memory belongs to the owner again. */
typedef void waiter_embedded_fn(struct waiter *waiter, const struct settlement *settlement);

/* Called when the waiter of a solo flight has gone, settled or not. */
typedef void waiter_gone_fn(struct waiter **list);

/* All waiters of this process, and the callback for their settlement. */
struct parking {
    size_t parked;
    waiter_settled_fn *settled;
    void *context;
    waiter_gone_fn *gone; /* NULL if there are no solo flights */
};

struct waiter {
    struct waiter *next, *prev; /* in *list, in the order of joining */
    struct waiter **list;       /* of the flight or of the purge that it waits on */
    struct parking *parking;
    waiter_embedded_fn *settled; /* NULL: not embedded; `parking` has the callback */
    struct waiter_address who;   /* if not embedded */
    bool collapsed;              /* it joined a flight that another waiter, or none, had started */
    bool waits;                  /* false: it only asks for what is there already */
    bool solo;                   /* on a solo flight */
};

/* A waiter with a limited waiting time. */
struct held_waiter {
    struct waiter waiter;
    struct timeout hold;
};

/* Adds a new waiter to the list. Returns NULL when out of memory. */
struct waiter *waiter_new(struct parking *parking, struct waiter **list, struct waiter_address who);

/* Adds a waiter in the caller's memory. It has no hold. */
void waiter_add(struct parking *parking, struct waiter **list, struct waiter *waiter,
                waiter_embedded_fn *settled);

/* Moves it to another list, which is empty: that of a solo flight. Its hold goes on. */
void waiter_move(struct waiter *waiter, struct waiter **list);

/* The hold of a waiter made by waiter_new; its creator starts it. */
static inline struct timeout *waiter_hold(struct waiter *waiter)
{
    return &container_of(waiter, struct held_waiter, waiter)->hold;
}

/* Removes the waiter and reports the settlement. */
void waiter_settle(struct waiter *waiter, struct settlement settlement);

/* Removes the waiter, whose request has ended. The flight or the purge continues, but not a flight
 * that is solo. */
void waiter_leave(struct waiter *waiter);

#endif
