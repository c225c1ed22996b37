/* Access to hiredis' replies, whose lengths have different types in its versions. */
#include "redis/reply.h"

#include <hiredis/hiredis.h>

const char *redis_reply_error(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR ? reply->str : NULL;
}

bool redis_reply_is_status(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STATUS;
}

struct slice redis_reply_string(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING
               ? (struct slice){.data = reply->str, .len = (size_t)reply->len}
               : (struct slice){0};
}

bool redis_reply_is_number(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER;
}

long long redis_reply_number(const redisReply *reply)
{
    return redis_reply_is_number(reply) ? reply->integer : 0;
}

bool redis_reply_is_array(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY;
}

size_t redis_reply_count(const redisReply *reply)
{
    return redis_reply_is_array(reply) ? reply->elements : 0;
}

const redisReply *redis_reply_at(const redisReply *reply, size_t index)
{
    return reply->element[index];
}
