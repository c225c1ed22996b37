/* One Redis server: a connection for commands, and one for what the server tells on its own.
 *
 * The server may be absent, hang, or come back at any time. A command is answered within the
 * timeout whatever happens, if only by NULL, and reconnecting goes on by itself. See
 * tracker.h for the second connection.
 */
#ifndef WORKERLESS_REDIS_SERVER_H
#define WORKERLESS_REDIS_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "redis/trouble.h"

struct redis_settings;
struct ev_loop;
struct redis_guard;
struct redisAsyncContext;
struct redisReply;
struct redis_address;
struct redis_server;
struct redis_tls;

/* What the owner of servers has to say, and wants to know. `context` is the owner's. */
struct redis_events {
    void *context;
    const char *name_space; /* borrowed: of the keys that are told about */
    size_t value_max;       /* bytes of the largest value that is read */
    struct redis_tls *tls;  /* borrowed; NULL: the address is without */
    bool quiet;             /* until a server is reached, its absence is not logged */
    /* Commands can be sent again after they could not. */
    void (*ready)(void *context, struct redis_server *server);
    /* The server is gone. Called once for each time that it was ready. */
    void (*lost)(void *context, struct redis_server *server);
    /* From now on (or no longer) every change of a key is told. Between the two nothing is. */
    void (*tracking)(void *context, struct redis_server *server, bool on);
    /* The value of a key has changed, expired or is gone; or only its lease has. data is NULL: any
     * key may have. */
    void (*changed)(void *context, struct redis_server *server, struct slice key, bool lease_only);
};

/* `reply` belongs to hiredis and lives during the call. NULL: there was no answer in time, or the
 * connection broke. */
typedef void redis_reply_fn(void *caller, struct redisReply *reply);

/* The settings are borrowed; the address and the owner are copied. Begins to connect. Returns what
 * the caller owns, or NULL when out of memory. */
struct redis_server *redis_server_new(struct ev_loop *loop, const struct redis_settings *settings,
                                      const struct redis_address *address,
                                      const struct redis_events *owner);

/* Every command under way is answered with NULL. The owner is told no more. NULL is allowed. */
void redis_server_free(struct redis_server *server);

/* Whether commands are accepted now. False as soon as one went unanswered for the timeout. */
bool redis_server_usable(const struct redis_server *server);

/* Why it is of no use, or REDIS_WELL: it is connected, and permits all that we need. */
enum redis_trouble redis_server_trouble(const struct redis_server *server);

/* An ACL has denied a command: finds out what else it denies. */
void redis_server_doubt(struct redis_server *server);

/* Whether changes of keys are told now. */
bool redis_server_tracking(const struct redis_server *server);

/* Whether a command waits for its answer. */
bool redis_server_busy(const struct redis_server *server);

/* Sends a command. `answered` is called exactly once, never before this returns. False: it was not
 * sent, and `answered` is never called. */
bool redis_server_send(struct redis_server *server, int argc, const char **argv, const size_t *lens,
                       redis_reply_fn *answered, void *caller);

/* The same of words, 12 at the most. */
bool redis_server_send_words(struct redis_server *server, redis_reply_fn *answered, void *caller,
                             int count, const char **words);

/* For the tracker: a further connection to the same server, and what begins it. redis_server_connect
 * returns NULL with the reason, which lives until the next call; its context's `data` is not set.
 * redis_server_start_tls belongs into the callback that says that it stands; false: it can't be used.
 * redis_server_login queues AUTH if that is needed; REDIS_OK or REDIS_ERR. */
struct redisAsyncContext *redis_server_connect(struct redis_server *server,
                                               struct redis_guard *guard, const char **reason);
bool redis_server_start_tls(const struct redis_server *server, struct redisAsyncContext *context);
int redis_server_login(const struct redis_server *server, struct redisAsyncContext *context);

/* The address in use, as the log shows it. */
const char *redis_server_name(const struct redis_server *server);

/* The literal address in use; empty for a unix socket, and before the first connection. */
const char *redis_server_literal(const struct redis_server *server);

#endif
