/* Limits what hiredis accepts from a server: which replies, and how large.
 *
 * hiredis buffers a reply until it is complete, however large the server announces it to be. With a
 * guard, the connection ends as soon as the announced size is over the limit, before memory is
 * allocated for it.
 *
 * hiredis allocates as many array elements as the server announces; it asserts that a command waits
 * for each reply, and that messages look like messages. A reply that the guard rejects ends the
 * connection instead of the process.
 */
#ifndef WORKERLESS_REDIS_GUARD_H
#define WORKERLESS_REDIS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes that a reply may have in addition to a value; replies without one are far smaller. */
#define REDIS_GUARD_SLACK ((size_t)16 << 20)

struct ev_loop;
struct redisAsyncContext;

enum redis_guard_rule {
    REDIS_GUARD_ANY,      /* rejects only arrays that are too large */
    REDIS_GUARD_COMMANDS, /* also rejects replies that no command waits for */
    REDIS_GUARD_MESSAGES, /* also rejects messages that would make hiredis abort */
};

struct redis_guard {
    enum redis_guard_rule rule;
    size_t most;  /* bytes of a reply, including what hiredis allocates for its elements */
    size_t taken; /* by the reply that is being read, so far */
    const struct redisAsyncContext *context;
};

/* Puts the context under the guard, whose `rule` and `most` are set, and attaches it to the loop.
 * Call it before anything is read. Returns false if it could not be attached. */
bool redis_guard_attach(struct ev_loop *loop, struct redisAsyncContext *context,
                        struct redis_guard *guard);

/* Lets the guard be freed before the context: from now on every reply is rejected. */
void redis_guard_release(struct redisAsyncContext *context);

#endif
