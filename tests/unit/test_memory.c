/* cache/memory: that hot keys stay, and everything else compared with a model that is too simple to
 * be wrong. */
#include "cache/memory.h"

#include <stdio.h>

#include "base/alloc.h"
#include "cache/entry.h"
#include "unit.h"

static struct entry *make_entry(size_t body_len, int64_t fresh_until_ms)
{
    char *body = malloc(body_len + 1);
    assert_non_null(body);
    memset(body, 'x', body_len);
    struct entry *entry =
        entry_new(SLICE("text/html"), (struct slice){body, body_len}, 0, fresh_until_ms, 0);
    free(body);
    assert_non_null(entry);
    return entry;
}

/* Puts an entry of its own, which the cache alone refers to afterwards. */
static bool put(struct memory *memory, const char *key, size_t body_len, int64_t until_ms)
{
    struct entry *entry = make_entry(body_len, 100);
    bool kept = memory_put(memory, slice_of(key), entry, until_ms);
    assert_int_equal(entry->references, kept ? 2 : 1);
    entry_unref(entry);
    return kept;
}

static bool has(struct memory *memory, const char *key)
{
    return memory_get(memory, slice_of(key), 0) != NULL;
}

static void test_basics(void **state)
{
    struct memory *memory = memory_new(10000);
    struct entry *one = make_entry(10, 100), *other = make_entry(20, 100);
    (void)state;
    assert_non_null(memory);
    assert_int_equal(memory_used(memory), 0);
    assert_null(memory_get(memory, SLICE("a"), 0));
    memory_purge(memory, SLICE("a"), false, 0);
    memory_clear(memory);

    assert_true(memory_put(memory, SLICE("a"), one, 100));
    assert_int_equal(one->references, 2);
    assert_ptr_equal(memory_get(memory, SLICE("a"), 0), one);
    assert_int_equal(one->references, 2); /* borrowed */
    assert_null(memory_get(memory, SLICE("A"), 0));
    assert_null(memory_get(memory, SLICE("a "), 0));
    assert_null(memory_get(memory, SLICE(""), 0));
    size_t used = memory_used(memory);
    assert_true(used >= entry_footprint(one) + 1);

    assert_true(memory_put(memory, SLICE("a"), other, 100)); /* replaces it */
    assert_int_equal(one->references, 1);
    assert_ptr_equal(memory_get(memory, SLICE("a"), 0), other);
    assert_int_equal(memory_used(memory), used + 10);
    assert_true(memory_put(memory, SLICE("a"), other, 100)); /* itself */
    assert_int_equal(other->references, 2);
    assert_int_equal(memory_used(memory), used + 10);

    assert_true(memory_put(memory, SLICE("b"), other, 100)); /* one entry under two keys */
    assert_int_equal(other->references, 3);
    memory_purge(memory, SLICE("a"), false, 0);
    assert_int_equal(other->references, 2);
    assert_null(memory_get(memory, SLICE("a"), 0));
    assert_ptr_equal(memory_get(memory, SLICE("b"), 0), other);
    memory_clear(memory);
    assert_int_equal(other->references, 1);
    assert_int_equal(memory_used(memory), 0);

    assert_true(memory_put(memory, SLICE("a"), other, 100));
    memory_free(memory);
    assert_int_equal(other->references, 1);
    memory_free(NULL);
    entry_unref(one);
    entry_unref(other);
}

/* Keys may hold any byte, and a key is copied. */
static void test_keys(void **state)
{
    struct memory *memory = memory_new(100000);
    struct entry *entry = make_entry(1, 100);
    char key[] = "k\0y\xff";
    (void)state;
    assert_non_null(memory);
    assert_true(memory_put(memory, (struct slice){key, 4}, entry, 100));
    key[0] = 'x';
    assert_null(memory_get(memory, (struct slice){key, 4}, 0));
    assert_ptr_equal(memory_get(memory, SLICE("k\0y\xff"), 0), entry);
    assert_null(memory_get(memory, SLICE("k"), 0));
    memory_free(memory);
    entry_unref(entry);
}

/* A key that was missing is there once it was put, however long it is, and missing again once it is
 * dropped. */
