/* park/flights while the cache answers in its own time: looking, claiming, waiting for another
 * process, and what may happen while our source works. Staleness is in test_flight_stale.c. */
#include "park/flights.h"

#include "fake_cache.h"

/* --- looking and claiming --- */

/* One lookup for all; only after it, and only on a miss, the lease is claimed. */
static void test_found(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    join(BY_HAND, "a");
    bench_turn(bench);
    assert_int_equal(cache.asked[LOOKUP], 1);
    check_counts(1, 2);
    answer_found(LOOKUP, "a", "<p>x</p>", LEFT_FRESH);
    assert_int_equal(bench->settled, 0); /* only marked */
    join(BY_HAND, "a");
    bench_turn(bench);
    for (uint32_t i = 0; i < 3; i++) {
        check_settled(i, SETTLED_ENTRY, "<p>x</p>");
        assert_true(bench->notes[i].how.hit);
        assert_int_equal(bench->notes[i].how.detail, FROM_REDIS);
        assert_false(bench->notes[i].how.stored || bench->notes[i].how.stale);
    }
    assert_int_equal(bench->hand.started, 0);
    assert_int_equal(cache.asked[CLAIM], 0);
    check_counts(0, 0);
}

static void test_from_memory(void **state)
{
    struct entry *entry = entry_left("<p>x</p>", LEFT_FRESH);
    (void)state;
    join(BY_HAND, "a");
    answer(LOOKUP, "a",
           (struct cache_answer){.outcome = CACHE_FOUND, .entry = entry, .from_memory = true});
    entry_unref(entry);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
    assert_int_equal(bench->notes[0].how.detail, FROM_MEMORY);
}

