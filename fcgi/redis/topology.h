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

struct redis_settings;
struct ev_loop;
struct redis_nodes;

/* Settings are borrowed; settings->address is valid and not empty. The owner, which is copied, is
 * told of each link, and of a change of any key (with a NULL link) when slots have moved. Begins to
 * connect. Returns what the caller owns, or NULL when out of memory. */
struct redis_nodes *redis_nodes_new(struct ev_loop *loop, const struct redis_settings *settings,
                                    const struct redis_link_owner *owner);

/* Every command under way is answered with NULL; what is asked for meanwhile has no link. NULL is
 * allowed. */
void redis_nodes_free(struct redis_nodes *nodes);

/* The link to the server of a key, whose parts are concatenated; NULL: none is known. It lives
 * until the loop runs again, and longer while a command is under way on it. */
struct redis_link *redis_nodes_link(const struct redis_nodes *nodes, struct slice prefix,
                                    struct slice key);

/* Every server that has keys, for what concerns them all: `index` counts from 0. NULL past the
 * last, and for 0 if none is known. With each change of the map the version is another, and what an
 * index stands for may be. */
struct redis_link *redis_nodes_at(const struct redis_nodes *nodes, size_t index);
unsigned redis_nodes_version(const struct redis_nodes *nodes);

/* The one whose clock all processes follow: that of the lowest slot which is served. NULL: none is
 * known. It may not be usable. */
struct redis_link *redis_nodes_timekeeper(const struct redis_nodes *nodes);

/* Why they are of no use, or REDIS_WELL. A Cluster is well if any of its servers is: a failover
 * does not make a process unfit that can still serve, and make, every fragment. */
enum redis_trouble redis_nodes_trouble(const struct redis_nodes *nodes);

/* Whether any of them has a command under way. */
bool redis_nodes_busy(const struct redis_nodes *nodes);

/* What an error reply to a command on that link means. For MOVED and ASK *to is the link to send it
 * to instead, NULL if there is no memory for it. */
enum redis_redirection_kind redis_nodes_redirect(struct redis_nodes *nodes,
                                                 const struct redis_link *link, const char *error,
                                                 struct redis_link **to);

#endif
