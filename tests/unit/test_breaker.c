/* source/breaker: what each event does in each state, with times of the test's own. */
#include "source/breaker.h"

#include "base/alloc.h"
#include "unit.h"

static const char *const state_names[] = {"CLOSED", "OPEN", "TRYING"};

/* What happens. */
enum event { ASK, TELL, TELL_TRIAL };

#define OK    BREAKER_SUCCESS
#define FAIL  BREAKER_FAILURE
#define NONE  BREAKER_UNKNOWN
#define PASS  BREAKER_PASS
#define TRY   BREAKER_TRY
#define WAITS BREAKER_REFUSE

struct step {
    double now;
    enum event event;
    int what;                 /* the verdict that ASK shall give, or the outcome that is told */
    double pause;             /* that the source has asked for */
    enum breaker_state state; /* then */
    double until;             /* if OPEN then */
};

static void run(const char *name, struct rate failures, double random, const struct step *steps,
                size_t count)
{
    struct breaker breaker;
    assert_true(breaker_init(&breaker, failures, 5));
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &steps[i];
        bool refuses = breaker_refuses(&breaker, step->now);
        int verdict = step->what;
        if (step->event == ASK)
            verdict = (int)breaker_ask(&breaker, step->now);
        else
            breaker_tell(&breaker, step->now, (enum breaker_outcome)step->what,
                         step->event == TELL_TRIAL, step->pause, random);
        if (verdict != step->what || breaker.state != step->state ||
            (step->state == BREAKER_OPEN && breaker.until != step->until) ||
            (step->event == ASK && refuses != (verdict == WAITS)))
            fail_msg("%s, step %zu: verdict %d, %s until %g", name, i, verdict,
                     state_names[breaker.state], breaker.until);
    }
    breaker_end(&breaker);
    breaker_end(&breaker);
}