/* The answers to lookup and claim, and whether the source is called, with a lease or without. */
static void test_ways_to_source(void **state)
{
    static const struct {
        enum cache_outcome lookup, claim;
        bool leased;
    } cases[] = {
        {CACHE_NONE, CACHE_OURS, true},
        {CACHE_NONE, CACHE_ALONE, false},
        {CACHE_ALONE, CACHE_OURS, true}, /* Redis came back in between */
        {CACHE_ALONE, CACHE_ALONE, false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        fake_begin((struct flight_limits){10, 10});
        join(BY_HAND, "a");
        answer_outcome(LOOKUP, "a", cases[i].lookup);
        assert_row(i, bench->hand.started == 0);
        assert_row(i, cache.questions[0].known_made_ms == -1);
        answer_outcome(CLAIM, "a", cases[i].claim);
        assert_row(i, bench->hand.started == 1);
        join(BY_HAND, "a");
        int64_t before_ms = clock_fleet_ms();
        hand_give(&bench->hand, "a", "<p>x</p>");
        assert_row(i, cache.stores == 1 && cache.stored.leased == cases[i].leased);
        assert_string_equal(cache.stored.key, "a");
        assert_string_equal(cache.stored.body, "<p>x</p>");
        assert_row(i, cache.stored.made_ms >= before_ms);
        assert_row(i, cache.stored.fresh_until_ms == cache.stored.made_ms + TTL_S * 1000);
        assert_row(i, cache.stored.until_ms == cache.stored.fresh_until_ms);
        bench_turn(bench);
        for (uint32_t k = 0; k < 2; k++) {
            check_settled(k, SETTLED_ENTRY, "<p>x</p>");
            assert_row(i, bench->notes[k].how.stored && !bench->notes[k].how.hit);
            assert_row(i, bench->notes[k].how.detail == FROM_SOURCE);
            assert_row(i, bench->notes[k].how.collapsed == (k == 1));
        }
        fake_end();
    }
}

/* If no Redis is configured, there are no leases: none is claimed, neither for a miss nor for a
 * refresh. Nor is anything looked up but memory. */
static void test_no_redis(void **state)
{
    struct settlement how;
    (void)state;
    cache.alone = true;
    join(BY_HAND, "b");
    assert_int_equal(cache.asked[LOOKUP], 0);
    assert_int_equal(bench->hand.started, 1);
    remember(entry_left("<p>old</p>", LEFT_STALE));
    assert_string_equal(bench_serve(bench, STALE, "a", &how), "<p>old</p>");
    assert_int_equal(cache.asked[CLAIM], 0);
    assert_int_equal(bench->hand.started, 2);
    hand_give(&bench->hand, "a", "<p>new</p>");
    assert_string_equal(cache.stored.body, "<p>new</p>");
    assert_false(cache.stored.leased);
    hand_give(&bench->hand, "b", "<p>x</p>");
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
    check_counts(0, 0);
}

/* What memory has, although it can't be served, is looked up: the source may be asked whether it has
 * changed. */
static void test_no_redis_and_too_old(void **state)
{
    (void)state;
    cache.alone = true;
    remember(entry_left("<p>old</p>", LEFT_NOTHING));
    join(BY_HAND, "a");
    assert_int_equal(bench->hand.started, 0);
    answer_found(LOOKUP, "a", "<p>old</p>", LEFT_NOTHING);
    assert_int_equal(bench->hand.started, 1);
    hand_give(&bench->hand, "a", "<p>new</p>");
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>new</p>");
}

/* A change of the value makes what was read doubtful, and one of the lease does not. */
static void test_found_and_changed(void **state)
{
    (void)state;
    for (int cold = 0; cold < 2; cold++) {
        cache.cold = cold;
        join(BY_HAND, "a");
        tell_changed("a", true);
        answer_found(cold ? CLAIM : LOOKUP, "a", "<p>x</p>", LEFT_FRESH);
        join(BY_HAND, "b");
        tell_changed("b", false);
        answer_found(cold ? CLAIM : LOOKUP, "b", "<p>x</p>", LEFT_FRESH);
        bench_turn(bench);
        assert_row(cold, bench->settled == 2U * (unsigned)cold + 1);
        answer_found(CLAIM, "b", "<p>y</p>", LEFT_FRESH);
        bench_turn(bench);
        assert_row(cold, bench->settled == 2U * (unsigned)cold + 2);
    }
}

/* The value came between the lookup and the claim. */
static void test_found_by_claim(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    answer_found(CLAIM, "a", "<p>x</p>", LEFT_FRESH);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
    assert_true(bench->notes[0].how.hit);
    assert_int_equal(bench->hand.started, 0);
}

/* An entry that can't be read is discarded, and looked up once more. */
static void test_unreadable(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    answer_outcome(CLAIM, "a", CACHE_UNREADABLE);
    assert_int_equal(cache.asked[CLAIM], 2);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
}

/* A cache that does not accept the result, and a result that must not be cached. */
static void test_not_stored(void **state)
{
    (void)state;
    cache.refuses = true;
    join_generating(BY_HAND, "a");
    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
    assert_false(bench->notes[0].how.stored);
    assert_int_equal(cache.stores, 1);

    cache.refuses = false;
    join_generating(UNCACHED, "b");
    hand_give(&bench->hand, "b", "<p>x</p>");
    bench_turn(bench);
    check_settled(1, SETTLED_ENTRY, "<p>x</p>");
    assert_false(bench->notes[1].how.stored);
    assert_int_equal(cache.stores, 1);
    assert_int_equal(cache.releases, 1);
}

/* If anything fails, the lease is released, and nothing is stored. */
static void test_failures(void **state)
{
    static const struct {
        enum source_status status;
        enum settlement_kind kind;
    } cases[] = {
        {SOURCE_NOT_FOUND, SETTLED_NOT_FOUND}, {SOURCE_FAILED, SETTLED_FAILED},
        {SOURCE_TIMED_OUT, SETTLED_TIMED_OUT}, {SOURCE_BUSY, SETTLED_BUSY},
        {SOURCE_CANCELLED, SETTLED_SHUTDOWN},
    };
    (void)state;
    for (uint32_t i = 0; i < LENGTH(cases); i++) {
        join_generating(STALE_ERROR, "a");
        hand_fail(&bench->hand, "a", cases[i].status);
        assert_int_equal(cache.releases, i + 1);
        bench_turn(bench);
        check_settled(i, cases[i].kind, "");
        assert_false(bench->notes[i].how.stored || bench->notes[i].how.stale);
    }
    bench->hand.refuses = true;
    join(BY_HAND, "a");
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    bench_turn(bench);
    check_settled(LENGTH(cases), SETTLED_FAILED, "");
    assert_int_equal(cache.stores, 0);
    assert_int_equal(cache.releases, LENGTH(cases) + 1);
}

/* A request that does not wait gets what Redis has; beyond that, a busy source is not called, and
 * no lease is taken. It may have become busy while the lease was claimed. */
static void test_no_wait(void **state)
{
    static const struct {
        bool busy_before, busy_after;       /* the answer to the claim */
        bool another_before, another_after; /* who waits */
        bool claimed, started;
    } cases[] = {
        {false, false, false, false, true, true}, {true, true, false, false, false, false},
        {false, true, false, false, true, false}, {true, true, true, false, true, true},
        {true, true, false, true, true, true},    {false, true, false, true, true, true},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        fake_begin((struct flight_limits){10, 10});
        bench->hand.busy = cases[i].busy_before;
        if (cases[i].another_before)
            join(BY_HAND, "a");
        uint32_t number = bench->joined;
        assert_int_equal(bench_join_for(bench, BY_HAND, "a", 0), JOIN_OK);
        if (cases[i].another_after)
            join(BY_HAND, "a");
        answer_outcome(LOOKUP, "a", CACHE_NONE);
        assert_row(i, cache.asked[CLAIM] == cases[i].claimed);
        bench->hand.busy = cases[i].busy_after;
        if (cases[i].claimed)
            answer_outcome(CLAIM, "a", CACHE_OURS);
        assert_row(i, bench->hand.started == cases[i].started);
        assert_row(i, cache.leases == cases[i].started);
        bench_turn(bench);
        assert_row(i, bench->settled == !cases[i].started);
        assert_row(i, cases[i].started || bench->notes[number].how.kind == SETTLED_DECLINED);
        check_counts(cases[i].started, cases[i].started ? bench->joined : 0);
        fake_end();
    }

    fake_begin((struct flight_limits){10, 10});
    bench->hand.busy = true;
    assert_int_equal(bench_join_for(bench, BY_HAND, "a", 0), JOIN_OK);
    answer_found(LOOKUP, "a", "<p>x</p>", LEFT_FRESH);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
    fake_end();
}

/* A request that waits joins just when one that does not wait was rejected, but not settled yet. */
static void test_no_wait_and_wait(void **state)
{
    (void)state;
    bench->hand.busy = true;
    assert_int_equal(bench_join_for(bench, BY_HAND, "a", 0), JOIN_OK);
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    check_counts(1, 1);
    join_generating(BY_HAND, "a");
    assert_int_equal(bench->hand.started, 1);
    bench_turn(bench);
    check_settled(0, SETTLED_DECLINED, "");
    check_counts(1, 1);

    assert_int_equal(bench_join_for(bench, BY_HAND, "b", 0), JOIN_OK);
    answer_outcome(LOOKUP, "b", CACHE_NONE);
    flights_cancel_all(bench->flights); /* it was rejected before */
    check_settled(2, SETTLED_DECLINED, "");
    check_settled(1, SETTLED_SHUTDOWN, "");
}

/* --- waiting for another process --- */

/* Any report about the key wakes the flight at once: the value, its lease, a purge, or that many
 * keys may have changed. */
static void test_woken(void **state)
{
    static const struct cache_change cases[] = {
        {CHANGED_VALUE, SLICE_INIT("a"), false},    {CHANGED_LEASE, SLICE_INIT("a"), false},
        {CHANGED_BY_PURGE, SLICE_INIT("a"), false}, {CHANGED_VALUE, SLICE_INIT("a"), true},
        {CHANGED_BY_PURGE, SLICE_INIT("a"), true},  {CHANGED_VALUE, SLICE_INIT(""), true},
        {CHANGED_BY_PURGE, SLICE_INIT(""), true},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        fake_begin((struct flight_limits){10, 10});
        join(BY_HAND, "a");
        answer_outcome(LOOKUP, "a", CACHE_NONE);
        answer_theirs("a", 1000);
        join(BY_HAND, "a");
        tell(cases[i].kind, SLICE("b"), cases[i].is_prefix); /* not ours */
        tell(cases[i].kind, SLICE("ab"), cases[i].is_prefix);
        assert_row(i, cache.count == 0);
        tell(cases[i].kind, cases[i].key, cases[i].is_prefix);
        assert_row(i, cache.count == 1);
        answer_found(CLAIM, "a", "<p>theirs</p>", LEFT_FRESH);
        bench_turn(bench);
        for (uint32_t k = 0; k < 2; k++) {
            check_settled(k, SETTLED_ENTRY, "<p>theirs</p>");
            assert_row(i, bench->notes[k].how.hit);
        }
        assert_row(i, bench->hand.started == 0);
        fake_end();
    }
}

/* Their lease has gone without a value: this process takes over. */
static void test_take_over(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    answer_theirs("a", 1000);
    tell_changed("a", true);
    answer_theirs("a", 1000); /* another one was faster */
    assert_int_equal(bench->hand.started, 0);
    tell_changed("a", true);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(bench->hand.started, 1);
    hand_give(&bench->hand, "a", "<p>ours</p>");
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>ours</p>");
}

/* No report comes: the flight looks again when their lease must have ended. */
static void test_looks_again(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    for (int i = 0; i < 3; i++) {
        answer_theirs("a", 0.002);
        assert_int_equal(cache.count, 0);
        while (cache.count == 0)
            ev_run(bench->loop, EVRUN_ONCE);
    }
    answer_outcome(CLAIM, "a", CACHE_ALONE);
    assert_int_equal(bench->hand.started, 1);
}

/* The change came before the answer, which may be older than the change. */
static void test_changed_while_claiming(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    tell_changed("a", false);
    assert_int_equal(cache.count, 1); /* one command at a time */
    answer_theirs("a", 1000);
    assert_int_equal(cache.count, 1);
    answer_theirs("a", 1000);
    assert_int_equal(cache.count, 0); /* and now it waits */
    tell_changed("a", true);
    answer_found(CLAIM, "a", "<p>x</p>", LEFT_FRESH);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>x</p>");
}

/* A purge came after the claim that it undid, and was reported before the claim was answered: our
 * result is not kept, so later requests do not wait for it. */
static void test_purged_while_claiming(void **state)
{
    (void)state;
    join(BY_HAND, "a");
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    tell_changed("a", true);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    assert_int_equal(cache.asked[CHECK], 1);
    answer_purged("a");
    join_generating(BY_HAND, "a");
    hand_give(&bench->hand, "a", "<p>2</p>");
    hand_give(&bench->hand, "a", "<p>1</p>");
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>1</p>");
    check_settled(1, SETTLED_ENTRY, "<p>2</p>");
    assert_false(bench->notes[0].how.stored);
    assert_true(bench->notes[1].how.stored);
}

/* --- while we generate it --- */

/* Somebody else wrote the value: all waiters get it at once, and our call is cancelled. */
static void test_written_meanwhile(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    join(BY_HAND, "a");
    tell_changed("a", true); /* a renewal: the lease is checked, and it is ours */
    answer_outcome(CHECK, "a", CACHE_NONE);
    tell_changed("a", false);
    assert_int_equal(bench->hand.cancelled, 0);
    answer_found(CHECK, "a", "<p>hi</p>", LEFT_FRESH);
    assert_int_equal(bench->hand.cancelled, 1);
    assert_int_equal(cache.releases, 1);
    bench_turn(bench);
    for (uint32_t i = 0; i < 2; i++) {
        check_settled(i, SETTLED_ENTRY, "<p>hi</p>");
        assert_true(bench->notes[i].how.hit);
        assert_false(bench->notes[i].how.stored);
    }
    assert_int_equal(cache.stores, 0);
    check_counts(0, 0);
}

/* There was no value after all, or Redis can't be asked: the flight goes on for all, and its result
 * is stored. A value that disappeared while the lease is ours was not purged: it expired, or was
 * damaged. */
static void test_checked_in_vain(void **state)
{
    static const enum cache_outcome outcomes[] = {CACHE_NONE, CACHE_ALONE, CACHE_SAME, CACHE_NONE};
    (void)state;
    join_generating(BY_HAND, "a");
    for (size_t i = 0; i < LENGTH(outcomes); i++) {
        tell_changed(i == 0 ? NULL : "a", i == 3); /* first, for example, tracking has begun */
        answer_outcome(CHECK, "a", outcomes[i]);
        join(BY_HAND, "a");
    }
    tell_changed("a", false);
    answer_found(CHECK, "a", "<p>old</p>", LEFT_STALE);
    check_counts(1, 5);
    hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
    for (uint32_t i = 0; i < 5; i++)
        check_settled(i, SETTLED_ENTRY, "<p>x</p>");
    assert_int_equal(bench->hand.started, 1);
    assert_int_equal(cache.stores, 1);
}

/* Purged: the waiters get the result in progress, later requests do not. Either flight may land
 * first. */
static void test_purged_meanwhile(void **state)
{
    (void)state;
    for (int later_first = 0; later_first < 2; later_first++) {
        fake_begin((struct flight_limits){10, 10});
        join_generating(BY_HAND, "a");
        struct hand_call *begun = bench->hand.calls;
        tell_changed("a", later_first); /* a cold key has no value that could change */
        answer_purged("a");
        check_counts(1, 1);
        join_generating(BY_HAND, "a"); /* does its own lookup */
        check_counts(2, 2);
        const struct source_result old = {.status = SOURCE_OK,
                                          .type = SLICE("text/html"),
                                          .body = SLICE("<p>old</p>")};
        if (later_first)
            hand_give(&bench->hand, "a", "<p>new</p>");
        hand_complete(&bench->hand, begun, &old);
        bench_turn(bench);
        check_settled(0, SETTLED_ENTRY, "<p>old</p>");
        if (!later_first) {
            join(BY_HAND, "a");
            hand_give(&bench->hand, "a", "<p>new</p>");
            bench_turn(bench);
            check_settled(2, SETTLED_ENTRY, "<p>new</p>");
        }
        check_settled(1, SETTLED_ENTRY, "<p>new</p>");
        check_counts(0, 0);
        fake_end();
    }
}

/* We purge it ourselves: no lookup is needed, the waiters get the result in progress, and others
 * are not disturbed. The old entry matters only if that fails, and then it is looked up. */
static void test_purged_by_us(void **state)
{
    static const struct {
        const char *purge;
        bool soft, detached;
    } cases[] = {{"a", false, true},  {"a", true, true},   {"a*", false, true},  {"*", true, true},
                 {"b", false, false}, {"b*", true, false}, {"aa*", false, false}};
    (void)state;
    for (size_t i = 0; i < 3 * LENGTH(cases); i++) {
        size_t row = i / 3;
        fake_begin((struct flight_limits){10, 10});
        join(STALE_ERROR, "a");
        answer_found(LOOKUP, "a", "<p>old</p>", LEFT_STALE);
        answer_outcome(CLAIM, "a", CACHE_OURS);
        assert_int_equal(bench_purge(bench, cases[row].purge, cases[row].soft), JOIN_OK);
        assert_row(row, cache.asked[CHECK] == 0 && cache.asked[CLAIM] == 1);
        join(STALE_ERROR, "a");
        assert_row(row, cache.asked[LOOKUP] == 1u + cases[row].detached);
        check_counts(1u + cases[row].detached, 3);
        if (i % 3 == 0) {
            hand_give(&bench->hand, "a", "<p>new</p>");
            assert_row(row, cache.stores == !cases[row].detached);
        } else {
            hand_fail(&bench->hand, "a", SOURCE_FAILED);
            assert_row(row, cache.asked[CHECK] == cases[row].detached);
            if (cases[row].detached) /* after the purge and the newcomer's lookup */
                answer_at(2,
                          (struct cache_answer){.outcome = i % 3 == 1 ? CACHE_SAME : CACHE_NONE});
        }
        bench_turn(bench);
        if (i % 3 == 0)
            check_settled(0, SETTLED_ENTRY, "<p>new</p>");
        else if (i % 3 == 1 || !cases[row].detached)
            check_settled(0, SETTLED_ENTRY, "<p>old</p>");
        else
            check_settled(0, SETTLED_FAILED, "");
        assert_row(row, bench->notes[2].settled == !cases[row].detached);
        fake_end();
    }
}

/* Purged again and again: each time later requests have a flight of their own. */
static void test_purged_often(void **state)
{
    enum { TIMES = 5 };
    struct hand_call *calls[TIMES];
    (void)state;
    for (uint32_t i = 0; i < TIMES; i++) {
        join_generating(BY_HAND, "a");
        calls[i] = bench->hand.calls;
        tell_changed("a", false);
        answer_purged("a");
    }
    check_counts(TIMES, TIMES);
    for (uint32_t i = 0; i < TIMES; i++) {
        char body[] = "<p>0</p>";
        body[3] = (char)('0' + i * 3 % TIMES);
        hand_complete(&bench->hand, calls[i * 3 % TIMES],
                      &(struct source_result){.type = SLICE("text/html"), .body = slice_of(body)});
        bench_turn(bench);
        check_settled(i * 3 % TIMES, SETTLED_ENTRY, body);
    }
    check_counts(0, 0);
}

/* The answer comes when the flight has landed, or is settled too. */
static void test_late_check(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        fake_begin((struct flight_limits){10, 10});
        join_generating(BY_HAND, "a");
        tell_changed("a", false);
        hand_give(&bench->hand, "a", "<p>x</p>");
        if (i % 2)
            bench_turn(bench); /* else: before the settlement */
        if (i / 2 == 0)
            answer_found(CHECK, "a", "<p>other</p>", LEFT_FRESH);
        else if (i / 2 == 1)
            answer_purged("a");
        else
            answer_outcome(CHECK, "a", CACHE_ALONE);
        bench_turn(bench);
        check_settled(0, SETTLED_ENTRY, "<p>x</p>");
        check_counts(0, 0);
        assert_int_equal(bench->hand.cancelled, 0);
        fake_end();
    }
}

