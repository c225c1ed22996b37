/* One flight: from the first question about its key to its settlement. For flights.c alone.
 *
 *     NEW --> LOOKING --not there--> CLAIMING --ours, alone--> GENERATING --in doubt--> FAILING
 *      |         |                   ^  |  |                       |                       |
 *      '------refresh----------------'  |  |<--theirs, again-->    |                       |
 *                |                      |             WAITING      | result,               | answered
 *              found                  found              |         | failure,              |
 *                |                      |              left        | found                 |
 *                v                      v                v         v                       v
 *              LANDED <-----------------'----------------'---------'-----------------------'
 *                '--> SETTLED --> freed, once the cache owes no answer
 *
 * CLAIMING also leads to itself: what the claim found is of no use, or may have changed meanwhile.
 * Any state before LANDED leads there when the flight is cancelled. What happens in which state (one
 * in capitals comes next, a blank can't happen):
 *
 *                      LOOKING    CLAIMING     WAITING    GENERATING    FAILING
 *     found, usable    LANDED     LANDED                  LANDED        LANDED
 *     found, too old   CLAIMING   CLAIMING (5,6)          stays         LANDED
 *     not there        CLAIMING                           stays         LANDED
 *     unreadable                  CLAIMING (5)
 *     lease is ours               GENERATING              stays (1)     LANDED (1)
 *     lease is theirs             WAITING (4)             stays (1)     LANDED (1)
 *     nobody to ask    CLAIMING   GENERATING (7)          stays         LANDED
 *     lease was lost                                      detached      detached
 *     told of change   (2)        (2)          CLAIMING   asks (2)      (2)
 *     time to look                             CLAIMING
 *     source: result                                      LANDED
 *     source: failure                                     LANDED (3)
 *     we purge it      (2)        (2)          CLAIMING   detached      detached
 *     last waiter left stays      stays        stays      stays         stays
 *     declined         LANDED     LANDED       LANDED
 *     left to others                           LANDED
 *
 *     (1) it was begun without a lease, so the cache is asked for one
 *     (2) while the cache owes an answer it is asked once more after that
 *     (3) FAILING if there is an old entry, which may have changed: the cache's answer decides
 *         whether it stands in for the result
 *     (4) LANDED if nobody waits and the old entry is served meanwhile: they refresh it
 *     (5) GENERATING, without a lease, if that happens again and again: see ROUNDS_MAX
 *     (6) as while LOOKING: LANDED, refused, if BUDGET_UNSENT has no room to hold the old entry
 *     (7) at once where no Redis is configured
 *
 * A refresh knows the old entry, which is served meanwhile. A flight that is purged once its source
 * was asked is detached: it goes on for those who wait, out of the table. An optional one is
 * declined where it would have to queue at its source. */
#ifndef WORKERLESS_PARK_FLIGHT_H
#define WORKERLESS_PARK_FLIGHT_H

#include <ev.h>
#include <stdbool.h>

#include "base/log.h"
#include "base/slice.h"
#include "base/table.h"
#include "cache/cache.h"
#include "park/fragment.h"
#include "park/waiter.h"

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
    FLIGHT_FAILING,    /* our source failed; whether the old entry is still there is asked */
    FLIGHT_LANDED,     /* its settlement is known, and nobody told yet */
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
    struct flight *detached; /* GENERATING or FAILING */
};

/* How many changes a flight was told of. */
struct change_count {
    unsigned all;   /* of the value, or of the lease */
    unsigned value; /* of the value */
};

struct flight {
    UT_hash_handle hh; /* in shared->table while `listed` */
    struct flight_shared *shared;
    struct fragment fragment;   /* its bytes are in `text` */
    struct flight *next, *prev; /* in shared->landed, or in shared->detached */
    struct waiter *waiters;
    struct entry *known;          /* held: the old entry that is to be replaced, or NULL */
    unsigned known_as_of;         /* told.value when `known` was there for sure */
    struct change_count told;     /* so far */
    struct change_count asked;    /* as `told` was when the cache was asked last */
    struct lease *lease;          /* owned: once GENERATING, unless there is nobody to ask for it */
    struct source_call *call;     /* while GENERATING */
    double started;               /* when the generation was, by clock_monotonic() */
    ev_timer look_again;          /* while WAITING */
    enum settlement_kind failure; /* what its source came to, if that is no result */
    struct settlement settlement; /* once LANDED; its entry is an owned reference */
    enum flight_state state;      /* set by flight_set_state alone */
    unsigned rounds;              /* claims that found what is of no use; see ROUNDS_MAX */
    bool asking;       /* the cache owes an answer: until then the flight can't be freed */
    bool refresh_next; /* what landed is served, and refreshed by a flight that follows */
    bool listed;       /* in the table: whoever asks for the key joins it */
    bool detached;     /* purged once its source was asked: what it gets is not kept */
    bool optional;     /* nobody who asked for it waits: it takes no place in a queue */
    char text[];
};

/* For a copy of the fragment. It is in the table, and has yet to look, or to claim. NULL when out
 * of memory. */
struct flight *flight_new(struct flight_shared *shared, const struct fragment *fragment);

/* The old entry that it knows, if that is still there for sure; else NULL. */
static inline struct entry *flight_old_entry(const struct flight *flight)
{
    return flight->known_as_of == flight->told.value ? flight->known : NULL;
}

/* A flight that is to refresh that entry, which is held. To be called before flight_claim. */
void flight_set_known(struct flight *flight, struct entry *entry);

/* The first question: is the value there? */
void flight_look(struct flight *flight);

/* The same for one who knows that it is not, or that it is `known`: may we make it? */
void flight_claim(struct flight *flight);

/* Something happened to the key. What is purged while it is made has to be made once more for those
 * who come later, whoever looks: so the cache is not asked. */
void flight_changed(struct flight *flight, enum cache_change_kind kind);

/* It has its settlement, `owned` being the entry or NULL, and is in shared->landed. */
void flight_land(struct flight *flight, enum settlement_kind kind, struct entry *owned);

/* It lands with SETTLED_SHUTDOWN, if it has not landed yet. */
void flight_cancel(struct flight *flight);

/* Out of the table, if it is there: nobody joins it any longer. */
void flight_unlist(struct flight *flight);

/* All who waited have been told. It is freed, now or when the cache has answered. */
void flight_settled(struct flight *flight);

#endif
