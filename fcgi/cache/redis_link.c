/* The two connections to one server, and what becomes of commands when the first one breaks.
 *
 *     DOWN --retry--> FINDING --> RESOLVING --> GREETING (AUTH, SELECT, PING or ROLE) --> READY
 *       ^                |            |             |                                      |
 *       '----------------'------------'-------------'------------- link_lose --------------'
 *
 * FINDING is for Sentinels only: they are asked anew for every connection.
 *
 *     while READY:   tracker connects (AUTH, CLIENT ID, SUBSCRIBE) --> CLIENT TRACKING ON --> armed
 *                        ^------------------ tracker_lose ----------------------------------'
 *
 * Commands are pipelined and answered in order, so the oldest one's deadline is enough: when it
 * passes, the connection is given up, and hiredis answers all that is pending with NULL.
 */
#include "cache/redis_link.h"

#include <ev.h>
#include <hiredis/adapters/libev.h>
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
#include "cache/cache.h"
#include "cache/redis_address.h"
#include "cache/redis_reader.h"
#include "cache/redis_sentinel.h"
#include "cache/redis_tls.h"

#define RETRY_FIRST_S     0.05
#define RETRY_LONGEST_S   2.0
#define PENDING_MAX       ((size_t)64 << 20) /* bytes of commands without an answer */
#define EXTENSIONS_MAX    20 /* of a deadline, by the timeout each: a large value on a slow line */
#define COMPLAINT_EVERY_S 10.0
#define TRACKER_TRY_S     1.0 /* for the tracker to be armed, and until the next try */
#define CHANNEL           "__redis__:invalidate"

enum link_state { LINK_DOWN, LINK_FINDING, LINK_RESOLVING, LINK_GREETING, LINK_READY };

struct redis_link {
    struct ev_loop *loop;
    const struct cache_settings *settings;
    struct redis_address address;
    struct redis_link_owner owner;
    enum link_state state;
    bool lost;                     /* since it was last ready, or ever: that has been logged */
    redisAsyncContext *context;    /* while GREETING and READY */
    struct redis_sentinel *search; /* while FINDING */
    struct resolve *resolve;       /* while RESOLVING */
    char name[440];                /* for the log */
    char host[256];                /* as its certificate has it, if there is TLS */
    char literal[256];             /* the host's address, for the tracker to use too */
    int port;
    ev_timer retry; /* while DOWN */
    double retry_after;
    unsigned attempt; /* to connect: which of several addresses or Sentinels is tried */
    struct timeout_queue deadlines;
    size_t pending_bytes;
    size_t seen_out, seen_in; /* bytes in hiredis' buffers at the last deadline */
    double complained_at;

    redisAsyncContext *tracker; /* NULL: between two tries */
    ev_timer tracker_timer;     /* while READY and not armed */
    struct reader_guard guard, tracker_guard;
    bool armed;
    bool arming;           /* CLIENT TRACKING ON was sent for this tracker */
    unsigned arms_pending; /* CLIENT TRACKING ON without an answer, for this one and earlier ones */
    bool refused;          /* CLIENT TRACKING was, and that has been logged */
    char value_prefix[128], lease_prefix[136];
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
static void tracker_start(struct redis_link *link);
static void tracker_stop(struct redis_link *link);

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

/* A command of words. */
static bool send_words(struct redis_link *link, redis_reply_fn *answered, int argc,
                       const char **argv)
{
    size_t lens[12];
    for (int i = 0; i < argc; i++)
        lens[i] = strlen(argv[i]);
    return redis_link_send(link, argc, argv, lens, answered, link);
}

#define SEND_WORDS(link, answered, ...)                                                            \
    send_words(link, answered, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),             \
               (const char *[]){__VA_ARGS__})

