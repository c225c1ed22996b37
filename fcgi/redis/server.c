/* The connection to one server, and what becomes of commands when it breaks.
 *
 *     DOWN --retry--> FINDING --> RESOLVING --> GREETING (AUTH, SELECT, PING or ROLE) --> READY
 *       ^                |            |             |                                      |
 *       '----------------'------------'-------------'------------- link_lose --------------'
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

enum link_state { LINK_DOWN, LINK_FINDING, LINK_RESOLVING, LINK_GREETING, LINK_READY };

struct redis_link {
    struct ev_loop *loop;
    const struct redis_settings *settings;
    struct redis_address address;
    struct redis_link_owner owner;
    enum link_state state;
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
    struct reader_guard guard;
    char reason[128]; /* why the latest connection could not be opened */
};

struct command {
    struct redis_link *link;
    struct timeout deadline;
    redis_reply_fn *answered;
    void *caller;
    size_t bytes;
    unsigned extensions; /* of the deadline, because bytes moved */
};

static void link_lose(struct redis_link *link, const char *reason);

/* --- commands --- */

/* Whether a command was refused because the primary is another one by now. Before Redis 7 the word
 * is further behind in a script's error. A server that the config names may be a replica on
 * purpose. */
static bool is_demoted(const struct redis_link *link, const redisReply *reply)
{
    return link->address.kind == REDIS_BY_SENTINEL && reply->type == REDIS_REPLY_ERROR &&
           (strstr(reply->str, "READONLY ") || strncmp(reply->str, "MASTERDOWN ", 11) == 0);
}

static void on_reply(redisAsyncContext *context, void *reply, void *privdata)
{
    struct command *command = privdata;
    struct redis_link *link = command->link;
    (void)context;
    timeout_stop(&command->deadline);
    link->pending_bytes -= command->bytes;
    command->answered(command->caller, reply);
    free(command);
    if (reply && is_demoted(link, reply))
        link_lose(link, "has become a replica");
}

bool redis_link_send(struct redis_link *link, int argc, const char **argv, const size_t *lens,
                     redis_reply_fn *answered, void *caller)
{
    size_t bytes = sizeof(struct command);
    for (int i = 0; i < argc; i++)
        bytes += lens[i];
    if (!link->context || link->pending_bytes + bytes > PENDING_MAX)
        return false;
    struct command *command = alloc_zeroed(sizeof *command);
    if (!command)
        return false;
    *command =
        (struct command){.link = link, .answered = answered, .caller = caller, .bytes = bytes};
    if (redisAsyncCommandArgv(link->context, on_reply, command, argc, argv, lens) != REDIS_OK) {
        free(command);
        return false;
    }
    link->pending_bytes += bytes;
    timeout_start(&link->deadlines, &command->deadline);
    return true;
}

bool redis_link_busy(const struct redis_link *link)
{
    return link->deadlines.oldest != NULL;
}

bool redis_link_send_words(struct redis_link *link, redis_reply_fn *answered, void *caller,
                           int count, const char **words)
{
    size_t lens[WORDS_MAX];
    for (int i = 0; i < count; i++)
        lens[i] = strlen(words[i]);
    return redis_link_send(link, count, words, lens, answered, caller);
}

#define SEND_WORDS(link, answered, ...)                                                            \
    redis_link_send_words(link, answered, link,                                                    \
                          sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                  \
                          (const char *[]){__VA_ARGS__})

void redis_link_doubt(struct redis_link *link)
{
    redis_access_doubt(link->access);
}

const char *redis_link_name(const struct redis_link *link)
{
    return link->name;
}

const char *redis_link_literal(const struct redis_link *link)
{
    return link->literal;
}

/* Whether the server is alive although the oldest command has no answer yet: we were late ourselves
 * and the answer lies in the socket, or it is a large one that is under way. */
static bool is_moving(struct redis_link *link)
{
    const redisContext *c = &link->context->c;
    struct pollfd look = {.fd = c->fd, .events = POLLIN};
    size_t out = sdslen(c->obuf), in = c->reader->len;
    bool moving = poll(&look, 1, 0) > 0 || (out > 0 && out != link->seen_out) ||
                  (in > 0 && in != link->seen_in);
    link->seen_out = out;
    link->seen_in = in;
    return moving;
}

