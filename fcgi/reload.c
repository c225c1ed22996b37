/* The steps of a reload. They run in one go, in the callback of the signal, so a second SIGHUP
 * comes before or after it. */
#include "reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/budget.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/notify.h"
#include "cache/cache.h"
#include "conf/compare.h"
#include "conf/conf.h"
#include "drain.h"
#include "generation.h"
#include "logs.h"
#include "park/flights.h"
#include "source/source.h"
#include "web/service.h"
#include "wire/connection.h"

#define RESERVED_FDS       32 /* descriptors for the loop, the log, Redis, listeners */
#define FEWEST_CONNECTIONS 16
#define STATUS_ROOM        120

/* --- limits --- */

/* Raises the descriptor limit as far as allowed, and derives max_connections from it. */
static void fit_connections(const struct conf *conf, struct connection_limits *limits)
{
    struct rlimit limit;
    size_t needed = RESERVED_FDS;
    for (size_t i = 0; i < conf->source_count; i++)
        needed += source_descriptors(conf->sources[i]);
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur != limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }

    size_t left = limit.rlim_cur > needed ? (size_t)limit.rlim_cur - needed : 0;
    *limits = conf->connections;
    if (limits->max_connections == 0)
        limits->max_connections = left > FEWEST_CONNECTIONS ? left : FEWEST_CONNECTIONS;
    else if (limits->max_connections > left)
        log_warning("main",
                    "max_connections = %zu is more than the descriptor limit allows (%zu of %zu "
                    "are left for connections); raise it with ulimit -n or LimitNOFILE=",
                    limits->max_connections, left, (size_t)limit.rlim_cur);
}

void reload_set_limits(const struct conf *conf, struct connection_limits *limits,
                       struct drain *drain)
{
    budgets[BUDGET_UNFINISHED].limit = conf->max_unfinished;
    budgets[BUDGET_UNSENT].limit = conf->max_unsent;
    budgets[BUDGET_INPUTS].limit = conf->max_inputs;
    drain->shutdown_timeout = conf->shutdown_timeout;
    drain->drain_timeout = conf->drain_timeout;
    fit_connections(conf, limits);
}

/* --- what the log and the service manager are told --- */

/* Logs each line of the text, and frees it. */
static void log_lines(char *text, enum log_level level, const char *room, const char *before)
{
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
        if (*line)
            log_message(level, room, "%s%s", before, line);
    free(text);
}

void reload_announce(const struct conf *conf)
{
    char status[STATUS_ROOM];
    snprintf(status, sizeof status, "serving, fragments: %zu, sources: %zu", conf->route_count,
             conf->source_count);
    notify_ready(status);
}

/* Nothing has changed. */
static void give_up(const struct conf *conf, const char *why)
{
    char status[STATUS_ROOM];
    counter_add(COUNTER_RELOADS_FAILED, 1);
    log_error("main", "reload: %s%s; the running config stays in use", why, conf->file);
    snprintf(status, sizeof status,
             "serving with the earlier config, since the new one can't be used: see the log");
    notify_ready(status);
}

static enum log_level warning_level(enum log_level told)
{
    return told == LOG_LEVEL_INFO ? LOG_LEVEL_WARNING : told;
}

/* Returns the config that the file has now; or NULL, when the problems have been logged. `told` is
 * the level of warnings. */
static struct conf *load(const char *file, enum log_level told)
{
    char *text = NULL;
    size_t len = 0;
    FILE *problems = open_memstream(&text, &len);
    if (!problems)
        return NULL;
    struct conf *conf = conf_load(file, problems);
    fclose(problems);
    log_lines(text, conf ? told : LOG_LEVEL_ERROR, "conf", "");
    return conf;
}

/* The first step: reads and checks. Returns NULL if the running config stays in use. */
static struct conf *begin(const struct conf *running, enum log_level told)
{
    log_message(told, "main", "SIGHUP: reading %s", running->file);
    notify_reloading();
    struct conf *conf = load(running->file, warning_level(told));
    if (!conf)
        give_up(running, "there are errors in ");
    return conf;
}

static void log_changes(const struct conf *running, const struct conf *next, enum log_level told)
{
    char *text = NULL, names[CONF_FIXED_ROOM];
    size_t len = 0;
    if (!log_enabled(told))
        return;
    FILE *out = open_memstream(&text, &len);
    conf_list_fixed(running, next, names);
    if (names[0])
        log_message(warning_level(told), "main",
                    "reload: %s need%s a restart; keeping the running value%s", names,
                    strchr(names, ',') ? "" : "s", strchr(names, ',') ? "s" : "");
    if (out) {
        conf_write_changes(running, next, out);
        fclose(out);
        log_lines(text, told, "main", "reload: ");
    }
    log_message(told, "main", "reloaded %s, fragments: %zu, sources: %zu", next->file,
                next->route_count, next->source_count);
}

/* Returns false if the file can't be opened, which is logged: then the log stays where it is. */
static bool move_log(const struct conf *running, const struct conf *next)
{
    const char *file = conf_log_file(next);
    if (strcmp(running->log, next->log) == 0)
        return true;
    log_info("main", "reload: the log moves to %s", next->log);
    if (file)
        return log_open(file);
    log_configure(log_enabled(LOG_LEVEL_DEBUG) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
                  strcmp(next->log, "syslog") == 0);
    return true;
}

/* --- the swap --- */

/* Nothing here can fail; without memory for the access log, that goes on as before. */
static void swap_in(const struct reload *reload, struct conf *running, struct generation *next)
{
    struct conf *conf = generation_conf(next);
    struct site site = conf_site(conf);
    conf_keep_fixed(running, conf);
    reload_set_limits(conf, reload->limits, reload->drain);
    reload->cache_settings->memory_bytes = conf->cache.memory_bytes;
    reload->cache_settings->lease = conf->cache.lease;
    cache_settings_changed(reload->cache);
    flights_set_limits(reload->flights, &conf->flights);
    service_change(reload->service, &site);
    connections_limits_changed(reload->connections);
    logs_configure(reload->generations->environment.loop, conf);
    generation_begin(next);
}

void reload_run(const struct reload *reload)
{
    struct conf *running = generation_conf(reload->generations->current), *conf;
    struct generation *next;
    if (reload->drain->state != DRAIN_NOT_BEGUN) {
        log_info("main", "SIGHUP: the process drains, so the config is not read again");
        return;
    }
    if (!(conf = begin(running, reload->told)))
        return;
    next = generation_new(reload->generations, conf);
    if (!next || !service_reserve(reload->service, conf->route_count)) {
        give_up(running, next ? "not enough memory for " : "can't create the sources of ");
        if (next)
            generation_drop(next);
        return;
    }
    if (!logs_try(conf) || !move_log(running, conf)) {
        generation_drop(next);
        give_up(running, "can't use the logs of ");
        return;
    }
    log_changes(running, conf, reload->told);
    counter_add(COUNTER_RELOADS, 1);
    swap_in(reload, running, next);
    reload_announce(conf);
}

struct conf *reload_replace(struct conf *running)
{
    struct conf *next = begin(running, LOG_LEVEL_INFO);
    if (!next)
        return NULL;
    if (!logs_try(next) || !move_log(running, next)) {
        give_up(running, "can't use the logs of ");
        conf_free(next);
        return NULL;
    }
    log_changes(running, next, LOG_LEVEL_INFO);
    log_set_format(next->log_format);
    conf_keep_fixed(running, next);
    conf_free(running);
    return next;
}