void redis_link_complain(struct redis_link *link, const char *what, const struct redisReply *reply)
{
    double now = clock_monotonic();
    if (link->complained_at > 0 && now - link->complained_at < COMPLAINT_EVERY_S)
        return;
    link->complained_at = now;
    log_warning("redis", "%s: %s is refused: %s", redis_link_name(link), what, reply->str);
}

const char *redis_link_name(const struct redis_link *link)
{
    return link->name;
}

const char *redis_link_host(const struct redis_link *link)
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
    snprintf(reason, sizeof reason, "no answer within %.0f ms",
             link->settings->redis_timeout * 1000);
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

static void link_down(struct redis_link *link, const char *reason)
{
    bool was_ready = link->state == LINK_READY;
    if (!link->lost)
        log_message(link->owner.quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, "redis",
                    "%s: %s; going on without it until it is back", redis_link_name(link), reason);
    link->lost = true;
    link->state = LINK_DOWN;
    link->context = NULL;
    tracker_stop(link);
    ev_timer_stop(link->loop, &link->tracker_timer);
    ev_timer_set(&link->retry, link->retry_after * (0.5 + drand48() / 2), 0.);
    ev_timer_start(link->loop, &link->retry);
    link->retry_after *= 2;
    if (link->retry_after > RETRY_LONGEST_S)
        link->retry_after = RETRY_LONGEST_S;
    if (was_ready)
        link->owner.lost(link->owner.context, link);
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

/* Nothing has been sent yet. */
static bool start_tls(struct redis_link *link, redisAsyncContext *context)
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
    else if (!start_tls(link, link->context))
        link_lose(link, context->c.errstr);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct redis_link *link = context->data;
    if (link)
        link_down(link, status == REDIS_OK ? "the connection was closed" : context->errstr);
}

/* ROLE answers ["master" | "slave" | "sentinel", ...]. */
static bool is_primary(const redisReply *role)
{
    return role->type == REDIS_REPLY_ARRAY && role->elements > 0 &&
           role->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(role->element[0]->str, "master") == 0;
}

