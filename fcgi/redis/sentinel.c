/* One search for the primary: Sentinels in turn, each over a connection of its own for the one
 * question, which is opened and closed here.
 *
 *     on_step --> (look the host up) --> connect, SENTINEL get-master-addr-by-name --> done: found
 *        ^                 |                                   |
 *        '---- the next ---'----------- give_up ---------------'     nobody is left: done, reason
 *
 * One timer does all waiting: while a Sentinel is being asked it is the deadline, else it is at
 * zero and leads to the next one. So no failure, however early, calls `done` from within
 * redis_sentinel_find, and none makes the search recurse.
 *
 * See "Guidelines for Redis clients with support for Redis Sentinel" on redis.io.
 */
#include "redis/sentinel.h"

#include <ev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/resolve.h"
#include "redis/address.h"
#include "redis/guard.h"
#include "redis/settings.h"
#include "redis/tls.h"

#define LOOKUP_S 2.0 /* for a Sentinel's name */

static struct redis_guard search_guard = {.rule = REDIS_GUARD_ANY, .most = REDIS_GUARD_SLACK};

struct redis_sentinel {
    struct ev_loop *loop;
    const struct redis_settings *settings;
    const struct redis_address *address;
    struct redis_tls *tls; /* NULL: without */
    unsigned attempt;
    unsigned asked; /* how many Sentinels, the present one included */
    redis_sentinel_done_fn *done;
    void *caller;
    ev_timer timer;
    bool asking;                /* the timer is a deadline */
    struct resolve *resolve;    /* while the host is looked up */
    redisAsyncContext *context; /* while it is asked */
    bool answered;              /* one of them did, so what it said is the reason */
    char reason[256];
};

static unsigned present(const struct redis_sentinel *search)
{
    return (search->attempt + search->asked - 1) % search->address->host_count;
}

/* Ends the question to the present Sentinel, wherever it stands. */
static void stop_asking(struct redis_sentinel *search)
{
    redisAsyncContext *context = search->context;
    ev_timer_stop(search->loop, &search->timer);
    resolve_cancel(search->resolve);
    search->resolve = NULL;
    search->context = NULL;
    search->asking = false;
    if (context) {
        context->data = NULL; /* its callback has nothing to add */
        redisAsyncFree(context);
    }
}

static void start_timer(struct redis_sentinel *search, double seconds)
{
    ev_timer_stop(search->loop, &search->timer);
    ev_timer_set(&search->timer, seconds, 0.);
    ev_timer_start(search->loop, &search->timer);
}

/* On to the next one. Of several reasons the last is told, but what a Sentinel said comes before
 * what became of those that said nothing. */
static void give_up(struct redis_sentinel *search, bool answered, const char *reason)
{
    unsigned index = present(search);
    if (answered || !search->answered)
        snprintf(search->reason, sizeof search->reason, "Sentinel %.100s:%d: %.100s",
                 redis_address_host(search->address, index), search->address->ports[index], reason);
    search->answered |= answered;
    stop_asking(search);
    start_timer(search, 0.);
}

static void finish(struct redis_sentinel *search, const char *host, int port)
{
    stop_asking(search);
    search->done(search->caller, host, port, host ? NULL : search->reason);
    free(search);
}

/* [host, port]. Returns the port, or 0 if it is something else. */
static int read_place(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        return 0;
    const redisReply *host = reply->element[0], *port = reply->element[1];
    if (host->type != REDIS_REPLY_STRING || port->type != REDIS_REPLY_STRING)
        return 0;
    if (host->len == 0 || host->len > REDIS_HOST_MAX || strlen(host->str) != (size_t)host->len)
        return 0;
    if (port->len == 0 || port->len > 5 || strspn(port->str, "0123456789") != (size_t)port->len)
        return 0;
    int number = atoi(port->str);
    return number <= 65535 ? number : 0;
}

