/* source/guard: the queue, the breaker, and anything in any order. */
#include "guard_bench.h"

#define COOLDOWN_S 0.03
#define MANY       12

static bool runs(const char *name)
{
    const struct hand_call *call = hand.calls;
    while (call && strcmp(call->name, name) != 0)
        call = call->next;
    return call != NULL;
}

/* --- the queue --- */

static void test_places_and_turns(void **state)
{
    static const struct {
        unsigned lane;
        const char *name;
    } calls[] = {{4, "first"}, {4, "second"}, {4, "a1"}, {4, "a2"},
                 {0, "b1"},    {9, "c1"},     {0, "b2"}};
    static const char *const order[] = {"a1", "b1", "c1", "a2", "b2"};
    struct seen seen[LENGTH(calls)] = {0};
    (void)state;
    open_source((struct source_limits){.connections = 2, .queue = 10});
    for (size_t i = 0; i < LENGTH(calls); i++) {
        assert_row(i, source_is_busy(source) == (i >= 2));
        start(&seen[i], calls[i].name, calls[i].lane);
    }
    turn();
    assert_int_equal(hand.started, 2);
    for (size_t i = 0; i < LENGTH(order); i++) {
        hand_give(&hand, i == 0 ? "first" : order[i - 1], "x");
        assert_row(i, hand.started == 2 + i); /* not before the loop's next turn */
        turn();
        assert_row(i, hand.started == 3 + i);
        assert_row(i, runs(order[i]));
    }
    assert_true(source_is_busy(source));
    hand_give(&hand, "second", "x");
    assert_false(source_is_busy(source));
    close_source();
    for (size_t i = 0; i < LENGTH(calls); i++)
        assert_row(i, seen[i].count == 1);
}

/* No `connections`: nothing queues. */
static void test_no_limit(void **state)
{
    struct seen seen[MANY] = {0};
    (void)state;
    open_source((struct source_limits){0});
    for (size_t i = 0; i < MANY; i++) {
        assert_false(source_is_busy(source));
        start(&seen[i], "a", 0);
    }
    assert_int_equal(hand.started, MANY);
    close_source();
}

