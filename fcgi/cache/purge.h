/* Purging every key that begins with a prefix. */
#ifndef WORKERLESS_CACHE_PURGE_H
#define WORKERLESS_CACHE_PURGE_H

#include <stdbool.h>

#include "base/slice.h"
#include "cache/store.h"

/* Purges each of them as store_purge does, on every server, step by step. The store is borrowed,
 * the prefix is copied. Returns whether `answered` will be called, as these functions do: DONE, or
 * GONE if any of the keys may not be purged. The end of the store is the end of it too. */
bool purge_prefix(struct store *store, struct slice prefix, bool soft, store_answer_fn *answered,
                  void *caller);

#endif
