/* A subscribed connection, and CLIENT TRACKING that is redirected to it.
 *
 *     start --> connect, AUTH, CLIENT ID, SUBSCRIBE --> CLIENT TRACKING ON --> armed
 *                 ^       (here)                     (by the pipeline)           |
 *                 '------- a little later -------- lost <------------------------'
 *
 * The subscribed connection may break while a TRACKING ON is pending; its answer then is about an
 * old connection. So pending answers are counted.
 */
#include "redis/tracker.h"

#include <ev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "redis/conn.h"
#include "redis/events.h"
#include "redis/needs.h"
#include "redis/pipeline.h"

#define TRY_S   1.0 /* time to arm, and delay before the next try */
#define CHANNEL "__redis__:invalidate"

enum tracker_state {
    TRACKER_OFF,     /* stopped, or between two tries */
    TRACKER_OPENING, /* connecting, and asking for the connection's number */
    TRACKER_ARMING,  /* CLIENT TRACKING ON was sent for this connection */
    TRACKER_ARMED,
};

/* Which states may follow. */
static const unsigned ways_from[] = {
#define TO(state) (1u << TRACKER_##state)
    [TRACKER_OFF] = TO(OFF) | TO(OPENING),
    [TRACKER_OPENING] = TO(ARMING) | TO(OFF),
    [TRACKER_ARMING] = TO(ARMED) | TO(OFF),
    [TRACKER_ARMED] = TO(OFF),
#undef TO
};

struct redis_tracker {
    struct ev_loop *loop;
    const struct redis_needs *needs;
    const struct redis_events *events;
    struct redis_pipeline *pipeline;
    const char *name;
    struct redis_conn_target target;
    struct redis_conn *conn; /* NULL between two tries */
    ev_timer timer;          /* while tracking should be armed and is not */
    enum tracker_state state;
    unsigned arms_pending; /* CLIENT TRACKING ON without an answer, for this one and earlier ones */
    bool refused;          /* CLIENT TRACKING was, and that has been logged */
    struct log_limit refusals;
};

/* The only place that changes the state. */
static void set_state(struct redis_tracker *tracker, enum tracker_state state)
{
    check(ways_from[tracker->state] & 1u << state);
    tracker->state = state;
}

static void try_within(struct redis_tracker *tracker, double seconds)
{
    ev_timer_stop(tracker->loop, &tracker->timer);
    ev_timer_set(&tracker->timer, seconds, 0.);
    ev_timer_start(tracker->loop, &tracker->timer);
}

static void try_later(struct redis_tracker *tracker)
{
    try_within(tracker, TRY_S * (0.1 + drand48() * 0.9));
}

static void disconnect(struct redis_tracker *tracker)
{
    struct redis_conn *conn = tracker->conn;
    tracker->conn = NULL;
    set_state(tracker, TRACKER_OFF);
    redis_conn_close(conn);
}

static void lose(struct redis_tracker *tracker, const char *reason)
{
    log_debug("redis", "%s: tracking: %s", tracker->name, reason);
    disconnect(tracker);
    try_later(tracker);
}

/* --- messages --- */

/* After FLUSHALL and FLUSHDB, nil comes instead of the names. */
static void tell_changes(struct redis_tracker *tracker, const redisReply *names)
{
    const struct redis_events *events = tracker->events;
    if (names->type != REDIS_REPLY_ARRAY) {
        events->changed(events->context, (struct slice){0});
        return;
    }
    for (size_t i = 0; i < names->elements && tracker->state == TRACKER_ARMED; i++) {
        const redisReply *name = names->element[i];
        if (name->type == REDIS_REPLY_STRING)
            events->changed(events->context, (struct slice){name->str, name->len});
    }
}

/* ["message", channel, [key, ...]] */
static void on_message(redisAsyncContext *context, void *answer, void *privdata)
{
    struct redis_tracker *tracker = redis_conn_user(context);
    const redisReply *reply = answer;
    (void)privdata;
    if (!tracker || !reply || tracker->state != TRACKER_ARMED)
        return;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
        reply->element[0]->type == REDIS_REPLY_STRING &&
        strcasecmp(reply->element[0]->str, "message") == 0)
        tell_changes(tracker, reply->element[2]);
}

/* --- arming --- */

static void on_armed(void *caller, redisReply *reply)
{
    struct redis_tracker *tracker = caller;
    tracker->arms_pending--;
    if (!reply || tracker->state != TRACKER_ARMING || tracker->arms_pending > 0)
        return; /* it was about an old connection */
    if (reply->type != REDIS_REPLY_ERROR) {
        ev_timer_stop(tracker->loop, &tracker->timer);
        tracker->refused = false;
        set_state(tracker, TRACKER_ARMED);
        tracker->events->tracking(tracker->events->context);
        return;
    }
    if (!tracker->refused)
        log_limited(&tracker->refusals, LOG_LEVEL_WARNING, "redis",
                    "%s: CLIENT TRACKING is refused (%s): the memory cache is off, and results of "
                    "other processes are noticed with a delay",
                    tracker->name, reply->str);
    tracker->refused = true;
    lose(tracker, reply->str);
}

