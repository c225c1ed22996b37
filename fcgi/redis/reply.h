/* What a server has answered. */
#ifndef WORKERLESS_REDIS_REPLY_H
#define WORKERLESS_REDIS_REPLY_H

struct redisReply;

/* `reply` belongs to hiredis and lives during the call. NULL: there was no answer in time, or the
 * connection broke. */
typedef void redis_reply_fn(void *caller, struct redisReply *reply);

#endif