/* Which calls are refused when there are more than the queue has room for. */
static void test_full(void **state)
{
    static const struct {
        size_t queue;
        const char *lanes;   /* of the calls, in order; the first one runs */
        const char *refused; /* an x for each that is */
    } cases[] = {
        {0, "000", ".xx"},
        {1, "000", "..x"},
        {3, "000000", "....xx"},
        {3, "000010", "...x.x"},     /* another lane takes the place of the newest */
        {3, "0000111", "...x.xx"},   /* the lanes are of one length, but for one */
        {4, "00000112", "..xxx..."}, /* a third lane takes one more */
        {4, "0000012345", "..xxx...xx"},
        {2, "0012", "...x"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        size_t count = strlen(cases[i].lanes);
        struct seen seen[MANY] = {0};
        char refused[MANY + 1] = "";
        open_source((struct source_limits){.connections = 1, .queue = cases[i].queue});
        for (size_t call = 0; call < count; call++)
            start(&seen[call], "a", (unsigned)(cases[i].lanes[call] - '0'));
        turn();
        for (size_t call = 0; call < count; call++) {
            refused[call] = seen[call].count > 0 ? 'x' : '.';
            if (seen[call].count == 0)
                continue;
            assert_row(i, seen[call].status == SOURCE_BUSY);
            assert_row(i, seen[call].retry_after_s == 1);
            assert_non_null(strstr(seen[call].reason, "source \"api\" has too many calls queued"));
        }
        if (strcmp(refused, cases[i].refused) != 0)
            fail_msg("row %zu: %s", i, refused);
        for (size_t call = 0; call < count; call++)
            if (seen[call].call)
                source_cancel(seen[call].call);
        close_source();
    }
}

/* What a queued call was given is copied, and it knows how long it was queued. */
static void test_request_is_copied(void **state)
{
    static const struct vary vary = {.count = 0}; /* the packed values are not read here */
    static const struct source_rules rules = {.is_private = true};
    char text[] = "user/42PACKEDetagdateid01-02keytoken";
    struct seen running = {0}, queued = {0};
    (void)state;
    open_source((struct source_limits){.connections = 1, .queue = 1});
    start(&running, "a", 0);
    struct source_request request = {.name = {text, 7},
                                     .rest = {text + 5, 2},
                                     .inputs = {&vary, {text + 7, 6}},
                                     .rules = &rules,
                                     .lane = 3,
                                     .etag = {text + 13, 4},
                                     .last_modified = {text + 17, 4},
                                     .request_id = {text + 21, 2},
                                     .traceparent = {text + 23, 5},
                                     .key = {text + 28, 3},
                                     .lease = {text + 31, 5}};
    queued.call = source_start(source, &request, on_done, &queued);
    assert_non_null(queued.call);
    memset(text, '?', sizeof text);
    memset(&request, 0, sizeof request);
    source_await(queued.call);
    double begin = clock_monotonic();
    while (clock_monotonic() - begin < 0.05)
        turn();
    hand_give(&hand, "a", "x");
    turn();
    assert_true(runs("user/42"));
    assert_string_equal(latest_text, "user/42|42|PACKED|etag|date|id|01-02|key|token");
    assert_ptr_equal(latest.inputs.vary, &vary);
    assert_ptr_equal(latest.rules, &rules);
    assert_int_equal(latest.lane, 3);
    assert_true(latest.awaited); /* since a request has come to wait for it */
    assert_true(latest.waited >= 0.03 && latest.waited < 10);
    close_source();
}

/* A call waits as long as `queue_timeout` says, or the type's own timeout. */
static void test_waits(void **state)
{
    static const struct {
        double queue_timeout, timeout;
        const char *reason;
    } cases[] = {
        {0.02, 0, "within queue_timeout = 0.02s (connections = 1)"},
        {0.02, 60, "within queue_timeout = 0.02s (connections = 1)"},
        {0, 0.02, "within timeout = 0.02s (connections = 1)"},
        {60, 0.02, "within timeout = 0.02s (connections = 1)"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct seen running = {0}, queued[2] = {0};
        type_timeout = cases[i].timeout;
        open_source((struct source_limits){.connections = 1,
                                           .queue = 5,
                                           .queue_timeout = cases[i].queue_timeout});
        start(&running, "a", 0);
        start(&queued[0], "b", 0);
        start(&queued[1], "c", 1);
        ev_run(EV_DEFAULT, 0); /* until nothing waits */
        for (int call = 0; call < 2; call++) {
            assert_row(i, queued[call].count == 1 && queued[call].status == SOURCE_BUSY);
            assert_row(i, strstr(queued[call].reason, cases[i].reason));
        }
        assert_row(i, running.count == 0);
        close_source();
        assert_row(i, running.count == 1);
    }
}

/* --- cancelling, and `done` that does things --- */

static void test_cancel(void **state)
{
    struct seen running = {0}, queued = {0}, refused = {0}, later = {0};
    (void)state;
    open_source((struct source_limits){.connections = 1, .queue = 1});
    start(&running, "running", 0);
    start(&queued, "queued", 0);
    start(&refused, "refused", 0);
    source_cancel(refused.call);
    assert_int_equal(refused.status, SOURCE_CANCELLED);
    source_cancel(queued.call);
    assert_int_equal(queued.status, SOURCE_CANCELLED);
    start(&later, "later", 0);
    source_cancel(running.call);
    assert_int_equal(running.status, SOURCE_CANCELLED);
    turn();
    assert_true(runs("later"));
    close_source();
    assert_int_equal(running.count + queued.count + refused.count + later.count, 4);
}

static void test_inside_done(void **state)
{
    struct seen first = {0}, queued[2] = {0}, refused[2] = {0}, inside[2] = {0};
    (void)state;
    open_source((struct source_limits){.connections = 1, .queue = 2});
    start(&first, "first", 0);
    start(&queued[0], "queued", 0);
    start(&queued[1], "again", 0);
    start(&refused[0], "refused", 0);
    start(&refused[1], "refused", 0);
    refused[0].cancels = &refused[1]; /* which is about to be told */
    refused[0].starts = &inside[0];   /* which is refused, too */
    turn();
    assert_int_equal(refused[0].status, SOURCE_BUSY);
    assert_int_equal(refused[1].status, SOURCE_CANCELLED);
    assert_int_equal(inside[0].status, SOURCE_BUSY);
    first.cancels = &queued[0]; /* whose turn it would be */
    first.starts = &inside[1];
    hand_give(&hand, "first", "x");
    turn();
    assert_int_equal(queued[0].status, SOURCE_CANCELLED);
    assert_true(runs("again"));
    hand_give(&hand, "again", "x");
    turn();
    assert_true(runs("inside"));
    close_source();
    assert_int_equal(first.count + queued[0].count + queued[1].count + refused[0].count, 4);
    assert_int_equal(refused[1].count + inside[0].count + inside[1].count, 3);
}

/* --- the breaker --- */

#define BREAKING                                                                                   \
    .breaker = {2, 60}, .breaker_cooldown = COOLDOWN_S, .max_retry_after = 300, .connections = 1,  \
    .queue = 5

static void fail_times(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct seen seen = {0};
        start(&seen, "failing", 0);
        turn();
        hand_fail(&hand, "failing", i % 2 ? SOURCE_TIMED_OUT : SOURCE_FAILED);
        assert_int_equal(seen.count, 1);
    }
}

static void wait_for_trial(void)
{
    double begin = clock_monotonic();
    while (clock_monotonic() - begin < COOLDOWN_S * 1.25 + 2 * CLOCK_COARSE_S)
        ev_run(EV_DEFAULT, EVRUN_NOWAIT);
}

static void assert_refused(unsigned retry_after_s)
{
    struct seen seen = {0};
    unsigned before = hand.started;
    assert_false(source_is_busy(source)); /* it would not be queued */
    start(&seen, "refused", 0);
    turn();
    assert_int_equal(seen.status, SOURCE_BUSY);
    assert_int_equal(seen.retry_after_s, retry_after_s);
    assert_non_null(strstr(seen.reason, "source \"api\" is not called for a while"));
    assert_int_equal(hand.started, before);
}

static void test_breaker(void **state)
{
    struct seen trial = {0}, other = {0};
    (void)state;
    open_source((struct source_limits){BREAKING});
    fail_times(2);
    assert_refused(1);
    wait_for_trial();
    start(&trial, "trial", 0);
    assert_true(runs("trial"));
    assert_refused(1);
    hand_fail(&hand, "trial", SOURCE_FAILED);
    assert_refused(1);
    wait_for_trial();
    start(&trial, "trial", 0);
    hand_give(&hand, "trial", "x");
    start(&other, "other", 0);
    assert_true(runs("other"));
    fail_times(0);
    close_source();
    assert_int_equal(trial.count + other.count, 3);
}

/* What counts as a failure. */
static void test_outcomes(void **state)
{
    static const struct {
        enum source_status status;
        bool opens, closes; /* after two calls; as a trial */
    } cases[] = {
        {SOURCE_OK, false, true},        {SOURCE_NOT_MODIFIED, false, true},
        {SOURCE_NOT_FOUND, false, true}, {SOURCE_FAILED, true, false},
        {SOURCE_TIMED_OUT, true, false}, {SOURCE_CANCELLED, false, false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct seen seen[5] = {0};
        open_source((struct source_limits){BREAKING});
        for (int call = 0; call < 2; call++) {
            start(&seen[call], "a", 0);
            turn();
            hand_fail(&hand, "a", cases[i].status);
        }
        start(&seen[2], "b", 0);
        turn();
        assert_row(i, cases[i].opens == (seen[2].status == SOURCE_BUSY && seen[2].count == 1));
        if (seen[2].call)
            source_cancel(seen[2].call);
        if (!cases[i].opens)
            fail_times(2);
        wait_for_trial();
        start(&seen[3], "a", 0);
        hand_fail(&hand, "a", cases[i].status);
        start(&seen[4], "b", 0);
        turn();
        /* A trial without an outcome is followed by another one. */
        assert_row(i, (seen[4].count == 0) ==
                          (cases[i].closes || cases[i].status == SOURCE_CANCELLED));
        close_source();
    }
}

/* Calls that are queued when it opens do not wait; those that run go on. */
static void test_breaker_empties_the_queue(void **state)
{
    struct seen running[2] = {0}, queued[3] = {0};
    (void)state;
    open_source((struct source_limits){.breaker = {1, 60},
                                       .breaker_cooldown = 60,
                                       .connections = 2,
                                       .queue = 5});
    start(&running[0], "a", 0);
    start(&running[1], "b", 0);
    for (unsigned i = 0; i < 3; i++)
        start(&queued[i], "queued", i);
    hand_fail(&hand, "a", SOURCE_FAILED);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(queued[i].count, 0);
    turn();
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(queued[i].status, SOURCE_BUSY);
        assert_true(queued[i].retry_after_s >= 60 && queued[i].retry_after_s <= 75);
    }
    assert_int_equal(running[1].count, 0);
    hand_give(&hand, "b", "x");
    assert_int_equal(running[1].status, SOURCE_OK);
    close_source();
}

/* The trial may have to wait for a place, may find none, or may be cancelled meanwhile: then the
 * next call is the trial. */
static void test_trial_without_outcome(void **state)
{
    struct seen hangs = {0}, trial = {0}, next = {0};
    (void)state;
    for (int queue = 0; queue <= 1; queue++) {
        memset(&trial, 0, sizeof trial);
        memset(&next, 0, sizeof next);
        memset(&hangs, 0, sizeof hangs);
        open_source((struct source_limits){.breaker = {1, 60},
                                           .breaker_cooldown = COOLDOWN_S,
                                           .connections = 2,
                                           .queue = (size_t)queue});
        start(&hangs, "hangs", 0);
        start(&next, "fails", 0);
        hand_fail(&hand, "fails", SOURCE_FAILED);
        settings.limits.connections = 1; /* as if both places were taken */
        wait_for_trial();
        start(&trial, "trial", 0);
        turn();
        assert_int_equal(trial.status, queue == 0 ? SOURCE_BUSY : SOURCE_OK);
        assert_int_equal(trial.count, queue == 0);
        if (trial.call)
            source_cancel(trial.call);
        hand_give(&hand, "hangs", "x");
        start(&next, "next", 0);
        assert_true(runs("next"));
        assert_refused(1); /* so `next` is a trial */
        hand_give(&hand, "next", "x");
        start(&trial, "trial", 0);
        assert_true(runs("trial"));
        close_source();
    }
}

/* RFC 9110 10.2.3: Retry-After of a failure. */
static void test_pauses(void **state)
{
    static const struct {
        enum source_status status;
        unsigned asked_s;
        double most;
        unsigned pause_s; /* 0: there is none */
    } cases[] = {
        {SOURCE_FAILED, 100, 300, 100},  {SOURCE_FAILED, 300, 300, 300},
        {SOURCE_FAILED, 301, 300, 300},  {SOURCE_FAILED, 4000000000, 300, 300},
        {SOURCE_FAILED, 100, 0, 0},      {SOURCE_FAILED, 0, 300, 0},
        {SOURCE_TIMED_OUT, 20, 300, 20}, {SOURCE_NOT_FOUND, 100, 300, 0},
        {SOURCE_OK, 100, 300, 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct seen seen[2] = {0};
        open_source((struct source_limits){.max_retry_after = cases[i].most});
        start(&seen[0], "a", 0);
        hand_complete(&hand, hand.calls,
                      &(struct source_result){.status = cases[i].status,
                                              .reason = "answered 503",
                                              .retry_after_s = cases[i].asked_s});
        start(&seen[1], "b", 0);
        turn();
        assert_row(i, (seen[1].count == 1) == (cases[i].pause_s > 0));
        assert_row(i, seen[1].retry_after_s <= cases[i].pause_s &&
                          seen[1].retry_after_s + 1 >= cases[i].pause_s);
        close_source();
    }

    struct seen seen[3] = {0}; /* without a breaker, no trial is needed after it */
    open_source((struct source_limits){.max_retry_after = COOLDOWN_S});
    start(&seen[0], "a", 0);
    hand_complete(&hand, hand.calls,
                  &(struct source_result){.status = SOURCE_FAILED, .retry_after_s = 1});
    assert_refused(1);
    wait_for_trial();
    start(&seen[1], "b", 0);
    start(&seen[2], "c", 0);
    assert_true(runs("b") && runs("c"));
    close_source();
}

/* --- memory --- */

/* At each allocation in turn: a call begins or it does not, and the guard works as before. */
static void test_no_memory(void **state)
{
    (void)state;
    for (int queues = 0; queues <= 1; queues++) {
        bool begun = false;
        for (long successes = 0; !begun; successes++) {
            struct seen running = {0}, seen = {0}, next = {0};
            open_source((struct source_limits){.connections = 1, .queue = 5});
            if (queues)
                start(&running, "running", 0);
            alloc_fail_after(successes);
            seen.call =
                source_start(source, &(struct source_request){.name = SLICE("seen"), .lane = 3},
                             on_done, &seen);
            alloc_fail_after(-1);
            begun = seen.call != NULL;
            assert_int_equal(seen.count, 0);
            start(&next, "next", 3);
            if (queues)
                hand_give(&hand, "running", "x");
            turn();
            assert_true(runs(begun ? "seen" : "next"));
            close_source();
            assert_int_equal(seen.count, begun);
            assert_int_equal(next.count, 1);
            assert_true(!begun || successes == (queues ? 4 : 1));
        }
    }

    alloc_fail_after(0);
    assert_null(source_create(&(struct source_environment){.loop = EV_DEFAULT}, &settings));
    settings.limits.breaker = (struct rate){5, 1};
    alloc_fail_after(1);
    assert_null(source_create(&(struct source_environment){.loop = EV_DEFAULT}, &settings));
    alloc_fail_after(-1);
}

/* Queued calls that the type has no memory for do not block the loop, even if each one starts the
 * next. So does a trial. */
static void test_type_without_memory(void **state)
{
    struct seen running = {0}, seen[5] = {0}, trial = {0};
    (void)state;
    open_source((struct source_limits){BREAKING});
    start(&running, "running", 0);
    start(&seen[0], "seen", 0);
    for (int i = 0; i < 4; i++)
        seen[i].starts = &seen[i + 1];
    hand.refuses = true;
    start(&trial, "keeps the queue from being empty", 0);
    hand_give(&hand, "running", "x");
    ev_run(EV_DEFAULT, EVRUN_NOWAIT);
    assert_int_equal(seen[0].status, SOURCE_FAILED);
    assert_non_null(strstr(seen[0].reason, "out of memory"));
    assert_int_equal(seen[4].count, 0);
    hand.refuses = false;
    turn();
    close_source();

    open_source((struct source_limits){BREAKING});
    fail_times(2);
    wait_for_trial();
    hand.refuses = true;
    assert_null(
        source_start(source, &(struct source_request){.name = SLICE("a")}, on_done, &trial));
    hand.refuses = false;
    start(&trial, "trial", 0);
    assert_true(runs("trial"));
    close_source();
}

/* --- anything in any order --- */

enum { AT_ONCE = 40, PLACES = 3 };

#define ANY_S 0.5 /* with a pause of the breaker in each few milliseconds */

static unsigned pending_calls(const struct seen *seen)
{
    unsigned count = 0;
    for (int i = 0; i < AT_ONCE; i++)
        count += seen[i].call != NULL;
    return count;
}

static void start_any(struct seen *seen, bool without_memory)
{
    static const char *const names[] = {"a", "b", "c"};
    struct slice name = slice_of(names[unit_random(3)]);
    *seen = (struct seen){0};
    alloc_fail_after(without_memory ? (long)unit_random(4) : -1);
    starting = true;
    seen->call =
        source_start(source,
                     &(struct source_request){.name = name, .lane = (unsigned)unit_random(4)},
                     on_done, seen);
    starting = false;
    alloc_fail_after(-1);
}

static void complete_any(void)
{
    static const enum source_status statuses[] = {SOURCE_OK,     SOURCE_OK,
                                                  SOURCE_OK,     SOURCE_NOT_FOUND,
                                                  SOURCE_FAILED, SOURCE_TIMED_OUT};
    if (!hand.calls)
        return;
    hand_complete(&hand, hand.calls,
                  &(struct source_result){.status = statuses[unit_random(LENGTH(statuses))],
                                          .reason = "by hand"});
}

/* Never more calls than places; each call ends once, and no call stays when all are over. */
static void test_anything(void **state)
{
    struct seen seen[AT_ONCE] = {0};
    unsigned statuses[SOURCE_CANCELLED + 1] = {0};
    (void)state;
    open_source((struct source_limits){.breaker = {30, 60},
                                       .breaker_cooldown = 0.001,
                                       .connections = PLACES,
                                       .queue = 6,
                                       .queue_timeout = 0.002});
    double begin = clock_monotonic();
    while (clock_monotonic() - begin < ANY_S) {
        struct seen *one = &seen[unit_random(AT_ONCE)];
        hand.refuses = unit_random(50) == 0;
        switch (unit_random(6)) {
        case 0:
        case 1:
            if (!one->call)
                start_any(one, unit_random(20) == 0);
            break;
        case 2:
            complete_any();
            break;
        case 3:
            if (one->call && unit_random(3) == 0)
                source_cancel(one->call);
            break;
        default:
            ev_run(EV_DEFAULT, EVRUN_NOWAIT);
        }
        unsigned running = 0;
        for (const struct hand_call *call = hand.calls; call; call = call->next)
            running++;
        assert_true(running <= PLACES);
        for (int i = 0; i < AT_ONCE; i++) {
            assert_true(seen[i].count + (seen[i].call != NULL) <= 1);
            if (seen[i].count == 1)
                statuses[seen[i].status]++;
            seen[i].count = 0;
        }
    }
    hand.refuses = false;
    while (pending_calls(seen) > 0) {
        complete_any();
        ev_run(EV_DEFAULT, EVRUN_NOWAIT);
    }
    close_source();
    for (size_t i = 0; i < LENGTH(statuses); i++)
        assert_row(i, i == SOURCE_NOT_MODIFIED || statuses[i] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup(function, set_up)
        TEST(test_places_and_turns),
        TEST(test_no_limit),
        TEST(test_full),
        TEST(test_request_is_copied),
        TEST(test_waits),
        TEST(test_cancel),
        TEST(test_inside_done),
        TEST(test_breaker),
        TEST(test_outcomes),
        TEST(test_breaker_empties_the_queue),
        TEST(test_trial_without_outcome),
        TEST(test_pauses),
        TEST(test_no_memory),
        TEST(test_type_without_memory),
        TEST(test_anything),
    };
    int failed = cmocka_run_group_tests_name("guard", tests, NULL, NULL);
    ev_loop_destroy(EV_DEFAULT);
    return failed;
}
