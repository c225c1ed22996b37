/* Telling of changes: a connection that is subscribed, and a tracking that is redirected to it.
 *
 *     start --> connect, AUTH, CLIENT ID, SUBSCRIBE --> CLIENT TRACKING ON --> armed
 *                 ^       (here)                          (on the server)          |
 *                 '------- a little later -------- lost <------------------------'
 *
 * The subscribed connection may break meanwhile, and the answer to a TRACKING ON come when it is
 * about one that is gone: so the answers that are due are counted.
 */
#include "redis/tracker.h"

#include <ev.h>
#include <hiredis/adapters/libev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/log.h"
#include "redis/guard.h"
#include "redis/server.h"

#define TRY_S   1.0 /* to be armed in, and until the next try */
#define CHANNEL "__redis__:invalidate"

struct redis_tracker {
    struct ev_loop *loop;
    struct redis_server *server;
    const struct redis_events *owner;
    redisAsyncContext *context; /* NULL: between two tries */
    ev_timer timer;             /* while it is to be armed and is not */
    struct redis_guard guard;
    bool armed;
    bool arming;           /* CLIENT TRACKING ON was sent for this context */
    unsigned arms_pending; /* CLIENT TRACKING ON without an answer, for this one and earlier ones */
    bool refused;          /* CLIENT TRACKING was, and that has been logged */
    struct log_limit refusals;
    char value_prefix[128], lease_prefix[136];
};

