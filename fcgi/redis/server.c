/* The connection to one server, and what becomes of commands when it breaks.
 *
 *     DOWN --retry--> FINDING --> RESOLVING --> GREETING (AUTH, SELECT, PING or ROLE) --> READY
 *       ^                |            |             |                                      |
 *       '----------------'------------'-------------'------------- server_lose --------------'
 *
 * FINDING is for Sentinels only: they are asked anew for every connection.
 *
 * While READY the tracker has a connection of its own to the same server: see tracker.c.
 *
 * Commands are pipelined and answered in order, so the oldest one's deadline is enough: when it
 * passes, the connection is given up, and hiredis answers all that is pending with NULL.
 */
#include "redis/server.h"

#include <ev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/resolve.h"
#include "base/timeout.h"
#include "redis/access.h"
#include "redis/address.h"
#include "redis/guard.h"
#include "redis/sentinel.h"
#include "redis/settings.h"
#include "redis/tls.h"
#include "redis/tracker.h"

#define RETRY_FIRST_S   0.05
#define RETRY_LONGEST_S 2.0
#define PENDING_MAX     ((size_t)64 << 20) /* bytes of commands without an answer */
#define EXTENSIONS_MAX  20 /* of a deadline, by the timeout each: a large value on a slow line */
#define WORDS_MAX       12
#define SAY_AGAIN_S     60.0 /* what waiting does not mend */
#define CLOSES_MIN      3    /* connections in a row that were closed before they were of use */

enum server_state { SERVER_DOWN, SERVER_FINDING, SERVER_RESOLVING, SERVER_GREETING, SERVER_READY };

struct redis_server {
    struct ev_loop *loop;
    const struct redis_settings *settings;
    struct redis_address address;
    struct redis_events owner;
    enum server_state state;
    bool lost;                     /* a try failed since it was last ready; that has been logged */
    redisAsyncContext *context;    /* while GREETING and READY */
    struct redis_sentinel *search; /* while FINDING */
    struct resolve *resolve;       /* while RESOLVING */
    char name[440];                /* for the log */
    char host[256];                /* as the config or a Sentinel has it; for TLS */
    char literal[256];             /* the host's address, for the tracker to use too */
    int port;
    ev_timer retry; /* while DOWN */
    double retry_after;
    unsigned attempt; /* to connect: which of several addresses or Sentinels is tried */
    struct timeout_queue deadlines;
    size_t pending_bytes;
    size_t seen_out, seen_in; /* bytes in hiredis' buffers at the last deadline */
    struct log_limit states;

    enum redis_trouble trouble; /* while lost */
    enum redis_trouble said;    /* the latest that was logged, other than REDIS_AWAY */
    double said_at;             /* by clock_monotonic() */
    unsigned closes;            /* CLOSES_MIN */

    struct redis_access *access;
    struct redis_tracker *tracker;
    struct redis_guard guard;
    char reason[128]; /* why the latest connection could not be opened */
};

struct command {
    struct redis_server *server;
    struct timeout deadline;
    redis_reply_fn *answered;
    void *caller;
    size_t bytes;
    unsigned extensions; /* of the deadline, because bytes moved */
};

static void server_lose(struct redis_server *server, const char *reason);

/* --- commands --- */

/* Whether a command was refused because the primary is another one by now. Before Redis 7 the word
 * is further behind in a script's error. A server that the config names may be a replica on
 * purpose. */
static bool is_demoted(const struct redis_server *server, const redisReply *reply)
{
    return server->address.kind == REDIS_BY_SENTINEL && reply->type == REDIS_REPLY_ERROR &&
           (strstr(reply->str, "READONLY ") || strncmp(reply->str, "MASTERDOWN ", 11) == 0);
}