static void test_missing(void **state)
{
    static const size_t lens[] = {1, 2, 63, 64, 65, 400};
    (void)state;
    for (size_t i = 0; i < LENGTH(lens); i++) {
        struct memory *memory = memory_new(10000);
        char name[400];
        struct slice key = {name, lens[i]};
        assert_non_null(memory);
        memset(name, 'k', sizeof name);
        for (int round = 0; round < 2; round++) {
            assert_row(i, !memory_get(memory, key, 0) && !memory_get(memory, key, 0));
            struct entry *entry = make_entry(1, 100);
            assert_row(i, memory_put(memory, key, entry, 100));
            entry_unref(entry);
            assert_row(i, memory_get(memory, key, 0) == entry);
            assert_row(i, !has(memory, "other") && memory_get(memory, key, 0) == entry);
            if (round == 0)
                memory_purge(memory, key, false, 0);
            else
                assert_row(i, !memory_get(memory, key, 100)); /* its time is over */
            assert_row(i, memory_count(memory) == 0);
        }
        memory_free(memory);
    }
}

/* A key that could not be put stays missing. */
static void test_missing_is_too_large(void **state)
{
    struct memory *memory = memory_new(1000);
    (void)state;
    assert_non_null(memory);
    assert_false(has(memory, "a"));
    assert_false(put(memory, "a", 2000, 100));
    assert_false(has(memory, "a"));
    assert_true(put(memory, "a", 1, 100));
    assert_true(has(memory, "a"));
    memory_free(memory);
}

/* Until that moment, but not at it, whatever the entry says; then it is removed, not only hidden.
 * */
static void test_expiry(void **state)
{
    static const int64_t fresh[] = {0, 500, 1000, 5000};
    (void)state;
    for (size_t i = 0; i < LENGTH(fresh); i++) {
        struct memory *memory = memory_new(10000);
        struct entry *entry = make_entry(1, fresh[i]);
        assert_non_null(memory);
        assert_true(memory_put(memory, SLICE("a"), entry, 1000));
        assert_ptr_equal(memory_get(memory, SLICE("a"), 999), entry);
        assert_int_equal(entry->references, 2);
        assert_null(memory_get(memory, SLICE("a"), 1000));
        assert_int_equal(entry->references, 1);
        assert_int_equal(memory_used(memory), 0);
        assert_null(memory_get(memory, SLICE("a"), 0));

        /* The latest put decides until when. */
        assert_true(memory_put(memory, SLICE("a"), entry, 1000));
        assert_true(memory_put(memory, SLICE("a"), entry, 10));
        assert_null(memory_get(memory, SLICE("a"), 10));
        memory_free(memory);
        entry_unref(entry);
    }
}

/* --- the policy --- */

/* What an item with this body takes, its key being one byte. */
static size_t cost_of(size_t body_len)
{
    struct memory *probe = memory_new(SIZE_MAX);
    assert_non_null(probe);
    assert_true(put(probe, "a", body_len, 100));
    size_t cost = memory_used(probe);
    memory_free(probe);
    return cost;
}

/* Among entries that nobody has requested, the oldest is evicted first; requested ones stay. */
static void test_order(void **state)
{
    size_t each = cost_of(100);
    struct memory *memory = memory_new(3 * each);
    (void)state;
    assert_non_null(memory);
    assert_true(put(memory, "a", 100, 100));
    assert_true(put(memory, "b", 100, 100));
    assert_true(put(memory, "c", 100, 100));
    assert_int_equal(memory_used(memory), 3 * each); /* all of the limit can be used */
    assert_true(has(memory, "a"));
    assert_true(put(memory, "d", 100, 100));
    assert_true(put(memory, "e", 100, 100));
    assert_int_equal(memory_used(memory), 3 * each);
    assert_true(has(memory, "a")); /* though it is the oldest */
    assert_false(has(memory, "b") || has(memory, "c"));
    assert_true(has(memory, "d") && has(memory, "e"));
    memory_free(memory);
}

/* If all are protected, the least recently used of them is evicted. */
static void test_all_protected(void **state)
{
    size_t each = cost_of(100);
    struct memory *memory = memory_new(3 * each);
    (void)state;
    assert_non_null(memory);
    assert_true(put(memory, "a", 100, 100) && has(memory, "a"));
    assert_true(put(memory, "b", 100, 100) && has(memory, "b"));
    assert_true(has(memory, "a"));
    assert_true(put(memory, "c", 250, 100)); /* takes the room of two */
    assert_false(has(memory, "b"));
    assert_true(has(memory, "a") && has(memory, "c"));
    memory_free(memory);
}

/* A scan of cold keys does not evict the hot ones, which take more than half of the limit; keys
 * that become hot later replace them. */
