/* Purges under way, each with the request that waits for it. */
#ifndef WORKERLESS_PARK_PURGE_H
#define WORKERLESS_PARK_PURGE_H

#include "base/slice.h"
#include "park/waiter.h"

struct cache;
struct cache_purge;
struct purge;

struct purges { /* all zero but for `parking` and `cache`, which are borrowed */
    struct parking *parking;
    struct cache *cache;
    size_t count; /* under way, whether those who asked are still there or not */
    struct purge *answered;
};

/* Purges as cache_purge. The waiter is settled by purges_run after that, with SETTLED_PURGED or
 * SETTLED_NOT_PURGED; if it leaves, the purge goes on. NULL: no memory. */
struct waiter *purges_start(struct purges *purges, const struct cache_purge *what,
                            struct waiter_address who);

/* Settles those who wait for purges that are over. */
void purges_run(struct purges *purges);

#endif
