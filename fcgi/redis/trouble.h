/* Why a Redis can't be used: it is unavailable, or the config is wrong about it. Pure.
 *
 * A server that is down may come back by itself. A wrong password has to be fixed by the operator,
 * so it is reported as such.
 */
#ifndef WORKERLESS_REDIS_TROUBLE_H
#define WORKERLESS_REDIS_TROUBLE_H

#include <stdbool.h>

enum redis_trouble {
    REDIS_WELL,
    REDIS_AWAY, /* not reached yet, down, loading, ... */
    REDIS_WANTS_PASSWORD,
    REDIS_REJECTS_PASSWORD,
    REDIS_DENIES, /* commands or keys, by an ACL */
    REDIS_LACKS_DATABASE,
    REDIS_FAILS_TLS,
    REDIS_CLOSES, /* closes each connection before it answers: it may expect TLS */
};

/* What the failure of a new connection means. `reason` is an error reply to its greeting, or the
 * error text of hiredis. REDIS_AWAY if it says nothing else. */
enum redis_trouble redis_trouble_of(const char *reason);

/* Whether an error reply says that an ACL denies a command or a key, directly or within a
 * script. */
bool redis_trouble_is_denial(const char *error);

/* A short description without secrets; redis_trouble_line has a newline after it. NULL for
 * REDIS_WELL. Static. */
const char *redis_trouble_text(enum redis_trouble trouble);
const char *redis_trouble_line(enum redis_trouble trouble);

/* What the operator should check; NULL if the trouble may end by itself. Static. */
const char *redis_trouble_cure(enum redis_trouble trouble);

#endif
