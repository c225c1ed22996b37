/* What hiredis may believe of a server.
 *
 * hiredis takes room for as many array elements as the server says, and asserts that each reply has
 * a command that waits for it, and that messages look like messages. A reply that is refused here
 * ends its connection instead of the process.
 */
#ifndef WORKERLESS_CACHE_REDIS_READER_H
#define WORKERLESS_CACHE_REDIS_READER_H

#include <stdbool.h>

struct redisReader;

enum reader_rule {
    READER_ANY,      /* only arrays that are too large are refused */
    READER_COMMANDS, /* and replies that no command waits for */
    READER_MESSAGES, /* and messages that hiredis' subscriptions could not bear */
};

struct reader_guard {
    enum reader_rule rule;
    bool (*awaited)(const void *context); /* READER_COMMANDS: whether a command waits */
    const void *context;
};

/* To be called before anything is read. The guard outlives the reader. */
void redis_reader_guard(struct redisReader *reader, struct reader_guard *guard);

#endif
