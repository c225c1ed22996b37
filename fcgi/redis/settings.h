/* The config's settings for Redis. Plain values; the strings are borrowed. */
#ifndef WORKERLESS_REDIS_SETTINGS_H
#define WORKERLESS_REDIS_SETTINGS_H

#include <stddef.h>

struct redis_settings {
    const char *address; /* see redis/address.h; "": no Redis */
    double timeout; /* seconds after which an unanswered command means that the server is down */
    size_t max_pending; /* bytes of commands that one server has not answered; no more are sent */
    /* Used if the address is one with TLS; each may be empty. */
    const char *tls_ca;          /* file of the trusted certificates; "": the system's */
    const char *tls_certificate; /* file of the certificate that we show when asked; "": none */
    const char *tls_key;         /* file of its key */
    const char *tls_name;        /* the name in the servers' certificates; "": the host's */
};

struct redis_problem {
    const char *option; /* its name in the config; static */
    char why[160];      /* error message for the user */
};

#endif
