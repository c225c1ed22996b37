/* Host names to addresses without blocking the loop. */
#ifndef WORKERLESS_BASE_RESOLVE_H
#define WORKERLESS_BASE_RESOLVE_H

struct ev_loop;
struct resolve;

/* `address` is one of the name's addresses, as a numeric string; NULL: `error` says why there is
 * none. Both live during the call only. */
typedef void resolve_done_fn(void *caller, const char *address, const char *error);

/* Looks `host` up (copied). If it has several addresses, `attempt` picks one, so that counting it up
 * tries them in turn. `done` is called exactly once, after this returned, unless the lookup
 * is cancelled. NULL: out of memory, or no lookup could be begun. */
struct resolve *resolve_start(struct ev_loop *loop, const char *host, unsigned attempt,
                              resolve_done_fn *done, void *caller);

/* `done` won't be called. NULL is allowed. */
void resolve_cancel(struct resolve *resolve);

#endif
