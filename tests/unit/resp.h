/* Redis' replies, from the text in which they come. */
#ifndef WORKERLESS_UNIT_RESP_H
#define WORKERLESS_UNIT_RESP_H

#include <hiredis/hiredis.h>

#include "unit.h"

/* The reply, which the caller frees. NULL, the connection broke, gives NULL. */
static inline redisReply *resp_parse(const char *resp)
{
    void *parsed = NULL;
    if (!resp)
        return NULL;
    redisReader *reader = redisReaderCreate();
    assert_int_equal(redisReaderFeed(reader, resp, strlen(resp)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &parsed), REDIS_OK);
    redisReaderFree(reader);
    assert_non_null(parsed);
    return parsed;
}

#endif
