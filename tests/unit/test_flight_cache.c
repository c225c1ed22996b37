/* park/flight with a cache that answers when the test says so, as Redis does: what may happen in
 * between. The functions here stand in the place of cache/cache.c. */
#include "park/flight.h"

#include "base/log.h"
#include "flight_bench.h"

struct lookup {
    cache_found_fn *found;
    void *caller;
    char key[32];
};

struct cache {
    struct lookup lookups[20]; /* unanswered, the oldest first */
    size_t count;
    unsigned asked, stores;
    bool refuses; /* to store */
    char stored_key[32];
};

void cache_lookup(struct cache *cache, struct slice key, cache_found_fn *found, void *caller)
{
    assert_true(cache->count < LENGTH(cache->lookups));
    struct lookup *lookup = &cache->lookups[cache->count++];
    *lookup = (struct lookup){.found = found, .caller = caller};
    snprintf(lookup->key, sizeof lookup->key, "%.*s", SLICE_ARGS(key));
    cache->asked++;
}

bool cache_store(struct cache *cache, struct slice key, struct entry *entry)
{
    assert_non_null(entry);
    cache->stores++;
    snprintf(cache->stored_key, sizeof cache->stored_key, "%.*s", SLICE_ARGS(key));
    return !cache->refuses;
}

static struct cache cache;
static struct flight_bench *bench;

static int setup(void **state)
{
    (void)state;
    struct ev_loop *loop = ev_loop_new(0);
    assert_non_null(loop);
    cache = (struct cache){0};
    bench = bench_new((struct flight_limits){1000, 1000}, loop, &cache);
    return 0;
}

/* The oldest lookup is answered: with a body, or NULL for a miss. */
static void answer(const char *body)
{
    assert_true(cache.count > 0);
    struct lookup lookup = cache.lookups[0];
    cache.count--;
    for (size_t i = 0; i < cache.count; i++)
        cache.lookups[i] = cache.lookups[i + 1];
    struct entry *entry =
        body ? entry_new(SLICE("text/html"), slice_of(body), 0, INT64_MAX / 2, 0) : NULL;
    lookup.found(lookup.caller, entry);
    entry_unref(entry);
}

/* The cache goes last, and answers what it owes before. */
static int teardown(void **state)
{
    (void)state;
    struct ev_loop *loop = bench->loop;
    bench_free(bench);
    while (cache.count > 0)
        answer(NULL);
    ev_loop_destroy(loop);
    return 0;
}

static void join(unsigned recipe, const char *name)
{
    assert_int_equal(bench_join(bench, recipe, name), JOIN_OK);
}

static void check_counts(size_t flights, size_t parked)
{
    assert_int_equal(flights_under_way(bench->flights), flights);
    assert_int_equal(flights_parked(bench->flights), parked);
}

/* One lookup for all, and only after it, and only on a miss, the source. */
static void test_found(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    join(BY_HAND, "a");
    bench_turn(bench);
    assert_int_equal(cache.asked, 1);
    assert_string_equal(cache.lookups[0].key, "a");
    assert_int_equal(bench->hand.started, 0);
    check_counts(1, 2);
    answer("<p>x</p>");
    assert_int_equal(bench->settled, 0); /* only marked */
    join(BY_HAND, "a");
    bench_turn(bench);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(bench->notes[i].settled, 1);
        assert_int_equal(bench->notes[i].how.kind, SETTLED_ENTRY);
        assert_true(bench->notes[i].how.hit);
        assert_false(bench->notes[i].how.stored);
        assert_string_equal(bench->notes[i].body, "<p>x</p>");
    }
    assert_int_equal(bench->hand.started, 0);
    assert_int_equal(cache.asked, 1);
    check_counts(0, 0);
}

static void test_missed(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    answer(NULL);
    assert_int_equal(bench->hand.started, 1);
    join(BY_HAND, "a");
    hand_give(&bench->hand, "a", "<p>x</p>");
    assert_int_equal(cache.stores, 1);
    assert_string_equal(cache.stored_key, "a");
    bench_turn(bench);
    assert_int_equal(bench->settled, 2);
    assert_true(bench->notes[1].how.stored && !bench->notes[1].how.hit);
    assert_int_equal(cache.asked, 1);
}

/* A cache that does not take the result, and a result that is not for the cache. */
static void test_not_stored(void **state)
{
    (void)state;
    cache.refuses = true;
    join(BY_HAND, "a");
    answer(NULL);
    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
    assert_int_equal(bench->notes[0].how.kind, SETTLED_ENTRY);
    assert_false(bench->notes[0].how.stored);
    assert_int_equal(cache.stores, 1);

    cache.refuses = false;
    join(UNCACHED, "b");
    answer(NULL);
    hand_give(&bench->hand, "b", "<p>x</p>");
    bench_turn(bench);
    assert_int_equal(bench->notes[1].how.kind, SETTLED_ENTRY);
    assert_false(bench->notes[1].how.stored);
    assert_int_equal(cache.stores, 1);
}

/* All leave, or their hold is over, while the cache is asked: it goes on. */
static void test_alone(void **state)
{
    (void)state;
    join(BRIEF_HOLD, "a");
    join(BY_HAND, "a");
    bench_leave(bench, 1);
    bench_run(bench, 1);
    assert_int_equal(bench->notes[0].how.kind, SETTLED_NOT_READY);
    check_counts(1, 0);
    answer(NULL);
    assert_int_equal(bench->hand.started, 1);
    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
    assert_int_equal(cache.stores, 1);
    check_counts(0, 0);
    assert_int_equal(bench->settled, 1);
}

/* Shut down with lookups unanswered; the answers come later, to flights that are over. */
static void test_cancelled_looking(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    join(BY_HAND, "a");
    join(BY_HAND, "b");
    flights_cancel_all(bench->flights);
    assert_int_equal(bench->settled, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(bench->notes[i].how.kind, SETTLED_SHUTDOWN);
    check_counts(0, 0);

    /* A flight of the same key does not mind the old one. */
    join(BY_HAND, "a");
    assert_int_equal(cache.asked, 3);
    answer("<p>late</p>");
    answer(NULL);
    bench_turn(bench);
    assert_int_equal(bench->settled, 3);
    assert_int_equal(bench->hand.started, 0);
    answer("<p>x</p>");
    bench_turn(bench);
    assert_string_equal(bench->notes[3].body, "<p>x</p>");
    flights_cancel_all(bench->flights);
    assert_int_equal(bench->settled, 4);
}

/* The same, and the flights are gone altogether: see teardown. */
static void test_freed_looking(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    join(BY_HAND, "b");
    bench_leave(bench, 1);
}

/* The bound counts flights that wait for the cache. */
static void test_bound(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        join(BY_HAND, name);
    }
    check_counts(20, 20);
    while (cache.count > 0)
        answer("<p>x</p>");
    check_counts(20, 20);
    bench_turn(bench);
    check_counts(0, 0);
    assert_int_equal(bench->settled, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_looking, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_looking, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("flight_cache", tests, NULL, NULL);
}
