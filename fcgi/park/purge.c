/* Purges. The cache answers later, whether the request that waits has left or not. */
#include "park/purge.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/alloc.h"
#include "cache/cache.h"

struct purge {
    struct purge *next, *prev; /* in purges->answered */
    struct purges *purges;
    struct waiter *waiters; /* one, or none */
    enum settlement_kind kind;
};

static void on_purged(void *caller, const struct cache_answer *answer)
{
    struct purge *purge = caller;
    purge->kind = answer->outcome == CACHE_PURGED ? SETTLED_PURGED : SETTLED_NOT_PURGED;
    DL_APPEND(purge->purges->answered, purge);
}

struct waiter *purges_start(struct purges *purges, const struct cache_purge *what,
                            struct waiter_address who)
{
    struct purge *purge = alloc_zeroed(sizeof *purge);
    if (!purge)
        return NULL;
    purge->purges = purges;
    struct waiter *waiter = waiter_new(purges->parking, &purge->waiters, who);
    if (!waiter) {
        free(purge);
        return NULL;
    }
    if (!cache_purge(purges->cache, what, on_purged, purge)) {
        waiter_leave(waiter);
        free(purge);
        return NULL;
    }
    purges->count++;
    return waiter;
}

void purges_run(struct purges *purges)
{
    struct purge *purge;
    while ((purge = purges->answered)) {
        DL_DELETE(purges->answered, purge);
        purges->count--;
        if (purge->waiters)
            waiter_settle(purge->waiters, (struct settlement){.kind = purge->kind});
        free(purge);
    }
}