/* A change during the lookup may be newer than its answer: look up once more. */
static void test_changed_while_checking(void **state)
{
    (void)state;
    join_generating(BY_HAND, "a");
    tell_changed("a", true);  /* the lease is renewed... */
    tell_changed("a", false); /* ...and somebody writes the value, but the answer is from before */
    answer_outcome(CHECK, "a", CACHE_NONE);
    assert_int_equal(cache.count, 1);
    answer_found(CHECK, "a", "<p>hi</p>", LEFT_FRESH);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>hi</p>");
    assert_int_equal(bench->hand.cancelled, 1);
}

/* --- the hold, in every state --- */

enum stage { AT_LOOKING, AT_CLAIMING, AT_WAITING, AT_GENERATING, AT_CHECKING, STAGES };

/* Brings the flight of "a", which was just joined, into that state. */
static void advance(enum stage stage)
{
    if (stage == AT_LOOKING)
        return;
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    if (stage == AT_WAITING)
        answer_theirs("a", 1000);
    else if (stage >= AT_GENERATING)
        answer_outcome(CLAIM, "a", CACHE_OURS);
    if (stage == AT_CHECKING)
        tell_changed("a", false);
}

/* Answers everything pending, and the flight lands with an entry. */
static void finish(enum stage stage)
{
    if (stage == AT_WAITING)
        tell_changed("a", false);
    if (stage < AT_GENERATING)
        answer_found(stage == AT_LOOKING ? LOOKUP : CLAIM, "a", "<p>x</p>", LEFT_FRESH);
    else
        hand_give(&bench->hand, "a", "<p>x</p>");
    bench_turn(bench);
}

