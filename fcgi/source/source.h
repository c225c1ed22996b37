/* What makes a fragment: a slow call that is started, may be cancelled, and completes once.
 *
 * Each type of source is a struct source_type in a file of its own, and a row in types.c. The type
 * brings its own options and the struct that their values are stored in. The config knows a type by
 * its name, and the callers (flights) see only the functions at the end.
 */
#ifndef WORKERLESS_SOURCE_SOURCE_H
#define WORKERLESS_SOURCE_SOURCE_H

#include <stddef.h>
#include <stdbool.h>

#include "base/slice.h"

struct ev_loop;
struct option;
struct source_type;

/* One `source` section of the config. Each type's own settings begin with this. Strings belong to
 * the config and outlive the source. */
struct source_settings {
    const struct source_type *type;
    const char *name;
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

/* The members that may be NULL say what that means; the others work as the function of the same
 * name below. */
struct source_type {
    const char *name;             /* in the config: type = "NAME" */
    size_t settings_size;         /* of the struct that begins with struct source_settings */
    const struct option *options; /* that only this type has, or that it has in its own way; two
                                     types' options of one name are both lists, or both not */
    size_t option_count;
    const char *(*check)(const struct source_settings *settings, const char **option); /* or NULL */
    const char *(*lacks_name)(const struct source_settings *settings); /* NULL: no source does */
    size_t (*descriptors)(const struct source_settings *settings);     /* NULL: it needs none */
    struct source *(*create)(struct ev_loop *loop, const struct source_settings *settings);
    struct source_call *(*start)(struct source *source, struct slice name, unsigned lane,
                                 source_done_fn *done, void *caller);
    bool (*is_busy)(const struct source *source); /* NULL: it never is */
    void (*cancel)(struct source_call *call);
    void (*destroy)(struct source *source);
};

/* All types; NULL ends them. */
extern const struct source_type *const source_types[];

/* Every type's own struct begins with this one. */
struct source {
    const struct source_type *type;
    const struct source_settings *settings; /* borrowed */
};

struct source_call {
    struct source *source;
};

/* NULL: there is no such type. */
const struct source_type *source_type_find(const char *name);

/* Checks what no single option can (a url without a host, say). Returns NULL, or what is wrong, in
 * the user's words, and sets *option to the name of the option to blame. */
const char *source_check(const struct source_settings *settings, const char **option);

/* The option that could hold {name} but does not, so that every fragment gets the same result; NULL
 * if results depend on the fragment's name. */
const char *source_lacks_name(const struct source_settings *settings);

/* How many descriptors the source may hold open at the same time. */
size_t source_descriptors(const struct source_settings *settings);

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
