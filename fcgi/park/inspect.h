/* Requests that wait for what Redis holds for a key, so that an operator sees it. */
#ifndef WORKERLESS_PARK_INSPECT_H
#define WORKERLESS_PARK_INSPECT_H

#include <stddef.h>

#include "base/slice.h"
#include "park/waiter.h"

struct cache;
struct entry;
struct inspect_wait;
struct inspection;

/* Writes the answer with what Redis holds, or with NULL if it can't be asked. Called exactly once,
 * even if the waiter has left; `context` is the callee's then. Returns an entry that the caller
 * owns; or NULL: the waiter is SETTLED_REFUSED. */
typedef struct entry *inspect_write_fn(void *context, const struct inspection *inspection);

struct inspects { /* all zero except `parking` and `cache`, which are borrowed */
    struct parking *parking;
    struct cache *cache;
    size_t count; /* pending ones, whether their requests are still there or not */
    struct inspect_wait *answered;
};

/* Asks Redis. inspects_run settles the waiter after that, with SETTLED_ENTRY. Returns NULL when out
 * of memory; then `write` is never called. */
struct waiter *inspects_start(struct inspects *inspects, struct slice key,
                              struct waiter_address who, inspect_write_fn *write, void *context);

/* Settles the waiters that have their answer. */
void inspects_run(struct inspects *inspects);

#endif