/* It was reached, so why it is of no use is worth a word. */
static void link_refused(struct redis_link *link, const redisReply *error)
{
    link->owner.quiet = false;
    link_lose(link, error->str);
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
    log_info("redis", "%s: %s", link->lost && !link->owner.quiet ? "back in use" : "connected",
             redis_link_name(link));
    link->lost = link->owner.quiet = false;
    link->owner.ready(link->owner.context, link);
    tracker_start(link);
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

static bool is_awaited(const void *context)
{
    const struct redis_link *link = context;
    return link->deadlines.oldest != NULL;
}

/* A connection to the server, or NULL with the reason. Its `data` is not set. */
static redisAsyncContext *open_context(struct redis_link *link, struct reader_guard *guard,
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
    redis_reader_guard(context->c.reader, guard);
    if (!by_path)
        redisEnableKeepAlive(&context->c);
    if (redisLibevAttach(link->loop, context) == REDIS_OK)
        return context;
    redisAsyncFree(context);
    return NULL;
}

static void link_open(struct redis_link *link)
{
    const char *reason;
    redisAsyncContext *context = open_context(link, &link->guard, &reason);
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

/* --- the connection for what the server tells --- */

bool redis_link_tracking(const struct redis_link *link)
{
    return link->armed;
}

static void tracker_set_armed(struct redis_link *link, bool armed)
{
    if (link->armed == armed)
        return;
    link->armed = armed;
    link->owner.tracking(link->owner.context, link, armed);
}

static void tracker_within(struct redis_link *link, double seconds)
{
    ev_timer_stop(link->loop, &link->tracker_timer);
    ev_timer_set(&link->tracker_timer, seconds, 0.);
    ev_timer_start(link->loop, &link->tracker_timer);
}

static void tracker_try_later(struct redis_link *link)
{
    tracker_within(link, TRACKER_TRY_S * (0.1 + drand48() * 0.9));
}

/* Without a word to the context's own callbacks. */
static void tracker_stop(struct redis_link *link)
{
    redisAsyncContext *tracker = link->tracker;
    link->tracker = NULL;
    link->arming = false;
    tracker_set_armed(link, false);
    if (tracker) {
        tracker->data = NULL;
        redisAsyncFree(tracker);
    }
}

static void tracker_lose(struct redis_link *link, const char *reason)
{
    log_debug("redis", "%s: tracking: %s", redis_link_name(link), reason);
    tracker_stop(link);
    tracker_try_later(link);
}

static void on_tracker_connect(const redisAsyncContext *context, int status)
{
    struct redis_link *link = context->data;
    if (!link)
        return;
    if (status == REDIS_OK) {
        if (!start_tls(link, link->tracker))
            tracker_lose(link, context->c.errstr);
        return;
    }
    link->tracker = NULL; /* hiredis frees the context next */
    tracker_try_later(link);
}

static void on_tracker_disconnect(const redisAsyncContext *context, int status)
{
    struct redis_link *link = context->data;
    (void)status;
    if (!link)
        return;
    log_debug("redis", "%s: the connection that tells of changes was lost", redis_link_name(link));
    link->tracker = NULL;
    link->arming = false;
    tracker_set_armed(link, false);
    tracker_try_later(link);
}

/* A name as the server has it, into the key that it is about: the value's, or its lease's. */
static void tell_change(struct redis_link *link, struct slice name)
{
    struct slice value_prefix = slice_of(link->value_prefix);
    struct slice lease_prefix = slice_of(link->lease_prefix);
    bool is_value = slice_starts(name, value_prefix);
    if (is_value) {
        name = slice_from(name, value_prefix.len);
    } else if (slice_starts(name, lease_prefix) && name.data[name.len - 1] == '}') {
        name = slice_from(name, lease_prefix.len);
        name.len--;
    } else {
        return;
    }
    link->owner.changed(link->owner.context, link, name, !is_value);
}

/* ["message", channel, [key, ...]], or nil in place of the keys after FLUSHALL and FLUSHDB. */
static void on_message(struct redis_link *link, const redisReply *keys)
{
    if (keys->type != REDIS_REPLY_ARRAY) {
        link->owner.changed(link->owner.context, link, (struct slice){0}, false);
        return;
    }
    for (size_t i = 0; i < keys->elements && link->armed; i++)
        if (keys->element[i]->type == REDIS_REPLY_STRING)
            tell_change(link, (struct slice){keys->element[i]->str, keys->element[i]->len});
}

static void on_armed(void *caller, redisReply *reply)
{
    struct redis_link *link = caller;
    link->arms_pending--;
    if (!reply || !link->arming || link->arms_pending > 0)
        return; /* it was about a tracker that is gone */
    if (reply->type != REDIS_REPLY_ERROR) {
        ev_timer_stop(link->loop, &link->tracker_timer);
        link->refused = false;
        tracker_set_armed(link, true);
        return;
    }
    if (!link->refused)
        log_warning("redis",
                    "%s: CLIENT TRACKING is refused (%s): the memory cache is off, and waiting "
                    "requests look again only now and then",
                    redis_link_name(link), reply->str);
    link->refused = true;
    tracker_lose(link, reply->str);
}

/* OFF first: ON again with the same prefixes is refused. */
static void arm(struct redis_link *link, long long id)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", id);
    if (!SEND_WORDS(link, on_greeting, "CLIENT", "TRACKING", "OFF") ||
        !SEND_WORDS(link, on_armed, "CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST",
                    "NOLOOP", "PREFIX", link->value_prefix, "PREFIX", link->lease_prefix)) {
        tracker_lose(link, "out of memory");
        return;
    }
    link->arming = true;
    link->arms_pending++;
}

static void on_tracker_id(redisAsyncContext *context, void *answer, void *privdata)
{
    struct redis_link *link = context->data;
    redisReply *reply = answer;
    (void)privdata;
    if (!link || !reply)
        return;
    if (reply->type != REDIS_REPLY_INTEGER) {
        tracker_lose(link, reply->type == REDIS_REPLY_ERROR ? reply->str : "no CLIENT ID");
        return;
    }
    arm(link, reply->integer);
}

static void on_tracker_message(redisAsyncContext *context, void *answer, void *privdata)
{
    struct redis_link *link = context->data;
    redisReply *reply = answer;
    (void)privdata;
    if (!link || !reply)
        return;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
        reply->element[0]->type == REDIS_REPLY_STRING &&
        strcasecmp(reply->element[0]->str, "message") == 0 && link->armed)
        on_message(link, reply->element[2]);
}