static void on_deadline(void *context, struct timeout *deadline)
{
    struct redis_link *link = context;
    struct command *command =
        (struct command *)((char *)deadline - offsetof(struct command, deadline));
    char reason[64];
    if (link->context && command->extensions < EXTENSIONS_MAX && is_moving(link)) {
        command->extensions++;
        timeout_start(&link->deadlines, deadline);
        return;
    }
    snprintf(reason, sizeof reason, "no answer within %.0f ms", link->settings->timeout * 1000);
    link_lose(link, reason);
}

/* --- the connection for commands --- */

bool redis_link_usable(const struct redis_link *link)
{
    /* hiredis keeps what is sent before the first connection stands, so the first requests after
     * a start need not do without. Later attempts, and what a Sentinel calls the primary, prove
     * themselves first. */
    return link->state == LINK_READY ||
           (link->state == LINK_GREETING && !link->lost && link->address.kind != REDIS_BY_SENTINEL);
}

enum redis_trouble redis_link_trouble(const struct redis_link *link)
{
    if (link->state == LINK_READY)
        return redis_access_denied(link->access) ? REDIS_DENIES : REDIS_WELL;
    return link->lost ? link->trouble : REDIS_AWAY;
}

/* A connection that has worked is lost for no other reason than that the server went away. */
static enum redis_trouble link_diagnose(struct redis_link *link, const char *reason, bool closed)
{
    if (link->state == LINK_READY)
        return REDIS_AWAY;
    bool may_expect_tls = !link->address.tls && link->address.kind != REDIS_BY_PATH;
    link->closes = closed && may_expect_tls ? link->closes + 1 : 0;
    return link->closes >= CLOSES_MIN ? REDIS_CLOSES : redis_trouble_of(reason);
}

/* That it is away is logged once; what somebody has to fix, every minute. */
static void link_explain(struct redis_link *link, const char *reason)
{
    enum redis_trouble trouble = link->trouble;
    const char *text = redis_trouble_text(trouble), *cure = redis_trouble_cure(trouble);
    double now = clock_monotonic();
    if (trouble == REDIS_AWAY) {
        if (!link->lost)
            log_state(&link->states, link->owner.quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
                      "redis", "%s: %s; going on without it until it is back",
                      redis_link_name(link), reason);
        return;
    }
    if (!link->lost)
        log_state(&link->states, LOG_LEVEL_WARNING, "redis",
                  "%s: %s (%s): %s; going on without it meanwhile", redis_link_name(link), text,
                  reason, cure);
    else if (trouble != link->said || now - link->said_at >= SAY_AGAIN_S)
        log_warning("redis", "%s: %s (%s): %s", redis_link_name(link), text, reason, cure);
    else
        return;
    link->said = trouble;
    link->said_at = now;
}

/* `closed`: the server has closed the connection that stood. */
static void link_down_as(struct redis_link *link, const char *reason, bool closed)
{
    bool was_ready = link->state == LINK_READY;
    link->trouble = link_diagnose(link, reason, closed);
    link_explain(link, reason);
    link->lost = true;
    link->state = LINK_DOWN;
    link->context = NULL;
    redis_access_stop(link->access);
    redis_tracker_stop(link->tracker);
    ev_timer_set(&link->retry, link->retry_after * (0.5 + drand48() / 2), 0.);
    ev_timer_start(link->loop, &link->retry);
    link->retry_after *= 2;
    if (link->retry_after > RETRY_LONGEST_S)
        link->retry_after = RETRY_LONGEST_S;
    if (was_ready)
        link->owner.lost(link->owner.context, link);
}

static void link_down(struct redis_link *link, const char *reason)
{
    link_down_as(link, reason, false);
}

/* Gives the connection up; what is pending is answered with NULL by redisAsyncFree. */
static void link_lose(struct redis_link *link, const char *reason)
{
    redisAsyncContext *context = link->context;
    if (!context)
        return;
    context->data = NULL; /* its disconnect callback has nothing to add */
    link_down(link, reason);
    redisAsyncFree(context);
}

bool redis_link_start_tls(const struct redis_link *link, redisAsyncContext *context)
{
    return !link->owner.tls || redis_tls_start(link->owner.tls, context, link->host);
}

