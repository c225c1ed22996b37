/* The settings of the fastcgi source. */
#ifndef WORKERLESS_SOURCE_FASTCGI_SETTINGS_H
#define WORKERLESS_SOURCE_FASTCGI_SETTINGS_H

#include <stddef.h>

#include "source/source.h"

struct fastcgi_settings {
    struct source_settings settings;
    const char *socket;        /* see base/address.h */
    const char *script;        /* a template of a path, see fastcgi_script.h */
    const char *const *params; /* "NAME=VALUE", see fastcgi_params.h */
    size_t param_count;
    double timeout;          /* seconds for the complete call */
    double connect_timeout;  /* seconds until it has a connection */
    unsigned retries;        /* maximum number of retries after failures */
    size_t max_body;         /* bytes */
    size_t keep_connections; /* maximum number of idle connections that are kept */
};

#endif
