/* Pending purges, each with the request that waits for it. */
#ifndef WORKERLESS_PARK_PURGE_H
#define WORKERLESS_PARK_PURGE_H

#include "base/slice.h"
#include "park/waiter.h"

struct cache;
struct cache_purge;
struct purge;

struct purges { /* all zero except `parking` and `cache`, which are borrowed */
    struct parking *parking;
    struct cache *cache;
    size_t count; /* pending ones, whether their requests are still there or not */
    struct purge *answered;
};

/* Purges as cache_purge does. purges_run settles the waiter after that, with SETTLED_PURGED or
 * SETTLED_NOT_PURGED; if the waiter leaves, the purge continues. Returns NULL when out of
 * memory. */
struct waiter *purges_start(struct purges *purges, const struct cache_purge *what,
                            struct waiter_address who);

/* Settles the waiters of completed purges. */
void purges_run(struct purges *purges);

#endif
