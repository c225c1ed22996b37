/* One connection to Redis, and what becomes of commands when it breaks.
 *
 *     DOWN --retry--> RESOLVING --> GREETING (AUTH, SELECT, PING) --> READY
 *       ^                |               |                             |
 *       '----------------'---------------'------ redis_lose -----------'
 *
 * Commands are pipelined and answered in order, so the oldest one's deadline is enough: when it
 * passes, the connection is given up, and hiredis answers all that is pending with NULL.
 */
#include "cache/redis.h"

#include <arpa/inet.h>
#include <ev.h>
#include <hiredis/adapters/libev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/resolve.h"
#include "base/timeout.h"
#include "cache/entry.h"
#include "cache/redis_address.h"

#define RETRY_FIRST_S        0.05
#define RETRY_LONGEST_S      2.0
#define PENDING_MAX          ((size_t)64 << 20) /* bytes of commands without an answer */
#define COMPLAINT_EVERY_S    10.0
#define PLAIN_WITHOUT_TTL_MS 60000 /* fresh time of a value that somebody set without expiry */

enum redis_state { REDIS_DOWN, REDIS_RESOLVING, REDIS_GREETING, REDIS_READY };

struct redis {
    struct ev_loop *loop;
    const struct cache_settings *settings;
    struct redis_address address;
    enum redis_state state;
    bool lost;                  /* since it was last ready, or ever: "gone" has been logged */
    redisAsyncContext *context; /* while GREETING and READY */
    struct resolve *resolve;    /* while RESOLVING */
    ev_timer retry;             /* while DOWN */
    double retry_after;
    struct timeout_queue deadlines;
    size_t pending_bytes;
    double complained_at;
    redis_ready_fn *ready;
    void *ready_context;
};

struct command;
typedef void command_fn(struct command *command, redisReply *reply);

struct command {
    struct redis *redis;
    struct timeout deadline;
    command_fn *answered; /* exactly once; reply is NULL when the connection broke */
    size_t bytes;
    cache_found_fn *found; /* for a GET, and the PTTL that may follow it */
    void *caller;
    struct entry *plain; /* for that PTTL: owned */
    size_t key_len;
    char key[]; /* with the namespace, terminated */
};

static void redis_lose(struct redis *redis, const char *reason);
static void redis_connect(struct redis *redis);

/* --- commands --- */

/* A command about "namespace:key". NULL when out of memory. */
static struct command *command_new(struct redis *redis, struct slice key, command_fn *answered)
{
    const char *prefix = redis->settings->prefix;
    size_t size = strlen(prefix) + 1 + key.len + 1;
    struct command *command = alloc_zeroed(sizeof *command + size);
    if (!command)
        return NULL;
    command->redis = redis;
    command->answered = answered;
    command->key_len = (size_t)snprintf(command->key, size, "%s:%.*s", prefix, SLICE_ARGS(key));
    return command;
}

static void on_reply(redisAsyncContext *context, void *reply, void *privdata)
{
    struct command *command = privdata;
    (void)context;
    timeout_stop(&command->deadline);
    command->redis->pending_bytes -= command->bytes;
    command->answered(command, reply);
    entry_unref(command->plain);
    free(command);
}

/* Sends the command. False if it was not sent; it is still the caller's then. */
static bool command_send(struct command *command, int argc, const char **argv, const size_t *lens)
{
    struct redis *redis = command->redis;
    command->bytes = sizeof *command;
    for (int i = 0; i < argc; i++)
        command->bytes += lens[i];
    if (!redis->context || redis->pending_bytes + command->bytes > PENDING_MAX ||
        redisAsyncCommandArgv(redis->context, on_reply, command, argc, argv, lens) != REDIS_OK)
        return false;
    redis->pending_bytes += command->bytes;
    timeout_start(&redis->deadlines, &command->deadline);
    return true;
}

/* At most now and then: an error reply may come with every command. */
static void complain(struct redis *redis, const char *command, const redisReply *reply)
{
    double now = clock_monotonic();
    if (redis->complained_at > 0 && now - redis->complained_at < COMPLAINT_EVERY_S)
        return;
    redis->complained_at = now;
    log_warning("redis", "%s is refused: %s", command, reply->str);
}

static void on_deadline(void *context, struct timeout *deadline)
{
    struct redis *redis = context;
    char reason[64];
    (void)deadline;
    snprintf(reason, sizeof reason, "no answer within %.0f ms",
             redis->settings->redis_timeout * 1000);
    redis_lose(redis, reason);
}

/* --- GET, PTTL, SET --- */