static void set_armed(struct redis_tracker *tracker, bool armed)
{
    if (tracker->armed == armed)
        return;
    tracker->armed = armed;
    tracker->owner->tracking(tracker->owner->context, tracker->server, armed);
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

/* Without a word to the context's own callbacks. */
static void disconnect(struct redis_tracker *tracker)
{
    redisAsyncContext *context = tracker->context;
    tracker->context = NULL;
    tracker->arming = false;
    set_armed(tracker, false);
    if (context) {
        context->data = NULL;
        redisAsyncFree(context);
    }
}

static void lose(struct redis_tracker *tracker, const char *reason)
{
    log_debug("redis", "%s: tracking: %s", redis_server_name(tracker->server), reason);
    disconnect(tracker);
    try_later(tracker);
}

/* If it fails, hiredis frees the context next. */
static void on_connect(const redisAsyncContext *context, int status)
{
    struct redis_tracker *tracker = context->data;
    if (!tracker)
        return;
    if (status != REDIS_OK) {
        tracker->context = NULL;
        try_later(tracker);
    } else if (!redis_server_start_tls(tracker->server, tracker->context)) {
        lose(tracker, context->c.errstr);
    }
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct redis_tracker *tracker = context->data;
    (void)status;
    if (!tracker)
        return;
    tracker->context = NULL;
    lose(tracker, "the connection was lost");
}

/* --- what is told --- */

/* A name as the server has it, into the key that it is about: the value's, or its lease's. */
static void tell_change(struct redis_tracker *tracker, struct slice name)
{
    struct slice value_prefix = slice_of(tracker->value_prefix);
    struct slice lease_prefix = slice_of(tracker->lease_prefix);
    bool is_value = slice_starts(name, value_prefix);
    if (is_value) {
        name = slice_from(name, value_prefix.len);
    } else if (slice_starts(name, lease_prefix) && name.data[name.len - 1] == '}') {
        name = slice_from(name, lease_prefix.len);
        name.len--;
    } else {
        return;
    }
    tracker->owner->changed(tracker->owner->context, tracker->server, name, !is_value);
}

/* nil comes in the place of the keys after FLUSHALL and FLUSHDB. */
static void tell_changes(struct redis_tracker *tracker, const redisReply *keys)
{
    if (keys->type != REDIS_REPLY_ARRAY) {
        tracker->owner->changed(tracker->owner->context, tracker->server, (struct slice){0}, false);
        return;
    }
    for (size_t i = 0; i < keys->elements && tracker->armed; i++)
        if (keys->element[i]->type == REDIS_REPLY_STRING)
            tell_change(tracker, (struct slice){keys->element[i]->str, keys->element[i]->len});
}

/* ["message", channel, [key, ...]] */
static void on_message(redisAsyncContext *context, void *answer, void *privdata)
{
    struct redis_tracker *tracker = context->data;
    const redisReply *reply = answer;
    (void)privdata;
    if (!tracker || !reply || !tracker->armed)
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
    if (!reply || !tracker->arming || tracker->arms_pending > 0)
        return; /* it was about a connection that is gone */
    if (reply->type != REDIS_REPLY_ERROR) {
        ev_timer_stop(tracker->loop, &tracker->timer);
        tracker->refused = false;
        set_armed(tracker, true);
        return;
    }
    if (!tracker->refused)
        log_limited(&tracker->refusals, LOG_LEVEL_WARNING, "redis",
                    "%s: CLIENT TRACKING is refused (%s): the memory cache is off, and waiting "
                    "requests look again only now and then",
                    redis_server_name(tracker->server), reply->str);
    tracker->refused = true;
    lose(tracker, reply->str);
}

static void on_off(void *caller, redisReply *reply)
{
    (void)caller, (void)reply;
}

/* OFF first: ON again with the same prefixes is refused. */
static void arm(struct redis_tracker *tracker, long long id)
{
    char number[24];
    const char *off[] = {"CLIENT", "TRACKING", "OFF"};
    const char *on[] = {"CLIENT",
                        "TRACKING",
                        "ON",
                        "REDIRECT",
                        number,
                        "BCAST",
                        "NOLOOP",
                        "PREFIX",
                        tracker->value_prefix,
                        "PREFIX",
                        tracker->lease_prefix};
    snprintf(number, sizeof number, "%lld", id);
    if (!redis_server_send_words(tracker->server, on_off, NULL, 3, off) ||
        !redis_server_send_words(tracker->server, on_armed, tracker, 11, on)) {
        lose(tracker, "out of memory");
        return;
    }
    tracker->arming = true;
    tracker->arms_pending++;
}

static void on_id(redisAsyncContext *context, void *answer, void *privdata)
{
    struct redis_tracker *tracker = context->data;
    const redisReply *reply = answer;
    (void)privdata;
    if (!tracker || !reply)
        return;
    if (reply->type == REDIS_REPLY_INTEGER)
        arm(tracker, reply->integer);
    else
        lose(tracker, reply->type == REDIS_REPLY_ERROR ? reply->str : "no CLIENT ID");
}

/* SUBSCRIBE follows CLIENT ID without waiting, so it is in force before TRACKING ON is sent. */
void redis_tracker_start(struct redis_tracker *tracker)
{
    const char *reason;
    try_within(tracker, TRY_S);
    redisAsyncContext *context = redis_server_connect(tracker->server, &tracker->guard, &reason);
    if (!context)
        return;
    context->data = tracker;
    tracker->context = context;
    /* What the server has told before a request came is heard before the request is read, even if
     * both are read in one turn of the loop. */
    ev_set_priority(&((redisLibevEvents *)context->ev.data)->rev, EV_MAXPRI);
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
    if (redis_server_login(tracker->server, context) != REDIS_OK ||
        redisAsyncCommand(context, on_id, NULL, "CLIENT ID") != REDIS_OK ||
        redisAsyncCommand(context, on_message, NULL, "SUBSCRIBE " CHANNEL) != REDIS_OK)
        lose(tracker, "out of memory");
}

/* It was not armed in time, or it is time for the next try. */
static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct redis_tracker *tracker = timer->data;
    (void)loop, (void)events;
    disconnect(tracker);
    redis_tracker_start(tracker);
}

void redis_tracker_stop(struct redis_tracker *tracker)
{
    disconnect(tracker);
    ev_timer_stop(tracker->loop, &tracker->timer);
}

bool redis_tracker_armed(const struct redis_tracker *tracker)
{
    return tracker->armed;
}

struct redis_tracker *redis_tracker_new(struct ev_loop *loop, const char *name_space,
                                        struct redis_server *server,
                                        const struct redis_events *owner)
{
    struct redis_tracker *tracker = alloc_zeroed(sizeof *tracker);
    if (!tracker)
        return NULL;
    tracker->loop = loop;
    tracker->server = server;
    tracker->owner = owner;
    tracker->guard =
        (struct redis_guard){.rule = REDIS_GUARD_MESSAGES, .most = 4 * REDIS_GUARD_SLACK};
    ev_timer_init(&tracker->timer, on_timer, 0., 0.);
    tracker->timer.data = tracker;
    snprintf(tracker->value_prefix, sizeof tracker->value_prefix, "%s:", name_space);
    snprintf(tracker->lease_prefix, sizeof tracker->lease_prefix, "lease:{%s:", name_space);
    return tracker;
}

void redis_tracker_free(struct redis_tracker *tracker)
{
    log_limit_end(&tracker->refusals);
    free(tracker);
}
