/* cache/memory: against a model so naive that it is plainly right. */
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
static bool put(struct memory *memory, const char *key, size_t body_len, int64_t fresh_until_ms)
{
    struct entry *entry = make_entry(body_len, fresh_until_ms);
    bool kept = memory_put(memory, slice_of(key), entry);
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
    memory_remove(memory, SLICE("a"));
    memory_clear(memory);

    assert_true(memory_put(memory, SLICE("a"), one));
    assert_int_equal(one->references, 2);
    assert_ptr_equal(memory_get(memory, SLICE("a"), 0), one);
    assert_int_equal(one->references, 2); /* borrowed */
    assert_null(memory_get(memory, SLICE("A"), 0));
    assert_null(memory_get(memory, SLICE("a "), 0));
    assert_null(memory_get(memory, SLICE(""), 0));
    size_t used = memory_used(memory);
    assert_true(used >= entry_footprint(one) + 1);

    assert_true(memory_put(memory, SLICE("a"), other)); /* in its place */
    assert_int_equal(one->references, 1);
    assert_ptr_equal(memory_get(memory, SLICE("a"), 0), other);
    assert_int_equal(memory_used(memory), used + 10);
    assert_true(memory_put(memory, SLICE("a"), other)); /* itself */
    assert_int_equal(other->references, 2);
    assert_int_equal(memory_used(memory), used + 10);

    assert_true(memory_put(memory, SLICE("b"), other)); /* one entry under two keys */
    assert_int_equal(other->references, 3);
    memory_remove(memory, SLICE("a"));
    assert_int_equal(other->references, 2);
    assert_null(memory_get(memory, SLICE("a"), 0));
    assert_ptr_equal(memory_get(memory, SLICE("b"), 0), other);
    memory_clear(memory);
    assert_int_equal(other->references, 1);
    assert_int_equal(memory_used(memory), 0);

    assert_true(memory_put(memory, SLICE("a"), other));
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
    assert_true(memory_put(memory, (struct slice){key, 4}, entry));
    key[0] = 'x';
    assert_null(memory_get(memory, (struct slice){key, 4}, 0));
    assert_ptr_equal(memory_get(memory, SLICE("k\0y\xff"), 0), entry);
    assert_null(memory_get(memory, SLICE("k"), 0));
    memory_free(memory);
    entry_unref(entry);
}

/* Fresh until, and not at, that moment; and then it is gone, not only hidden. */
static void test_expiry(void **state)
{
    struct memory *memory = memory_new(10000);
    struct entry *entry = make_entry(1, 1000);
    (void)state;
    assert_non_null(memory);
    assert_true(memory_put(memory, SLICE("a"), entry));
    assert_ptr_equal(memory_get(memory, SLICE("a"), 999), entry);
    assert_int_equal(entry->references, 2);
    assert_null(memory_get(memory, SLICE("a"), 1000));
    assert_int_equal(entry->references, 1);
    assert_int_equal(memory_used(memory), 0);
    assert_null(memory_get(memory, SLICE("a"), 0));
    memory_free(memory);
    entry_unref(entry);
}

/* What was used longest ago goes first; putting and getting are both a use. */
static void test_lru(void **state)
{
    struct memory *probe = memory_new(SIZE_MAX);
    (void)state;
    assert_non_null(probe);
    assert_true(put(probe, "a", 100, 100));
    size_t each = memory_used(probe);
    memory_free(probe);

    struct memory *memory = memory_new(3 * each);
    assert_non_null(memory);
    assert_true(put(memory, "a", 100, 100));
    assert_true(put(memory, "b", 100, 100));
    assert_true(put(memory, "c", 100, 100));
    assert_int_equal(memory_used(memory), 3 * each); /* all of the bound can be used */
    assert_true(has(memory, "a"));
    assert_true(put(memory, "d", 100, 100));
    assert_false(has(memory, "b"));
    assert_true(put(memory, "c", 100, 100)); /* again */
    assert_true(put(memory, "e", 100, 100));
    assert_false(has(memory, "a"));
    assert_true(has(memory, "c") && has(memory, "d") && has(memory, "e"));

    /* One byte more, and two of them have to go: c and d. */
    assert_true(put(memory, "f", 101, 100));
    assert_false(has(memory, "c") || has(memory, "d"));
    assert_true(has(memory, "e") && has(memory, "f"));
    memory_free(memory);
}

/* Just at the bound and above; and what is too large takes its older self along, and no other. */
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

/* --- the model: an array in the order of use, latest last --- */

struct model_item {
    unsigned key;
    struct entry *entry; /* referenced */
    size_t cost;
};

struct model {
    struct model_item items[600];
    size_t count, used, limit, overhead;
};

