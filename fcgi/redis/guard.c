/* Wraps hiredis' functions that create replies, and its read callback, and checks the limits before
 * they run. */
#include "redis/guard.h"

#include <ev.h>
#include <hiredis/adapters/libev.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Keys that change together are reported in one array; no other reply is nearly as large. */
#define ELEMENTS_MAX (1 << 20)

#if HIREDIS_MAJOR >= 1
#define ARRAY_COUNT size_t
#else
#define ARRAY_COUNT int
#endif

static const redisReplyObjectFunctions *original; /* the same for all readers */

/* A message is [kind, channel, ...], both strings. */
static bool is_like_a_message(const redisReadTask *task, int type)
{
    return task->parent->parent || task->idx > 1 || type == REDIS_REPLY_STRING;
}

/* Whether what the task reads may have that type. hiredis accepts an error reply at any time (-ERR
 * max number of clients reached). */
static bool is_expected(const struct redis_guard *guard, const redisReadTask *task, int type)
{
    switch (guard->rule) {
    case REDIS_GUARD_COMMANDS:
        return task->parent || type == REDIS_REPLY_ERROR || guard->context->replies.head;
    case REDIS_GUARD_MESSAGES:
        return !task->parent || is_like_a_message(task, type);
    case REDIS_GUARD_ANY:
    default:
        return true;
    }
}

/* Whether the reply that the task belongs to may take that many more bytes. */
static bool is_affordable(struct redis_guard *guard, const redisReadTask *task, size_t bytes)
{
    if (!task->parent)
        guard->taken = 0;
    if (bytes > guard->most || guard->taken > guard->most - bytes)
        return false;
    guard->taken += bytes;
    return true;
}

static bool allowed(const redisReadTask *task, int type, size_t bytes)
{
    struct redis_guard *guard = task->privdata;
    return is_expected(guard, task, type) && is_affordable(guard, task, sizeof(redisReply) + bytes);
}

/* All messages for us have three elements. hiredis reads the third one of "unsubscribe" as a
 * number, and we never unsubscribe. */
static bool ends_subscription(const redisReadTask *task, const char *text, size_t len)
{
    const struct redis_guard *guard = task->privdata;
    return guard->rule == REDIS_GUARD_MESSAGES && task->parent && !task->parent->parent &&
           task->idx == 0 && len >= 2 &&
           (strncasecmp(text, "u", 1) == 0 || strncasecmp(text, "pu", 2) == 0);
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    return allowed(task, task->type, len) && !ends_subscription(task, text, len)
               ? original->createString(task, text, len)
               : NULL;
}

static void *create_array(const redisReadTask *task, ARRAY_COUNT count)
{
    const struct redis_guard *guard = task->privdata;
    bool too_few = guard->rule == REDIS_GUARD_MESSAGES && !task->parent && count != 3;
    return !too_few && count <= ELEMENTS_MAX &&
                   allowed(task, task->type, (size_t)count * sizeof(redisReply *))
               ? original->createArray(task, count)
               : NULL;
}

static void *create_integer(const redisReadTask *task, long long number)
{
    return allowed(task, task->type, 0) ? original->createInteger(task, number) : NULL;
}

/* hiredis gives the task the type string or array, although it is nil. */
static void *create_nil(const redisReadTask *task)
{
    return allowed(task, REDIS_REPLY_NIL, 0) ? original->createNil(task) : NULL;
}

#if HIREDIS_MAJOR >= 1
static void *create_double(const redisReadTask *task, double number, char *text, size_t len)
{
    return allowed(task, task->type, 0) ? original->createDouble(task, number, text, len) : NULL;
}

static void *create_bool(const redisReadTask *task, int value)
{
    return allowed(task, task->type, 0) ? original->createBool(task, value) : NULL;
}
#endif

/* The announced length of the string at the beginning of the unread bytes; 0: they don't begin with
 * one. hiredis has removed the type byte, and leaves the length in place until the string is
 * complete. No other reply waits with a complete first line. */
static size_t announced(const char *waiting, size_t len)
{
    size_t number = 0, i = 0;
    for (; i < len && waiting[i] >= '0' && waiting[i] <= '9' && number < SIZE_MAX / 100; i++)
        number = number * 10 + (size_t)(waiting[i] - '0');
    return len - i >= 2 && waiting[i] == '\r' && waiting[i + 1] == '\n' ? number : 0;
}

/* Whether the pending reply is, or will be, larger than the guard allows. */
static bool is_too_long(const redisReader *reader, const struct redis_guard *guard)
{
    size_t waiting = reader->len - reader->pos;
    return waiting > guard->most ||
           (waiting > 0 && announced(reader->buf + reader->pos, waiting) > guard->most);
}

/* Replaces the adapter's callback. An error of the reader makes hiredis end the connection. */
static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    redisLibevEvents *attached = watcher->data;
    redisReader *reader = attached->context->c.reader;
    (void)loop, (void)events;
    if (!reader->err && is_too_long(reader, reader->privdata)) {
        reader->err = REDIS_ERR_PROTOCOL;
        snprintf(reader->errstr, sizeof reader->errstr, "a reply is too long");
    }
    redisAsyncHandleRead(attached->context);
}

static void guard_reader(redisReader *reader, struct redis_guard *guard)
{
    static redisReplyObjectFunctions guarded;
    if (!original) {
        original = reader->fn;
        guarded = *original;
        guarded.createString = create_string;
        guarded.createArray = create_array;
        guarded.createInteger = create_integer;
        guarded.createNil = create_nil;
#if HIREDIS_MAJOR >= 1
        guarded.createDouble = create_double;
        guarded.createBool = create_bool;
#endif
    }
    reader->fn = &guarded;
    reader->privdata = guard;
}

bool redis_guard_attach(struct ev_loop *loop, redisAsyncContext *context, struct redis_guard *guard)
{
    guard->context = context;
    guard_reader(context->c.reader, guard);
    if (redisLibevAttach(loop, context) != REDIS_OK)
        return false;
    ev_set_cb(&((redisLibevEvents *)context->ev.data)->rev, on_readable);
    return true;
}

void redis_guard_release(redisAsyncContext *context)
{
    static struct redis_guard nothing = {.rule = REDIS_GUARD_ANY, .most = 0};
    context->c.reader->privdata = &nothing;
}