#define RUN(failures, random, steps)                                                               \
    run(#steps, (struct rate)failures, random, steps, LENGTH(steps))

#define CLOSED        BREAKER_CLOSED, 0
#define OPEN(until_s) BREAKER_OPEN, until_s
#define TRYING        BREAKER_TRYING, 0
#define THREE_IN_TEN                                                                               \
    {                                                                                              \
        3, 10                                                                                      \
    }
#define OFF                                                                                        \
    {                                                                                              \
        0, 0                                                                                       \
    }

static void test_failures(void **state)
{
    static const struct step enough[] = {{1, ASK, PASS, 0, CLOSED},
                                         {1, TELL, FAIL, 0, CLOSED},
                                         {2, TELL, FAIL, 0, CLOSED},
                                         {3, TELL, FAIL, 0, OPEN(8)},
                                         {3, ASK, WAITS, 0, OPEN(8)}};
    static const struct step too_slow[] = {/* the edge: exactly the time is within it */
                                           {1, TELL, FAIL, 0, CLOSED},
                                           {2, TELL, FAIL, 0, CLOSED},
                                           {12, TELL, FAIL, 0, CLOSED},
                                           {13, TELL, FAIL, 0, CLOSED},
                                           {22, TELL, FAIL, 0, OPEN(27)}};
    static const struct step successes[] = {/* say nothing about the failures between them */
                                            {1, TELL, FAIL, 0, CLOSED},
                                            {2, TELL, OK, 0, CLOSED},
                                            {3, TELL, FAIL, 0, CLOSED},
                                            {4, TELL, OK, 0, CLOSED},
                                            {5, TELL, NONE, 0, CLOSED},
                                            {6, TELL, FAIL, 0, OPEN(11)}};
    static const struct step off[] = {{1, TELL, FAIL, 0, CLOSED},
                                      {1, TELL, FAIL, 0, CLOSED},
                                      {1, TELL, FAIL, 0, CLOSED},
                                      {1, TELL, FAIL, 0, CLOSED},
                                      {1, ASK, PASS, 0, CLOSED}};
    static const struct step one[] = {{1, TELL, FAIL, 0, OPEN(6)}};
    static const struct step jitter[] = {{0, TELL, FAIL, 0, OPEN(6)},
                                         {6, ASK, TRY, 0, TRYING},
                                         {7, TELL_TRIAL, FAIL, 0, OPEN(13)}};
    (void)state;
    RUN(THREE_IN_TEN, 0, enough);
    RUN(THREE_IN_TEN, 0, too_slow);
    RUN(THREE_IN_TEN, 0, successes);
    RUN(OFF, 0, off);
    const struct rate one_in_a_second = {1, 1};
    run("one", one_in_a_second, 0, one, LENGTH(one));
    run("jitter", one_in_a_second, 0.8, jitter, LENGTH(jitter));
}

static void test_trial(void **state)
{
    static const struct step succeeds[] = {{1, TELL, FAIL, 0, OPEN(6)},
                                           {5.9, ASK, WAITS, 0, OPEN(6)},
                                           {6, ASK, TRY, 0, TRYING},
                                           {6, ASK, WAITS, 0, TRYING},
                                           {90, ASK, WAITS, 0, TRYING},
                                           {91, TELL_TRIAL, OK, 0, CLOSED},
                                           {91, ASK, PASS, 0, CLOSED}};
    static const struct step fails[] = {{1, TELL, FAIL, 0, OPEN(6)},
                                        {7, ASK, TRY, 0, TRYING},
                                        {8, TELL_TRIAL, FAIL, 0, OPEN(13)},
                                        {12, ASK, WAITS, 0, OPEN(13)},
                                        {14, ASK, TRY, 0, TRYING}};
    static const struct step without_outcome[] = {{1, TELL, FAIL, 0, OPEN(6)},
                                                  {7, ASK, TRY, 0, TRYING},
                                                  {8, TELL_TRIAL, NONE, 0, OPEN(6)},
                                                  {8, ASK, TRY, 0, TRYING},
                                                  {9, TELL_TRIAL, OK, 0, CLOSED}};
    static const struct step late[] = {/* calls that began before it opened */
                                       {1, TELL, FAIL, 0, OPEN(6)},   {2, TELL, FAIL, 0, OPEN(6)},
                                       {3, TELL, OK, 0, OPEN(6)},     {7, ASK, TRY, 0, TRYING},
                                       {8, TELL, FAIL, 0, TRYING},    {8, TELL, OK, 0, TRYING},
                                       {9, TELL_TRIAL, OK, 0, CLOSED}};
    const struct rate one = {1, 1};
    (void)state;
    run("succeeds", one, 0, succeeds, LENGTH(succeeds));
    run("fails", one, 0, fails, LENGTH(fails));
    run("without outcome", one, 0, without_outcome, LENGTH(without_outcome));
    run("late", one, 0, late, LENGTH(late));
}

/* After it has closed, failures are counted from none. */
static void test_counts_again(void **state)
{
    static const struct step steps[] =
        {{1, TELL, FAIL, 0, CLOSED}, {1, TELL, FAIL, 0, CLOSED},     {1, TELL, FAIL, 0, OPEN(6)},
         {6, ASK, TRY, 0, TRYING},   {6, TELL_TRIAL, OK, 0, CLOSED}, {6, TELL, FAIL, 0, CLOSED},
         {6, TELL, FAIL, 0, CLOSED}, {7, TELL, FAIL, 0, OPEN(12)}};
    (void)state;
    RUN(THREE_IN_TEN, 0, steps);
}

/* RFC 9110 10.2.3. */
static void test_pauses(void **state)
{
    static const struct step off[] = {{1, TELL, FAIL, 30, OPEN(31)}, {2, TELL, FAIL, 10, OPEN(31)},
                                      {3, TELL, FAIL, 40, OPEN(43)}, {30, ASK, WAITS, 0, OPEN(43)},
                                      {43, ASK, PASS, 0, CLOSED},    {43, ASK, PASS, 0, CLOSED},
                                      {44, TELL, FAIL, 2, OPEN(46)}};
    static const struct step on[] = {{1, TELL, FAIL, 2, OPEN(3)},
                                     {3, ASK, TRY, 0, TRYING},
                                     {4, TELL, FAIL, 100, TRYING}, /* it began before the pause */
                                     {5, TELL_TRIAL, FAIL, 2, OPEN(10)},
                                     {10, ASK, TRY, 0, TRYING},
                                     {11, TELL_TRIAL, FAIL, 20, OPEN(31)},
                                     {31, ASK, TRY, 0, TRYING},
                                     {32, TELL_TRIAL, OK, 0, CLOSED}};
    (void)state;
    RUN(OFF, 0, off);
    RUN(THREE_IN_TEN, 0, on);
}

static void test_pause_s(void **state)
{
    static const struct {
        double now;
        unsigned seconds;
    } cases[] = {{0, 10}, {0.1, 10}, {8, 2}, {8.5, 2}, {9, 1}, {9.999, 1}, {10, 1}, {11, 1}};
    struct breaker breaker;
    (void)state;
    assert_true(breaker_init(&breaker, (struct rate){1, 1}, 10));
    assert_int_equal(breaker_pause_s(&breaker, 0), 1);
    breaker_tell(&breaker, 0, BREAKER_FAILURE, false, 0, 0);
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, breaker_pause_s(&breaker, cases[i].now) == cases[i].seconds);
    assert_int_equal(breaker_ask(&breaker, 10), BREAKER_TRY);
    assert_int_equal(breaker_pause_s(&breaker, 10), 1);
    breaker_end(&breaker);

    for (int i = 0; i < 1000; i++) { /* sums of times are rounded */
        double now = 8100 + i * 0.001;
        assert_true(breaker_init(&breaker, (struct rate){1, 1}, 10));
        breaker_tell(&breaker, now, BREAKER_FAILURE, false, 100, 0);
        assert_row(i, breaker_pause_s(&breaker, now) == 100);
        breaker_end(&breaker);
    }
}

static void test_no_memory(void **state)
{
    struct breaker breaker;
    (void)state;
    alloc_fail_after(0);
    bool made = breaker_init(&breaker, (struct rate){5, 10}, 5);
    alloc_fail_after(-1);
    assert_false(made);
    breaker_end(&breaker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures),     cmocka_unit_test(test_trial),
        cmocka_unit_test(test_counts_again), cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_pause_s),      cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
