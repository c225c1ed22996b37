/* One search for the primary. It asks Sentinels in turn, each over a new connection for the one
 * question.
 *
 *     on_step --> (look the host up) --> connect, SENTINEL get-master-addr-by-name --> done: found
 *        ^                 |                                   |
 *        '---- the next ---'----------- give_up ---------------'     nobody is left: done, reason
 *
 * There is one timer: while a Sentinel is being asked it is the deadline; else it is at zero and
 * starts the next question. So no failure, however early, calls `done` from within
 * redis_sentinel_find or makes the search recurse.
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
#include "redis/address.h"
#include "redis/conn.h"
#include "redis/settings.h"

#define LOOKUP_S 2.0 /* for a Sentinel's name */

struct redis_sentinel {
    struct ev_loop *loop;
    const struct redis_settings *settings;
    const struct redis_address *address;
    struct redis_tls *tls; /* NULL: without */
    unsigned attempt;
    unsigned asked; /* number of Sentinels, including the current one */
    redis_sentinel_done_fn *done;
    void *caller;
    ev_timer timer;
    bool asking;             /* the timer is a deadline */
    struct redis_conn *conn; /* to the current one */
    bool answered;           /* one of them did, so its answer is the reason */
    char reason[256];
};

static unsigned present(const struct redis_sentinel *search)
{
    return (search->attempt + search->asked - 1) % search->address->host_count;
}

/* Cancels the question to the current Sentinel, whatever its state. */
static void stop_asking(struct redis_sentinel *search)
{
    struct redis_conn *conn = search->conn;
    ev_timer_stop(search->loop, &search->timer);
    search->conn = NULL;
    search->asking = false;
    redis_conn_close(conn);
}

static void start_timer(struct redis_sentinel *search, double seconds)
{
    ev_timer_stop(search->loop, &search->timer);
    ev_timer_set(&search->timer, seconds, 0.);
    ev_timer_start(search->loop, &search->timer);
}

/* Goes on to the next Sentinel. If all fail, the last reason is reported, but an answer of a
 * Sentinel takes precedence over failures to ask one. */
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

/* Reads [host, port]. Returns the port, or 0 if the reply is something else. */
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

static void on_answer(redisAsyncContext *context, void *answer, void *privdata)
{
    struct redis_sentinel *search = redis_conn_user(context);
    const redisReply *reply = answer;
    (void)privdata;
    if (!search || !reply)
        return;
    int port = read_place(reply);
    if (port > 0)
        finish(search, reply->element[0]->str, port);
    else if (reply->type == REDIS_REPLY_NIL)
        give_up(search, true, "it knows no primary of that name");
    else
        give_up(search, true,
                reply->type == REDIS_REPLY_ERROR ? reply->str
                                                 : "it did not answer with an address");
}

static void on_opened(void *user)
{
    struct redis_sentinel *search = user;
    start_timer(search, search->settings->timeout);
    if (redisAsyncCommand(redis_conn_context(search->conn), on_answer, NULL,
                          "SENTINEL get-master-addr-by-name %s",
                          search->address->primary) != REDIS_OK)
        give_up(search, false, "out of memory");
}

static void on_lost(void *user, const char *reason, enum redis_conn_loss loss)
{
    struct redis_sentinel *search = user;
    (void)loss;
    search->conn = NULL;
    give_up(search, false, reason);
}

static const struct redis_conn_events conn_events = {on_opened, on_lost};

static void ask_next(struct redis_sentinel *search)
{
    char why[REDIS_CONN_WHY_MAX];
    search->asked++;
    search->asking = true;
    search->conn =
        redis_conn_open(search->loop,
                        &(struct redis_conn_target){.host = redis_address_host(search->address,
                                                                               present(search)),
                                                    .port = search->address->ports[present(search)],
                                                    .attempt = search->attempt,
                                                    .tls = search->tls,
                                                    .rule = REDIS_GUARD_ANY,
                                                    .reply_max = REDIS_GUARD_SLACK},
                        &conn_events, search, why);
    if (!search->conn)
        give_up(search, false, why);
    else if (redis_conn_is_open(search->conn))
        on_opened(search);
    else
        start_timer(search, LOOKUP_S);
}

static void on_step(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct redis_sentinel *search = timer->data;
    (void)loop, (void)events;
    if (search->asking)
        give_up(search, false,
                redis_conn_is_open(search->conn) ? "no answer in time"
                                                 : "its host name was not resolved in time");
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
    ev_set_priority(&search->timer, EV_MINPRI); /* handle an answer that has arrived first */
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
