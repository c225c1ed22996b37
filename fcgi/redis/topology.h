/* The servers behind the config's `redis` address, and which of them has a key.
 *
 * Usually there is one. For a Redis Cluster they are the primaries: the client asks any of the
 * configured servers for them, and follows them as slots move and servers fail. See the "Redis
 * cluster specification" on redis.io.
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
 * Starts to connect. Returns what the caller owns, or NULL when out of memory. */
struct redis_topology *redis_topology_new(struct ev_loop *loop,
                                          const struct redis_settings *settings,
                                          const struct redis_needs *needs,
                                          const struct redis_events *events);

/* Answers every pending command with NULL. Callbacks that send a new command find no server. NULL
 * is allowed. */
void redis_topology_free(struct redis_topology *topology);

/* The server of a key, whose two parts are concatenated; NULL: none is known. It is valid until the
 * loop runs again, and longer while it has pending commands. */
struct redis_server *redis_topology_server(const struct redis_topology *topology,
                                           struct slice prefix, struct slice key);

/* Iterates over the servers that have keys: `index` counts from 0. Returns NULL past the last, and
 * for 0 if none is known. Each change of the map changes the version, and may change which server
 * an index stands for. */
struct redis_server *redis_topology_at(const struct redis_topology *topology, size_t index);
unsigned redis_topology_version(const struct redis_topology *topology);

/* The server whose clock all processes follow: that of the lowest slot that is served. NULL: none
 * is known. It may be unusable. */
struct redis_server *redis_topology_timekeeper(const struct redis_topology *topology);

/* Why the servers can't be used, or REDIS_WELL. A Cluster is well if any of its servers is: during
 * a failover the process can still serve and generate every fragment. */
enum redis_trouble redis_topology_trouble(const struct redis_topology *topology);

/* Whether any of them has a pending command. */
bool redis_topology_busy(const struct redis_topology *topology);

/* What an error reply of that server to a command means. For MOVED and ASK, *to is the server to
 * send the command to instead, or NULL when out of memory. */
enum redis_redirection_kind redis_topology_redirect(struct redis_topology *topology,
                                                    const struct redis_server *server,
                                                    const char *error, struct redis_server **to);

#endif
