/* Asks Sentinels where the primary is now.
 *
 * They are asked one after the other until one knows it. Each has settings->timeout to
 * connect and answer; a name server may take longer. Every search starts afresh: nothing is kept
 * from an earlier one, and nothing is subscribed to.
 */
#ifndef WORKERLESS_REDIS_SENTINEL_H
#define WORKERLESS_REDIS_SENTINEL_H

struct redis_settings;
struct ev_loop;
struct redis_address;
struct redis_sentinel;
struct redis_tls;

/* The primary's host (a name or a literal address) and port; if host is NULL, `reason` says why the
 * primary could not be found. Both are valid only during the call. */
typedef void redis_sentinel_done_fn(void *caller, const char *host, int port, const char *reason);

/* Asks the Sentinels of `address`, which is of the kind REDIS_BY_SENTINEL. `attempt` selects the
 * Sentinel to ask first and which of its addresses to use; incrementing it tries them in turn,
 * since the first one may know less than the others. `tls` is NULL for an address without TLS. All
 * arguments are borrowed until the search ends. `done` is called exactly once, after this has
 * returned, unless the search is cancelled. Returns NULL when out of memory. */
struct redis_sentinel *redis_sentinel_find(struct ev_loop *loop,
                                           const struct redis_settings *settings,
                                           const struct redis_address *address,
                                           struct redis_tls *tls, unsigned attempt,
                                           redis_sentinel_done_fn *done, void *caller);

/* Ends the search without calling `done`. NULL is allowed. */
void redis_sentinel_cancel(struct redis_sentinel *search);

#endif