static void test_scan(void **state)
{
    enum { ALL = 100, HOT = 60, COLD = 5000 };
    struct memory *memory = memory_new(ALL * (cost_of(100) + 8));
    char name[24];
    (void)state;
    assert_non_null(memory);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < HOT; i++) {
            snprintf(name, sizeof name, "hot-%d", i);
            assert_int_equal(has(memory, name), round == 1);
            if (round == 0)
                assert_true(put(memory, name, 100, 100));
        }
    for (int i = 0; i < COLD; i++) {
        snprintf(name, sizeof name, "cold-%d", i);
        assert_true(put(memory, name, 100, 100));
    }
    for (int i = 0; i < HOT; i++) {
        snprintf(name, sizeof name, "hot-%d", i);
        assert_row(i, has(memory, name));
    }
    for (int i = 0; i < 10 * HOT; i++) { /* each is requested twice */
        snprintf(name, sizeof name, "new-%d", i / 10 * 10 + i % 10);
        assert_true(put(memory, name, 100, 100));
        assert_true(has(memory, name) && has(memory, name));
    }
    for (int i = 0; i < HOT; i++) {
        snprintf(name, sizeof name, "hot-%d", i);
        assert_row(i, !has(memory, name));
        snprintf(name, sizeof name, "new-%d", 9 * HOT + i);
        assert_row(i, has(memory, name));
    }
    memory_free(memory);
}

/* --- too large --- */

/* At the limit and above it; an entry that is too large removes its own predecessor, and no other.
 * */
static void test_too_large(void **state)
{
    struct memory *probe = memory_new(SIZE_MAX);
    (void)state;
    assert_non_null(probe);
    assert_true(put(probe, "a", 500, 100));
    size_t limit = memory_used(probe);
    memory_free(probe);

    struct memory *memory = memory_new(limit);
    assert_non_null(memory);
    assert_true(put(memory, "a", 500, 100));
    assert_int_equal(memory_used(memory), limit);
    assert_false(put(memory, "b", 501, 100));
    assert_true(has(memory, "a"));
    assert_false(put(memory, "bb", 500, 100)); /* keys count */
    assert_true(has(memory, "a"));
    assert_false(put(memory, "a", 501, 100));
    assert_false(has(memory, "a"));
    assert_int_equal(memory_used(memory), 0);
    memory_free(memory);

    memory = memory_new(0);
    assert_non_null(memory);
    assert_false(put(memory, "a", 0, 100));
    assert_int_equal(memory_used(memory), 0);
    memory_free(memory);
}

/* --- purging --- */

static void test_purge(void **state)
{
    struct memory *memory = memory_new(10000);
    struct entry *entry = make_entry(10, 100);
    (void)state;
    assert_non_null(memory);
    memory_purge(memory, SLICE("a"), false, 50);
    memory_purge(memory, SLICE("a"), true, 50);
    assert_true(memory_put(memory, SLICE("a"), entry, 1000));
    assert_true(memory_put(memory, SLICE("ab"), entry, 1000));
    memory_purge(memory, SLICE("a"), false, 50);
    assert_false(has(memory, "a"));
    assert_int_equal(entry->references, 2);

    /* Softly: it is replaced by an entry with the same content, which is stale from now on. */
    memory_purge(memory, SLICE("ab"), true, 50);
    assert_int_equal(entry->references, 1);
    struct entry *stale = memory_get(memory, SLICE("ab"), 50);
    assert_non_null(stale);
    assert_int_equal(stale->fresh_until_ms, 50);
    assert_int_equal(stale->made_ms, entry->made_ms);
    assert_slice(0, stale->body, entry->body);
    assert_string_equal(stale->etag, entry->etag);
    assert_int_equal(stale->references, 1);
    /* It is usable as long as before. */
    assert_non_null(memory_get(memory, SLICE("ab"), 999));
    /* A stale entry stays the same. */
    memory_purge(memory, SLICE("ab"), true, 60);
    assert_ptr_equal(memory_get(memory, SLICE("ab"), 60), stale);
    assert_int_equal(stale->fresh_until_ms, 50);
    assert_null(memory_get(memory, SLICE("ab"), 1000));
    assert_int_equal(memory_used(memory), 0);

    /* Without memory for the stale one, it is removed: the fresh one must not stay. */
    assert_true(memory_put(memory, SLICE("a"), entry, 1000));
    alloc_fail_after(0);
    memory_purge(memory, SLICE("a"), true, 50);
    alloc_fail_after(-1);
    assert_false(has(memory, "a"));
    assert_int_equal(entry->references, 1);
    memory_free(memory);
    entry_unref(entry);
}

