/* TLS to Redis: whom to trust, and what went wrong if it was not trusted.
 *
 * It takes a hiredis with hiredis_ssl. A build without it has the same functions, of which
 * redis_tls_new always fails.
 */
#ifndef WORKERLESS_REDIS_TLS_H
#define WORKERLESS_REDIS_TLS_H

#include <stdbool.h>

struct redis_problem;
struct redis_settings;
struct redisAsyncContext;
struct redis_tls;

bool redis_tls_is_built(void);

/* Reads the files that the settings name, which are borrowed. Returns what the caller owns, or NULL
 * with the problem. */
struct redis_tls *redis_tls_new(const struct redis_settings *settings,
                                struct redis_problem *problem);

/* Connections that were begun with it may outlive it. NULL is allowed. */
void redis_tls_free(struct redis_tls *tls);

/* To be called by the callback that says that the connection stands: what was to be sent goes out
 * when the server, by its certificate, has turned out to be `host` (a name or a literal address).
 * Else the connection breaks, and its errstr says why. False: it can't be used, and context->c.errstr
 * says why.
 *
 * Not earlier, though hiredis would allow it: its look whether the connection stands would throw
 * away what a server said that refused us and closed the connection. */
bool redis_tls_start(struct redis_tls *tls, struct redisAsyncContext *context, const char *host);
#endif