/* A request after the end of the hold joins the same flight, which goes on without waiters. */
static void test_hold_over(void **state)
{
    (void)state;
    for (int stage = 0; stage < STAGES; stage++) {
        fake_begin((struct flight_limits){10, 10});
        join(BRIEF_HOLD, "a");
        join(BRIEF_HOLD, "a");
        advance((enum stage)stage);
        bench_leave(bench, 1);
        bench_run(bench, 1);
        check_settled(0, SETTLED_NOT_READY, "");
        check_counts(1, 0);
        join(BY_HAND, "a");
        check_counts(1, 1);
        finish((enum stage)stage);
        check_settled(2, SETTLED_ENTRY, "<p>x</p>");
        assert_true(bench->notes[2].how.collapsed);
        assert_int_equal(cache.asked[LOOKUP], 1);
        assert_int_equal(bench->hand.started, stage >= AT_GENERATING);
        check_counts(0, 0);
        fake_end();
    }
}

/* --- shutdown, in every state --- */

/* Cancelled; later answers of the cache do not matter, but its lease is released. */
static void test_cancelled(void **state)
{
    static const enum cache_outcome late[] = {CACHE_FOUND, CACHE_SAME,   CACHE_NONE,
                                              CACHE_OURS,  CACHE_THEIRS, CACHE_ALONE};
    (void)state;
    for (size_t i = 0; i < STAGES * LENGTH(late); i++) {
        enum stage stage = (enum stage)(i / LENGTH(late));
        enum cache_outcome outcome = late[i % LENGTH(late)];
        fake_begin((struct flight_limits){10, 10});
        join(BY_HAND, "a");
        join(BY_HAND, "a");
        advance(stage);
        flights_cancel_all(bench->flights);
        assert_row(i, bench->settled == 2);
        check_settled(0, SETTLED_SHUTDOWN, "");
        check_settled(1, SETTLED_SHUTDOWN, "");
        check_counts(0, 0);
        assert_row(i, bench->hand.cancelled == (stage >= AT_GENERATING));
        flights_cancel_all(bench->flights);

        /* The old flight does not affect a new one of the same key. */
        join(BY_HAND, "a");
        while (cache.count > 1) {
            if (outcome == CACHE_FOUND)
                answer_found(cache.questions[0].kind, "a", "<p>late</p>", LEFT_FRESH);
            else if (outcome == CACHE_NONE ||
                     cache.questions[0].kind == (outcome == CACHE_SAME ? CHECK : CLAIM))
                answer_at(0, (struct cache_answer){.outcome = outcome, .wait_s = 1});
            else
                answer_at(0, (struct cache_answer){.outcome = CACHE_ALONE});
        }
        bench_turn(bench);
        assert_row(i, bench->settled == 2 && cache.leases == 0);
        answer_found(LOOKUP, "a", "<p>new</p>", LEFT_FRESH);
        bench_turn(bench);
        check_settled(2, SETTLED_ENTRY, "<p>new</p>");
        fake_end();
    }
}

