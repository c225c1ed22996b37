/* Sets the fleet's clock from the clock of Redis.
 *
 * All processes that share a Redis take the time from one server, so they agree on the age of a
 * result whatever the clocks of their machines show. That is the only server; with Sentinels, the
 * primary; in a Cluster, the server of the lowest slot that is served (usually slot 0). It is asked
 * at each connect, and about once a minute after that. While it is unavailable, the clock keeps
 * running as it was last set.
 */
#ifndef WORKERLESS_REDIS_CLOCK_H
#define WORKERLESS_REDIS_CLOCK_H

struct ev_loop;
struct redis_clock;
struct redis_server;
struct redis_topology;

/* Returns what the caller owns, or NULL when out of memory. */
struct redis_clock *redis_clock_new(struct ev_loop *loop);

/* Call it when the servers have answered every command. NULL is allowed. */
void redis_clock_free(struct redis_clock *clock);

/* Sets the servers, which are borrowed. Call it before the loop runs. */
void redis_clock_watch(struct redis_clock *clock, const struct redis_topology *topology);

/* Asks the server for the time. Call it as soon as the server is ready, before anyone else is told:
 * entries that were read before are read again then, and those reads are answered after this one.
 * So the clock is set before the freshness of any entry is judged. */
void redis_clock_ask(struct redis_clock *clock, struct redis_server *server);

/* The map of servers has changed: asks the server that is the reference now. */
void redis_clock_topology_changed(struct redis_clock *clock);

#endif
