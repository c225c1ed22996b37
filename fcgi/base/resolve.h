/* Resolves host names without blocking the loop. */
#ifndef WORKERLESS_BASE_RESOLVE_H
#define WORKERLESS_BASE_RESOLVE_H

struct ev_loop;
struct resolve;

/* `address` is one of the name's addresses, as a numeric string; if NULL, `error` says why there is
 * none. Both are valid only during the call. */
typedef void resolve_done_fn(void *caller, const char *address, const char *error);

/* Looks `host` up (copied). If it has several addresses, `attempt` selects one; incrementing it
 * tries them in turn. `done` is called exactly once, after this has returned, unless the lookup is
 * cancelled. Returns NULL when out of memory, or if no lookup could be started. */
struct resolve *resolve_start(struct ev_loop *loop, const char *host, unsigned attempt,
                              resolve_done_fn *done, void *caller);

/* Cancels the lookup; `done` is not called. NULL is allowed. */
void resolve_cancel(struct resolve *resolve);

#endif
