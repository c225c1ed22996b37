/* The process's own cache, limited in bytes; the least useful entries are evicted first.
 *
 * The policy is segmented LRU: a new entry is on probation, and is protected once it is requested
 * again. Entries on probation are evicted first, so a scan of cold keys does not evict hot ones.
 */
#ifndef WORKERLESS_CACHE_MEMORY_H
#define WORKERLESS_CACHE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct entry;
struct memory;

/* `limit_bytes` limits keys, entries and bookkeeping together; 0: nothing is ever kept. Returns a
 * cache that the caller owns, or NULL when out of memory. */
struct memory *memory_new(size_t limit_bytes);

/* NULL is allowed. */
void memory_free(struct memory *memory);

/* Returns the entry until its time is over, else NULL. It is borrowed, and valid until the next
 * call into the cache. */
struct entry *memory_get(struct memory *memory, struct slice key, int64_t now_ms);

/* Keeps a reference to the entry until `until_ms`, and drops an older entry of the key. Returns
 * false if the entry is too large for the limit or when out of memory; the older one is dropped
 * anyway. */
bool memory_put(struct memory *memory, struct slice key, struct entry *entry, int64_t until_ms);

/* Removes the key's entry, if there is one; if `soft`, makes it stale instead. */
void memory_purge(struct memory *memory, struct slice key, bool soft, int64_t now_ms);

/* The same for every key that begins with the prefix. It visits all entries. */
void memory_purge_prefix(struct memory *memory, struct slice prefix, bool soft, int64_t now_ms);

void memory_clear(struct memory *memory);

/* Changes the limit. What exceeds a lower one is evicted. */
void memory_set_limit(struct memory *memory, size_t limit_bytes);

/* Number of entries. */
size_t memory_count(const struct memory *memory);

/* Bytes in use, never more than the limit. */
size_t memory_used(const struct memory *memory);

#endif