/* Exactly those that begin with the prefix, byte by byte. */
static void test_purge_prefix(void **state)
{
    static const struct slice keys[] = {
        SLICE_INIT("user/1"), SLICE_INIT("user/"),   SLICE_INIT("user"),
        SLICE_INIT("users"),  SLICE_INIT("User/1"),  SLICE_INIT("a/user/1"),
        SLICE_INIT("user*"),  SLICE_INIT("user/\0"), SLICE_INIT("use"),
    };
    static const struct slice prefixes[] = {
        SLICE_INIT("user/"), SLICE_INIT("user"), SLICE_INIT("user*"),   SLICE_INIT(""),
        SLICE_INIT("x"),     SLICE_INIT("u"),    SLICE_INIT("user/\0"),
    };
    (void)state;
    for (size_t i = 0; i < 2 * LENGTH(prefixes); i++) {
        struct slice prefix = prefixes[i / 2];
        bool soft = i % 2;
        struct memory *memory = memory_new(100000);
        struct entry *entry = make_entry(10, 100);
        assert_non_null(memory);
        for (size_t k = 0; k < LENGTH(keys); k++)
            assert_true(memory_put(memory, keys[k], entry, 1000));
        struct slice exact = unit_exact(prefix);
        memory_purge_prefix(memory, exact, soft, 50);
        unit_drop(exact);
        for (size_t k = 0; k < LENGTH(keys); k++) {
            struct entry *found = memory_get(memory, keys[k], 50);
            if (!slice_starts(keys[k], prefix))
                assert_row(i, found == entry);
            else if (soft)
                assert_row(i, found && found->fresh_until_ms == 50);
            else
                assert_row(i, !found);
        }
        memory_free(memory);
        assert_int_equal(entry->references, 1);
        entry_unref(entry);
    }
}

/* --- the model: one array per segment, in the order of use, latest last --- */

enum { PROBATION, PROTECTED };

struct model_item {
    unsigned key;
    char name[16];
    struct entry *entry; /* referenced */
    int64_t until_ms;
    unsigned number; /* counts the puts */
};

struct model_list {
    struct model_item items[600];
    size_t count, used;
};

struct model {
    struct model_list lists[2];
    size_t limit, overhead;
    unsigned puts;
};

static size_t model_cost(const struct model *model, const struct model_item *item)
{
    return model->overhead + strlen(item->name) + entry_footprint(item->entry);
}

static void model_add(struct model *model, int list, struct model_item item)
{
    assert_true(model->lists[list].count < LENGTH(model->lists[list].items));
    model->lists[list].items[model->lists[list].count++] = item;
    model->lists[list].used += model_cost(model, &item);
}

/* Takes the item out of the array. */
static struct model_item model_take(struct model *model, int list, size_t at)
{
    struct model_list *of = &model->lists[list];
    struct model_item taken = of->items[at];
    of->used -= model_cost(model, &taken);
    of->count--;
    for (; at < of->count; at++)
        of->items[at] = of->items[at + 1];
    return taken;
}

static void model_drop(struct model *model, int list, size_t at)
{
    entry_unref(model_take(model, list, at).entry);
}

static bool model_find(const struct model *model, unsigned key, int *list, size_t *at)
{
    for (*list = PROBATION; *list <= PROTECTED; ++*list)
        for (*at = 0; *at < model->lists[*list].count; ++*at)
            if (model->lists[*list].items[*at].key == key)
                return true;
    return false;
}

static size_t model_used(const struct model *model)
{
    return model->lists[PROBATION].used + model->lists[PROTECTED].used;
}

static void model_clear(struct model *model)
{
    for (int list = PROBATION; list <= PROTECTED; list++)
        while (model->lists[list].count > 0)
            model_drop(model, list, 0);
}

/* A new one of a key stays where the old one was. */
static bool model_put(struct model *model, unsigned key, const char *name, struct entry *entry,
                      int64_t until_ms)
{
    struct model_item item = {.key = key,
                              .entry = entry,
                              .until_ms = until_ms,
                              .number = model->puts++};
    int list;
    size_t at;
    snprintf(item.name, sizeof item.name, "%s", name);
    if (model_find(model, key, &list, &at))
        model_drop(model, list, at);
    else
        list = PROBATION;
    size_t cost = model_cost(model, &item);
    if (cost > model->limit)
        return false;
    while (model_used(model) + cost > model->limit)
        model_drop(model, model->lists[PROBATION].count > 0 ? PROBATION : PROTECTED, 0);
    entry_ref(entry);
    model_add(model, list, item);
    return true;
}

