/* The process's own cache: bounded in bytes, least recently used out first. */
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

/* The entry while it is fresh, else NULL. Borrowed: valid until the next call into the cache. */
struct entry *memory_get(struct memory *memory, struct slice key, int64_t now_ms);

/* Keeps a reference to the entry, in the place of an older one. False if it is too large for the
 * bound or memory is refused; an older one of the key is gone all the same. */
bool memory_put(struct memory *memory, struct slice key, struct entry *entry);

void memory_remove(struct memory *memory, struct slice key);
void memory_clear(struct memory *memory);

/* Bytes in use, at most the limit. */
size_t memory_used(const struct memory *memory);

#endif