static void on_reply(redisAsyncContext *context, void *reply, void *privdata)
{
    struct command *command = privdata;
    struct redis_server *server = command->server;
    (void)context;
    timeout_stop(&command->deadline);
    server->pending_bytes -= command->bytes;
    command->answered(command->caller, reply);
    free(command);
    if (reply && is_demoted(server, reply))
        server_lose(server, "has become a replica");
}

bool redis_server_send(struct redis_server *server, int argc, const char **argv, const size_t *lens,
                       redis_reply_fn *answered, void *caller)
{
    size_t bytes = sizeof(struct command);
    for (int i = 0; i < argc; i++)
        bytes += lens[i];
    if (!server->context || server->pending_bytes + bytes > PENDING_MAX)
        return false;
    struct command *command = alloc_zeroed(sizeof *command);
    if (!command)
        return false;
    *command =
        (struct command){.server = server, .answered = answered, .caller = caller, .bytes = bytes};
    if (redisAsyncCommandArgv(server->context, on_reply, command, argc, argv, lens) != REDIS_OK) {
        free(command);
        return false;
    }
    server->pending_bytes += bytes;
    timeout_start(&server->deadlines, &command->deadline);
    return true;
}

bool redis_server_busy(const struct redis_server *server)
{
    return server->deadlines.oldest != NULL;
}

bool redis_server_send_words(struct redis_server *server, redis_reply_fn *answered, void *caller,
                             int count, const char **words)
{
    size_t lens[WORDS_MAX];
    for (int i = 0; i < count; i++)
        lens[i] = strlen(words[i]);
    return redis_server_send(server, count, words, lens, answered, caller);
}

#define SEND_WORDS(server, answered, ...)                                                          \
    redis_server_send_words(server, answered, server,                                              \
                            sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                \
                            (const char *[]){__VA_ARGS__})

void redis_server_doubt(struct redis_server *server)
{
    redis_access_doubt(server->access);
}

const char *redis_server_name(const struct redis_server *server)
{
    return server->name;
}

const char *redis_server_literal(const struct redis_server *server)
{
    return server->literal;
}

/* Whether the server is alive although the oldest command has no answer yet: we were late ourselves
 * and the answer lies in the socket, or it is a large one that is under way. */
static bool is_moving(struct redis_server *server)
{
    const redisContext *c = &server->context->c;
    struct pollfd look = {.fd = c->fd, .events = POLLIN};
    size_t out = sdslen(c->obuf), in = c->reader->len;
    bool moving = poll(&look, 1, 0) > 0 || (out > 0 && out != server->seen_out) ||
                  (in > 0 && in != server->seen_in);
    server->seen_out = out;
    server->seen_in = in;
    return moving;
}

static void on_deadline(void *context, struct timeout *deadline)
{
    struct redis_server *server = context;
    struct command *command =
        (struct command *)((char *)deadline - offsetof(struct command, deadline));
    char reason[64];
    if (server->context && command->extensions < EXTENSIONS_MAX && is_moving(server)) {
        command->extensions++;
        timeout_start(&server->deadlines, deadline);
        return;
    }
    snprintf(reason, sizeof reason, "no answer within %.0f ms", server->settings->timeout * 1000);
    server_lose(server, reason);
}

/* --- the connection for commands --- */

bool redis_server_usable(const struct redis_server *server)
{
    /* hiredis keeps what is sent before the first connection stands, so the first requests after
     * a start need not do without. Later attempts, and what a Sentinel calls the primary, prove
     * themselves first. */
    return server->state == SERVER_READY || (server->state == SERVER_GREETING && !server->lost &&
                                             server->address.kind != REDIS_BY_SENTINEL);
}

enum redis_trouble redis_server_trouble(const struct redis_server *server)
{
    if (server->state == SERVER_READY)
        return redis_access_denied(server->access) ? REDIS_DENIES : REDIS_WELL;
    return server->lost ? server->trouble : REDIS_AWAY;
}

