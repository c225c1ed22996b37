/* park/flight: the transitions between states. A wrong one ends the process; the others are logged.
 * */
#include "park/flight.h"

#include "fake_cache.h"
#include "forked.h"

enum step { LOOK, CLAIM_IT, GO_SOLO, LAND, SETTLE, STEPS };

struct step_case {
    enum flight_state from;
    enum step step;
};

static const char *const names[] = {"new",        "looking", "claiming", "waiting",
                                    "generating", "failing", "landed",   "settled"};

static const struct step_rule {
    enum flight_state to;
    bool from[FLIGHT_SETTLED + 1];
} rules[STEPS] = {
    [LOOK] = {FLIGHT_LOOKING, {[FLIGHT_NEW] = true}},
    [CLAIM_IT] = {FLIGHT_CLAIMING,
                  {[FLIGHT_NEW] = true,
                   [FLIGHT_LOOKING] = true,
                   [FLIGHT_CLAIMING] = true,
                   [FLIGHT_WAITING] = true}},
    [GO_SOLO] = {FLIGHT_GENERATING, {[FLIGHT_NEW] = true, [FLIGHT_CLAIMING] = true}},
    [LAND] = {FLIGHT_LANDED,
              {[FLIGHT_NEW] = true, /* a solo flight whose waiter could not be parked */
               [FLIGHT_LOOKING] = true,
               [FLIGHT_CLAIMING] = true,
               [FLIGHT_WAITING] = true,
               [FLIGHT_GENERATING] = true,
               [FLIGHT_FAILING] = true}},
    [SETTLE] = {FLIGHT_SETTLED, {[FLIGHT_LANDED] = true}},
};

/* In a process of its own: puts the flight into a state directly. */
static void take_step(const void *argument)
{
    const struct step_case *row = argument;
    struct hand_source hand = {.source = {.type = &hand_type, .settings = &hand_settings}};
    struct recipe_use use = {.source = &hand.source};
    struct flight_shared shared = {.loop = ev_loop_new(0), .cache = &cache};
    struct recipe recipe = {.use = &use};
    struct fragment fragment = {.recipe = &recipe, .key = SLICE("key"), .name = SLICE("name")};
    struct flight *flight = row->step == GO_SOLO ? flight_new_solo(&shared, &fragment, NULL)
                                                 : flight_new(&shared, &fragment);
    flight->state = row->from;
    switch (row->step) {
    case LOOK:
        flight_look(flight);
        break;
    case CLAIM_IT:
        flight_claim(flight);
        break;
    case GO_SOLO:
        flight_go_solo(flight);
        break;
    case LAND:
        flight_land(flight, SETTLED_FAILED, NULL);
        break;
    default:
        flight->asking = true; /* so it is not freed */
        flight_settled(flight);
    }
    if (flight->state != rules[row->step].to)
        _exit(1);
}

static void test_ways(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_DEBUG, false);
    for (size_t i = 0; i < STEPS * LENGTH(names); i++) {
        char said[1000], expected[100];
        struct step_case row = {(enum flight_state)(i % LENGTH(names)),
                                (enum step)(i / LENGTH(names))};
        const struct step_rule *rule = &rules[row.step];
        int status = run_forked(take_step, &row, said, sizeof said);
        if (!rule->from[row.from]) {
            assert_row(i, forked_was_aborted(status));
            assert_row(i, strstr(said, "flight_set_state: not true: ") != NULL);
            continue;
        }
        assert_row(i, WIFEXITED(status) && WEXITSTATUS(status) == 0);
        snprintf(expected, sizeof expected, "fragment \"name\": %s -> %s\n", names[row.from],
                 names[rule->to]);
        assert_row(i, strstr(said, expected) != NULL);
    }
    log_configure(LOG_LEVEL_ERROR, false);
}

/* The other transitions, as flights make them; each is logged. */
static void test_way_of_a_failure(void **state)
{
    (void)state;
    join(STALE_ERROR, "a");
    answer_found(LOOKUP, "a", "<p>old</p>", LEFT_STALE);
    answer_theirs("a", 1000);
    tell_changed("a", true);
    answer_outcome(CLAIM, "a", CACHE_OURS);
    tell_changed("a", false);
    hand_fail(&bench->hand, "a", SOURCE_FAILED);
    check_counts(1, 1); /* the failure waits for the cache */
    bench_turn(bench);
    check_counts(1, 1);
    answer_outcome(CHECK, "a", CACHE_SAME);
    bench_turn(bench);
    check_settled(0, SETTLED_ENTRY, "<p>old</p>");
}

/* Which states that was, by what -v says. */
static void fly(const void *argument)
{
    log_configure(LOG_LEVEL_DEBUG, false);
    fake_begin((struct flight_limits){10, 10});
    test_way_of_a_failure((void **)(uintptr_t)argument);
    fake_end();
}

static void test_log(void **state)
{
    static const char *const ways[] = {"new -> looking",         "looking -> claiming",
                                       "claiming -> waiting",    "waiting -> claiming",
                                       "claiming -> generating", "generating -> failing",
                                       "failing -> landed",      "landed -> settled"};
    char said[2000], *at = said;
    (void)state;
    int status = run_forked(fly, NULL, said, sizeof said);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (size_t i = 0; i < LENGTH(ways); i++) {
        at = strstr(at, ways[i]);
        assert_row(i, at != NULL);
    }
}

static void join_for(const void *hold_s)
{
    struct fragment fragment = {.recipe = &bench->recipes[STALE_ERROR],
                                .key = SLICE("key"),
                                .name = SLICE("name")};
    enum join_refusal refusal;
    flights_join(bench->flights, &fragment, (struct waiter_address){0}, *(const int *)hold_s,
                 &refusal);
}

/* A hold picks its queue by the number. */
static void test_hold(void **state)
{
    static const struct {
        int hold_s;
        bool aborts;
    } cases[] = {{HOLD_OF_ROUTE, false},
                 {0, false},
                 {HOLD_MAX_S, false},
                 {HOLD_MAX_S + 1, true},
                 {HOLD_OF_ROUTE - 1, true}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char said[1000];
        int status = run_forked(join_for, &cases[i].hold_s, said, sizeof said);
        assert_row(i, forked_was_aborted(status) == cases[i].aborts);
        assert_row(i, !strstr(said, ": flights_join: not true: ") == !cases[i].aborts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ways),
        fake_test(test_way_of_a_failure),
        fake_test(test_hold),
        cmocka_unit_test(test_log),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("flight_state", tests, NULL, NULL);
}