/* Four fifths of the limit may be protected; more only by one item that is larger. */
static struct entry *model_get(struct model *model, unsigned key, int64_t now_ms)
{
    int list;
    size_t at;
    if (!model_find(model, key, &list, &at))
        return NULL;
    if (model->lists[list].items[at].until_ms <= now_ms) {
        model_drop(model, list, at);
        return NULL;
    }
    struct model_item used = model_take(model, list, at);
    model_add(model, PROTECTED, used);
    while (model->lists[PROTECTED].used > model->limit / 100 * 80 &&
           model->lists[PROTECTED].count > 1)
        model_add(model, PROBATION, model_take(model, PROTECTED, 0));
    return used.entry;
}

static void model_purge_at(struct model *model, int list, size_t at, bool soft, int64_t now_ms)
{
    struct model_item *item = &model->lists[list].items[at];
    if (!soft) {
        model_drop(model, list, at);
    } else if (item->entry->fresh_until_ms > now_ms) {
        struct model_item purged = model_take(model, list, at);
        struct entry *stale = entry_with_freshness(purged.entry, now_ms);
        assert_non_null(stale);
        entry_unref(purged.entry);
        purged.entry = stale;
        model_add(model, list, purged);
    }
}

/* In the order in which they were put. */
static void model_purge_prefix(struct model *model, const char *prefix, bool soft, int64_t now_ms)
{
    for (unsigned number = 0; number < model->puts; number++)
        for (int list = PROBATION; list <= PROTECTED; list++)
            for (size_t at = 0; at < model->lists[list].count; at++) {
                const struct model_item *item = &model->lists[list].items[at];
                if (item->number == number && strncmp(item->name, prefix, strlen(prefix)) == 0) {
                    model_purge_at(model, list, at, soft, now_ms);
                    break;
                }
            }
}

static struct slice key_of(unsigned key, char text[16])
{
    int len = snprintf(text, 16, key % 3 ? "%u" : "key-%06u", key);
    return (struct slice){text, (size_t)len};
}

/* A softly purged entry is another one in each of the two. */
static void check_same(const struct entry *is, const struct entry *ought)
{
    assert_int_equal(is != NULL, ought != NULL);
    if (is)
        assert_true(slice_equal(is->encoded, ought->encoded));
}

/* One random step in both. */
static void step(struct memory *memory, struct model *model, unsigned keys, int64_t now_ms)
{
    static const char *const prefixes[] = {"1", "12", "key-", "key-0000", "key-00001", "x"};
    char text[16];
    unsigned key = (unsigned)unit_random(keys);
    struct slice name = key_of(key, text);
    bool soft = unit_random(2);
    int list;
    size_t at;
    switch (unit_random(12)) {
    case 0:
    case 1:
        memory_purge(memory, name, soft, now_ms);
        if (model_find(model, key, &list, &at))
            model_purge_at(model, list, at, soft, now_ms);
        break;
    case 2:
        if (unit_random(300) == 0) {
            memory_clear(memory);
            model_clear(model);
        }
        break;
    case 3:
        if (unit_random(50) == 0) {
            const char *prefix = prefixes[unit_random(LENGTH(prefixes))];
            memory_purge_prefix(memory, slice_of(prefix), soft, now_ms);
            model_purge_prefix(model, prefix, soft, now_ms);
        }
        break;
    case 4:
    case 5:
    case 6:
    case 7: {
        size_t most = unit_random(50) ? 300 : model->limit + 50;
        int64_t fresh = now_ms + (int64_t)unit_random(200);
        int64_t until = fresh + (int64_t)unit_random(100);
        struct entry *entry = make_entry(unit_random(most), fresh);
        bool kept = memory_put(memory, name, entry, until);
        assert_int_equal(kept, model_put(model, key, text, entry, until));
        entry_unref(entry);
        break;
    }
    default:
        check_same(memory_get(memory, name, now_ms), model_get(model, key, now_ms));
    }
}

