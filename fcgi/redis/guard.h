/* What hiredis may believe of a server, and how much it takes from one.
 *
 * hiredis keeps what it has read until a reply is complete, however long the server says that it
 * will be. Here the connection ends as soon as that is known to be too much, before there is memory
 * for it.
 *
 * hiredis takes room for as many array elements as the server says, and asserts that each reply has
 * a command that waits for it, and that messages look like messages. A reply that is refused here
 * ends its connection instead of the process.
 */
#ifndef WORKERLESS_REDIS_GUARD_H
#define WORKERLESS_REDIS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a reply besides those of a value: replies without one stay far below it. */
#define REDIS_GUARD_SLACK ((size_t)16 << 20)

struct ev_loop;
struct redisAsyncContext;

enum redis_guard_rule {
    REDIS_GUARD_ANY,      /* only arrays that are too large are refused */
    REDIS_GUARD_COMMANDS, /* and replies that no command waits for */
    REDIS_GUARD_MESSAGES, /* and messages that hiredis' subscriptions could not bear */
};

struct redis_guard {
    enum redis_guard_rule rule;
    size_t most;  /* bytes of a reply, those that hiredis takes for its elements included */
    size_t taken; /* by the reply that is being read, up to now */
    const struct redisAsyncContext *context;
};

/* Puts the context under the guard, of which rule and most are set, and attaches it to the loop. To
 * be called before anything is read. False: it could not be attached. */
bool redis_guard_attach(struct ev_loop *loop, struct redisAsyncContext *context,
                        struct redis_guard *guard);

/* The guard may be freed before the context is: from now on no reply is taken. */
void redis_guard_release(struct redisAsyncContext *context);

#endif