static void on_pttl(struct command *command, redisReply *reply)
{
    int64_t ttl_ms = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    if (ttl_ms == -1)
        ttl_ms = PLAIN_WITHOUT_TTL_MS;
    struct entry *entry =
        ttl_ms > 0 ? entry_from_plain(command->plain->body, clock_wall_ms(), ttl_ms) : NULL;
    command->found(command->caller, entry);
    entry_unref(entry);
}

/* Somebody's plain string. How long it is good for is the key's own expiry. */
static void found_plain(struct command *get, struct slice value)
{
    struct command *pttl = alloc_zeroed(sizeof *pttl);
    if (pttl) {
        *pttl = (struct command){.redis = get->redis,
                                 .answered = on_pttl,
                                 .found = get->found,
                                 .caller = get->caller};
        pttl->plain = entry_from_plain(value, clock_wall_ms(), 0);
        const char *argv[] = {"PTTL", get->key};
        const size_t lens[] = {4, get->key_len};
        if (pttl->plain && command_send(pttl, 2, argv, lens))
            return;
        entry_unref(pttl->plain);
        free(pttl);
    }
    get->found(get->caller, NULL);
}

static void on_get(struct command *command, redisReply *reply)
{
    struct entry *entry = NULL;
    if (reply && reply->type == REDIS_REPLY_STRING) {
        struct slice value = {.data = reply->str, .len = reply->len};
        if (!entry_is_envelope(value)) {
            found_plain(command, value);
            return;
        }
        entry = entry_decode(value);
        if (!entry)
            log_warning("redis", "%s holds a damaged entry; it is made anew", command->key);
    } else if (reply && reply->type == REDIS_REPLY_ERROR) {
        complain(command->redis, "GET", reply);
    }
    bool fresh = entry && entry->fresh_until_ms > clock_wall_ms();
    command->found(command->caller, fresh ? entry : NULL);
    entry_unref(entry);
}

void redis_get(struct redis *redis, struct slice key, cache_found_fn *found, void *caller)
{
    struct command *command = command_new(redis, key, on_get);
    if (command) {
        command->found = found;
        command->caller = caller;
        const char *argv[] = {"GET", command->key};
        const size_t lens[] = {3, command->key_len};
        if (command_send(command, 2, argv, lens))
            return;
        free(command);
    }
    found(caller, NULL);
}

static void on_set(struct command *command, redisReply *reply)
{
    if (reply && reply->type == REDIS_REPLY_ERROR)
        complain(command->redis, "SET", reply);
}

bool redis_set(struct redis *redis, struct slice key, const struct entry *entry)
{
    char ttl[24];
    int64_t ttl_ms = entry->fresh_until_ms - clock_wall_ms();
    struct command *command = ttl_ms > 0 ? command_new(redis, key, on_set) : NULL;
    if (!command)
        return false;
    int ttl_len = snprintf(ttl, sizeof ttl, "%" PRId64, ttl_ms);
    const char *argv[] = {"SET", command->key, entry->encoded.data, "PX", ttl};
    const size_t lens[] = {3, command->key_len, entry->encoded.len, 2, (size_t)ttl_len};
    if (command_send(command, 5, argv, lens))
        return true;
    free(command);
    return false;
}

/* --- the connection --- */

bool redis_usable(const struct redis *redis)
{
    /* hiredis keeps what is sent before the first connection stands, so the first requests after
     * a start need not go to their sources. Later attempts prove themselves first. */
    return redis->state == REDIS_READY || (redis->state == REDIS_GREETING && !redis->lost);
}

static void redis_down(struct redis *redis, const char *reason)
{
    if (!redis->lost)
        log_warning("redis", "%s: %s; going on without it until it is back",
                    redis->address.unix_path[0] ? redis->address.unix_path : redis->address.host,
                    reason);
    redis->lost = true;
    redis->state = REDIS_DOWN;
    redis->context = NULL;
    ev_timer_set(&redis->retry, redis->retry_after * (0.5 + drand48() / 2), 0.);
    ev_timer_start(redis->loop, &redis->retry);
    redis->retry_after *= 2;
    if (redis->retry_after > RETRY_LONGEST_S)
        redis->retry_after = RETRY_LONGEST_S;
}

/* Gives the connection up; what is pending is answered with NULL by redisAsyncFree. */
static void redis_lose(struct redis *redis, const char *reason)
{
    redisAsyncContext *context = redis->context;
    if (!context)
        return;
    context->data = NULL; /* its disconnect callback has nothing to add */
    redis_down(redis, reason);
    redisAsyncFree(context);
}

static void on_connect(const redisAsyncContext *context, int status)
{
    struct redis *redis = context->data;
    if (redis && status != REDIS_OK)
        redis_down(redis, context->errstr); /* hiredis frees the context next */
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct redis *redis = context->data;
    if (redis)
        redis_down(redis, status == REDIS_OK ? "the connection was closed" : context->errstr);
}