/* One that was detached by a purge, and one that has landed. */
static void test_cancelled_apart(void **state)
{
    struct entry *entry = entry_left("<p>x</p>", LEFT_FRESH);
    (void)state;
    join_generating(BY_HAND, "a");
    tell_changed("a", false);
    answer_purged("a");
    join_generating(BY_HAND, "a");
    tell_changed("a", false);
    join(BY_HAND, "b");
    answer_at(1, (struct cache_answer){.outcome = CACHE_FOUND, .entry = entry});
    entry_unref(entry);
    flights_cancel_all(bench->flights);
    check_settled(0, SETTLED_SHUTDOWN, "");
    check_settled(1, SETTLED_SHUTDOWN, "");
    check_settled(2, SETTLED_ENTRY, "<p>x</p>");
    check_counts(0, 0);
    assert_int_equal(bench->hand.cancelled, 2);
    assert_int_equal(cache.releases, 2);
    answer_found(CHECK, "a", "<p>late</p>", LEFT_FRESH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fake_test(test_found),
        fake_test(test_from_memory),
        cmocka_unit_test(test_ways_to_source),
        cmocka_unit_test(test_no_wait),
        fake_test(test_no_wait_and_wait),
        fake_test(test_no_redis),
        fake_test(test_no_redis_and_too_old),
        fake_test(test_found_and_changed),
        fake_test(test_found_by_claim),
        fake_test(test_unreadable),
        fake_test(test_not_stored),
        fake_test(test_failures),
        cmocka_unit_test(test_woken),
        fake_test(test_take_over),
        fake_test(test_looks_again),
        fake_test(test_changed_while_claiming),
        fake_test(test_purged_while_claiming),
        fake_test(test_written_meanwhile),
        fake_test(test_checked_in_vain),
        cmocka_unit_test(test_purged_meanwhile),
        cmocka_unit_test(test_purged_by_us),
        fake_test(test_purged_often),
        cmocka_unit_test(test_late_check),
        fake_test(test_changed_while_checking),
        cmocka_unit_test(test_hold_over),
        cmocka_unit_test(test_cancelled),
        fake_test(test_cancelled_apart),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("flight_cache", tests, NULL, NULL);
}
