/* Access to a server's reply without hiredis' headers. Pure. */
#ifndef WORKERLESS_REDIS_REPLY_H
#define WORKERLESS_REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct redisReply; /* of hiredis */

/* `reply` is valid during the call. NULL: the server did not answer in time, or the connection
 * broke. */
typedef void redis_reply_fn(void *caller, struct redisReply *reply);

/* The text of an error, terminated; NULL: the reply is not an error. */
const char *redis_reply_error(const struct redisReply *reply);

/* Whether the reply is a status, such as OK. */
bool redis_reply_is_status(const struct redisReply *reply);

/* The bytes of a string, terminated. data is NULL if the reply is not a string. */
struct slice redis_reply_string(const struct redisReply *reply);

bool redis_reply_is_number(const struct redisReply *reply);

/* The number; 0 if the reply is not a number. */
long long redis_reply_number(const struct redisReply *reply);

bool redis_reply_is_array(const struct redisReply *reply);

/* The number of elements of an array, which are counted from 0; 0 if it is not an array. */
size_t redis_reply_count(const struct redisReply *reply);
const struct redisReply *redis_reply_at(const struct redisReply *reply, size_t index);

#endif
