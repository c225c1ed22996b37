/* A table by key, and two lists of the same items, each in order of use. */
#include "cache/memory.h"

#include <utlist.h>

#include "base/counters.h"
#include "base/table.h"
#include "cache/entry.h"

/* The table gets twice the buckets if one of them has so many items. With uthash's own 10, there are
 * up to three items a bucket, and each that is visited is far from the processor; with 7 less than
 * one. A bucket takes 16 bytes. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 7U

/* Approximate cost of one item in the allocator and the table's buckets. */
#define BOOKKEEPING 64

/* The share of the limit that protected items may take, in percent. */
#define PROTECTED_SHARE 80

/* A missing key of at most so many bytes is remembered. */
#define MISSING_MAX 64

enum segment_name { PROBATION, PROTECTED, SEGMENTS };

struct item {
    UT_hash_handle hh;
    struct item *prev, *next; /* in the list of its segment, latest use last */
    struct entry *entry;      /* referenced */
    int64_t until_ms;
    enum segment_name segment;
    size_t key_len;
    char key[];
};

struct memory {
    struct item *table;
    struct segment {
        struct item *items;
        size_t used;
    } segments[SEGMENTS];
    size_t limit;
    size_t missing_len; /* 0: none is remembered */
    char missing[MISSING_MAX];
};

static size_t footprint(size_t key_len, const struct entry *entry)
{
    return sizeof(struct item) + key_len + BOOKKEEPING + entry_footprint(entry);
}

static struct item *find_hashed(const struct memory *memory, struct slice key, unsigned hash)
{
    struct item *item;
    HASH_FIND_BYHASHVALUE(hh, memory->table, key.data, key.len, hash, item);
    return item;
}

static unsigned hash_of(struct slice key)
{
    return (unsigned)table_hash(key.data, key.len);
}

/* The key that was not found last is often looked for again at once: a request that can't be served
 * is about to join a flight. It is not searched for twice, since that visits items that are far from
 * the processor. */
static struct item *find(struct memory *memory, struct slice key)
{
    struct slice missing = {.data = memory->missing, .len = memory->missing_len};
    if (missing.len > 0 && slice_equal(key, missing))
        return NULL;
    struct item *item = find_hashed(memory, key, hash_of(key));
    if (!item && key.len <= MISSING_MAX) {
        memcpy(memory->missing, key.data, key.len);
        memory->missing_len = key.len;
    }
    return item;
}

static void link_item(struct memory *memory, struct item *item, enum segment_name segment)
{
    item->segment = segment;
    memory->segments[segment].used += footprint(item->key_len, item->entry);
    DL_APPEND(memory->segments[segment].items, item);
}

static void unlink_item(struct memory *memory, struct item *item)
{
    memory->segments[item->segment].used -= footprint(item->key_len, item->entry);
    DL_DELETE(memory->segments[item->segment].items, item);
}

static void drop(struct memory *memory, struct item *item)
{
    unlink_item(memory, item);
    HASH_DEL(memory->table, item);
    entry_forget(item->entry);
    free(item);
}

/* An item was requested. If there is no room, the least recently used protected one goes back to
 * probation. */
static void promote(struct memory *memory, struct item *item)
{
    struct segment *protected = &memory->segments[PROTECTED];
    size_t most = memory->limit / 100 * PROTECTED_SHARE;
    if (item->segment == PROTECTED && !item->next && protected->used <= most)
        return; /* it is the most recently used one already */
    unlink_item(memory, item);
    link_item(memory, item, PROTECTED);
    while (protected->used > most && protected->items != item) {
        struct item *oldest = protected->items;
        unlink_item(memory, oldest);
        link_item(memory, oldest, PROBATION);
    }
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
    if (item->until_ms <= now_ms) {
        drop(memory, item);
        return NULL;
    }
    promote(memory, item);
    return item->entry;
}

static void make_room(struct memory *memory, size_t needed)
{
    while (memory_used(memory) > memory->limit - needed) {
        struct item *oldest = memory->segments[PROBATION].items;
        counter_add(oldest ? COUNTER_EVICTED_PROBATION : COUNTER_EVICTED_PROTECTED, 1);
        drop(memory, oldest ? oldest : memory->segments[PROTECTED].items);
    }
}

bool memory_put(struct memory *memory, struct slice key, struct entry *entry, int64_t until_ms)
{
    unsigned hash = hash_of(key);
    struct item *old = find_hashed(memory, key, hash);
    enum segment_name segment = old ? old->segment : PROBATION;
    if (old)
        drop(memory, old);

    size_t needed = footprint(key.len, entry);
    if (needed > memory->limit)
        return false;
    make_room(memory, needed);

    struct item *item = alloc_bytes(sizeof *item + key.len);
    if (!item)
        return false;
    item->key_len = key.len;
    item->until_ms = until_ms;
    memcpy(item->key, key.data, key.len);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, memory->table, item->key, item->key_len, hash, item);
    if (!item->hh.tbl) {
        free(item);
        return false;
    }
    memory->missing_len = 0; /* it may have been this one */
    item->entry = entry_keep(entry);
    link_item(memory, item, segment);
    return true;
}

static void purge_item(struct memory *memory, struct item *item, bool soft, int64_t now_ms)
{
    if (soft && item->entry->fresh_until_ms <= now_ms)
        return;
    struct entry *stale = soft ? entry_with_freshness(item->entry, now_ms) : NULL;
    if (!stale) {
        drop(memory, item);
        return;
    }
    unlink_item(memory, item);
    entry_forget(item->entry);
    item->entry = entry_keep(stale);
    entry_unref(stale);
    link_item(memory, item, item->segment);
}

void memory_purge(struct memory *memory, struct slice key, bool soft, int64_t now_ms)
{
    struct item *item = find(memory, key);
    if (item)
        purge_item(memory, item, soft, now_ms);
}

void memory_purge_prefix(struct memory *memory, struct slice prefix, bool soft, int64_t now_ms)
{
    struct item *item, *next;
    HASH_ITER(hh, memory->table, item, next)
    {
        struct slice key = {.data = item->key, .len = item->key_len};
        if (slice_starts(key, prefix))
            purge_item(memory, item, soft, now_ms);
    }
}

void memory_clear(struct memory *memory)
{
    for (int i = 0; i < SEGMENTS; i++)
        while (memory->segments[i].items)
            drop(memory, memory->segments[i].items);
}

void memory_set_limit(struct memory *memory, size_t limit_bytes)
{
    memory->limit = limit_bytes;
    make_room(memory, 0);
}

size_t memory_count(const struct memory *memory)
{
    return HASH_COUNT(memory->table);
}

size_t memory_used(const struct memory *memory)
{
    return memory->segments[PROBATION].used + memory->segments[PROTECTED].used;
}
