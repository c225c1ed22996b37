/* A table by key, and a list of the same items in order of use: the oldest goes when room is
 * needed. */
#include "cache/memory.h"

#include <utlist.h>

#include "base/table.h"
#include "cache/entry.h"

/* What the allocator and the table's buckets cost for one item, roughly. */
#define BOOKKEEPING 64

struct item {
    UT_hash_handle hh;
    struct item *prev, *next; /* in memory->items, latest use last */
    struct entry *entry;      /* referenced */
    size_t key_len;
    char key[];
};

struct memory {
    struct item *table;
    struct item *items;
    size_t limit, used;
};

static size_t footprint(size_t key_len, const struct entry *entry)
{
    return sizeof(struct item) + key_len + BOOKKEEPING + entry_footprint(entry);
}

static struct item *find(struct memory *memory, struct slice key)
{
    struct item *item;
    HASH_FIND(hh, memory->table, key.data, key.len, item);
    return item;
}

static void drop(struct memory *memory, struct item *item)
{
    memory->used -= footprint(item->key_len, item->entry);
    HASH_DEL(memory->table, item);
    DL_DELETE(memory->items, item);
    entry_unref(item->entry);
    free(item);
}

struct memory *memory_new(size_t limit_bytes)
{
    struct memory *memory = alloc_zeroed(sizeof *memory);
    if (memory)
        memory->limit = limit_bytes;
    return memory;
}

void memory_free(struct memory *memory)
{
    if (!memory)
        return;
    memory_clear(memory);
    free(memory);
}

struct entry *memory_get(struct memory *memory, struct slice key, int64_t now_ms)
{
    struct item *item = find(memory, key);
    if (!item)
        return NULL;
    if (item->entry->fresh_until_ms <= now_ms) {
        drop(memory, item);
        return NULL;
    }
    DL_DELETE(memory->items, item);
    DL_APPEND(memory->items, item);
    return item->entry;
}

bool memory_put(struct memory *memory, struct slice key, struct entry *entry)
{
    memory_remove(memory, key);

    size_t needed = footprint(key.len, entry);
    if (needed > memory->limit)
        return false;
    while (memory->used > memory->limit - needed)
        drop(memory, memory->items);

    struct item *item = alloc_bytes(sizeof *item + key.len);
    if (!item)
        return false;
    item->entry = entry_ref(entry);
    item->key_len = key.len;
    memcpy(item->key, key.data, key.len);
    HASH_ADD_KEYPTR(hh, memory->table, item->key, item->key_len, item);
    if (!item->hh.tbl) {
        entry_unref(entry);
        free(item);
        return false;
    }
    DL_APPEND(memory->items, item);
    memory->used += needed;
    return true;
}

void memory_remove(struct memory *memory, struct slice key)
{
    struct item *item = find(memory, key);
    if (item)
        drop(memory, item);
}

void memory_clear(struct memory *memory)
{
    while (memory->items)
        drop(memory, memory->items);
}

size_t memory_used(const struct memory *memory)
{
    return memory->used;
}
