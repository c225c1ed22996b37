/* One flight: from the first question about its key to its outcome. For flights.c alone.
 *
 *     new --> LOOKING --none--> CLAIMING --ours, alone--> GENERATING --completed--> LANDED
 *                 |   refresh----^ |  |  ^                     |                       ^
 *                 |                |  |  '-changed, or time-.  '--somebody wrote it----|
 *                 |                |  |        to look      |                          |
 *                 |                |  '--theirs--> WAITING -'                          |
 *                 '----found-------'-----found-----------------------------------------'
 *
 * A refresh knows the old entry, which is served meanwhile. A flight that is purged while
 * GENERATING is detached: it goes on for those who wait, out of the table. An optional one is
 * declined, and lands, where it would have to queue at its source.
 */
#ifndef WORKERLESS_PARK_FLIGHT_H
#define WORKERLESS_PARK_FLIGHT_H

#include <ev.h>
#include <stdbool.h>

#include "base/log.h"
#include "base/slice.h"
#include "base/table.h"
#include "park/fragment.h"
#include "park/waiter.h"

struct cache;
struct entry;
struct failure_log;
struct lease;
struct negatives;
struct source;
struct source_call;

enum flight_state {
    FLIGHT_NEW,        /* it has just been made */
    FLIGHT_LOOKING,    /* the value is asked for */
    FLIGHT_CLAIMING,   /* the value or the lease is asked for */
    FLIGHT_WAITING,    /* another process makes it */
    FLIGHT_GENERATING, /* our source makes it */
    FLIGHT_LANDED,     /* the outcome is there */
    FLIGHT_SETTLED,    /* and everybody has it; what remains is to be freed */
};

/* What all flights have in common. */
struct flight_shared {
    struct ev_loop *loop;
    struct cache *cache;
    struct source *const *sources;
    struct failure_log *logs;     /* by source */
    struct negatives **negatives; /* by recipe number; NULL: its failures are not remembered */
    struct log_limit too_many_negatives;
    struct flight *table;    /* by key */
    struct flight *landed;   /* to be settled by whoever looks next */
    struct flight *detached; /* still GENERATING */
};

struct flight {
    UT_hash_handle hh; /* in shared->table until it is settled, or detached */
    struct flight_shared *shared;
    struct fragment fragment;   /* its bytes are in `text` */
    struct flight *next, *prev; /* in shared->landed, or in shared->detached */
    struct waiter *waiters;
    struct entry *known;       /* held: the old entry that is to be replaced, or NULL */
    struct lease *lease;       /* owned: while GENERATING, unless there is nobody to ask for it */
    struct source_call *call;  /* while GENERATING */
    double started;            /* when the generation was, by clock_monotonic() */
    ev_timer look_again;       /* while WAITING */
    struct settlement outcome; /* outcome.entry is an owned reference */
    enum flight_state state;
    unsigned rounds;    /* claims that found what is of no use; see ROUNDS_MAX */
    bool asking;        /* the cache owes an answer: until then the flight can't be freed */
    bool changed;       /* the key changed while the cache was asked: what it answers may be old */
    bool value_changed; /* and not only its lease */
    bool doubted; /* known may be another by now, or gone: not to be used until that is clear */
    bool failed;  /* the source did; outcome.kind says how. It lands when known is not doubted */
    bool refresh_next; /* what landed is served, and made anew by a flight that follows */
    bool detached;     /* purged, or declined: no longer in the table, so nobody joins it */
    bool optional;     /* all who asked for it don't wait: it takes no place in a queue */
    char text[];
};

/* For a copy of the fragment. It is in the table, and has yet to look, or to claim. NULL when out of
 * memory. */
struct flight *flight_new(struct flight_shared *shared, const struct fragment *fragment);

/* The first question: is the value there? */
void flight_look(struct flight *flight);

/* The same for one who knows that it is not, or that it is `known`: may we make it? */
void flight_claim(struct flight *flight);

/* Somebody wrote or purged the value, or something happened to the lease. */
void flight_changed(struct flight *flight, bool lease_only);

/* We were asked to purge it. */
void flight_purged(struct flight *flight);

/* It has its outcome, `owned` being the entry or NULL, and is in shared->landed. */
void flight_land(struct flight *flight, enum settlement_kind kind, struct entry *owned);

/* It lands with SETTLED_SHUTDOWN, if it has not landed yet. */
void flight_cancel(struct flight *flight);

/* All who waited have been told. It is freed, now or when the cache has answered. */
void flight_settled(struct flight *flight);

#endif