/* A connection that has worked is lost for no other reason than that the server went away. */
static enum redis_trouble server_diagnose(struct redis_server *server, const char *reason,
                                          bool closed)
{
    if (server->state == SERVER_READY)
        return REDIS_AWAY;
    bool may_expect_tls = !server->address.tls && server->address.kind != REDIS_BY_PATH;
    server->closes = closed && may_expect_tls ? server->closes + 1 : 0;
    return server->closes >= CLOSES_MIN ? REDIS_CLOSES : redis_trouble_of(reason);
}

/* That it is away is logged once; what somebody has to fix, every minute. */
static void server_explain(struct redis_server *server, const char *reason)
{
    enum redis_trouble trouble = server->trouble;
    const char *text = redis_trouble_text(trouble), *cure = redis_trouble_cure(trouble);
    double now = clock_monotonic();
    if (trouble == REDIS_AWAY) {
        if (!server->lost)
            log_state(&server->states, server->owner.quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
                      "redis", "%s: %s; going on without it until it is back",
                      redis_server_name(server), reason);
        return;
    }
    if (!server->lost)
        log_state(&server->states, LOG_LEVEL_WARNING, "redis",
                  "%s: %s (%s): %s; going on without it meanwhile", redis_server_name(server), text,
                  reason, cure);
    else if (trouble != server->said || now - server->said_at >= SAY_AGAIN_S)
        log_warning("redis", "%s: %s (%s): %s", redis_server_name(server), text, reason, cure);
    else
        return;
    server->said = trouble;
    server->said_at = now;
}

/* `closed`: the server has closed the connection that stood. */
static void server_down_as(struct redis_server *server, const char *reason, bool closed)
{
    bool was_ready = server->state == SERVER_READY;
    server->trouble = server_diagnose(server, reason, closed);
    server_explain(server, reason);
    server->lost = true;
    server->state = SERVER_DOWN;
    server->context = NULL;
    redis_access_stop(server->access);
    redis_tracker_stop(server->tracker);
    ev_timer_set(&server->retry, server->retry_after * (0.5 + drand48() / 2), 0.);
    ev_timer_start(server->loop, &server->retry);
    server->retry_after *= 2;
    if (server->retry_after > RETRY_LONGEST_S)
        server->retry_after = RETRY_LONGEST_S;
    if (was_ready)
        server->owner.lost(server->owner.context, server);
}

static void server_down(struct redis_server *server, const char *reason)
{
    server_down_as(server, reason, false);
}

/* Gives the connection up; what is pending is answered with NULL by redisAsyncFree. */
static void server_lose(struct redis_server *server, const char *reason)
{
    redisAsyncContext *context = server->context;
    if (!context)
        return;
    context->data = NULL; /* its disconnect callback has nothing to add */
    server_down(server, reason);
    redisAsyncFree(context);
}

bool redis_server_start_tls(const struct redis_server *server, redisAsyncContext *context)
{
    return !server->owner.tls || redis_tls_start(server->owner.tls, context, server->host);
}

static void on_connect(const redisAsyncContext *context, int status)
{
    struct redis_server *server = context->data;
    if (!server)
        return;
    if (status != REDIS_OK)
        server_down(server, context->errstr); /* hiredis frees the context next */
    else if (!redis_server_start_tls(server, server->context))
        server_lose(server, context->c.errstr);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct redis_server *server = context->data;
    if (server)
        server_down_as(server, status == REDIS_OK ? "the connection was closed" : context->errstr,
                       context->err == REDIS_ERR_EOF || context->err == REDIS_ERR_IO);
}

/* ROLE answers ["master" | "slave" | "sentinel", ...]. */
static bool is_primary(const redisReply *role)
{
    return role->type == REDIS_REPLY_ARRAY && role->elements > 0 &&
           role->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(role->element[0]->str, "master") == 0;
}

/* It was reached, so why it is of no use is worth a word. A server that does not know AUTH repeats
 * what follows it, and that must not be logged. */
