/* Purging every key that begins with a prefix. */
#ifndef WORKERLESS_CACHE_PURGE_H
#define WORKERLESS_CACHE_PURGE_H

#include <stdbool.h>

#include "base/slice.h"
#include "cache/store.h"

/* Purges each of them as store_purge does, on every server, step by step. The store is borrowed,
 * the prefix is copied. `answered` is called exactly once, later or before this returns: DONE, or
 * GONE if any of the keys may not be purged. The end of the store is the end of it too. */
void purge_prefix(struct store *store, struct slice prefix, bool soft, store_answer_fn *answered,
                  void *caller);

#endif
