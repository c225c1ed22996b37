/* Redis has no error codes for this, and the texts differ between its versions. */
#include "redis/trouble.h"

#include <string.h>

#define CHECK_REDIS "check \"redis\" in the config"

#define TROUBLE(text, cure)                                                                        \
    {                                                                                              \
        text, text "\n", cure                                                                      \
    }

static const struct {
    const char *text, *line, *cure;
} troubles[] = {
    [REDIS_AWAY] = TROUBLE("Redis is unavailable", NULL),
    [REDIS_WANTS_PASSWORD] = TROUBLE("Redis requires a password", CHECK_REDIS),
    [REDIS_REJECTS_PASSWORD] = TROUBLE("Redis rejects the password", CHECK_REDIS),
    [REDIS_DENIES] = TROUBLE("Redis denies access to commands or keys",
                             "grant its user the permissions listed in workerless.conf"),
    [REDIS_LACKS_DATABASE] = TROUBLE("Redis does not have the database", CHECK_REDIS),
    [REDIS_FAILS_TLS] =
        TROUBLE("TLS to Redis fails", "check \"redis\" and the tls_ options in the config"),
    [REDIS_CLOSES] = TROUBLE("Redis closes our connections",
                             "if it expects TLS, its address must begin with rediss://, "
                             "sentinels:// or clusters://"),
};

static const struct {
    const char *words;
    enum redis_trouble trouble;
} signs[] = {
    {"TLS: the connection was closed", REDIS_AWAY},
    {"TLS: ", REDIS_FAILS_TLS},
    {"WRONGPASS ", REDIS_REJECTS_PASSWORD},
    {"invalid password", REDIS_REJECTS_PASSWORD},
    {"no password is set", REDIS_REJECTS_PASSWORD},
    {"without any password configured", REDIS_REJECTS_PASSWORD},
    {"NOAUTH ", REDIS_WANTS_PASSWORD},
    {"NOPERM ", REDIS_DENIES},
    {"DB index", REDIS_LACKS_DATABASE},
};

enum redis_trouble redis_trouble_of(const char *reason)
{
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (strstr(reason, signs[i].words))
            return signs[i].trouble;
    return REDIS_AWAY;
}

bool redis_trouble_is_denial(const char *error)
{
    return strstr(error, "NOPERM ") || strstr(error, "The user executing the script can't") ||
           strstr(error, "ACL failure in script");
}

const char *redis_trouble_text(enum redis_trouble trouble)
{
    return troubles[trouble].text;
}

const char *redis_trouble_line(enum redis_trouble trouble)
{
    return troubles[trouble].line;
}

const char *redis_trouble_cure(enum redis_trouble trouble)
{
    return troubles[trouble].cure;
}
