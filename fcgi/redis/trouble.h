/* Why a Redis can't be used: it is away, or the config is wrong about it. Pure.
 *
 * A server that is away comes back by itself. A wrong password does not become right by waiting, so
 * it is called what it is.
 */
#ifndef WORKERLESS_REDIS_TROUBLE_H
#define WORKERLESS_REDIS_TROUBLE_H

#include <stdbool.h>

enum redis_trouble {
    REDIS_WELL,
    REDIS_AWAY, /* not reached yet, gone, loading, ... */
    REDIS_WANTS_PASSWORD,
    REDIS_REJECTS_PASSWORD,
    REDIS_DENIES, /* commands or keys, by an ACL */
    REDIS_LACKS_DATABASE,
    REDIS_FAILS_TLS,
    REDIS_CLOSES, /* each connection, before it answers: it may expect TLS */
};

/* What the failure of a connection that has not been used yet means: an error reply to its
 * greeting, or what hiredis says. REDIS_AWAY if it is nothing special. */
enum redis_trouble redis_trouble_of(const char *reason);

/* Whether an error reply says that an ACL does not permit a command or a key, perhaps within a
 * script. */
bool redis_trouble_is_denial(const char *error);

/* In a few words, without secrets; the second is the same with a newline. NULL for REDIS_WELL.
 * Static. */
const char *redis_trouble_text(enum redis_trouble trouble);
const char *redis_trouble_line(enum redis_trouble trouble);

/* What the operator should look at; NULL where waiting helps. Static. */
const char *redis_trouble_cure(enum redis_trouble trouble);

#endif
