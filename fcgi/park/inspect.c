/* As purges: the cache answers later, whether the request that waits has left or not. */
#include "park/inspect.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/alloc.h"
#include "cache/cache.h"
#include "cache/entry.h"

struct inspect_wait {
    struct inspect_wait *next, *prev; /* in inspects->answered */
    struct inspects *inspects;
    struct waiter *waiters;  /* one, or none */
    inspect_write_fn *write; /* NULL: it has been called */
    void *context;
    struct entry *entry; /* owned, or NULL */
};

static void on_inspected(void *caller, const struct inspection *inspection)
{
    struct inspect_wait *wait = caller;
    wait->entry = wait->write(wait->context, inspection);
    wait->write = NULL;
    DL_APPEND(wait->inspects->answered, wait);
}

struct waiter *inspects_start(struct inspects *inspects, struct slice key,
                              struct waiter_address who, inspect_write_fn *write, void *context)
{
    struct inspect_wait *wait = alloc_zeroed(sizeof *wait);
    if (!wait)
        return NULL;
    wait->inspects = inspects;
    wait->write = write;
    wait->context = context;
    struct waiter *waiter = waiter_new(inspects->parking, &wait->waiters, who);
    if (!waiter) {
        free(wait);
        return NULL;
    }
    inspects->count++;
    if (!cache_inspect(inspects->cache, key, on_inspected, wait))
        DL_APPEND(inspects->answered, wait);
    return waiter;
}

void inspects_run(struct inspects *inspects)
{
    struct inspect_wait *wait;
    while ((wait = inspects->answered)) {
        DL_DELETE(inspects->answered, wait);
        inspects->count--;
        if (wait->write)
            wait->entry = wait->write(wait->context, NULL);
        if (wait->waiters)
            waiter_settle(wait->waiters,
                          (struct settlement){.kind = wait->entry ? SETTLED_ENTRY : SETTLED_REFUSED,
                                              .entry = wait->entry});
        entry_unref(wait->entry);
        free(wait);
    }
}
