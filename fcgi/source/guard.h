/* Stands between the callers and a source of any type: it limits the calls that run at a time,
 * queues the others, and stops calling a source that keeps failing. Only for source.c.
 *
 *     start --> QUEUED --> RUNNING --> done()
 *        |         |          |
 *        |         |          '--> cancel --> done()
 *        |         '--> waited too long, cancel --> done()
 *        |         '--> no longer called, displaced --.
 *        '--> not called, no room in the queue -------'--> REFUSED --> done(), SOURCE_BUSY
 *
 * Calls queue in lanes, which take turns. If the queue is full, a call takes the place of the
 * newest one of the longest lane, unless its own lane is as long: no lane can fill the queue and
 * keep others out.
 */
#ifndef WORKERLESS_SOURCE_GUARD_H
#define WORKERLESS_SOURCE_GUARD_H

#include "source/source.h"

struct source_guard;
struct source_view;

/* Borrows the source, whose settings have the limits. Returns what the caller owns, or NULL when
 * out of memory. */
struct source_guard *source_guard_new(struct ev_loop *loop, struct source *source);

/* Call it when no call is pending, and before the source is destroyed. NULL is allowed. */
void source_guard_free(struct source_guard *guard);

/* These work as the functions of the same name in source.h. */
struct source_call *source_guard_start(struct source_guard *guard,
                                       const struct source_request *request, source_done_fn *done,
                                       void *caller);
bool source_guard_is_busy(const struct source_guard *guard);
void source_guard_await(struct source_call *call);
void source_guard_cancel(struct source_call *call);
void source_guard_found(struct source_call *call, enum source_status status);

/* Sets all of the view but the names. */
void source_guard_look(const struct source_guard *guard, struct source_view *view);

#endif
