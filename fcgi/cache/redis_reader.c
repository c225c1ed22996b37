/* hiredis' own way to make replies, after a look at whether they may be made at all. */
#include "cache/redis_reader.h"

#include <hiredis/hiredis.h>
#include <strings.h>

/* Keys that change at once are told in one array; nothing else comes near. */
#define ELEMENTS_MAX (1 << 20)

#if HIREDIS_MAJOR >= 1
#define ARRAY_COUNT size_t
#else
#define ARRAY_COUNT int
#endif

static const redisReplyObjectFunctions *original; /* the same of all readers */

/* A message is [kind, channel, ...]: both are strings. */
static bool is_like_a_message(const redisReadTask *task, int type)
{
    return task->parent->parent || task->idx > 1 || type == REDIS_REPLY_STRING;
}

/* Whether what the task reads may be of that type. Error replies hiredis can take at any time (-ERR
 * max number of clients reached). */
static bool allowed(const redisReadTask *task, int type)
{
    const struct reader_guard *guard = task->privdata;
    switch (guard->rule) {
    case READER_COMMANDS:
        return task->parent || type == REDIS_REPLY_ERROR || guard->awaited(guard->context);
    case READER_MESSAGES:
        return !task->parent || is_like_a_message(task, type);
    case READER_ANY:
    default:
        return true;
    }
}

/* All messages that are for us have three elements. hiredis reads the third one of "unsubscribe"
 * as a number; nobody here unsubscribes. */
static bool ends_subscription(const redisReadTask *task, const char *text, size_t len)
{
    const struct reader_guard *guard = task->privdata;
    return guard->rule == READER_MESSAGES && task->parent && !task->parent->parent &&
           task->idx == 0 && len >= 2 &&
           (strncasecmp(text, "u", 1) == 0 || strncasecmp(text, "pu", 2) == 0);
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    return allowed(task, task->type) && !ends_subscription(task, text, len)
               ? original->createString(task, text, len)
               : NULL;
}

static void *create_array(const redisReadTask *task, ARRAY_COUNT count)
{
    const struct reader_guard *guard = task->privdata;
    bool too_few = guard->rule == READER_MESSAGES && !task->parent && count != 3;
    return allowed(task, task->type) && !too_few && count <= ELEMENTS_MAX
               ? original->createArray(task, count)
               : NULL;
}

static void *create_integer(const redisReadTask *task, long long number)
{
    return allowed(task, task->type) ? original->createInteger(task, number) : NULL;
}

/* hiredis types the task as the string or array that it is not. */
static void *create_nil(const redisReadTask *task)
{
    return allowed(task, REDIS_REPLY_NIL) ? original->createNil(task) : NULL;
}

#if HIREDIS_MAJOR >= 1
static void *create_double(const redisReadTask *task, double number, char *text, size_t len)
{
    return allowed(task, task->type) ? original->createDouble(task, number, text, len) : NULL;
}

static void *create_bool(const redisReadTask *task, int value)
{
    return allowed(task, task->type) ? original->createBool(task, value) : NULL;
}
#endif

void redis_reader_guard(struct redisReader *reader, struct reader_guard *guard)
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
