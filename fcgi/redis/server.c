/* One server: its connection, and what happens when that breaks.
 *
 *     DOWN --retry--> FINDING --> OPENING --> GREETING (AUTH, SELECT, PING or ROLE) --> READY
 *       ^                |           |            |                                      |
 *       '----------------'-----------'------------'------------ server_down -------------'
 *
 * FINDING is only for Sentinels, which are asked again for every connection. OPENING includes the
 * lookup of the host's name.
 *
 *     conn <-- pipeline <-- access     checks what an ACL permits
 *      ^          ^-------- tracker    reports changes by others; has a conn of its own
 *      '--- server owns them all, and gets their events
 */
#include "redis/server.h"

#include <ev.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "redis/access.h"
#include "redis/address.h"
#include "redis/conn.h"
#include "redis/events.h"
#include "redis/needs.h"
#include "redis/pipeline.h"
#include "redis/sentinel.h"
#include "redis/settings.h"
#include "redis/tracker.h"

#define RETRY_FIRST_S   0.05
#define RETRY_LONGEST_S 2.0
#define SAY_AGAIN_S     60.0 /* trouble that the operator has to fix */
#define CLOSES_MIN      3    /* connections in a row that were closed before they were usable */

enum server_state { SERVER_DOWN, SERVER_FINDING, SERVER_OPENING, SERVER_GREETING, SERVER_READY };

struct redis_server {
    struct redis_servers common;
    struct redis_address address;
    enum server_state state;
    bool quiet; /* failures are not logged: it was never reached */
    bool lost;  /* an attempt has failed since it was last ready; that has been logged */
    struct redis_sentinel *search;    /* while FINDING */
    struct redis_conn *conn;          /* while OPENING, GREETING and READY */
    char name[440];                   /* for the log */
    char host[REDIS_HOST_MAX + 1];    /* as given by the config or a Sentinel; for TLS */
    char literal[REDIS_HOST_MAX + 1]; /* the host's address, for the tracker to use too */
    int port;
    ev_timer retry; /* while DOWN */
    double retry_after;
    unsigned attempt; /* to connect: selects one of several addresses or Sentinels */
    struct log_limit states;

    enum redis_trouble trouble; /* while lost */
    enum redis_trouble said;    /* the latest that was logged, other than REDIS_AWAY */
    double said_at;             /* by clock_monotonic() */
    unsigned closes;            /* CLOSES_MIN */

    struct redis_pipeline *pipeline;
    struct redis_access *access;
    struct redis_tracker *tracker;
};

/* Which states may follow: the arrows above. */
static const unsigned ways_from[] = {
#define TO(state) (1u << SERVER_##state)
    [SERVER_DOWN] = TO(FINDING) | TO(OPENING),
    [SERVER_FINDING] = TO(OPENING) | TO(DOWN),
    [SERVER_OPENING] = TO(GREETING) | TO(DOWN),
    [SERVER_GREETING] = TO(READY) | TO(DOWN),
    [SERVER_READY] = TO(DOWN),
#undef TO
};

/* The only place that changes the state. */
static void server_set_state(struct redis_server *server, enum server_state state)
{
    check(ways_from[server->state] & 1u << state);
    server->state = state;
}

/* --- commands --- */

bool redis_server_send(struct redis_server *server, int argc, const char **argv, const size_t *lens,
                       redis_reply_fn *answered, void *caller)
{
    return redis_server_usable(server) &&
           redis_pipeline_send(server->pipeline, argc, argv, lens, answered, caller);
}

bool redis_server_send_words(struct redis_server *server, redis_reply_fn *answered, void *caller,
                             int count, const char **words)
{
    return redis_server_usable(server) &&
           redis_pipeline_send_words(server->pipeline, answered, caller, count, words);
}

bool redis_server_busy(const struct redis_server *server)
{
    return redis_pipeline_busy(server->pipeline);
}

void redis_server_doubt(struct redis_server *server)
{
    redis_access_doubt(server->access);
}

bool redis_server_tracking(const struct redis_server *server)
{
    return redis_tracker_armed(server->tracker);
}

const char *redis_server_name(const struct redis_server *server)
{
    return server->name;
}

