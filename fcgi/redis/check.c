/* Checks that the address parser can't make: TLS in a build without it, and TLS options that would
 * have no effect. */
#include "redis/check.h"

#include <stdio.h>

#include "redis/address.h"
#include "redis/settings.h"
#include "redis/tls.h"

const char *redis_check_address(const char *text)
{
    struct redis_address address;
    const char *wrong = text[0] ? redis_address_parse(text, &address) : NULL;
    if (!wrong && text[0] && address.tls && !redis_tls_is_built())
        return "this build has no TLS: build it with hiredis 1.1 or newer and hiredis_ssl, or put "
               "stunnel in front of the server, or use a unix socket";
    return wrong;
}

/* A TLS option that is set; NULL: none is. */
static const char *tls_option(const struct redis_settings *settings)
{
    return settings->tls_ca[0]            ? "tls_ca"
           : settings->tls_certificate[0] ? "tls_certificate"
           : settings->tls_key[0]         ? "tls_key"
           : settings->tls_name[0]        ? "tls_name"
                                          : NULL;
}

bool redis_check_tls(const struct redis_settings *settings, struct redis_problem *problem)
{
    struct redis_address address = {0};
    if (settings->address[0])
        redis_address_parse(settings->address, &address);
    if (address.tls) {
        struct redis_tls *tls = redis_tls_new(settings, problem);
        redis_tls_free(tls);
        return tls != NULL;
    }
    *problem = (struct redis_problem){.option = tls_option(settings)};
    /* Someone who sets one expects an encrypted connection, and this one would not be. */
    snprintf(problem->why, sizeof problem->why,
             "the redis address does not use TLS: write rediss://, sentinels:// or clusters://");
    return !problem->option;
}