/* SUBSCRIBE follows CLIENT ID without waiting, so it is in force before TRACKING ON is sent. */
static void tracker_start(struct redis_link *link)
{
    const struct redis_address *address = &link->address;
    const char *reason;
    tracker_within(link, TRACKER_TRY_S); /* to be armed in */
    redisAsyncContext *tracker = open_context(link, &link->tracker_guard, &reason);
    if (!tracker)
        return;
    tracker->data = link;
    link->tracker = tracker;
    /* What the server has told before a request came is heard before the request is read, even if
     * both are read in one turn of the loop. */
    ev_set_priority(&((redisLibevEvents *)tracker->ev.data)->rev, EV_MAXPRI);
    redisAsyncSetConnectCallback(tracker, on_tracker_connect);
    redisAsyncSetDisconnectCallback(tracker, on_tracker_disconnect);
    int status = REDIS_OK;
    if (address->user[0])
        status |=
            redisAsyncCommand(tracker, NULL, NULL, "AUTH %s %s", address->user, address->password);
    else if (address->password[0])
        status |= redisAsyncCommand(tracker, NULL, NULL, "AUTH %s", address->password);
    status |= redisAsyncCommand(tracker, on_tracker_id, NULL, "CLIENT ID");
    status |= redisAsyncCommand(tracker, on_tracker_message, NULL, "SUBSCRIBE " CHANNEL);
    if (status != REDIS_OK)
        tracker_lose(link, "out of memory");
}

/* It was not armed in time, or it is time for the next try. */
static void on_tracker_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct redis_link *link = timer->data;
    (void)loop, (void)events;
    tracker_stop(link);
    tracker_start(link);
}

/* --- both --- */

struct redis_link *redis_link_new(struct ev_loop *loop, const struct cache_settings *settings,
                                  const struct redis_address *address,
                                  const struct redis_link_owner *owner)
{
    struct redis_link *link = alloc_zeroed(sizeof *link);
    if (!link)
        return NULL;
    link->loop = loop;
    link->settings = settings;
    link->address = *address;
    link->owner = *owner;
    link->retry_after = RETRY_FIRST_S;
    snprintf(link->value_prefix, sizeof link->value_prefix, "%s:", settings->name_space);
    snprintf(link->lease_prefix, sizeof link->lease_prefix, "lease:{%s:", settings->name_space);
    link->guard = (struct reader_guard){READER_COMMANDS, is_awaited, link};
    link->tracker_guard = (struct reader_guard){.rule = READER_MESSAGES};
    timeout_queue_init(&link->deadlines, loop, settings->redis_timeout, on_deadline, link);
    ev_timer_init(&link->retry, on_retry, 0., 0.);
    ev_timer_init(&link->tracker_timer, on_tracker_timer, 0., 0.);
    link->retry.data = link->tracker_timer.data = link;
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
    tracker_stop(link);
    if (context) {
        context->data = NULL;
        redisAsyncFree(context);
    }
    redis_sentinel_cancel(link->search);
    resolve_cancel(link->resolve);
    ev_timer_stop(link->loop, &link->retry);
    ev_timer_stop(link->loop, &link->tracker_timer);
    timeout_queue_stop(&link->deadlines);
    free(link);
}