const char *redis_server_literal(const struct redis_server *server)
{
    return server->literal;
}

/* --- up and down --- */

bool redis_server_usable(const struct redis_server *server)
{
    /* hiredis queues commands until the first connection is established, so the first requests
     * after a start can use Redis. Later connections, and those to a primary that a Sentinel has
     * named, must complete their greeting first. */
    return server->state == SERVER_READY || (server->state == SERVER_GREETING && !server->lost &&
                                             server->address.kind != REDIS_BY_SENTINEL);
}

enum redis_trouble redis_server_trouble(const struct redis_server *server)
{
    if (server->state == SERVER_READY)
        return redis_access_denied(server->access) ? REDIS_DENIES : REDIS_WELL;
    return server->lost ? server->trouble : REDIS_AWAY;
}

/* If the connection was in use, the server went down, whatever the reason says. */
static enum redis_trouble server_diagnose(struct redis_server *server, const char *reason,
                                          enum redis_conn_loss loss)
{
    if (server->state == SERVER_READY)
        return REDIS_AWAY;
    bool may_expect_tls = !server->address.tls && server->address.kind != REDIS_BY_PATH;
    server->closes = loss == REDIS_CONN_CLOSED && may_expect_tls ? server->closes + 1 : 0;
    return server->closes >= CLOSES_MIN ? REDIS_CLOSES : redis_trouble_of(reason);
}

/* Logs once that the server is down, and every minute what the operator has to fix. */
static void server_explain(struct redis_server *server, const char *reason)
{
    enum redis_trouble trouble = server->trouble;
    const char *text = redis_trouble_text(trouble), *cure = redis_trouble_cure(trouble);
    double now = clock_monotonic();
    if (trouble == REDIS_AWAY) {
        if (!server->lost)
            log_state(&server->states, server->quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, "redis",
                      "%s: %s; continuing without it and reconnecting", server->name, reason);
        return;
    }
    if (!server->lost)
        log_state(&server->states, LOG_LEVEL_WARNING, "redis",
                  "%s: %s (%s): %s; continuing without it meanwhile", server->name, text, reason,
                  cure);
    else if (trouble != server->said || now - server->said_at >= SAY_AGAIN_S)
        log_warning("redis", "%s: %s (%s): %s", server->name, text, reason, cure);
    else
        return;
    server->said = trouble;
    server->said_at = now;
}

/* Its connection has ended, or is about to. */
static void server_down(struct redis_server *server, const char *reason, enum redis_conn_loss loss)
{
    bool was_ready = server->state == SERVER_READY;
    if (loss == REDIS_CONN_REFUSED) /* it was reached, so log why it can't be used */
        server->quiet = false;
    server->trouble = server_diagnose(server, reason, loss);
    server_explain(server, reason);
    server->lost = true;
    server_set_state(server, SERVER_DOWN);
    server->conn = NULL;
    redis_pipeline_use(server->pipeline, NULL);
    redis_access_stop(server->access);
    redis_tracker_stop(server->tracker);
    ev_timer_set(&server->retry, server->retry_after * (0.5 + drand48() / 2), 0.);
    ev_timer_start(server->common.loop, &server->retry);
    server->retry_after *= 2;
    if (server->retry_after > RETRY_LONGEST_S)
        server->retry_after = RETRY_LONGEST_S;
    if (!was_ready)
        return;
    counter_add(COUNTER_REDIS_LOST, 1);
    if (server->common.lost)
        server->common.lost(server->common.context);
    server->common.events->lost(server->common.events->context);
}

/* Gives up the connection; pending commands are answered with NULL after that. */
static void server_lose(struct redis_server *server, const char *reason, enum redis_conn_loss loss)
{
    struct redis_conn *conn = server->conn;
    if (!conn)
        return;
    server_down(server, reason, loss);
    redis_conn_close(conn);
}

static void on_stuck(void *context)
{
    struct redis_server *server = context;
    char reason[64];
    snprintf(reason, sizeof reason, "no answer within %.0f ms",
             server->common.settings->timeout * 1000);
    server_lose(server, reason, REDIS_CONN_FAILED);
}

