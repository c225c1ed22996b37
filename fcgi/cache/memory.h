/* The process's own cache: bounded in bytes, the least useful out first.
 *
 * The policy is segmented LRU: what is new is on probation, and protected once it was asked for
 * again. Room is made among those on probation, so a scan of cold keys passes through there and
 * does not wash out the hot ones.
 */
#ifndef WORKERLESS_CACHE_MEMORY_H
#define WORKERLESS_CACHE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct entry;
struct memory;

/* `limit_bytes` bounds keys, entries and bookkeeping together; 0: nothing is ever kept. Returns a
 * cache that the caller owns, or NULL when out of memory. */
struct memory *memory_new(size_t limit_bytes);

/* NULL is allowed. */
void memory_free(struct memory *memory);

/* The entry until its time is over, else NULL. Borrowed: valid until the next call into the cache.
 */
struct entry *memory_get(struct memory *memory, struct slice key, int64_t now_ms);

/* Keeps a reference to the entry until then, in the place of an older one. False if it is too large
 * for the bound or memory is refused; an older one of the key is gone all the same. */
bool memory_put(struct memory *memory, struct slice key, struct entry *entry, int64_t until_ms);

/* Removes the key's entry, if there is one, or, if soft, makes it stale. */
void memory_purge(struct memory *memory, struct slice key, bool soft, int64_t now_ms);

/* Does so for every key that begins with the prefix. Looks at all of them. */
void memory_purge_prefix(struct memory *memory, struct slice prefix, bool soft, int64_t now_ms);

void memory_clear(struct memory *memory);

/* Bytes in use, at most the limit. */
size_t memory_used(const struct memory *memory);

#endif
