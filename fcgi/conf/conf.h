/* The configuration: read once, checked whole, constant from then on. */
#ifndef WORKERLESS_CONF_CONF_H
#define WORKERLESS_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cache/cache.h"
#include "park/flights.h"
#include "source/source.h"
#include "web/client_list.h"
#include "web/route.h"
#include "wire/connection.h"
#include "wire/listener.h"

struct conf {
    struct listener_settings listen;
    struct connection_limits connections;
    struct flight_limits flights;
    struct cache_settings cache;
    struct client_list purge, status;
    struct source_settings **sources; /* each of its type's own size */
    size_t source_count;
    struct route *routes; /* in the file's order; recipe.source indexes sources */
    size_t route_count;
    size_t max_stream;       /* fragments of one stream */
    size_t max_unfinished;   /* bytes of BUDGET_UNFINISHED */
    size_t max_unsent;       /* bytes of BUDGET_UNSENT */
    double shutdown_timeout; /* seconds that requests in flight get on SIGTERM */
    bool log_to_syslog;
    size_t warning_count; /* what conf_load found doubtful */
};

/* Reads and checks the file, and writes every problem to `errors`, one a line: an error as
 * "FILE:LINE: what is wrong", a warning as "FILE:LINE: warning: what is doubtful". Returns a config
 * that the caller owns, or NULL if there was an error. */
struct conf *conf_load(const char *file, FILE *errors);

/* NULL is allowed. */
void conf_free(struct conf *conf);

/* Writes every option with its default and its help, for -h and the man page. */
void conf_print_options(FILE *out);

#endif
