/* park/flights and results that the source may be asked about: has it changed? (RFC 9111 4.3) */
#include "park/flights.h"

#include "base/counters.h"
#include "fake_cache.h"

#define MODIFIED "Sun, 06 Nov 1994 08:49:37 GMT"
#define KEEP_S   3600 /* how long results are kept to be compared */

/* All routes may ask, and those without stale times let the source say how long. */
static int setup(void **state)
{
    fake_setup(state);
    for (unsigned i = 0; i < RECIPES; i++)
        bench->recipes[i].freshness.revalidate = KEEP_S;
    struct freshness *freshness = &bench->recipes[BY_HAND].freshness;
    freshness->ttl_by_source = freshness->stale_by_source = freshness->error_by_source = true;
    freshness->ttl_max = 1e6;
    return 0;
}

/* With validators; fresh for so long from now. */
static struct entry *version_left(const char *body, int64_t left_ms)
{
    struct entry_terms terms = {.etag = SLICE("\"v1\""),
                                .last_modified = SLICE(MODIFIED),
                                .kept = SLICE("link: <a>\nx: 1\n")};
    struct entry *entry =
        entry_new_on_terms(SLICE("text/x"), slice_of(body),
                           clock_fleet_ms() + left_ms - TTL_S * 1000, TTL_S * 1000, 500, &terms);
    assert_non_null(entry);
    return entry;
}

static void answer_version(enum question_kind kind, const char *key, const char *body,
                           int64_t left_ms)
{
    struct entry *entry = version_left(body, left_ms);
    answer(kind, key, (struct cache_answer){.outcome = CACHE_FOUND, .entry = entry});
    entry_unref(entry);
}

static void not_modified(const char *name, const struct source_terms *terms)
{
    hand_complete(&bench->hand, hand_find(&bench->hand, name),
                  &(struct source_result){.status = SOURCE_NOT_MODIFIED, .terms = terms});
}

static void check_asked(const char *name, bool asked)
{
    assert_string_equal(hand_find(&bench->hand, name)->etag, asked ? "\"v1\"" : "");
    assert_string_equal(hand_find(&bench->hand, name)->last_modified, asked ? MODIFIED : "");
}

/* Joins, and the cache has a version that may no longer be used. */
static void join_with_version(unsigned recipe, const char *name)
{
    join(recipe, name);
    answer_version(LOOKUP, name, "<p>v1</p>", LEFT_NOTHING);
    answer_outcome(CLAIM, name, CACHE_OURS);
    check_asked(name, true);
}

/* The older entry gets the terms of the 304; what that does not say, is as it was (RFC 9111 3.2).
 * Its body does not travel. */
