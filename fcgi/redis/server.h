/* One Redis server: a connection for commands, and one for the server's messages about changes.
 *
 * The server may be down, hang, or come back at any time. Whatever happens, a command is answered
 * within the timeout (with NULL if need be), and the client keeps reconnecting by itself. See
 * tracker.h for the second connection.
 */
#ifndef WORKERLESS_REDIS_SERVER_H
#define WORKERLESS_REDIS_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "redis/reply.h"
#include "redis/trouble.h"

struct ev_loop;
struct redis_address;
struct redis_events;
struct redis_needs;
struct redis_server;
struct redis_settings;
struct redis_tls;

/* What all servers of a client share. All of it is borrowed and outlives them. */
struct redis_servers {
    struct ev_loop *loop;
    const struct redis_settings *settings;
    const struct redis_needs *needs;
    const struct redis_events *events;
    struct redis_tls *tls; /* NULL: no TLS */
    /* Called before the event `lost`; may be NULL. */
    void (*lost)(void *context);
    void *context;
};

/* The address is copied. `quiet`: failures are not logged until the server was reached once.
 * Starts to connect. Returns what the caller owns, or NULL when out of memory. */
struct redis_server *redis_server_new(const struct redis_servers *servers,
                                      const struct redis_address *address, bool quiet);

/* Answers every pending command with NULL. No more events follow. NULL is allowed. */
void redis_server_free(struct redis_server *server);

/* Whether commands are accepted now. False as soon as one was not answered within the timeout. */
bool redis_server_usable(const struct redis_server *server);

/* Why it can't be used; REDIS_WELL: it is connected, and permits everything that we need. */
enum redis_trouble redis_server_trouble(const struct redis_server *server);

/* An ACL has denied a command: checks what else it denies. */
void redis_server_doubt(struct redis_server *server);

/* Whether changes of keys are reported now. */
bool redis_server_tracking(const struct redis_server *server);

/* Whether a command has not been answered yet. */
bool redis_server_busy(const struct redis_server *server);

/* Sends a command, if the server is usable. `answered` is called exactly once, never before this
 * returns. Returns false, and never calls `answered`, if the command was not sent. */
bool redis_server_send(struct redis_server *server, int argc, const char **argv, const size_t *lens,
                       redis_reply_fn *answered, void *caller);

/* The same for terminated words, at most REDIS_WORDS_MAX. */
bool redis_server_send_words(struct redis_server *server, redis_reply_fn *answered, void *caller,
                             int count, const char **words);

/* The address in use, as the log shows it. */
const char *redis_server_name(const struct redis_server *server);

/* The literal address in use; empty for a unix socket, and before the first connection. */
const char *redis_server_literal(const struct redis_server *server);

#endif
