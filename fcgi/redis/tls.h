/* TLS to Redis: verifies certificates and explains errors.
 *
 * TLS requires hiredis with hiredis_ssl. A build without it has the same functions, but
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

/* Reads the files that the settings name. The settings are borrowed. Returns what the caller owns,
 * or NULL with the problem. */
struct redis_tls *redis_tls_new(const struct redis_settings *settings,
                                struct redis_problem *problem);

/* Connections that were started with it may outlive it. NULL is allowed. */
void redis_tls_free(struct redis_tls *tls);

/* Call it from hiredis' connect callback. Queued commands are sent once the server's certificate
 * has been verified for `host` (a name or a literal address). If it is not valid, the connection
 * breaks and its errstr says why. Returns false, with the reason in context->c.errstr, if TLS could
 * not be started.
 *
 * hiredis would allow this call earlier. But then its check whether the connection is established
 * would discard the message of a server that has rejected us and closed the connection. */
bool redis_tls_start(struct redis_tls *tls, struct redisAsyncContext *context, const char *host);
#endif