static void on_greeting(struct command *command, redisReply *reply)
{
    struct redis *redis = command->redis;
    if (!reply || redis->state != REDIS_GREETING)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        redis_lose(redis, reply->str);
        return;
    }
    if (strcmp(command->key, "PING") != 0)
        return;
    redis->state = REDIS_READY;
    redis->retry_after = RETRY_FIRST_S;
    log_info("redis", redis->lost ? "back in use" : "connected");
    redis->lost = false;
    redis->ready(redis->ready_context);
}

static bool greet(struct redis *redis, int argc, const char **argv)
{
    struct command *command = alloc_zeroed(sizeof *command + 16);
    size_t lens[3];
    if (!command)
        return false;
    command->redis = redis;
    command->answered = on_greeting;
    snprintf(command->key, 16, "%s", argv[0]);
    for (int i = 0; i < argc; i++)
        lens[i] = strlen(argv[i]);
    if (command_send(command, argc, argv, lens))
        return true;
    free(command);
    return false;
}

static bool greet_all(struct redis *redis)
{
    const struct redis_address *address = &redis->address;
    char db[16];
    snprintf(db, sizeof db, "%d", address->db);
    if (address->user[0]) {
        if (!greet(redis, 3, (const char *[]){"AUTH", address->user, address->password}))
            return false;
    } else if (address->password[0]) {
        if (!greet(redis, 2, (const char *[]){"AUTH", address->password}))
            return false;
    }
    if (address->db != 0 && !greet(redis, 2, (const char *[]){"SELECT", db}))
        return false;
    return greet(redis, 1, (const char *[]){"PING"});
}

/* Takes the context: it is greeted, or freed and the reason given to redis_down. */
static void redis_adopt(struct redis *redis, redisAsyncContext *context)
{
    if (!context || context->err) {
        redis_down(redis, context ? context->errstr : "out of memory");
        if (context)
            redisAsyncFree(context);
        return;
    }
    context->data = redis;
    redis->context = context;
    redis->state = REDIS_GREETING;
    if (redisLibevAttach(redis->loop, context) != REDIS_OK ||
        redisAsyncSetConnectCallback(context, on_connect) != REDIS_OK ||
        redisAsyncSetDisconnectCallback(context, on_disconnect) != REDIS_OK || !greet_all(redis))
        redis_lose(redis, "out of memory");
}

static void on_resolved(void *caller, const char *address, const char *error)
{
    struct redis *redis = caller;
    redis->resolve = NULL;
    if (address)
        redis_adopt(redis, redisAsyncConnect(address, redis->address.port));
    else
        redis_down(redis, error);
}

static void redis_connect(struct redis *redis)
{
    if (redis->address.unix_path[0]) {
        redis_adopt(redis, redisAsyncConnectUnix(redis->address.unix_path));
        return;
    }
    unsigned char literal[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, redis->address.host, literal) == 1 ||
        inet_pton(AF_INET6, redis->address.host, literal) == 1) {
        redis_adopt(redis, redisAsyncConnect(redis->address.host, redis->address.port));
        return;
    }
    redis->state = REDIS_RESOLVING;
    redis->resolve = resolve_start(redis->loop, redis->address.host, on_resolved, redis);
    if (!redis->resolve)
        redis_down(redis, "out of memory");
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    redis_connect(timer->data);
}

struct redis *redis_new(struct ev_loop *loop, const struct cache_settings *settings,
                        redis_ready_fn *ready, void *context)
{
    struct redis *redis = alloc_zeroed(sizeof *redis);
    if (!redis)
        return NULL;
    redis->loop = loop;
    redis->settings = settings;
    redis->ready = ready;
    redis->ready_context = context;
    redis->retry_after = RETRY_FIRST_S;
    redis_address_parse(settings->redis, &redis->address);
    srand48((long)(clock_wall_ms() ^ getpid()));
    timeout_queue_init(&redis->deadlines, loop, settings->redis_timeout, on_deadline, redis);
    ev_timer_init(&redis->retry, on_retry, 0., 0.);
    redis->retry.data = redis;
    redis_connect(redis);
    return redis;
}

void redis_free(struct redis *redis)
{
    if (!redis)
        return;
    redisAsyncContext *context = redis->context;
    redis->context = NULL;
    redis->state = REDIS_DOWN;
    redis->lost = true;
    if (context) {
        context->data = NULL;
        redisAsyncFree(context);
    }
    resolve_cancel(redis->resolve);
    ev_timer_stop(redis->loop, &redis->retry);
    timeout_queue_stop(&redis->deadlines);
    free(redis);
}