static void on_off(void *caller, redisReply *reply)
{
    (void)caller, (void)reply;
}

/* Sends OFF first, since Redis refuses a second ON with the same prefixes. */
static void arm(struct redis_tracker *tracker, long long id)
{
    char number[24];
    const char *off[] = {"CLIENT", "TRACKING", "OFF"};
    const char *on[REDIS_WORDS_MAX] = {"CLIENT", "TRACKING", "ON",    "REDIRECT",
                                       number,   "BCAST",    "NOLOOP"};
    int count = 7;
    for (size_t i = 0; i < REDIS_PREFIXES_MAX && tracker->needs->prefixes[i]; i++) {
        on[count++] = "PREFIX";
        on[count++] = tracker->needs->prefixes[i];
    }
    snprintf(number, sizeof number, "%lld", id);
    if (!redis_pipeline_send_words(tracker->pipeline, on_off, NULL, 3, off) ||
        !redis_pipeline_send_words(tracker->pipeline, on_armed, tracker, count, on)) {
        lose(tracker, "out of memory");
        return;
    }
    set_state(tracker, TRACKER_ARMING);
    tracker->arms_pending++;
}

static void on_id(redisAsyncContext *context, void *answer, void *privdata)
{
    struct redis_tracker *tracker = redis_conn_user(context);
    const redisReply *reply = answer;
    (void)privdata;
    if (!tracker || !reply)
        return;
    if (tracker->state != TRACKER_OPENING) /* hiredis may give us a reply that nobody waits for */
        lose(tracker, "a reply too many");
    else if (reply->type == REDIS_REPLY_INTEGER)
        arm(tracker, reply->integer);
    else
        lose(tracker, reply->type == REDIS_REPLY_ERROR ? reply->str : "no CLIENT ID");
}

/* SUBSCRIBE is sent right after CLIENT ID, so it is in force before TRACKING ON is sent. */
static void on_opened(void *user)
{
    struct redis_tracker *tracker = user;
    redisAsyncContext *context = redis_conn_context(tracker->conn);
    if (redisAsyncCommand(context, on_id, NULL, "CLIENT ID") != REDIS_OK ||
        redisAsyncCommand(context, on_message, NULL, "SUBSCRIBE " CHANNEL) != REDIS_OK)
        lose(tracker, "out of memory");
}

static void on_lost(void *user, const char *reason, enum redis_conn_loss loss)
{
    struct redis_tracker *tracker = user;
    (void)loss;
    tracker->conn = NULL;
    lose(tracker, reason);
}

static const struct redis_conn_events conn_events = {on_opened, on_lost};

static void connect_again(struct redis_tracker *tracker)
{
    char why[REDIS_CONN_WHY_MAX];
    set_state(tracker, TRACKER_OPENING);
    try_within(tracker, TRY_S);
    tracker->conn = redis_conn_open(tracker->loop, &tracker->target, &conn_events, tracker, why);
    if (tracker->conn && redis_conn_is_open(tracker->conn))
        on_opened(tracker);
}

/* A change that the server has reported before a request came is handled before that request, even
 * if both are read in one turn of the loop. */
void redis_tracker_start(struct redis_tracker *tracker, const struct redis_conn_target *target)
{
    tracker->target = *target;
    tracker->target.rule = REDIS_GUARD_MESSAGES;
    tracker->target.reply_max = 4 * REDIS_GUARD_SLACK;
    tracker->target.is_urgent = true;
    connect_again(tracker);
}

/* It was not armed in time, or it is time for the next try. */
static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct redis_tracker *tracker = timer->data;
    (void)loop, (void)events;
    disconnect(tracker);
    connect_again(tracker);
}

void redis_tracker_stop(struct redis_tracker *tracker)
{
    disconnect(tracker);
    ev_timer_stop(tracker->loop, &tracker->timer);
}

bool redis_tracker_armed(const struct redis_tracker *tracker)
{
    return tracker->state == TRACKER_ARMED;
}

struct redis_tracker *redis_tracker_new(struct ev_loop *loop, const struct redis_needs *needs,
                                        const struct redis_events *events,
                                        struct redis_pipeline *pipeline, const char *name)
{
    struct redis_tracker *tracker = alloc_zeroed(sizeof *tracker);
    if (!tracker)
        return NULL;
    tracker->loop = loop;
    tracker->needs = needs;
    tracker->events = events;
    tracker->pipeline = pipeline;
    tracker->name = name;
    ev_timer_init(&tracker->timer, on_timer, 0., 0.);
    tracker->timer.data = tracker;
    return tracker;
}

void redis_tracker_free(struct redis_tracker *tracker)
{
    if (!tracker)
        return;
    log_limit_end(&tracker->refusals);
    free(tracker);
}
