/* hiredis' own way to make replies, after a look at whether they may be made at all. */
#include "cache/redis_reader.h"

#include <hiredis/hiredis.h>

/* Keys that change at once are told in one array; nothing else comes near. */
#define ELEMENTS_MAX (1 << 20)

#if HIREDIS_MAJOR >= 1
#define ARRAY_COUNT size_t
#else
#define ARRAY_COUNT int
#endif

static const redisReplyObjectFunctions *original; /* the same of all readers */

/* Error replies hiredis can take at any time (-ERR max number of clients reached). */
static bool allowed(const redisReadTask *task, ARRAY_COUNT count)
{
    const struct reader_guard *guard = task->privdata;
    if (task->type == REDIS_REPLY_ARRAY && count > ELEMENTS_MAX)
        return false;
    switch (guard->rule) {
    case READER_COMMANDS:
        return task->parent || task->type == REDIS_REPLY_ERROR || guard->awaited(guard->context);
    case READER_MESSAGES: /* an array of two elements at least, the first of them a string */
        if (!task->parent)
            return task->type != REDIS_REPLY_ARRAY || count >= 2;
        return task->parent->parent || task->idx > 0 || task->type == REDIS_REPLY_STRING;
    case READER_ANY:
    default:
        return true;
    }
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    return allowed(task, 0) ? original->createString(task, text, len) : NULL;
}

static void *create_array(const redisReadTask *task, ARRAY_COUNT count)
{
    return allowed(task, count) ? original->createArray(task, count) : NULL;
}

static void *create_integer(const redisReadTask *task, long long number)
{
    return allowed(task, 0) ? original->createInteger(task, number) : NULL;
}

static void *create_nil(const redisReadTask *task)
{
    redisReadTask nil = *task; /* which hiredis types as the string or array that it is not */
    nil.type = REDIS_REPLY_NIL;
    return allowed(&nil, 0) && allowed(task, 0) ? original->createNil(task) : NULL;
}

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
    }
    reader->fn = &guarded;
    reader->privdata = guard;
}
