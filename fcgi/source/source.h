/* A source generates fragments: each by a slow call that may be cancelled and completes once.
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
    SOURCE_NOT_FOUND, /* the source reports that there is no such fragment */
    SOURCE_FAILED,
    SOURCE_TIMED_OUT,
    SOURCE_CANCELLED,
};

struct source_result {
    enum source_status status;
    struct slice type; /* media type as the source sent it; empty if it sent none */
    struct slice body;
    const char *reason; /* for the log, if status is not SOURCE_OK: the source and the problem */
};

/* `result` and everything it points to is valid only during the call; the call object is freed
 * after it. The callee may start and cancel other calls. */
typedef void source_done_fn(void *caller, const struct source_result *result);

struct source;
struct source_call;

/* Members that may be NULL say what that means. The functions work as those of the same name
 * below. */
struct source_type {
    const char *name;             /* in the config: type = "NAME" */
    size_t settings_size;         /* size of the struct that begins with struct source_settings */
    const struct option *options; /* the type's own options; if two types have an option of the
                                     same name, both are lists or neither is */
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

/* The first member of every type's own struct. */
struct source {
    const struct source_type *type;
    const struct source_settings *settings; /* borrowed */
};

struct source_call {
    struct source *source;
};

/* Returns NULL if there is no such type. */
const struct source_type *source_type_find(const char *name);

/* Checks what the check of a single option can't (for example a url without a host). Returns NULL;
 * or an error message for the user, and sets *option to the name of the option at fault. */
const char *source_check(const struct source_settings *settings, const char **option);

/* The option that could contain {name} but does not, so that every fragment gets the same result;
 * NULL if results depend on the fragment's name. */
const char *source_lacks_name(const struct source_settings *settings);

/* The maximum number of descriptors that the source has open at a time. */
size_t source_descriptors(const struct source_settings *settings);

/* Returns a source that the caller owns, or NULL when out of memory. */
struct source *source_create(struct ev_loop *loop, const struct source_settings *settings);

/* Starts the slow call for the fragment `name` (copied). `done` is called exactly once, never
 * before source_start has returned. Returns NULL when out of memory; then `done` is never called.
 * If calls queue, the lanes take turns. `lane` is a small number that identifies the route, so a
 * flood of requests on one route leaves the others their share. */
struct source_call *source_start(struct source *source, struct slice name, unsigned lane,
                                 source_done_fn *done, void *caller);

/* Whether a call that is started now would be queued. */
bool source_is_busy(const struct source *source);

/* Ends the call now: `done` is called with SOURCE_CANCELLED before this returns. */
void source_cancel(struct source_call *call);

/* Call it when no call is pending, and not from within a `done`. NULL is allowed. */
void source_destroy(struct source *source);

#endif
