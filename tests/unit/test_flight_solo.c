/* park/flights: solo flights, each for one request: of those that find a marker, and of routes that
 * do not share calls. */
#include "unshared_bench.h"

#include "base/counters.h"
#include "forked.h"

/* --- solo flights --- */

enum known { MARKER, ENDING_MARKER, OLD, NOTHING };
enum result { SHARED, UNSHARED_RESULT, FAILURE, NONE_FOUND };

/* Brings a solo flight of the key "a" to its call: of a route that shares no calls, or of one that
 * does, if a marker is known. */
static void go_solo(enum known known)
{
    if (known == MARKER || known == ENDING_MARKER) {
        remember(marker_left(known == MARKER ? OUR_LEFT_MS : 20000));
        join(NEGATIVE, "a");
        return;
    }
    join(APART, "a");
    if (known == OLD)
        answer_found(LOOKUP, "a", "<p>old</p>", -STALE_S * 1000 - 1000);
    else
        answer_outcome(LOOKUP, "a", CACHE_NONE);
    bench_turn(bench);
}

/* What it stores, and how: the table in flight.h. */
static void test_outcomes(void **state)
{
    static const struct {
        enum known known;
        enum result result;
        bool stores, replaces;
        int status; /* of what is stored */
        enum settlement_kind kind;
        const char *body;
    } cases[] = {
        {MARKER, SHARED, false, true, 200, SETTLED_ENTRY, "<p>new</p>"},
        {ENDING_MARKER, SHARED, false, true, 200, SETTLED_ENTRY, "<p>new</p>"},
        {OLD, SHARED, false, true, 200, SETTLED_ENTRY, "<p>new</p>"},
        {NOTHING, SHARED, true, false, 200, SETTLED_ENTRY, "<p>new</p>"},
        {MARKER, UNSHARED_RESULT, false, false, 0, SETTLED_ENTRY, "<p>new</p>"},
        {ENDING_MARKER, UNSHARED_RESULT, false, true, 0, SETTLED_ENTRY, "<p>new</p>"},
        {OLD, UNSHARED_RESULT, false, true, 0, SETTLED_ENTRY, "<p>new</p>"},
        {NOTHING, UNSHARED_RESULT, false, false, 0, SETTLED_ENTRY, "<p>new</p>"},
        {MARKER, FAILURE, false, false, 0, SETTLED_FAILED, ""},
        {ENDING_MARKER, FAILURE, false, false, 0, SETTLED_FAILED, ""},
        {OLD, FAILURE, false, true, 200, SETTLED_ENTRY, "<p>old</p>"},
        {NOTHING, FAILURE, true, false, 502, SETTLED_FAILED, ""},
        {MARKER, NONE_FOUND, false, false, 0, SETTLED_NOT_FOUND, ""},
        {OLD, NONE_FOUND, true, false, 404, SETTLED_NOT_FOUND, ""},
        {NOTHING, NONE_FOUND, true, false, 404, SETTLED_NOT_FOUND, ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        fake_begin((struct flight_limits){10, 10});
        go_solo(cases[i].known);
        assert_row(i, calls() == 1);
        if (cases[i].result == SHARED)
            give(0, "<p>new</p>");
        else if (cases[i].result == UNSHARED_RESULT)
            give_unshared(0, "<p>new</p>");
        else
            hand_fail(&bench->hand, "a",
                      cases[i].result == FAILURE ? SOURCE_FAILED : SOURCE_NOT_FOUND);
        assert_row(i, cache.stores == cases[i].stores);
        assert_row(i, cache.replaces == cases[i].replaces);
        if (cases[i].stores || cases[i].replaces) {
            assert_row(i, cache.stored.status == cases[i].status);
            assert_row(i, (cache.stored.known_made_ms >= 0) == cases[i].replaces);
        }
        assert_int_equal(cache.leases, 0);
        bench_turn(bench);
        check_settled(0, cases[i].kind, cases[i].body);
        const struct settlement *how = &bench->notes[0].how;
        assert_row(i, how->stored == (cases[i].result == SHARED));
        assert_row(i, how->replaced == (cases[i].known == OLD && cases[i].result < FAILURE));
        assert_row(i, !how->collapsed);
        check_counts(0, 0);
        fake_end();
    }
}

/* Another solo flight has renewed it already: memory knows. */
static void test_renewed_once(void **state)
{
    (void)state;
    remember(marker_left(20000));
    join(BY_HAND, "a");
    join(BY_HAND, "a");
    give_unshared(0, "<p>0</p>");
    assert_int_equal(cache.replaces, 1);
    check_marker_stored();
    remember(marker_left(UNCACHEABLE_S * 1000));
    give_unshared(0, "<p>1</p>");
    assert_int_equal(cache.replaces, 1);
}

/* When a request leaves, or its hold ends, its call is cancelled. */
static void test_leaving(void **state)
{
    (void)state;
    remember(marker_left(OUR_LEFT_MS));
    join(BY_HAND, "a");
    join(BRIEF_HOLD, "a");
    join(BY_HAND, "a");
    check_counts(3, 3);
    bench_leave(bench, 0);
    assert_int_equal(bench->hand.cancelled, 1);
    bench_run(bench, 1);
    check_settled(1, SETTLED_NOT_READY, "");
    assert_int_equal(bench->hand.cancelled, 2);
    bench_turn(bench);
    check_counts(1, 1);
    give(0, "<p>x</p>");
    bench_leave(bench, 2); /* it has landed: the result is stored all the same */
    assert_int_equal(bench->hand.cancelled, 2);
    assert_int_equal(cache.replaces, 1);
    bench_turn(bench);
    check_counts(0, 0);
}

/* A hold goes on when a request gets a call of its own. */
static void test_hold_goes_on(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    join(BRIEF_HOLD, "a");
    give_unshared(0, "<p>0</p>");
    bench_run(bench, 2);
    check_unshared(0, "<p>0</p>");
    check_settled(1, SETTLED_NOT_READY, "");
    assert_int_equal(bench->hand.cancelled, 1);
    check_counts(1, 0);
    bench_turn(bench);
    check_counts(0, 0);
}

/* What we purge meanwhile is not stored, nor is an old entry served any longer. */
static void test_purged(void **state)
{
    static const struct {
        const char *purge;
        bool concerned;
    } cases[] = {{"a", true}, {"a*", true}, {"*", true}, {"b", false}, {"aa*", false}};
    (void)state;
    for (size_t i = 0; i < 4 * LENGTH(cases); i++) {
        size_t row = i / 4;
        fake_begin((struct flight_limits){10, 10});
        go_solo(i % 4 == 0 ? MARKER : i % 4 == 1 ? ENDING_MARKER : OLD);
        assert_int_equal(bench_purge(bench, cases[row].purge, false), JOIN_OK);
        remember(NULL);
        if (i % 4 == 0)
            give(0, "<p>new</p>");
        else if (i % 4 == 1)
            give_unshared(0, "<p>new</p>");
        else
            hand_fail(&bench->hand, "a", SOURCE_FAILED);
        assert_row(i, cache.replaces == !cases[row].concerned && cache.stores == 0);
        bench_turn(bench);
        if (i % 4 >= 2 && cases[row].concerned)
            check_settled(0, SETTLED_FAILED, "");
        else
            check_settled(0, SETTLED_ENTRY, i % 4 >= 2 ? "<p>old</p>" : "<p>new</p>");
        fake_end();
    }
}

/* A flight that was purged stores no marker; its waiters still do not share. */
static void test_purged_before(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    join(BY_HAND, "a");
    assert_int_equal(bench_purge(bench, "a", false), JOIN_OK);
    give_unshared(0, "<p>0</p>");
    assert_int_equal(cache.stores, 0);
    assert_int_equal(cache.releases, 1);
    bench_turn(bench);
    check_unshared(0, "<p>0</p>");
    give_unshared(0, "<p>1</p>");
    bench_turn(bench);
    check_unshared(1, "<p>1</p>");
    assert_int_equal(cache.stores + cache.replaces, 0);
}

/* Changes that others make do not concern a solo flight. */
static void test_changes(void **state)
{
    (void)state;
    go_solo(MARKER);
    tell_changed("a", false);
    tell_changed("a", true);
    tell_changed(NULL, false);
    assert_int_equal(cache.count, 0);
    give(0, "<p>x</p>");
    assert_int_equal(cache.replaces, 1);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
}

/* --- limits, the end, and no memory --- */

static void test_limits(void **state)
{
    (void)state;
    fake_begin((struct flight_limits){.max_parked = 10, .max_flights = 3});
    uint64_t refused = counter_values[COUNTER_REFUSED_MAX_FLIGHTS];
    join_generating(BY_HAND, "a");
    for (int i = 0; i < 5; i++)
        join(BY_HAND, "a");
    give_unshared(0, "<p>0</p>");
    bench_turn(bench);
    check_unshared(0, "<p>0</p>");
    check_counts(3, 3);
    check_settled(4, SETTLED_REFUSED, "");
    check_settled(5, SETTLED_REFUSED, "");
    remember(marker_left(OUR_LEFT_MS));
    assert_int_equal(bench_join(bench, BY_HAND, "a"), JOIN_TOO_MANY_FLIGHTS);
    assert_int_equal(counter_values[COUNTER_REFUSED_MAX_FLIGHTS], refused + 3);
    give_unshared(0, "<p>1</p>");
    bench_turn(bench);
    join(BY_HAND, "a");
    check_counts(3, 3);
    fake_end();
}

/* Before the others got their calls, and after. */
static void test_shutdown(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    join(BY_HAND, "a");
    give_unshared(0, "<p>0</p>");
    flights_cancel_all(bench->flights);
    check_unshared(0, "<p>0</p>");
    check_settled(1, SETTLED_SHUTDOWN, "");
    assert_int_equal(bench->hand.started, 1);
    go_solo(MARKER);
    flights_cancel_all(bench->flights);
    check_settled(2, SETTLED_SHUTDOWN, "");
    assert_int_equal(bench->hand.cancelled, 1);
    check_counts(0, 0);
}

/* The source can't start a call: each request has a failure of its own. */
static void test_refusing_source(void **state)
{
    (void)state;
    join_generating(NEGATIVE, "a");
    join(NEGATIVE, "a");
    give_unshared(0, "<p>0</p>");
    bench->hand.refuses = true;
    bench_turn(bench);
    check_unshared(0, "<p>0</p>");
    check_settled(1, SETTLED_FAILED, "");
    remember(marker_left(OUR_LEFT_MS));
    join(NEGATIVE, "a");
    bench_turn(bench);
    check_settled(2, SETTLED_FAILED, "");
    assert_int_equal(cache.stores, 1); /* the marker only */
    check_counts(0, 0);
}

/* Wherever memory runs out, each request is settled once, and none gets another's result. */
static void test_no_memory(void **state)
{
    bool enough = false;
    (void)state;
    for (size_t after = 0; !enough; after++) {
        assert_true(after < 100);
        fake_begin((struct flight_limits){10, 10});
        join_generating(BY_HAND, "a");
        join(BY_HAND, "a");
        join(BY_HAND, "a");
        alloc_fail_after((long)after);
        give_unshared(0, "<p>0</p>");
        bench_turn(bench);
        remember(NULL);
        bool joined = bench_join(bench, BY_HAND, "a") == JOIN_OK;
        alloc_fail_after(-1);
        if (joined)
            enough = calls() == 2 && bench->notes[1].settled == 0 && bench->notes[2].settled == 0;
        assert_row(after, bench->notes[0].settled == 1);
        assert_row(after, bench->notes[0].how.kind == SETTLED_ENTRY ||
                              bench->notes[0].how.kind == SETTLED_FAILED);
        for (uint32_t i = 1; i < 3; i++)
            if (bench->notes[i].settled)
                assert_row(after, bench->notes[i].how.kind == SETTLED_REFUSED ||
                                      bench->notes[i].how.kind == bench->notes[0].how.kind);
        for (uint32_t i = 1; i < 3; i++)
            assert_row(after, strcmp(bench->notes[i].body, "<p>0</p>") != 0);
        fake_end();
    }
    for (size_t after = 0, done = 0; !done; after++) {
        assert_true(after < 100);
        fake_begin((struct flight_limits){10, 10});
        remember(marker_left(OUR_LEFT_MS));
        alloc_fail_after((long)after);
        done = bench_join(bench, BY_HAND, "a") == JOIN_OK;
        bench_turn(bench);
        alloc_fail_after(-1);
        check_counts(done, done);
        assert_row(after, calls() == done);
        fake_end();
    }
}

/* --- routes that do not share calls --- */

/* Nothing is cached: each request has a call, and no lease is taken. A result is stored, and all
 * get that. */
static void test_calls_apart(void **state)
{
    (void)state;
    join(APART, "a");
    join(APART, "a");
    assert_int_equal(cache.asked[LOOKUP], 1);
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    bench_turn(bench);
    assert_int_equal(calls(), 2);
    assert_int_equal(cache.asked[CLAIM], 0);
    join(APART, "a");
    answer_outcome(LOOKUP, "a", CACHE_ALONE); /* no Redis is no reason to share */
    bench_turn(bench);
    assert_int_equal(calls(), 3);
    for (uint32_t i = 0; i < 3; i++) {
        char body[] = "<p>0</p>";
        body[3] = (char)('0' + i);
        give(0, body);
        bench_turn(bench);
        check_settled(i, SETTLED_ENTRY, body);
        assert_true(bench->notes[i].how.stored);
        assert_false(bench->notes[i].how.collapsed);
    }
    assert_int_equal(cache.stores, 3);
    join(APART, "a");
    join(APART, "a");
    answer_found(LOOKUP, "a", "<p>x</p>", LEFT_FRESH);
    bench_turn(bench);
    for (uint32_t i = 3; i < 5; i++) {
        check_settled(i, SETTLED_ENTRY, "<p>x</p>");
        assert_true(bench->notes[i].how.hit);
    }
    assert_int_equal(bench_join_for(bench, APART, "a", 0), JOIN_OK);
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    bench_turn(bench);
    check_settled(5, SETTLED_DECLINED, "");
    assert_int_equal(bench->hand.started, 3);
}

/* What was read before a change is not given to requests that came after it. */
static void test_calls_apart_changed(void **state)
{
    (void)state;
    join(APART, "a");
    tell_changed("a", false);
    join(APART, "a");
    answer_found(LOOKUP, "a", "<p>old</p>", LEFT_FRESH);
    bench_turn(bench);
    assert_int_equal(calls(), 2);
}

/* A refresh is one call; a request that can't be served meanwhile does not wait for it. */
static void test_calls_apart_refresh(void **state)
{
    struct settlement how;
    (void)state;
    remember(entry_left("<p>old</p>", LEFT_STALE));
    assert_string_equal(bench_serve(bench, APART, "a", &how), "<p>old</p>");
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(calls(), 1);
    remember(NULL);
    join(APART, "a");
    assert_int_equal(calls(), 2);
    give(1, "<p>own</p>");
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>own</p>");
    assert_true(bench->notes[0].how.replaced);
}

/* ttl = 0: shared while it is in progress, and not kept. */
static void test_without_ttl(void **state)
{
    (void)state;
    join_generating(UNCACHED, "a");
    join(UNCACHED, "a");
    give(0, "<p>x</p>");
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
    check_settled(1, SETTLED_ENTRY, "<p>x</p>");
    assert_true(bench->notes[1].how.collapsed);
    assert_false(bench->notes[0].how.stored || bench->notes[1].how.stored);
    assert_int_equal(cache.stores, 0);
    join(UNCACHED, "a");
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(bench->hand.started, 2);
}

/* --- anything --- */

static unsigned bodies; /* made so far */
static unsigned receivers[20000];

/* Notes who was given what: "u" and a number must not be shared. */
static void on_given(struct flight_bench *of, uint32_t number)
{
    const struct note *note = &of->notes[number];
    bool unshared = note->body[0] == 'u';
    assert_true(!unshared || note->how.kind == SETTLED_ENTRY);
    if (note->how.kind == SETTLED_ENTRY)
        assert_int_equal(unshared, note->how.uncacheable);
    if (unshared)
        assert_int_equal(receivers[strtoul(note->body + 1, NULL, 10)]++, 0);
}

static void random_result(void)
{
    static const struct source_terms terms = {.sharing = SHARING_FORBIDDEN, .why = WHY};
    static const enum source_status statuses[] = {SOURCE_OK, SOURCE_OK, SOURCE_OK, SOURCE_FAILED,
                                                  SOURCE_NOT_FOUND};
    char body[16];
    if (calls() == 0)
        return;
    bool unshared = unit_random(3) > 0;
    assert_true(++bodies < LENGTH(receivers));
    snprintf(body, sizeof body, "%c%u", unshared ? 'u' : 's', bodies);
    hand_complete(&bench->hand, call_at(unit_random(calls())),
                  &(struct source_result){.status = statuses[unit_random(LENGTH(statuses))],
                                          .type = SLICE("text/html"),
                                          .body = slice_of(body),
                                          .reason = "random",
                                          .terms = unshared ? &terms : NULL});
}

static struct entry *random_entry(void)
{
    static const int64_t lefts[] = {LEFT_FRESH, LEFT_STALE, LEFT_NOTHING};
    static const int64_t of_markers[] = {OUR_LEFT_MS, 20000, 1, -1};
    return unit_random(2) ? marker_left(of_markers[unit_random(LENGTH(of_markers))])
                          : entry_left("x", lefts[unit_random(LENGTH(lefts))]);
}

static void random_answer(void)
{
    static const enum cache_outcome of_claim[] = {CACHE_FOUND, CACHE_FOUND,  CACHE_OURS, CACHE_OURS,
                                                  CACHE_OURS,  CACHE_THEIRS, CACHE_ALONE};
    static const enum cache_outcome of_others[] = {CACHE_FOUND, CACHE_NONE, CACHE_ALONE};
    if (cache.count == 0)
        return;
    size_t at = unit_random(cache.count);
    enum question_kind kind = cache.questions[at].kind;
    struct cache_answer told = {
        .outcome = kind == PURGE   ? CACHE_PURGED
                   : kind == CLAIM ? of_claim[unit_random(LENGTH(of_claim))]
                                   : of_others[unit_random(LENGTH(of_others))],
        .wait_s = 1000,
        .lease_lost = kind == CHECK && unit_random(4) == 0,
    };
    if (told.outcome == CACHE_FOUND)
        told.entry = random_entry();
    answer_at(at, told);
    entry_unref(told.entry);
}

static void random_step(void)
{
    static const unsigned recipes[] = {BY_HAND, APART, UNMARKED, NEGATIVE};
    char name[] = {(char)('a' + (char)unit_random(4)), '\0'};
    unsigned recipe = recipes[name[0] - 'a'];
    struct settlement how;
    cache.cold = unit_random(3) == 0;
    switch (unit_random(12)) {
    case 0:
    case 1:
    case 2:
        if (!bench_serve(bench, recipe, name, &how))
            assert_int_equal(bench_join_for(bench, recipe, name,
                                            unit_random(5) ? HOLD_OF_ROUTE : 0),
                             JOIN_OK);
        break;
    case 3:
        bench_leave_any(bench);
        break;
    case 4:
    case 5:
        random_result();
        break;
    case 6:
        tell_changed(unit_random(8) ? name : NULL, unit_random(3) == 0);
        break;
    case 7:
        remember(unit_random(2) ? random_entry() : NULL);
        break;
    case 8:
        if (unit_random(4) == 0)
            assert_int_equal(bench_purge(bench, name, unit_random(2)), JOIN_OK);
        break;
    case 9:
        bench_turn(bench);
        break;
    default:
        random_answer();
    }
}

/* Whatever happens in whatever order, no result that must not be shared has two receivers, and none
 * is stored. */
static void test_random(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        fake_begin((struct flight_limits){1000, 1000});
        bench->then = on_given;
        for (int i = 0; i < 1000 && cache.count < LENGTH(cache.questions) - 50; i++) {
            random_step();
            assert_true(cache.stored.body[0] != 'u');
            assert_true(calls() <= flights_under_way(bench->flights));
            assert_true(cache.leases <= flights_under_way(bench->flights));
        }
        flights_cancel_all(bench->flights);
        check_counts(0, flights_parked(bench->flights));
        fake_end();
    }
    unsigned received = 0;
    for (size_t i = 0; i < LENGTH(receivers); i++)
        received += receivers[i];
    assert_true(received > 1000); /* else this test tests nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes),
        fake_test(test_renewed_once),
        fake_test(test_leaving),
        fake_test(test_hold_goes_on),
        cmocka_unit_test(test_purged),
        fake_test(test_purged_before),
        fake_test(test_changes),
        cmocka_unit_test(test_limits),
        fake_test(test_shutdown),
        fake_test(test_refusing_source),
        cmocka_unit_test(test_no_memory),
        fake_test(test_calls_apart),
        fake_test(test_calls_apart_changed),
        fake_test(test_calls_apart_refresh),
        fake_test(test_without_ttl),
        cmocka_unit_test(test_random),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("flight_solo", tests, NULL, NULL);
}
