/* Sends TIME, and sets the clock from the answers.
 *
 *     a new connection, a new map, once a minute --> TIME --> clock_follow --> TIME, twice more
 *
 * The first answer on a new connection may be slow, since both sides are busy then. The next two
 * are usually quicker, and so more exact.
 *
 * A Cluster's first server is connected before it is known which server is the reference. Its time
 * is better than none, so it counts until the reference has answered.
 */
#include "redis/clock.h"

#include <ev.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "redis/server.h"
#include "redis/topology.h"

#define ASK_EVERY_S 60.0
#define REPEATS     2    /* more questions, sent at once */
#define FAR_MS      1000 /* between our wall clock and that of Redis: logged */
#define NEAR_MS     500  /* below which they agree again */

struct redis_clock {
    struct ev_loop *loop;
    const struct redis_topology *topology;
    ev_timer timer; /* for the next question */
    bool is_set;    /* the reference server has answered, so no other one counts */
    bool refused;   /* TIME was, and that has been logged */
    bool is_far;    /* our wall clock is off; that has been logged */
};

struct question {
    struct redis_clock *clock;
    struct redis_server *server;
    int64_t asked_us; /* by clock_boot_us() */
    unsigned repeats; /* still to come */
};

static void ask(struct redis_clock *clock, struct redis_server *server, unsigned repeats);

/* Reads a decimal number of at most 11 digits: seconds until the year 5138, without overflow. */
static bool take_number(const redisReply *reply, int64_t *number)
{
    if (reply->type != REDIS_REPLY_STRING || reply->len < 1 || reply->len > 11)
        return false;
    *number = 0;
    for (size_t i = 0; i < reply->len; i++) {
        if (reply->str[i] < '0' || reply->str[i] > '9')
            return false;
        *number = *number * 10 + (reply->str[i] - '0');
    }
    return true;
}

/* [seconds, microseconds] since 1970, as strings. */
static bool read_time(const redisReply *reply, int64_t *time_us)
{
    int64_t seconds, microseconds;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        !take_number(reply->element[0], &seconds) ||
        !take_number(reply->element[1], &microseconds) || seconds == 0 || microseconds > 999999)
        return false;
    *time_us = seconds * 1000000 + microseconds;
    return true;
}

static void complain_of_refusal(struct redis_clock *clock, const struct redis_server *server,
                                const char *why)
{
    if (!clock->refused)
        log_warning("redis",
                    "%s: TIME is refused (%s). Using this machine's own clock for freshness; allow "
                    "+time "
                    "in the ACL of Redis, or keep the clocks of all machines synchronized with NTP",
                    redis_server_name(server), why);
    clock->refused = true;
}

/* `doubt_ms` is the possible error of the fleet's clock. */
static void complain_of_distance(struct redis_clock *clock, const struct redis_server *server,
                                 int64_t doubt_ms)
{
    int64_t ahead_ms = clock_wall_ahead_ms(), distance_ms = ahead_ms < 0 ? -ahead_ms : ahead_ms;
    if (!clock->is_far && distance_ms > FAR_MS + doubt_ms) {
        clock->is_far = true;
        log_warning("redis",
                    "%s: this machine's clock is %.1f s %s that of Redis. Using the clock of Redis "
                    "for "
                    "freshness; synchronize the clocks of both machines with NTP (chrony, "
                    "systemd-timesyncd)",
                    redis_server_name(server), (double)distance_ms / 1000,
                    ahead_ms > 0 ? "ahead of" : "behind");
    } else if (clock->is_far && distance_ms < NEAR_MS) {
        clock->is_far = false;
        log_info("redis", "%s: this machine's clock agrees with that of Redis again",
                 redis_server_name(server));
    }
}

static void on_time(void *caller, redisReply *reply)
{
    struct question question = *(struct question *)caller;
    struct redis_clock *clock = question.clock;
    int64_t answered_us = clock_boot_us(), time_us;
    free(caller);
    if (!reply)
        return; /* no answer: the server handles and logs that itself */
    if (!read_time(reply, &time_us)) {
        complain_of_refusal(clock, question.server,
                            reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected reply");
        return;
    }
    clock->refused = false;
    bool counts = question.server == redis_topology_timekeeper(clock->topology);
    if (!counts && clock->is_set)
        return;
    clock->is_set |= counts;
    if (clock_follow(time_us, question.asked_us, answered_us))
        log_debug("redis", "%s: clock set from Redis; this machine's is off by %+" PRId64 " ms",
                  redis_server_name(question.server), clock_wall_ahead_ms());
    complain_of_distance(clock, question.server, (answered_us - question.asked_us) / 1000);
    if (counts && question.repeats > 0)
        ask(clock, question.server, question.repeats - 1);
}

/* A random part keeps processes that were started together from asking at the same moment. */
static void ask_later(struct redis_clock *clock)
{
    ev_timer_stop(clock->loop, &clock->timer);
    ev_timer_set(&clock->timer, ASK_EVERY_S * (0.75 + drand48() / 2), 0.);
    ev_timer_start(clock->loop, &clock->timer);
}

/* If it can't be sent, or there is no memory, the next question is soon enough. */
static void ask(struct redis_clock *clock, struct redis_server *server, unsigned repeats)
{
    static const char *words[] = {"TIME"};
    struct question *question = alloc_zeroed(sizeof *question);
    ask_later(clock);
    if (!question)
        return;
    *question = (struct question){.clock = clock,
                                  .server = server,
                                  .asked_us = clock_boot_us(),
                                  .repeats = repeats};
    if (!redis_server_send_words(server, on_time, question, 1, words))
        free(question);
}

void redis_clock_ask(struct redis_clock *clock, struct redis_server *server)
{
    ask(clock, server, REPEATS);
}

static void ask_timekeeper(struct redis_clock *clock)
{
    struct redis_server *server = redis_topology_timekeeper(clock->topology);
    if (server && redis_server_usable(server))
        ask(clock, server, REPEATS);
}

void redis_clock_topology_changed(struct redis_clock *clock)
{
    ask_timekeeper(clock);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct redis_clock *clock = timer->data;
    (void)loop, (void)events;
    ask_later(clock);
    ask_timekeeper(clock);
}

struct redis_clock *redis_clock_new(struct ev_loop *loop)
{
    struct redis_clock *clock = alloc_zeroed(sizeof *clock);
    if (!clock)
        return NULL;
    clock->loop = loop;
    ev_timer_init(&clock->timer, on_timer, 0., 0.);
    clock->timer.data = clock;
    return clock;
}

void redis_clock_watch(struct redis_clock *clock, const struct redis_topology *topology)
{
    clock->topology = topology;
}

void redis_clock_free(struct redis_clock *clock)
{
    if (!clock)
        return;
    ev_timer_stop(clock->loop, &clock->timer);
    free(clock);
}