/* A command may be refused because another server is the primary now. Before Redis 7, READONLY is
 * not at the beginning of a script's error. A server that the config names may be a replica on
 * purpose. */
static void on_refused(void *context, const redisReply *error)
{
    struct redis_server *server = context;
    if (server->address.kind == REDIS_BY_SENTINEL &&
        (strstr(error->str, "READONLY ") || strncmp(error->str, "MASTERDOWN ", 11) == 0))
        server_lose(server, "has become a replica", REDIS_CONN_FAILED);
}

static const struct redis_pipeline_events pipeline_events = {on_stuck, on_refused};

/* --- the connection for commands --- */

static struct redis_conn_target target_of(const struct redis_server *server)
{
    bool by_path = server->address.kind == REDIS_BY_PATH;
    return (struct redis_conn_target){
        .path = by_path ? server->address.unix_path : NULL,
        .host = server->host,
        .port = server->port,
        .attempt = server->attempt,
        .tls = server->common.tls,
        .user = server->address.user,
        .password = server->address.password,
        .rule = REDIS_GUARD_COMMANDS,
        .reply_max = server->common.needs->value_max + REDIS_GUARD_SLACK,
    };
}

/* Connects to the same address of the same server. */
static void start_tracker(struct redis_server *server)
{
    struct redis_conn_target target = target_of(server);
    target.literal = server->literal;
    redis_tracker_start(server->tracker, &target);
}

/* ROLE answers ["master" | "slave" | "sentinel", ...]. */
static bool is_primary(const redisReply *role)
{
    return role->type == REDIS_REPLY_ARRAY && role->elements > 0 &&
           role->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(role->element[0]->str, "master") == 0;
}

/* The answer to the last command of the greeting. */
static void on_greeted(void *caller, redisReply *reply)
{
    struct redis_server *server = caller;
    if (!reply || server->state != SERVER_GREETING)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        server_lose(server, reply->str, REDIS_CONN_REFUSED);
        return;
    }
    if (server->address.kind == REDIS_BY_SENTINEL && !is_primary(reply)) {
        server_lose(server, "is a replica", REDIS_CONN_FAILED);
        return;
    }
    server_set_state(server, SERVER_READY);
    counter_add(COUNTER_REDIS_CONNECTED, 1);
    server->retry_after = RETRY_FIRST_S;
    log_state(&server->states, LOG_LEVEL_INFO, "redis", "%s: %s",
              server->lost && !server->quiet ? "back in use" : "connected", server->name);
    server->lost = server->quiet = false;
    server->closes = 0;
    redis_access_start(server->access);
    server->common.events->ready(server->common.events->context, server);
    start_tracker(server);
}

/* Only an error matters. */
static void on_selected(void *caller, redisReply *reply)
{
    struct redis_server *server = caller;
    if (reply && reply->type == REDIS_REPLY_ERROR && server->state == SERVER_GREETING)
        server_lose(server, reply->str, REDIS_CONN_REFUSED);
}

static bool send_greeting(struct redis_server *server)
{
    char db[16];
    const char *select[] = {"SELECT", db};
    const char *last[] = {server->address.kind == REDIS_BY_SENTINEL ? "ROLE" : "PING"};
    snprintf(db, sizeof db, "%d", server->address.db);
    return (server->address.db == 0 ||
            redis_pipeline_send_words(server->pipeline, on_selected, server, 2, select)) &&
           redis_pipeline_send_words(server->pipeline, on_greeted, server, 1, last);
}

static void on_opened(void *user)
{
    struct redis_server *server = user;
    snprintf(server->literal, sizeof server->literal, "%s", redis_conn_literal(server->conn));
    redis_pipeline_use(server->pipeline, server->conn);
    server_set_state(server, SERVER_GREETING);
    if (!send_greeting(server))
        server_lose(server, "out of memory", REDIS_CONN_FAILED);
}

static void on_lost(void *user, const char *reason, enum redis_conn_loss loss)
{
    server_down(user, reason, loss);
}

static const struct redis_conn_events conn_events = {on_opened, on_lost};