static void server_refused(struct redis_server *server, const redisReply *error)
{
    char reason[256];
    const char *words = strstr(error->str, ", with args beginning with");
    snprintf(reason, sizeof reason, "%.*s", (int)(words ? words - error->str : (long)error->len),
             error->str);
    server->owner.quiet = false;
    server_lose(server, reason);
}

/* The answer to the last command of the greeting. */
static void on_greeted(void *caller, redisReply *reply)
{
    struct redis_server *server = caller;
    if (!reply || server->state != SERVER_GREETING)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        server_refused(server, reply);
        return;
    }
    if (server->address.kind == REDIS_BY_SENTINEL && !is_primary(reply)) {
        server_lose(server, "is a replica");
        return;
    }
    server->state = SERVER_READY;
    server->retry_after = RETRY_FIRST_S;
    log_state(&server->states, LOG_LEVEL_INFO, "redis", "%s: %s",
              server->lost && !server->owner.quiet ? "back in use" : "connected",
              redis_server_name(server));
    server->lost = server->owner.quiet = false;
    server->closes = 0;
    redis_access_start(server->access);
    server->owner.ready(server->owner.context, server);
    redis_tracker_start(server->tracker);
}

/* The answers before the last one count only if they are errors. */
static void on_greeting(void *caller, redisReply *reply)
{
    struct redis_server *server = caller;
    if (reply && reply->type == REDIS_REPLY_ERROR && server->state == SERVER_GREETING)
        server_refused(server, reply);
}

static bool send_greeting(struct redis_server *server)
{
    const struct redis_address *address = &server->address;
    char db[16];
    snprintf(db, sizeof db, "%d", address->db);
    if (address->user[0]) {
        if (!SEND_WORDS(server, on_greeting, "AUTH", address->user, address->password))
            return false;
    } else if (address->password[0]) {
        if (!SEND_WORDS(server, on_greeting, "AUTH", address->password))
            return false;
    }
    if (address->db != 0 && !SEND_WORDS(server, on_greeting, "SELECT", db))
        return false;
    return address->kind == REDIS_BY_SENTINEL ? SEND_WORDS(server, on_greeted, "ROLE")
                                              : SEND_WORDS(server, on_greeted, "PING");
}

int redis_server_login(const struct redis_server *server, redisAsyncContext *context)
{
    const struct redis_address *address = &server->address;
    if (address->user[0])
        return redisAsyncCommand(context, NULL, NULL, "AUTH %s %s", address->user,
                                 address->password);
    if (address->password[0])
        return redisAsyncCommand(context, NULL, NULL, "AUTH %s", address->password);
    return REDIS_OK;
}

static bool is_awaited(const void *context)
{
    return redis_server_busy(context);
}

redisAsyncContext *redis_server_connect(struct redis_server *server, struct redis_guard *guard,
                                        const char **reason)
{
    bool by_path = server->address.kind == REDIS_BY_PATH;
    redisAsyncContext *context = by_path ? redisAsyncConnectUnix(server->address.unix_path)
                                         : redisAsyncConnect(server->literal, server->port);
    *reason = "out of memory";
    if (!context)
        return NULL;
    if (context->err) {
        snprintf(server->reason, sizeof server->reason, "%s", context->errstr);
        *reason = server->reason;
        redisAsyncFree(context);
        return NULL;
    }
    if (!by_path)
        redisEnableKeepAlive(&context->c);
    if (redis_guard_attach(server->loop, context, guard))
        return context;
    redisAsyncFree(context);
    return NULL;
}

static void server_open(struct redis_server *server)
{
    const char *reason;
    redisAsyncContext *context = redis_server_connect(server, &server->guard, &reason);
    if (!context) {
        server_down(server, reason);
        return;
    }
    context->data = server;
    server->context = context;
    server->state = SERVER_GREETING;
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
    if (!send_greeting(server))
        server_lose(server, "out of memory");
}