/* Called for every connection, with NULL if it ends otherwise: hiredis then frees the context. */
static void on_answer(redisAsyncContext *context, void *answer, void *privdata)
{
    struct redis_sentinel *search = context->data;
    const redisReply *reply = answer;
    (void)privdata;
    if (!search)
        return;
    if (!reply) {
        search->context = NULL;
        give_up(search, false, context->err ? context->errstr : "the connection was closed");
        return;
    }
    int port = read_place(reply);
    if (port > 0)
        finish(search, reply->element[0]->str, port);
    else if (reply->type == REDIS_REPLY_NIL)
        give_up(search, true, "it knows no primary of that name");
    else
        give_up(search, true,
                reply->type == REDIS_REPLY_ERROR ? reply->str : "what it says is no address");
}

/* Nothing has been sent yet. */
static void on_connect(const redisAsyncContext *context, int status)
{
    struct redis_sentinel *search = context->data;
    if (search && status == REDIS_OK &&
        !redis_tls_start(search->tls, search->context,
                         redis_address_host(search->address, present(search))))
        give_up(search, false, context->c.errstr);
}

/* `host` is a literal address: hiredis would look a name up without us, and block. */
static void ask(struct redis_sentinel *search, const char *host)
{
    redisAsyncContext *context = redisAsyncConnect(host, search->address->ports[present(search)]);
    if (!context) {
        give_up(search, false, "out of memory");
        return;
    }
    search->context = context;
    if (context->err) {
        give_up(search, false, context->errstr);
        return;
    }
    context->data = search;
    start_timer(search, search->settings->timeout);
    if (!redis_guard_attach(search->loop, context, &search_guard) ||
        redisAsyncCommand(context, on_answer, NULL, "SENTINEL get-master-addr-by-name %s",
                          search->address->primary) != REDIS_OK ||
        (search->tls && redisAsyncSetConnectCallback(context, on_connect) != REDIS_OK))
        give_up(search, false, "out of memory");
}

static void on_resolved(void *caller, const char *address, const char *error)
{
    struct redis_sentinel *search = caller;
    search->resolve = NULL;
    if (address)
        ask(search, address);
    else
        give_up(search, false, error);
}

static void ask_next(struct redis_sentinel *search)
{
    search->asked++;
    search->asking = true;
    const char *host = redis_address_host(search->address, present(search));
    if (redis_address_is_literal(host)) {
        ask(search, host);
        return;
    }
    search->resolve = resolve_start(search->loop, host, search->attempt, on_resolved, search);
    if (search->resolve)
        start_timer(search, LOOKUP_S);
    else
        give_up(search, false, "out of memory");
}

static void on_step(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct redis_sentinel *search = timer->data;
    (void)loop, (void)events;
    if (search->asking)
        give_up(search, false,
                search->resolve ? "its name is not found in time" : "no answer in time");
    else if (search->asked < search->address->host_count)
        ask_next(search);
    else
        finish(search, NULL, 0);
}

struct redis_sentinel *redis_sentinel_find(struct ev_loop *loop,
                                           const struct redis_settings *settings,
                                           const struct redis_address *address,
                                           struct redis_tls *tls, unsigned attempt,
                                           redis_sentinel_done_fn *done, void *caller)
{
    struct redis_sentinel *search = alloc_zeroed(sizeof *search);
    if (!search)
        return NULL;
    search->loop = loop;
    search->settings = settings;
    search->address = address;
    search->tls = tls;
    search->attempt = attempt;
    search->done = done;
    search->caller = caller;
    ev_timer_init(&search->timer, on_step, 0., 0.);
    ev_set_priority(&search->timer, EV_MINPRI); /* an answer that has come counts first */
    search->timer.data = search;
    start_timer(search, 0.);
    return search;
}

void redis_sentinel_cancel(struct redis_sentinel *search)
{
    if (!search)
        return;
    stop_asking(search);
    free(search);
}
