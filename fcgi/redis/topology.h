/* The servers that make up the Redis that the config names, and which of them has a key.
 *
 * Most often it is one. Of a Redis Cluster it is the primaries: any of the configured servers is
 * asked for them, and they are followed as slots move and servers fail. See the "Redis cluster
 * specification" on redis.io.
 */
#ifndef WORKERLESS_REDIS_TOPOLOGY_H
#define WORKERLESS_REDIS_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "redis/server.h"
#include "redis/slots.h"

struct ev_loop;
struct redis_events;
struct redis_needs;
struct redis_settings;
struct redis_topology;

/* Settings and needs are borrowed; settings->address is valid and not empty. The events are copied.
 * Begins to connect. Returns what the caller owns, or NULL when out of memory. */
struct redis_topology *redis_topology_new(struct ev_loop *loop,
                                          const struct redis_settings *settings,
                                          const struct redis_needs *needs,
                                          const struct redis_events *events);

/* Every command under way is answered with NULL; what is asked for meanwhile has no server. NULL is
 * allowed. */
void redis_topology_free(struct redis_topology *topology);

/* The server of a key, whose parts are concatenated; NULL: none is known. It lives until the loop
 * runs again, and longer while a command is under way on it. */
struct redis_server *redis_topology_server(const struct redis_topology *topology,
                                           struct slice prefix, struct slice key);

/* Every server that has keys, for what concerns them all: `index` counts from 0. NULL past the
 * last, and for 0 if none is known. With each change of the map the version is another, and what an
 * index stands for may be. */
struct redis_server *redis_topology_at(const struct redis_topology *topology, size_t index);
unsigned redis_topology_version(const struct redis_topology *topology);

/* The one whose clock all processes follow: that of the lowest slot which is served. NULL: none is
 * known. It may not be usable. */
struct redis_server *redis_topology_timekeeper(const struct redis_topology *topology);

/* Why they are of no use, or REDIS_WELL. A Cluster is well if any of its servers is: a failover
 * does not make a process unfit that can still serve, and make, every fragment. */
enum redis_trouble redis_topology_trouble(const struct redis_topology *topology);

/* Whether any of them has a command under way. */
bool redis_topology_busy(const struct redis_topology *topology);

/* What that server means by an error reply to a command. For MOVED and ASK *to is the server to
 * send it to instead, NULL if there is no memory for it. */
enum redis_redirection_kind redis_topology_redirect(struct redis_topology *topology,
                                                    const struct redis_server *server,
                                                    const char *error, struct redis_server **to);

#endif