static void on_connect(const redisAsyncContext *context, int status)
{
    struct redis_link *link = context->data;
    if (!link)
        return;
    if (status != REDIS_OK)
        link_down(link, context->errstr); /* hiredis frees the context next */
    else if (!redis_link_start_tls(link, link->context))
        link_lose(link, context->c.errstr);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct redis_link *link = context->data;
    if (link)
        link_down_as(link, status == REDIS_OK ? "the connection was closed" : context->errstr,
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
static void link_refused(struct redis_link *link, const redisReply *error)
{
    char reason[256];
    const char *words = strstr(error->str, ", with args beginning with");
    snprintf(reason, sizeof reason, "%.*s", (int)(words ? words - error->str : (long)error->len),
             error->str);
    link->owner.quiet = false;
    link_lose(link, reason);
}

/* The answer to the last command of the greeting. */
static void on_greeted(void *caller, redisReply *reply)
{
    struct redis_link *link = caller;
    if (!reply || link->state != LINK_GREETING)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        link_refused(link, reply);
        return;
    }
    if (link->address.kind == REDIS_BY_SENTINEL && !is_primary(reply)) {
        link_lose(link, "is a replica");
        return;
    }
    link->state = LINK_READY;
    link->retry_after = RETRY_FIRST_S;
    log_state(&link->states, LOG_LEVEL_INFO, "redis", "%s: %s",
              link->lost && !link->owner.quiet ? "back in use" : "connected",
              redis_link_name(link));
    link->lost = link->owner.quiet = false;
    link->closes = 0;
    redis_access_start(link->access);
    link->owner.ready(link->owner.context, link);
    redis_tracker_start(link->tracker);
}

/* The answers before the last one count only if they are errors. */
static void on_greeting(void *caller, redisReply *reply)
{
    struct redis_link *link = caller;
    if (reply && reply->type == REDIS_REPLY_ERROR && link->state == LINK_GREETING)
        link_refused(link, reply);
}

static bool send_greeting(struct redis_link *link)
{
    const struct redis_address *address = &link->address;
    char db[16];
    snprintf(db, sizeof db, "%d", address->db);
    if (address->user[0]) {
        if (!SEND_WORDS(link, on_greeting, "AUTH", address->user, address->password))
            return false;
    } else if (address->password[0]) {
        if (!SEND_WORDS(link, on_greeting, "AUTH", address->password))
            return false;
    }
    if (address->db != 0 && !SEND_WORDS(link, on_greeting, "SELECT", db))
        return false;
    return address->kind == REDIS_BY_SENTINEL ? SEND_WORDS(link, on_greeted, "ROLE")
                                              : SEND_WORDS(link, on_greeted, "PING");
}

int redis_link_login(const struct redis_link *link, redisAsyncContext *context)
{
    const struct redis_address *address = &link->address;
    if (address->user[0])
        return redisAsyncCommand(context, NULL, NULL, "AUTH %s %s", address->user,
                                 address->password);
    if (address->password[0])
        return redisAsyncCommand(context, NULL, NULL, "AUTH %s", address->password);
    return REDIS_OK;
}

static bool is_awaited(const void *context)
{
    return redis_link_busy(context);
}

redisAsyncContext *redis_link_connect(struct redis_link *link, struct reader_guard *guard,
                                      const char **reason)
{
    bool by_path = link->address.kind == REDIS_BY_PATH;
    redisAsyncContext *context = by_path ? redisAsyncConnectUnix(link->address.unix_path)
                                         : redisAsyncConnect(link->literal, link->port);
    *reason = "out of memory";
    if (!context)
        return NULL;
    if (context->err) {
        snprintf(link->reason, sizeof link->reason, "%s", context->errstr);
        *reason = link->reason;
        redisAsyncFree(context);
        return NULL;
    }
    if (!by_path)
        redisEnableKeepAlive(&context->c);
    if (redis_reader_attach(link->loop, context, guard))
        return context;
    redisAsyncFree(context);
    return NULL;
}

static void link_open(struct redis_link *link)
{
    const char *reason;
    redisAsyncContext *context = redis_link_connect(link, &link->guard, &reason);
    if (!context) {
        link_down(link, reason);
        return;
    }
    context->data = link;
    link->context = context;
    link->state = LINK_GREETING;
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
    if (!send_greeting(link))
        link_lose(link, "out of memory");
}

static void on_resolved(void *caller, const char *address, const char *error)
{
    struct redis_link *link = caller;
    link->resolve = NULL;
    if (!address) {
        link_down(link, error);
        return;
    }
    snprintf(link->literal, sizeof link->literal, "%s", address);
    link_open(link);
}

static void link_resolve(struct redis_link *link, const char *host, int port)
{
    link->port = port;
    snprintf(link->host, sizeof link->host, "%s", host);
    if (redis_address_is_literal(host)) {
        snprintf(link->literal, sizeof link->literal, "%s", host);
        link_open(link);
        return;
    }
    link->state = LINK_RESOLVING;
    link->resolve = resolve_start(link->loop, host, link->attempt, on_resolved, link);
    if (!link->resolve)
        link_down(link, "out of memory");
}

static const char *over_tls(const struct redis_link *link)
{
    return link->address.tls ? " over TLS" : "";
}

static void on_found(void *caller, const char *host, int port, const char *reason)
{
    struct redis_link *link = caller;
    link->search = NULL;
    if (!host) {
        link_down(link, reason);
        return;
    }
    snprintf(link->name, sizeof link->name, "%s at %s:%d%s", link->address.primary, host, port,
             over_tls(link));
    link_resolve(link, host, port);
}

static void link_connect(struct redis_link *link)
{
    const struct redis_address *address = &link->address;
    switch (address->kind) {
    case REDIS_BY_PATH:
        snprintf(link->name, sizeof link->name, "%s", address->unix_path);
        link_open(link);
        break;
    case REDIS_BY_HOST:
        snprintf(link->name, sizeof link->name, "%s:%d%s", redis_address_host(address, 0),
                 address->ports[0], over_tls(link));
        link_resolve(link, redis_address_host(address, 0), address->ports[0]);
        break;
    case REDIS_BY_SENTINEL:
        snprintf(link->name, sizeof link->name, "%s", address->primary);
        link->state = LINK_FINDING;
        link->search = redis_sentinel_find(link->loop, link->settings, address, link->owner.tls,
                                           link->attempt, on_found, link);
        if (!link->search)
            link_down(link, "out of memory");
        break;
    case REDIS_BY_CLUSTER: /* of many servers: each has a link of its own, by host */
        break;
    }
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct redis_link *link = timer->data;
    (void)loop, (void)events;
    link->attempt++;
    link_connect(link);
}

/* --- the link --- */

bool redis_link_tracking(const struct redis_link *link)
{
    return redis_tracker_armed(link->tracker);
}

struct redis_link *redis_link_new(struct ev_loop *loop, const struct redis_settings *settings,
                                  const struct redis_address *address,
                                  const struct redis_link_owner *owner)
{
    struct redis_link *link = alloc_zeroed(sizeof *link);
    if (!link)
        return NULL;
    link->access = redis_access_new(loop, owner->name_space, link);
    link->tracker = redis_tracker_new(loop, owner->name_space, link, &link->owner);
    if (!link->access || !link->tracker) {
        redis_access_free(link->access);
        redis_tracker_free(link->tracker);
        free(link);
        return NULL;
    }
    link->loop = loop;
    link->settings = settings;
    link->address = *address;
    link->owner = *owner;
    link->retry_after = RETRY_FIRST_S;
    link->guard = (struct reader_guard){.rule = READER_COMMANDS,
                                        .most = owner->value_max + READER_SLACK,
                                        .awaited = is_awaited,
                                        .context = link};
    timeout_queue_init(&link->deadlines, loop, settings->timeout, on_deadline, link);
    ev_timer_init(&link->retry, on_retry, 0., 0.);
    link->retry.data = link;
    link_connect(link);
    return link;
}

static void owner_ignores(void *context, struct redis_link *link)
{
    (void)context, (void)link;
}

static void owner_ignores_tracking(void *context, struct redis_link *link, bool on)
{
    (void)context, (void)link, (void)on;
}

void redis_link_free(struct redis_link *link)
{
    if (!link)
        return;
    redisAsyncContext *context = link->context;
    link->owner.lost = link->owner.ready = owner_ignores;
    link->owner.tracking = owner_ignores_tracking;
    link->state = LINK_DOWN;
    link->lost = true;
    link->context = NULL;
    redis_access_stop(link->access);
    redis_tracker_stop(link->tracker);
    if (context) {
        context->data = NULL;
        redisAsyncFree(context);
    }
    redis_sentinel_cancel(link->search);
    resolve_cancel(link->resolve);
    ev_timer_stop(link->loop, &link->retry);
    timeout_queue_stop(&link->deadlines);
    redis_tracker_free(link->tracker);
    log_limit_end(&link->states);
    redis_access_free(link->access);
    free(link);
}