static void on_resolved(void *caller, const char *address, const char *error)
{
    struct redis_server *server = caller;
    server->resolve = NULL;
    if (!address) {
        server_down(server, error);
        return;
    }
    snprintf(server->literal, sizeof server->literal, "%s", address);
    server_open(server);
}

static void server_resolve(struct redis_server *server, const char *host, int port)
{
    server->port = port;
    snprintf(server->host, sizeof server->host, "%s", host);
    if (redis_address_is_literal(host)) {
        snprintf(server->literal, sizeof server->literal, "%s", host);
        server_open(server);
        return;
    }
    server->state = SERVER_RESOLVING;
    server->resolve = resolve_start(server->loop, host, server->attempt, on_resolved, server);
    if (!server->resolve)
        server_down(server, "out of memory");
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
        server_down(server, reason);
        return;
    }
    snprintf(server->name, sizeof server->name, "%s at %s:%d%s", server->address.primary, host,
             port, over_tls(server));
    server_resolve(server, host, port);
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
        server_resolve(server, redis_address_host(address, 0), address->ports[0]);
        break;
    case REDIS_BY_SENTINEL:
        snprintf(server->name, sizeof server->name, "%s", address->primary);
        server->state = SERVER_FINDING;
        server->search = redis_sentinel_find(server->loop, server->settings, address,
                                             server->owner.tls, server->attempt, on_found, server);
        if (!server->search)
            server_down(server, "out of memory");
        break;
    case REDIS_BY_CLUSTER: /* of many servers: each has one of these, by host */
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

bool redis_server_tracking(const struct redis_server *server)
{
    return redis_tracker_armed(server->tracker);
}

struct redis_server *redis_server_new(struct ev_loop *loop, const struct redis_settings *settings,
                                      const struct redis_address *address,
                                      const struct redis_events *owner)
{
    struct redis_server *server = alloc_zeroed(sizeof *server);
    if (!server)
        return NULL;
    server->access = redis_access_new(loop, owner->name_space, server);
    server->tracker = redis_tracker_new(loop, owner->name_space, server, &server->owner);
    if (!server->access || !server->tracker) {
        redis_access_free(server->access);
        redis_tracker_free(server->tracker);
        free(server);
        return NULL;
    }
    server->loop = loop;
    server->settings = settings;
    server->address = *address;
    server->owner = *owner;
    server->retry_after = RETRY_FIRST_S;
    server->guard = (struct redis_guard){.rule = REDIS_GUARD_COMMANDS,
                                         .most = owner->value_max + REDIS_GUARD_SLACK,
                                         .awaited = is_awaited,
                                         .context = server};
    timeout_queue_init(&server->deadlines, loop, settings->timeout, on_deadline, server);
    ev_timer_init(&server->retry, on_retry, 0., 0.);
    server->retry.data = server;
    server_connect(server);
    return server;
}

static void owner_ignores(void *context, struct redis_server *server)
{
    (void)context, (void)server;
}

static void owner_ignores_tracking(void *context, struct redis_server *server, bool on)
{
    (void)context, (void)server, (void)on;
}

void redis_server_free(struct redis_server *server)
{
    if (!server)
        return;
    redisAsyncContext *context = server->context;
    server->owner.lost = server->owner.ready = owner_ignores;
    server->owner.tracking = owner_ignores_tracking;
    server->state = SERVER_DOWN;
    server->lost = true;
    server->context = NULL;
    redis_access_stop(server->access);
    redis_tracker_stop(server->tracker);
    if (context) {
        context->data = NULL;
        redisAsyncFree(context);
    }
    redis_sentinel_cancel(server->search);
    resolve_cancel(server->resolve);
    ev_timer_stop(server->loop, &server->retry);
    timeout_queue_stop(&server->deadlines);
    redis_tracker_free(server->tracker);
    log_limit_end(&server->states);
    redis_access_free(server->access);
    free(server);
}
