/* The configuration: read and checked completely, and constant from then on. A reload reads another
 * one: see compare.h for what is taken over. */
#ifndef WORKERLESS_CONF_CONF_H
#define WORKERLESS_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/log.h"
#include "cache/cache.h"
#include "park/flights.h"
#include "source/source.h"
#include "web/access_log.h"
#include "web/client_list.h"
#include "web/route.h"
#include "web/site.h"
#include "wire/connection.h"
#include "wire/sockets.h"

struct templates;

#define CONF_LOG_FILE "file:" /* begins the option `log` if the log is a file */

struct conf_files {
    char **list; /* each owned */
    size_t count;
};

struct conf {
    const char *file; /* owned: the path that it was read from, as it was given */
    struct listener_settings listen;
    size_t workers;           /* 0: as many as there are CPUs */
    const char *user, *group; /* owned; "": no change */
    struct connection_limits connections;
    struct flight_limits flights;
    struct cache_settings cache;
    struct client_list purge, status;
    struct source_settings **sources; /* each has the size of its type's settings */
    size_t source_count;
    struct route *routes; /* in the file's order; recipe.source indexes sources */
    size_t route_count;
    struct page *pages; /* likewise */
    size_t page_count;
    double page_hold;               /* seconds; of pages that have none of their own */
    const char *templates;          /* owned: the directory of templates; "": there is none */
    struct templates *template_set; /* NULL: no template is used */
    size_t max_rendered, max_json;  /* bytes */
    size_t max_render_steps;
    size_t max_stream;       /* maximum number of fragments in a stream or page */
    size_t max_unfinished;   /* limit of BUDGET_UNFINISHED, in bytes */
    size_t max_unsent;       /* limit of BUDGET_UNSENT, in bytes */
    size_t max_inputs;       /* limit of BUDGET_INPUTS, in bytes */
    double shutdown_timeout; /* seconds for calls to complete after SIGTERM */
    double drain_timeout;    /* seconds for requests to complete after SIGQUIT */
    const char *log;         /* owned: "stderr", "syslog" or "file:PATH" */
    enum log_format log_format;
    double slow; /* seconds after which the slow log reports a fragment; 0: it is off */
    struct access_settings access_log;
    bool sandbox;            /* whether what is not needed is given up at start */
    struct conf_files files; /* the config itself, and the paths of all files that it names */
    size_t warning_count;    /* number of warnings of conf_load */
};

/* Reads and checks the file and those that it includes, and writes every problem to `errors`, one per line: an error as
 * "FILE:LINE: MESSAGE", a warning as "FILE:LINE: warning: MESSAGE". Returns a config
 * that the caller owns, or NULL if there was an error. */
struct conf *conf_load(const char *file, FILE *errors);

/* What the config says about requests; borrowed from it. */
struct site conf_site(const struct conf *conf);

/* The path of the file of the log, and of the access log; NULL: there is none. Valid as long as the config. */
const char *conf_log_file(const struct conf *conf);
const char *conf_access_log_file(const struct conf *conf);

/* Lets the routes count in the figures of this process (base/figures.h), which has changed since the
 * config was loaded. */
void conf_count(struct conf *conf);

/* The settings stay until they are released as often as they were held, also without their config.
 * Returns them. */
struct source_settings *conf_hold_settings(struct source_settings *settings);
void conf_release_settings(struct source_settings *settings);

/* NULL is allowed. */
void conf_free(struct conf *conf);

/* Writes every option with its default and its help, for -h and the man page. */
void conf_print_options(FILE *out);

#endif
