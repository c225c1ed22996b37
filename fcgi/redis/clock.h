/* Sets the fleet's clock by Redis' clock.
 *
 * All processes that share a Redis take the time from one server, so they agree on the age of a
 * result whatever their own machines' clocks show: from the only server; with Sentinels from the
 * primary; in a Cluster from the server of the lowest slot that is served (slot 0, as a rule). The
 * server is asked when it is connected to, and about once a minute after that. While it is away,
 * the clock runs on as it was last set.
 */
#ifndef WORKERLESS_REDIS_CLOCK_H
#define WORKERLESS_REDIS_CLOCK_H

struct ev_loop;
struct redis_clock;
struct redis_server;
struct redis_topology;

/* Returns what the caller owns, or NULL when out of memory. */
struct redis_clock *redis_clock_new(struct ev_loop *loop);

/* Every command of the servers' has been answered. NULL is allowed. */
void redis_clock_free(struct redis_clock *clock);

/* Which servers there are; borrowed. To be called before the loop runs. */
void redis_clock_watch(struct redis_clock *clock, const struct redis_topology *topology);

/* Asks the server for the time. To be called as soon as it is ready, before anybody is told so:
 * whoever has read something by then reads it again, and that is answered after this. So no entry
 * is judged before the clock is set. */
void redis_clock_ask(struct redis_clock *clock, struct redis_server *server);

/* Another server may be the one that counts: asks it. */
void redis_clock_topology_changed(struct redis_clock *clock);

#endif
