/* What makes a fragment: a slow call that is started, may be cancelled, and completes once.
 *
 * Each type of source is a struct source_type in its own file; source.c finds it by its kind. The
 * callers (flights) see only the functions at the end.
 */
#ifndef WORKERLESS_SOURCE_SOURCE_H
#define WORKERLESS_SOURCE_SOURCE_H

#include <stddef.h>
#include <stdbool.h>

#include "base/slice.h"

struct ev_loop;

enum source_kind { SOURCE_SIMULATED, SOURCE_HTTP };

/* One `source` section of the config. Strings belong to the config and outlive the source. */
struct source_settings {
    const char *name;
    enum source_kind kind;
    double delay_min, delay_max; /* simulated: seconds */
    const char *url;             /* http: with {name} where the fragment's name goes */
    double timeout;              /* http: seconds, for the whole call */
    size_t max_body;             /* http: bytes, after content decoding */
    unsigned connections;        /* http: at most so many at once; further calls queue */

    const char *const *redirects; /* http: see redirect.h */
    size_t redirect_count;
};

enum source_status {
    SOURCE_OK,        /* type and body are set */
    SOURCE_NOT_FOUND, /* the source says that there is no such fragment */
    SOURCE_FAILED,
    SOURCE_TIMED_OUT,
    SOURCE_CANCELLED,
};

struct source_result {
    enum source_status status;
    struct slice type; /* media type as the source gave it; empty if it gave none */
    struct slice body;
    const char *reason; /* for the log, when status is not SOURCE_OK: which source, and what */
};

/* `result` and all it points at live only during the call. The call object is gone after it.
 * The callee may start and cancel other calls. */
typedef void source_done_fn(void *caller, const struct source_result *result);

struct source;
struct source_call;

struct source_type {
    const char *(*check)(const struct source_settings *settings);
    struct source *(*create)(struct ev_loop *loop, const struct source_settings *settings);
    struct source_call *(*start)(struct source *source, struct slice name, unsigned lane,
                                 source_done_fn *done, void *caller);
    bool (*is_busy)(const struct source *source); /* NULL: it never is */
    void (*cancel)(struct source_call *call);
    void (*destroy)(struct source *source);
};

extern const struct source_type source_type_simulated, source_type_http;

/* Every type's own struct begins with this one. */
struct source {
    const struct source_type *type;
    const struct source_settings *settings; /* borrowed */
};

struct source_call {
    struct source *source;
};

/* Checks what no single option can (a url without a host, say).
 * Returns NULL, or what is wrong, in the user's words. */
const char *source_check(const struct source_settings *settings);

/* Returns a source that the caller owns, or NULL when out of memory. */
struct source *source_create(struct ev_loop *loop, const struct source_settings *settings);

/* Starts the slow call for the fragment `name` (copied). `done` is called exactly once, never
 * before source_start has returned. NULL: it could not be started (no memory), and `done` is
 * never called.
 * Where calls queue, the lanes take turns: `lane`, a small number, is that of the route, so a flood
 * on one route leaves the others their share. */
struct source_call *source_start(struct source *source, struct slice name, unsigned lane,
                                 source_done_fn *done, void *caller);

/* Whether a call that is started now would queue. */
bool source_is_busy(const struct source *source);

/* Ends the call now: `done` is called with SOURCE_CANCELLED before this returns. */
void source_cancel(struct source_call *call);

/* No call may be under way, not even within its `done`. NULL is allowed. */
void source_destroy(struct source *source);

#endif