static void server_open(struct redis_server *server)
{
    struct redis_conn_target target = target_of(server);
    char why[REDIS_CONN_WHY_MAX];
    server_set_state(server, SERVER_OPENING);
    server->conn = redis_conn_open(server->common.loop, &target, &conn_events, server, why);
    if (!server->conn)
        server_down(server, why, REDIS_CONN_FAILED);
    else if (redis_conn_is_open(server->conn))
        on_opened(server);
}

static void server_open_at(struct redis_server *server, const char *host, int port)
{
    server->port = port;
    snprintf(server->host, sizeof server->host, "%s", host);
    server_open(server);
}

static const char *over_tls(const struct redis_server *server)
{
    return server->address.tls ? " over TLS" : "";
}

static void on_found(void *caller, const char *host, int port, const char *reason)
{
    struct redis_server *server = caller;
    server->search = NULL;
    if (!host) {
        server_down(server, reason, REDIS_CONN_FAILED);
        return;
    }
    snprintf(server->name, sizeof server->name, "%s at %s:%d%s", server->address.primary, host,
             port, over_tls(server));
    server_open_at(server, host, port);
}

static void server_connect(struct redis_server *server)
{
    const struct redis_address *address = &server->address;
    switch (address->kind) {
    case REDIS_BY_PATH:
        snprintf(server->name, sizeof server->name, "%s", address->unix_path);
        server_open(server);
        break;
    case REDIS_BY_HOST:
        snprintf(server->name, sizeof server->name, "%s:%d%s", redis_address_host(address, 0),
                 address->ports[0], over_tls(server));
        server_open_at(server, redis_address_host(address, 0), address->ports[0]);
        break;
    case REDIS_BY_SENTINEL:
        snprintf(server->name, sizeof server->name, "%s", address->primary);
        server_set_state(server, SERVER_FINDING);
        server->search = redis_sentinel_find(server->common.loop, server->common.settings, address,
                                             server->common.tls, server->attempt, on_found, server);
        if (!server->search)
            server_down(server, "out of memory", REDIS_CONN_FAILED);
        break;
    case REDIS_BY_CLUSTER: /* each server of a Cluster has an address of its own, by host */
        break;
    }
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct redis_server *server = timer->data;
    (void)loop, (void)events;
    server->attempt++;
    server_connect(server);
}

/* --- the server --- */

struct redis_server *redis_server_new(const struct redis_servers *servers,
                                      const struct redis_address *address, bool quiet)
{
    struct redis_server *server = alloc_zeroed(sizeof *server);
    if (!server)
        return NULL;
    server->common = *servers;
    server->address = *address;
    server->quiet = quiet;
    server->retry_after = RETRY_FIRST_S;
    ev_timer_init(&server->retry, on_retry, 0., 0.);
    server->retry.data = server;
    server->pipeline =
        redis_pipeline_new(servers->loop, servers->settings, &pipeline_events, server);
    if (server->pipeline) {
        server->access =
            redis_access_new(servers->loop, servers->needs, server->pipeline, server->name);
        server->tracker = redis_tracker_new(servers->loop, servers->needs, servers->events,
                                            server->pipeline, server->name);
    }
    if (!server->access || !server->tracker) {
        redis_server_free(server);
        return NULL;
    }
    server_connect(server);
    return server;
}

/* Closing the connection answers all pending commands, also those of the tracker and the ACL check,
 * so these are freed after it. */
void redis_server_free(struct redis_server *server)
{
    if (!server)
        return;
    struct redis_conn *conn = server->conn;
    if (server->state != SERVER_DOWN)
        server_set_state(server, SERVER_DOWN);
    server->conn = NULL;
    ev_timer_stop(server->common.loop, &server->retry);
    redis_sentinel_cancel(server->search);
    if (server->pipeline)
        redis_pipeline_use(server->pipeline, NULL);
    if (server->access)
        redis_access_stop(server->access);
    if (server->tracker)
        redis_tracker_stop(server->tracker);
    redis_conn_close(conn);
    redis_tracker_free(server->tracker);
    redis_access_free(server->access);
    redis_pipeline_free(server->pipeline);
    log_limit_end(&server->states);
    free(server);
}
