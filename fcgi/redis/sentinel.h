/* Where the primary is now: asked of Sentinels.
 *
 * They are asked one after the other until one knows it. Each has settings->timeout to
 * connect and answer; a name server may take longer. Only what is told at this moment counts:
 * nothing is kept, nothing is subscribed to.
 */
#ifndef WORKERLESS_REDIS_SENTINEL_H
#define WORKERLESS_REDIS_SENTINEL_H

struct redis_settings;
struct ev_loop;
struct redis_address;
struct redis_sentinel;
struct redis_tls;

/* The primary's host (a name or a literal address) and port; host is NULL: `reason` says why it
 * could not be found. Both live during the call only. */
typedef void redis_sentinel_done_fn(void *caller, const char *host, int port, const char *reason);

/* Asks the Sentinels of `address`, which is of the kind REDIS_BY_SENTINEL. `attempt` picks the one
 * that is asked first, and which of its name's addresses is used, so that counting it up tries them
 * in turn: the first one may know less than the others. `tls` is NULL for an address without TLS.
 * All is borrowed until the end. `done` is called exactly once, after this returned, unless the
 * search is cancelled. NULL: out of memory. */
struct redis_sentinel *redis_sentinel_find(struct ev_loop *loop,
                                           const struct redis_settings *settings,
                                           const struct redis_address *address,
                                           struct redis_tls *tls, unsigned attempt,
                                           redis_sentinel_done_fn *done, void *caller);

/* `done` won't be called. NULL is allowed. */
void redis_sentinel_cancel(struct redis_sentinel *search);

#endif
