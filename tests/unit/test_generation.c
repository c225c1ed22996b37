/* generation: how long a config and its sources live, and a lack of memory. */
#include "generation.h"

#include "conf_bench.h"

#include "base/alloc.h"
#include "base/counters.h"
#include "base/users.h"
#include "cache/cache.h"
#include "park/flights.h"
#include "park/rules.h"
#include "unit.h"

#define S        "source s { type = simulated delay = \"1h\" }\n"
#define S_LATER  "source s { type = simulated delay = \"2h\" }\n"
#define T        "source t { type = simulated delay = \"1h\" }\n"
#define A        "fragment a { source = s }\n"
#define A_LONGER "fragment a { source = s hold = \"50s\" }\n"
#define B        "fragment b { source = t }\n"

static struct ev_loop *loop;
static struct cache *cache;
static struct flights *flights;
static struct generations all;

static int setup(void **state)
{
    static const struct cache_settings in_memory = {.redis.address = "", .memory_bytes = 1 << 20};
    static const struct flight_limits few = {10, 10};
    (void)state;
    loop = ev_loop_new(0);
    assert_non_null(loop);
    cache = cache_new(loop, &in_memory);
    assert_non_null(cache);
    flights = flights_new(loop, &few, cache);
    assert_non_null(flights);
    generations_init(&all, &(struct source_environment){.loop = loop}, flights);
    assert_int_equal(counter_values[COUNTER_CONFIGS], 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    flights_cancel_all(flights);
    cache_free(cache);
    flights_free(flights);
    generations_end(&all);
    generations_end(&all);
    assert_int_equal(counter_values[COUNTER_CONFIGS], 0);
    ev_loop_destroy(loop);
    return 0;
}

/* Makes the text the current config. */
static const struct conf *begin(const char *text)
{
    struct generation *generation = generation_new(&all, load_good(text));
    assert_non_null(generation);
    generation_begin(generation);
    assert_ptr_equal(all.current, generation);
    return generation_conf(generation);
}

/* The number of configs in use, in the next turn of the loop. */
static size_t configs(void)
{
    ev_run(loop, EVRUN_NOWAIT);
    return counter_values[COUNTER_CONFIGS];
}

static struct source *source_of(const struct conf *conf, size_t route)
{
    return conf->routes[route].recipe.use->source;
}

/* A request that nobody waits for any more, when it has begun. */
static void ask(const struct conf *conf, const char *name)
{
    enum join_refusal refusal;
    struct fragment fragment = {&conf->routes[0].recipe, .key = slice_of(name),
                                .name = slice_of(name)};
    struct waiter *waiter =
        flights_join(flights, &fragment, (struct waiter_address){0}, HOLD_OF_ROUTE, &refusal);
    assert_non_null(waiter);
    waiter_leave(waiter);
    ev_run(loop, EVRUN_NOWAIT);
}

static void test_nobody_uses_it(void **state)
{
    (void)state;
    begin(S A);
    assert_int_equal(configs(), 1);
    begin(S A_LONGER);
    assert_int_equal(counter_values[COUNTER_CONFIGS], 2); /* not while somebody may be in it */
    assert_int_equal(configs(), 1);
    for (int i = 0; i < 100; i++)
        begin(i % 2 ? S A : S T A_LONGER B);
    assert_int_equal(configs(), 1);
}

/* It goes with its last user, in whatever order they go. */
static void test_users(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct users *first = users_add(begin(S A)->routes[0].recipe.users);
        users_add(first);
        struct users *second = users_add(begin(S A_LONGER)->routes[0].recipe.users);
        begin(S A);
        assert_int_equal(configs(), 3);
        users_drop(first);
        assert_int_equal(configs(), 3);
        users_drop(order ? first : second);
        assert_int_equal(configs(), 2);
        users_drop(order ? second : first);
        assert_int_equal(configs(), 1);
    }
}

/* The current config stays without users, and one that came back to no users and got one again is
 * not freed. */
static void test_a_user_comes_back(void **state)
{
    (void)state;
    struct users *users = users_add(begin(S A)->routes[0].recipe.users);
    begin(S A_LONGER);
    users_drop(users);
    users_add(users); /* before the loop ran: a response that is copied, for example */
    assert_int_equal(configs(), 2);
    users_drop(users);
    assert_int_equal(configs(), 1);
}

/* A source with the same settings goes on, wherever it stands; others are replaced. */
static void test_sources(void **state)
{
    (void)state;
    const struct conf *conf = begin(S T A B);
    struct source *s = source_of(conf, 0), *t = source_of(conf, 1);
    conf = begin("max_parked = 7\n" T S A_LONGER B);
    assert_ptr_equal(source_of(conf, 0), s);
    assert_ptr_equal(source_of(conf, 1), t);
    conf = begin(S_LATER T A B);
    assert_ptr_not_equal(source_of(conf, 0), s);
    assert_ptr_equal(source_of(conf, 1), t);
    assert_int_equal(configs(), 1);
    assert_string_equal(source_of(conf, 1)->settings->name, "t"); /* not freed with its config */
    conf = begin(S A);
    assert_int_equal(configs(), 1);
    assert_int_equal(flights_look(flights).source_count, 1);
}

/* A flight goes on by the config and with the source that it began with. */
static void test_a_flight(void **state)
{
    (void)state;
    const struct conf *conf = begin(S A);
    ask(conf, "a");
    assert_int_equal(flights_under_way(flights), 1);
    conf = begin(S_LATER A);
    assert_int_equal(configs(), 2);
    ask(conf, "a"); /* not what the old source is about to make */
    assert_int_equal(flights_under_way(flights), 2);
    conf = begin(S_LATER A_LONGER);
    assert_int_equal(configs(), 3);
    ask(conf, "a"); /* the source is the same: it joins */
    assert_int_equal(flights_under_way(flights), 2);
    flights_cancel_all(flights);
    assert_int_equal(configs(), 1);
}

/* Whatever there is no memory for, the current config stays, and nothing leaks. */
static void test_no_memory(void **state)
{
    bool enough = false;
    long successes = 0;
    (void)state;
    const struct conf *conf = begin(S A);
    struct source *s = source_of(conf, 0);
    for (; !enough && successes < 1000; successes++) {
        struct conf *next =
            load_good(S T A_LONGER B "fragment c { source = s negative = \"1s\" }\n");
        alloc_fail_after(successes);
        struct generation *generation = generation_new(&all, next);
        alloc_fail_after(-1);
        enough = generation != NULL;
        if (enough)
            generation_drop(generation);
        assert_ptr_equal(generation_conf(all.current), conf);
        assert_ptr_equal(source_of(conf, 0), s);
        assert_int_equal(flights_look(flights).source_count, 1);
        assert_int_equal(configs(), 1);
    }
    assert_true(enough && successes > 8);
    ask(conf, "a"); /* it can still be used */
    assert_int_equal(flights_under_way(flights), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nobody_uses_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_users, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_user_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sources, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flight, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
