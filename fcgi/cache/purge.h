/* Purges every key that begins with a prefix. */
#ifndef WORKERLESS_CACHE_PURGE_H
#define WORKERLESS_CACHE_PURGE_H

#include <stdbool.h>

#include "base/slice.h"
#include "cache/store.h"

/* Purges each key as store_purge does, on every server, step by step. The store is borrowed, the
 * prefix is copied. Returns whether `answered` will be called, as the functions of the store do:
 * DONE, or GONE if some key may not have been purged. store_free ends it as well. */
bool purge_prefix(struct store *store, struct slice prefix, bool soft, store_answer_fn *answered,
                  void *caller);

#endif