static void test_prolonged(void **state)
{
    static const struct {
        struct source_terms said;
        int64_t ttl_ms;
        const char *header; /* after the status */
    } cases[] = {
        {{.fresh_ms = 1000, .stale_ms = -1, .stale_error_ms = -1, .clients_ms = -1},
         1000,
         " stale=0 error=0 fields=71 type=text/x\netag: \"v1\"\nlast-modified: " MODIFIED
         "\nlink: <a>\nx: 1\n"},
        {{.fresh_ms = -1, .stale_ms = -1, .stale_error_ms = -1, .clients_ms = -1},
         TTL_S * 1000,
         " fields=71 type=text/x\netag: \"v1\"\nlast-modified: " MODIFIED "\nlink: <a>\nx: 1\n"},
        {{.fresh_ms = 5000,
          .stale_ms = 70,
          .stale_error_ms = 80,
          .clients_ms = 3999,
          .kept = SLICE_INIT("x: 2\n")},
         5000,
         " stale=70 error=80 clients=3 fields=71 type=text/x\netag: "
         "\"v1\"\nlast-modified: " MODIFIED "\nx: 2\nlink: <a>\n"},
        {{.fresh_ms = 5000,
          .stale_ms = -1,
          .stale_error_ms = -1,
          .clients_ms = -1,
          .clients_no_store = true,
          .must_revalidate = true,
          .etag = SLICE_INIT("W/\"2\""),
          .last_modified = SLICE_INIT("then"),
          .kept = SLICE_INIT("link: <b>\nlink: <c>\n")},
         5000,
         " stale=0 error=0 must-revalidate clients=no-store fields=57 type=text/x\netag: "
         "W/\"2\"\nlast-modified: "
         "then"
         "\nlink: <b>\nlink: <c>\nx: 1\n"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        uint64_t counted = counter_values[COUNTER_CALLS_NOT_MODIFIED];
        join_with_version(BY_HAND, "b");
        not_modified("b", &cases[i].said);
        assert_row(i, cache.prolongs == i + 1 && cache.stored.leased);
        assert_string_equal(cache.stored.body, "<p>v1</p>");
        assert_row(i, cache.stored.fresh_until_ms - cache.stored.made_ms == cases[i].ttl_ms);
        assert_in_range(clock_fleet_ms() - cache.stored.made_ms, 0, 10000);
        assert_int_equal(cache.stored.compare_ms, KEEP_S * 1000);
        const char *header = strstr(cache.stored.header, "status=200");
        assert_non_null(header);
        assert_string_equal(header + strlen("status=200"), cases[i].header);
        assert_row(i, counter_values[COUNTER_CALLS_NOT_MODIFIED] == counted + 1);
        bench_turn(bench);
        check_settled((uint32_t)i, SETTLED_ENTRY, "<p>v1</p>");
        assert_row(i, bench->notes[i].how.replaced && bench->notes[i].how.stored);
    }
    check_counts(0, 0);
}

/* A source that says nothing at all. */
static void test_no_terms(void **state)
{
    (void)state;
    join_with_version(STALE, "b");
    not_modified("b", NULL);
    assert_int_equal(cache.stored.fresh_until_ms - cache.stored.made_ms, TTL_S * 1000);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>v1</p>");
}

/* A stale entry is served meanwhile. Whatever becomes of it in the cache, what the source was asked
 * about is what its answer is about. */
static void test_replaced_meanwhile(void **state)
{
    struct settlement how;
    (void)state;
    remember(version_left("<p>v1</p>", LEFT_STALE));
    assert_string_equal(bench_serve(bench, STALE, "a", &how), "<p>v1</p>");
    answer_outcome(CLAIM, "a", CACHE_OURS);
    check_asked("a", true);
    remember(NULL);
    tell_changed("a", false);
    answer_found(CHECK, "a", "<p>older still</p>", LEFT_NOTHING);
    not_modified("a", NULL);
    assert_string_equal(cache.stored.body, "<p>v1</p>");
    bench_turn(bench);

    /* It was purged: those who wait get it, and it is not stored. */
    unsigned stores = cache.stores;
    join_with_version(BY_HAND, "b");
    tell(CHANGED_BY_PURGE, SLICE("b"), false);
    not_modified("b", NULL);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>v1</p>");
    assert_int_equal(cache.stores, stores);
    check_counts(0, 0);
}

/* A 304 that forbids to share is for its request only. */
static void test_forbidden(void **state)
{
    static const struct source_terms forbidden = {.sharing = SHARING_FORBIDDEN, .why = WHY};
    (void)state;
    join_with_version(BY_HAND, "b");
    not_modified("b", &forbidden);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>v1</p>");
    assert_true(bench->notes[0].how.uncacheable);
    assert_int_equal(cache.prolongs, 0);
}

/* The body of an older entry is checked once. */
static void test_balance(void **state)
{
    static const struct entry_terms terms = {.etag = SLICE_INIT("\"v1\"")};
    (void)state;
    for (unsigned known = 0; known < 2; known++) {
        int64_t made_ms = clock_fleet_ms() + LEFT_NOTHING - TTL_S * 1000;
        struct entry *entry = entry_new_on_terms(SLICE("text/html"), SLICE("<textarea>"), made_ms,
                                                 TTL_S * 1000, 500, &terms);
        assert_non_null(entry);
        if (known)
            entry_check_balance(entry);
        uint64_t before = counter_values[COUNTER_UNBALANCED];
        join(BY_HAND, "b");
        answer(LOOKUP, "b", (struct cache_answer){.outcome = CACHE_FOUND, .entry = entry});
        entry_unref(entry);
        answer_outcome(CLAIM, "b", CACHE_OURS);
        not_modified("b", NULL);
        bench_turn(bench);
        check_settled(known, SETTLED_ENTRY, "<textarea>");
        assert_int_equal(counter_values[COUNTER_UNBALANCED] - before, known ? 0 : 1);
    }
}

/* RFC 9111 4.3.4: it is about another version, so all of the result is fetched. */
static void test_another_version(void **state)
{
    static const struct {
        const char *etag;
        bool another;
    } cases[] = {{"\"v1\"", false}, {"W/\"v2\"", false}, {"", false}, {"\"v2\"", true}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct source_terms terms = SOURCE_TERMS_NONE;
        terms.etag = slice_of(cases[i].etag);
        join_with_version(BY_HAND, "b");
        not_modified("b", &terms);
        if (cases[i].another) {
            check_counts(1, 1);
            check_asked("b", false);
            hand_give(&bench->hand, "b", "<p>v2</p>");
        }
        bench_turn(bench);
        check_settled((uint32_t)i, SETTLED_ENTRY, cases[i].another ? "<p>v2</p>" : "<p>v1</p>");
    }
    /* A source that does not want to give it. */
    struct source_terms terms = SOURCE_TERMS_NONE;
    terms.etag = SLICE("\"v2\"");
    join_with_version(BY_HAND, "b");
    not_modified("b", &terms);
    not_modified("b", &terms);
    bench_turn(bench);
    check_settled(LENGTH(cases), SETTLED_FAILED, "");
    /* It can't be started again. */
    join_with_version(BY_HAND, "b");
    bench->hand.refuses = true;
    not_modified("b", &terms);
    bench_turn(bench);
    check_settled(LENGTH(cases) + 1, SETTLED_FAILED, "");
    check_counts(0, 0);
}

/* What is not asked: without validators, without `revalidate`. Nobody says 304 then. */
static void test_not_asked(void **state)
{
    (void)state;
    join(BY_HAND, "b");
    answer_found(LOOKUP, "b", "<p>old</p>", LEFT_NOTHING);
    answer_outcome(CLAIM, "b", CACHE_OURS);
    check_asked("b", false);
    not_modified("b", NULL);
    bench_turn(bench);
    check_settled(0, SETTLED_FAILED, "");

    bench->recipes[BY_HAND].freshness.revalidate = 0;
    join(BY_HAND, "b");
    answer_version(LOOKUP, "b", "<p>v1</p>", LEFT_NOTHING);
    answer_outcome(CLAIM, "b", CACHE_OURS);
    check_asked("b", false);
    hand_give(&bench->hand, "b", "<p>new</p>");
    assert_int_equal(cache.stored.compare_ms, 0);
    bench_turn(bench);
    check_settled(1, SETTLED_ENTRY, "<p>new</p>");
}

/* Another call, a failure, a cancellation: what was on offer is let go. */
static void test_other_ends(void **state)
{
    (void)state;
    join_with_version(BY_HAND, "b");
    hand_give(&bench->hand, "b", "<p>v2</p>");
    assert_int_equal(cache.prolongs, 0);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>v2</p>");
    join_with_version(BY_HAND, "b");
    hand_fail(&bench->hand, "b", SOURCE_FAILED);
    bench_turn(bench);
    check_settled(1, SETTLED_FAILED, "");
    join_with_version(BY_HAND, "b");
    tell_changed("b", false);
    answer_found(CHECK, "b", "<p>theirs</p>", LEFT_FRESH);
    bench_turn(bench);
    check_settled(2, SETTLED_ENTRY, "<p>theirs</p>");
    assert_int_equal(bench->hand.cancelled, 1);
    check_counts(0, 0);
    assert_int_equal(budgets[BUDGET_UNSENT].used, 0);
}

/* Out of memory for the entry on its new terms. */
static void test_no_memory(void **state)
{
    (void)state;
    join_with_version(BY_HAND, "b");
    alloc_fail_after(0);
    not_modified("b", NULL);
    alloc_fail_after(-1);
    bench_turn(bench);
    check_settled(0, SETTLED_FAILED, "");
    check_counts(0, 0);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(test_prolonged),  test(test_no_terms),        test(test_replaced_meanwhile),
        test(test_forbidden),  test(test_another_version), test(test_not_asked),
        test(test_other_ends), test(test_no_memory),       test(test_balance),
    };
    return cmocka_run_group_tests_name("flight_revalidate", tests, NULL, NULL);
}
