/* SIGHUP: the config is read again as a whole, and swapped in where it stands.
 *
 *     read, check --> sources, rules --> log file --> swapped in
 *          |                |                |
 *          '----------------'----------------'--> nothing has changed, and the log says why
 *
 * All that can fail comes before anything changes. What began with the earlier config ends by it:
 * see generation.h. Options that need a restart keep their values (option_is_reloadable).
 */
#ifndef WORKERLESS_RELOAD_H
#define WORKERLESS_RELOAD_H

struct cache;
struct cache_settings;
struct conf;
struct connection_limits;
struct connections;
struct drain;
struct flights;
struct generations;
struct service;

#include "base/log.h"

/* Parts of the server, borrowed. */
struct reload {
    struct generations *generations;
    struct connection_limits *limits;      /* those of the connections */
    struct cache_settings *cache_settings; /* those of the cache */
    struct cache *cache;
    struct flights *flights;
    struct service *service;
    struct connections *connections;
    struct drain *drain;
    enum log_level told; /* of messages about what changes; a worker's supervisor has logged it */
};

/* Sets what nobody has to be told of: budgets, the timeouts of a drain, and the limits of
 * connections, with the final max_connections. Raises the descriptor limit as far as allowed. */
void reload_set_limits(const struct conf *conf, struct connection_limits *limits,
                       struct drain *drain);

/* Reads the file of the current config, and swaps it in if it is good. Logs what has changed, or
 * why nothing has. Tells the service manager. While a drain is on, it only logs that. */
void reload_run(const struct reload *reload);

/* The same for a process that only starts others: the next ones will get the returned config, in
 * place of the running one, which it takes. Returns NULL if that stays in use. The caller tells the
 * service manager if it was good. */
struct conf *reload_replace(struct conf *running);

/* Tells the service manager what is served. */
void reload_announce(const struct conf *conf);

#endif
