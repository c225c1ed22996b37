/* What a server has answered, for those who don't know hiredis. Pure. */
#ifndef WORKERLESS_REDIS_REPLY_H
#define WORKERLESS_REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct redisReply; /* of hiredis */

/* `reply` lives during the call. NULL: there was no answer in time, or the connection broke. */
typedef void redis_reply_fn(void *caller, struct redisReply *reply);

/* Its text, followed by '\0'; NULL: it is no error. */
const char *redis_reply_error(const struct redisReply *reply);

/* Whether it is a status, such as OK. */
bool redis_reply_is_status(const struct redisReply *reply);

/* The bytes of a string, followed by '\0'. data is NULL: it is no string. */
struct slice redis_reply_string(const struct redisReply *reply);

bool redis_reply_is_number(const struct redisReply *reply);

/* The number; 0: it is none. */
long long redis_reply_number(const struct redisReply *reply);

bool redis_reply_is_array(const struct redisReply *reply);

/* How many elements an array has; 0: it is none. Elements are counted from 0. */
size_t redis_reply_count(const struct redisReply *reply);
const struct redisReply *redis_reply_at(const struct redisReply *reply, size_t index);

#endif