/* Takes the item out of the array. */
static struct model_item model_take(struct model *model, size_t at)
{
    struct model_item taken = model->items[at];
    model->count--;
    for (; at < model->count; at++)
        model->items[at] = model->items[at + 1];
    return taken;
}

static void model_drop(struct model *model, size_t at)
{
    struct model_item dropped = model_take(model, at);
    model->used -= dropped.cost;
    entry_unref(dropped.entry);
}

static size_t model_find(const struct model *model, unsigned key)
{
    size_t at = 0;
    while (at < model->count && model->items[at].key != key)
        at++;
    return at;
}

static void model_remove(struct model *model, unsigned key)
{
    size_t at = model_find(model, key);
    if (at < model->count)
        model_drop(model, at);
}

static bool model_put(struct model *model, unsigned key, size_t key_len, struct entry *entry)
{
    size_t cost = model->overhead + key_len + entry_footprint(entry);
    model_remove(model, key);
    if (cost > model->limit)
        return false;
    while (model->used + cost > model->limit)
        model_drop(model, 0);
    assert_true(model->count < LENGTH(model->items));
    model->items[model->count++] = (struct model_item){key, entry_ref(entry), cost};
    model->used += cost;
    return true;
}

static struct entry *model_get(struct model *model, unsigned key, int64_t now_ms)
{
    size_t at = model_find(model, key);
    if (at == model->count)
        return NULL;
    if (model->items[at].entry->fresh_until_ms <= now_ms) {
        model_drop(model, at);
        return NULL;
    }
    struct model_item used = model_take(model, at);
    model->items[model->count++] = used;
    return used.entry;
}

static struct slice key_of(unsigned key, char text[16])
{
    int len = snprintf(text, 16, key % 3 ? "%u" : "key-%06u", key);
    return (struct slice){text, (size_t)len};
}

/* One random step in both. */
static void step(struct memory *memory, struct model *model, unsigned keys, int64_t now_ms)
{
    char text[16];
    unsigned key = (unsigned)unit_random(keys);
    struct slice name = key_of(key, text);
    switch (unit_random(10)) {
    case 0:
        memory_remove(memory, name);
        model_remove(model, key);
        break;
    case 1:
        if (unit_random(300) == 0) {
            memory_clear(memory);
            while (model->count > 0)
                model_drop(model, 0);
        }
        break;
    case 2:
    case 3:
    case 4:
    case 5: {
        size_t most = unit_random(50) ? 300 : model->limit + 50;
        struct entry *entry = make_entry(unit_random(most), now_ms + (int64_t)unit_random(200));
        bool kept = memory_put(memory, name, entry);
        assert_int_equal(kept, model_put(model, key, name.len, entry));
        entry_unref(entry);
        break;
    }
    default:
        assert_ptr_equal(memory_get(memory, name, now_ms), model_get(model, key, now_ms));
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
    assert_true(memory_put(probe, SLICE("k"), entry));
    size_t overhead = memory_used(probe) - entry_footprint(entry) - 1;
    memory_free(probe);
    entry_unref(entry);
    assert_true(overhead > 0 && overhead < 400);

    for (size_t i = 0; i < LENGTH(limits) * LENGTH(many); i++) {
        struct model model = {.limit = limits[i / LENGTH(many)], .overhead = overhead};
        struct memory *memory = memory_new(model.limit);
        assert_non_null(memory);
        for (int64_t now_ms = 1; now_ms < 3000; now_ms++) {
            step(memory, &model, many[i % LENGTH(many)], now_ms);
            assert_int_equal(memory_used(memory), model.used);
            assert_true(memory_used(memory) <= model.limit);
            for (size_t k = 0; k < model.count && now_ms % 64 == 0; k++)
                assert_true(model.items[k].entry->references >= 2);
        }
        memory_free(memory);
        while (model.count > 0) {
            assert_int_equal(model.items[0].entry->references, 1);
            model_drop(&model, 0);
        }
    }
}

/* Memory refused at each allocation of a put, in a table that grows meanwhile: the entry is not
 * kept, all others are. */
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
            kept = memory_put(memory, key_of(key, text), entry);
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
        memory_remove(memory, key_of(key, text));
    }
    assert_int_equal(memory_used(memory), 0);
    memory_free(memory);
    assert_int_equal(entry->references, 1);
    entry_unref(entry);

    alloc_fail_after(0);
    assert_null(memory_new(1));
    alloc_fail_after(-1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basics),    cmocka_unit_test(test_keys),
        cmocka_unit_test(test_expiry),    cmocka_unit_test(test_lru),
        cmocka_unit_test(test_too_large), cmocka_unit_test(test_random),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