static void test_random(void **state)
{
    static const size_t limits[] = {100, 1000, 5000, 100000};
    static const unsigned many[] = {3, 40, 500};
    (void)state;
    struct memory *probe = memory_new(SIZE_MAX);
    struct entry *entry = make_entry(1, 1);
    assert_non_null(probe);
    assert_true(memory_put(probe, SLICE("k"), entry, 100));
    size_t overhead = memory_used(probe) - entry_footprint(entry) - 1;
    memory_free(probe);
    entry_unref(entry);
    assert_true(overhead > 0 && overhead < 400);

    struct model *model = malloc(sizeof *model);
    assert_non_null(model);
    for (size_t i = 0; i < LENGTH(limits) * LENGTH(many); i++) {
        *model = (struct model){.limit = limits[i / LENGTH(many)], .overhead = overhead};
        struct memory *memory = memory_new(model->limit);
        assert_non_null(memory);
        for (int64_t now_ms = 1; now_ms < 3000; now_ms++) {
            step(memory, model, many[i % LENGTH(many)], now_ms);
            assert_int_equal(memory_used(memory), model_used(model));
            assert_true(memory_used(memory) <= model->limit);
        }
        memory_free(memory);
        for (int list = PROBATION; list <= PROTECTED; list++)
            for (size_t k = 0; k < model->lists[list].count; k++)
                assert_int_equal(model->lists[list].items[k].entry->references, 1);
        model_clear(model);
    }
    free(model);
}

/* Memory fails at each allocation of a put, in a table that grows meanwhile: the entry is not kept,
 * all others are. */
static void test_no_memory(void **state)
{
    struct memory *memory = memory_new(10000000);
    struct entry *entry = make_entry(10, 100);
    unsigned refused = 0;
    (void)state;
    assert_non_null(memory);
    for (unsigned key = 0; key < 2000; key++) {
        char text[16];
        bool kept = false;
        for (long successes = 0; !kept; successes++) {
            size_t used = memory_used(memory);
            alloc_fail_after(successes);
            kept = memory_put(memory, key_of(key, text), entry, 100);
            alloc_fail_after(-1);
            assert_true(successes < 10);
            if (kept)
                break;
            refused++;
            assert_int_equal(memory_used(memory), used);
            assert_int_equal(entry->references, 1 + key);
            assert_null(memory_get(memory, key_of(key, text), 0));
            unsigned other = (unsigned)unit_random(key + 1);
            if (other < key)
                assert_ptr_equal(memory_get(memory, key_of(other, text), 0), entry);
        }
    }
    assert_true(refused > 2000); /* the item itself, and now and then the table */
    for (unsigned key = 0; key < 2000; key++) {
        char text[16];
        assert_ptr_equal(memory_get(memory, key_of(key, text), 0), entry);
        memory_purge(memory, key_of(key, text), false, 0);
    }
    assert_int_equal(memory_used(memory), 0);
    memory_free(memory);
    assert_int_equal(entry->references, 1);
    entry_unref(entry);

    alloc_fail_after(0);
    assert_null(memory_new(1));
    alloc_fail_after(-1);
}

/* A lower limit evicts, and those first that would go first anyway. */
static void test_set_limit(void **state)
{
    struct memory *memory = memory_new(100000);
    char key[] = "a";
    (void)state;
    assert_non_null(memory);
    for (; *key <= 'h'; ++*key)
        assert_true(put(memory, key, 1000, 100));
    size_t used = memory_used(memory);
    assert_true(has(memory, "a"));

    memory_set_limit(memory, used);
    assert_int_equal(memory_count(memory), 8);
    memory_set_limit(memory, used / 2);
    assert_int_equal(memory_used(memory), used / 2);
    assert_true(has(memory, "a") && has(memory, "h"));
    assert_false(has(memory, "b") || has(memory, "e"));

    memory_set_limit(memory, 100000);
    assert_int_equal(memory_count(memory), 4);
    assert_true(put(memory, "b", 1000, 100));
    memory_set_limit(memory, 0);
    assert_int_equal(memory_used(memory), 0);
    assert_false(put(memory, "b", 1000, 100));
    memory_set_limit(memory, 0);
    memory_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basics),        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_missing),       cmocka_unit_test(test_missing_is_too_large),
        cmocka_unit_test(test_expiry),        cmocka_unit_test(test_order),
        cmocka_unit_test(test_all_protected), cmocka_unit_test(test_scan),
        cmocka_unit_test(test_too_large),     cmocka_unit_test(test_purge),
        cmocka_unit_test(test_purge_prefix),  cmocka_unit_test(test_random),
        cmocka_unit_test(test_no_memory),     cmocka_unit_test(test_set_limit),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
