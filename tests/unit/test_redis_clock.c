/* redis/clock: which server's time counts, and which answers are a valid time. The functions here
 * replace topology.c and server.c. */
#include "redis/clock.h"

#include <ev.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "redis/topology.h"
#include "resp.h"
#include "unit.h"

#define SECOND ((int64_t)1000000)

struct redis_server {
    bool usable;
    redis_reply_fn *answered; /* of TIME without an answer; NULL: none */
    void *caller;
};

struct redis_topology {
    struct redis_server *timekeeper;
};

static struct redis_topology topology;
static struct redis_server one, other;
static struct redis_clock *clock_of_redis;
static int64_t start_us; /* the offset at the beginning */

struct redis_server *redis_topology_timekeeper(const struct redis_topology *of)
{
    return of->timekeeper;
}

bool redis_server_usable(const struct redis_server *server)
{
    return server->usable;
}

const char *redis_server_name(const struct redis_server *server)
{
    return server == &one ? "one" : "other";
}

bool redis_server_send_words(struct redis_server *server, redis_reply_fn *answered, void *caller,
                             int count, const char **words)
{
    assert_true(count == 1 && strcmp(words[0], "TIME") == 0 && !server->answered);
    if (!server->usable)
        return false;
    server->answered = answered;
    server->caller = caller;
    return true;
}

/* Answers the server's TIME with this, in RESP. NULL: the connection broke. */
static void reply(struct redis_server *server, const char *resp)
{
    redis_reply_fn *answered = server->answered;
    redisReply *parsed = resp_parse(resp);
    server->answered = NULL;
    assert_non_null(answered);
    answered(server->caller, parsed);
    freeReplyObject(parsed);
}

/* With a clock that is so many seconds ahead of ours at the start. */
static void reply_ahead(struct redis_server *server, int64_t seconds)
{
    int64_t now_us = clock_boot_us() + start_us + seconds * SECOND;
    char whole[32], rest[32], resp[128];
    int whole_len = snprintf(whole, sizeof whole, "%" PRId64, now_us / SECOND);
    int rest_len = snprintf(rest, sizeof rest, "%" PRId64, now_us % SECOND);
    snprintf(resp, sizeof resp, "*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", whole_len, whole, rest_len,
             rest);
    reply(server, resp);
}

/* How far ours has been set ahead, in whole seconds. */
static int64_t ahead(void)
{
    int64_t us = clock_offset_us - start_us;
    return (us + (us < 0 ? -SECOND : SECOND) / 2) / SECOND;
}

static int begin(void **state)
{
    (void)state;
    start_us = clock_offset_us;
    one = other = (struct redis_server){.usable = true};
    topology.timekeeper = NULL;
    clock_of_redis = redis_clock_new(EV_DEFAULT);
    assert_non_null(clock_of_redis);
    redis_clock_watch(clock_of_redis, &topology);
    return 0;
}

static int end(void **state)
{
    (void)state;
    struct redis_server *servers[] = {&one, &other};
    for (size_t i = 0; i < LENGTH(servers); i++)
        if (servers[i]->answered)
            reply(servers[i], NULL);
    redis_clock_free(clock_of_redis);
    clock_offset_us = start_us;
    return 0;
}

/* The one that counts is asked three times. */
static void test_questions(void **state)
{
    (void)state;
    topology.timekeeper = &one;
    redis_clock_ask(clock_of_redis, &one);
    for (int i = 0; i < 3; i++) {
        reply_ahead(&one, 300);
        assert_int_equal(ahead(), 300);
    }
    assert_null(one.answered);
    redis_clock_topology_changed(clock_of_redis);
    assert_non_null(one.answered);
    reply_ahead(&one, 300);
    reply(&one, NULL); /* the connection breaks: no server is asked any more */
    assert_null(one.answered);
    assert_int_equal(ahead(), 300);
    one.usable = false;
    redis_clock_topology_changed(clock_of_redis);
    redis_clock_ask(clock_of_redis, &one);
    assert_null(one.answered);
}

/* Any server's time counts until the right server is known, and has answered. */
static void test_who_counts(void **state)
{
    (void)state;
    redis_clock_topology_changed(clock_of_redis); /* none is known */
    redis_clock_ask(clock_of_redis, &other);
    reply_ahead(&other, 100);
    assert_int_equal(ahead(), 100);
    assert_null(other.answered);

    topology.timekeeper = &one;
    redis_clock_ask(clock_of_redis, &other);
    reply_ahead(&other, -100);
    assert_int_equal(ahead(), -100);

    redis_clock_topology_changed(clock_of_redis);
    reply_ahead(&one, 300);
    assert_int_equal(ahead(), 300);
    redis_clock_ask(clock_of_redis, &other);
    reply_ahead(&other, 100);
    assert_int_equal(ahead(), 300);
    assert_null(other.answered);

    topology.timekeeper = &other; /* the slot has moved */
    redis_clock_topology_changed(clock_of_redis);
    reply_ahead(&other, 100);
    assert_int_equal(ahead(), 100);
    reply_ahead(&one, 300); /* it was asked a second time before that */
    assert_int_equal(ahead(), 100);
    assert_null(one.answered);
}

static void test_answers(void **state)
{
    static const struct {
        const char *resp;
        int64_t time_ms; /* 0: it is none */
    } cases[] = {
        {"*2\r\n$1\r\n1\r\n$1\r\n0\r\n", 1000},
        {"*2\r\n$11\r\n99999999999\r\n$6\r\n999999\r\n", 99999999999999},
        {"*2\r\n$10\r\n1800000000\r\n$6\r\n500000\r\n", 1800000000500},
        {"*2\r\n$10\r\n1800000000\r\n$4\r\n9000\r\n", 1800000000009},
        {"*2\r\n$1\r\n0\r\n$1\r\n0\r\n", 0},
        {"*2\r\n$0\r\n\r\n$1\r\n0\r\n", 0},
        {"*2\r\n$2\r\n-1\r\n$1\r\n0\r\n", 0},
        {"*2\r\n$2\r\n 1\r\n$1\r\n0\r\n", 0},
        {"*2\r\n$12\r\n100000000000\r\n$1\r\n0\r\n", 0},
        {"*2\r\n$1\r\n1\r\n$7\r\n1000000\r\n", 0},
        {"*2\r\n$1\r\n1\r\n$2\r\n-1\r\n", 0},
        {"*2\r\n:1\r\n:1\r\n", 0},
        {"*2\r\n$-1\r\n$-1\r\n", 0},
        {"*1\r\n$1\r\n1\r\n", 0},
        {"*3\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n", 0},
        {"*0\r\n", 0},
        {"*-1\r\n", 0},
        {"$1\r\n1\r\n", 0},
        {":1\r\n", 0},
        {"+OK\r\n", 0},
        {"-NOPERM this user has no permissions to run the 'time' command\r\n", 0},
    };
    (void)state;
    topology.timekeeper = &one;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        clock_offset_us = start_us;
        redis_clock_ask(clock_of_redis, &one);
        reply(&one, cases[i].resp);
        int64_t late_ms = clock_fleet_ms() - cases[i].time_ms;
        if (cases[i].time_ms)
            assert_row(i, late_ms >= -1 && late_ms < 60000);
        else
            assert_row(i, clock_offset_us == start_us && !one.answered);
        if (one.answered)
            reply(&one, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_questions, begin, end),
        cmocka_unit_test_setup_teardown(test_who_counts, begin, end),
        cmocka_unit_test_setup_teardown(test_answers, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
