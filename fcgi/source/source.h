/* A source generates fragments: each by a slow call that may be cancelled and completes once.
 *
 * Each type of source is a struct source_type in a file of its own, and a row in types.c. The type
 * brings its own options and the struct that their values are stored in. The config knows a type by
 * its name, and the callers (flights) see only the functions at the end.
 */
#ifndef WORKERLESS_SOURCE_SOURCE_H
#define WORKERLESS_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/option.h"
#include "base/slice.h"
#include "source/inputs.h"
#include "source/rules.h"

struct ev_loop;
struct redis_topology;
struct source_type;

/* Limits on the calls of a source. All zero: there are none. */
struct source_limits {
    size_t connections;   /* maximum number of concurrent calls; more are queued; 0: any number */
    size_t queue;         /* maximum number of queued calls */
    double queue_timeout; /* seconds that a call may be queued; 0: only its `timeout` counts */
    struct rate breaker;  /* failures after which it is not called for a while; none: off */
    double breaker_cooldown; /* seconds */
    double max_retry_after;  /* seconds; 0: Retry-After is ignored */
};

/* One `source` section of the config. Each type's own settings begin with this. They outlive the
 * source. */
struct source_settings {
    const struct source_type *type;
    const char *name;
    struct source_limits limits;
    uint64_t files; /* a digest of the files that its options name, by conf/; 0: there are none */
    size_t holders; /* configs and sources that have it: see conf_hold_settings */
};

/* What a source may use besides its settings. The loop outlives the source; the rest outlives its
 * calls. */
struct source_environment {
    struct ev_loop *loop;
    struct redis_topology *redis; /* the servers of Redis; NULL: none is configured */
    const char *value_start;      /* how the keys of values begin there: "NAMESPACE:" */
};

/* How long a result is good that comes by the cache, by its route; milliseconds. */
struct lifetimes {
    int64_t fresh, keep; /* how long it is fresh, and how long it is kept; at least a second */
    int64_t negative;    /* how long a failure is remembered; 0: not at all */
};

/* What a source is asked for. Borrowed for the call; the source copies what it needs. */
struct source_request {
    struct slice name;    /* of the fragment */
    struct slice rest;    /* of the name: what the * of its route's pattern stands for */
    struct inputs inputs; /* exactly what its key holds besides the name */
    const struct source_rules *rules; /* of its route; belongs to the config */
    /* A small number that identifies the route. If calls queue, the lanes take turns, so a flood of
     * requests on one route leaves the others their share. */
    unsigned lane;
    double waited; /* seconds that the call was queued; they count towards the type's `timeout` */
    /* Of the result that is to be refreshed. If both are empty, there is none, and the outcome is
     * never SOURCE_NOT_MODIFIED. */
    struct slice etag, last_modified;
    struct slice request_id, traceparent; /* of the client's request; empty: unknown */
    bool wants_times;                     /* somebody wants to know where the time goes */
    /* For a type whose results come by the cache. */
    struct slice key;   /* of the value, without the namespace */
    struct slice lease; /* the token of the lease that is held for the call; empty: none is */
    bool awaited;       /* a request waits for it; else it only refreshes what is served */
    struct lifetimes lifetimes;
};

/* Who may get a result. */
enum source_sharing {
    SHARING_ALLOWED,   /* everybody with the same key */
    SHARING_FORBIDDEN, /* only the request that it was made for */
};

#define SOURCE_NOT_SAID (-1) /* in place of a time */

/* What the source's response says about its result. */
struct source_terms {
    enum source_sharing sharing;
    const char *why;                            /* sharing is forbidden, for the log; else NULL */
    int64_t fresh_ms, stale_ms, stale_error_ms; /* from now; or SOURCE_NOT_SAID */
    int64_t clients_ms; /* how long clients may use it, if not as long as we; or SOURCE_NOT_SAID */
    bool clients_no_store;            /* clients and other caches must not store it */
    bool must_revalidate;             /* never serve it stale */
    struct slice etag, last_modified; /* as sent; empty: none */
    struct slice kept;                /* the header fields to keep, each as "name: value\n" */
    struct slice left_out; /* the name of one that is too large to be kept; empty: none */
};

#define SOURCE_TERMS_NONE                                                                          \
    {                                                                                              \
        .fresh_ms = SOURCE_NOT_SAID, .stale_ms = SOURCE_NOT_SAID,                                  \
        .stale_error_ms = SOURCE_NOT_SAID, .clients_ms = SOURCE_NOT_SAID                           \
    }

enum source_status {
    SOURCE_OK,           /* type and body are set */
    SOURCE_NOT_MODIFIED, /* the result that was to be refreshed has not changed; see terms */
    SOURCE_NOT_FOUND,    /* the source reports that there is no such fragment */
    SOURCE_FAILED,
    SOURCE_TIMED_OUT,
    SOURCE_BUSY, /* it was not called: the queue is full, or it has failed too often */
    SOURCE_CANCELLED,
};

/* Where the time of a call went, in seconds. */
struct source_times {
    float queued;                    /* by guard.c; always known */
    bool are_known;                  /* the type knows those that follow, and was asked for them */
    float connect, first_byte, body; /* of the last attempt: until the connection could be used,
                                        until the response began, until it was complete */
    unsigned attempts;               /* requests sent, redirects and retries included */
};

struct source_result {
    enum source_status status;
    struct slice type; /* media type as the source sent it; empty if it sent none */
    struct slice body;
    const char *reason;               /* for the log, if it failed: the source and the problem */
    const struct source_terms *terms; /* NULL: the response says nothing */
    /* Of a failure: seconds for which the source asks not to be called; 0: it does not. Of
     * SOURCE_BUSY: seconds after which a new request may succeed, at least 1. */
    unsigned retry_after_s;
    struct source_times times;
};

/* `result` and everything it points to is valid only during the call; the call object is freed
 * after it. The callee may start and cancel other calls. */
typedef void source_done_fn(void *caller, const struct source_result *result);

struct source;
struct source_call;
struct source_guard;

/* What waits for its results outside of this process, as it was a few seconds ago. It is that of the
 * fleet: all processes see the same. */
struct source_backlog {
    bool known;                         /* else the rest says nothing */
    int64_t as_of_ms;                   /* by clock_fleet_ms() */
    uint64_t visitors, refreshes, dead; /* jobs that are not finished; and that were given up */
    uint64_t workers;                   /* that were seen lately */
    uint64_t oldest_ms;                 /* age of the oldest job that is not finished */
};

#define SOURCE_WHY_ROOM 300

/* Members that may be NULL say what that means. The functions work as those of the same name
 * below. A type need not limit or queue its calls: guard.h does that for every type. */
struct source_type {
    const char *name; /* in the config: type = "NAME" */
    /* Results do not come by `done`: whoever makes them writes them into the cache, and needs the
     * lease for that. So a Redis must be configured, and a call without its lease is of no use. */
    bool via_cache;
    size_t settings_size;         /* size of the struct that begins with struct source_settings */
    const struct option *options; /* the type's own options; if two types have an option of the
                                     same name, both are lists or neither is */
    size_t option_count;
    const char *(*check)(const struct source_settings *settings, const char **option); /* or NULL */
    const char *(*lacks_name)(const struct source_settings *settings); /* NULL: no source does */
    const char *(*uses_rest)(const struct source_settings *settings);  /* NULL: no source does */
    bool (*check_rules)(const struct source_settings *settings, const struct source_rules *rules,
                        char why[SOURCE_WHY_ROOM]);                /* NULL: any rules will do */
    size_t (*descriptors)(const struct source_settings *settings); /* NULL: it needs none */
    /* The time limit of a call in seconds, of which it may be queued; NULL: there is none. */
    double (*timeout)(const struct source_settings *settings);
    struct source *(*create)(const struct source_environment *environment,
                             const struct source_settings *settings);
    struct source_call *(*start)(struct source *source, const struct source_request *request,
                                 source_done_fn *done, void *caller);
    bool (*is_busy)(const struct source *source); /* NULL: it is, if `connections` calls run */
    const struct source_backlog *(*backlog)(const struct source *source); /* NULL: it has none */
    void (*await)(struct source_call *call); /* NULL: it makes no difference */
    void (*cancel)(struct source_call *call);
    /* The same, if results come by the cache and this one has been found; else NULL. */
    void (*found)(struct source_call *call, enum source_status status);
    void (*destroy)(struct source *source);
};

/* All types; NULL ends them. */
extern const struct source_type *const source_types[];

/* The first member of every type's own struct. */
struct source {
    const struct source_type *type;
    const struct source_settings *settings; /* borrowed */
    struct source_guard *guard;             /* NULL: calls go to the type directly */
};

struct source_call {
    struct source *source;
};

/* Returns NULL if there is no such type. */
const struct source_type *source_type_find(const char *name);

/* Checks what the check of a single option can't (for example a url without a host). Returns NULL;
 * or an error message for the user, and sets *option to the name of the option at fault. */
const char *source_check(const struct source_settings *settings, const char **option);

/* The option that could contain {name} or {rest} but does not, so that every fragment gets the same
 * result; NULL if results depend on the fragment's name. */
const char *source_lacks_name(const struct source_settings *settings);

/* The option that has {rest}, which is empty for a route without a *; NULL if none has. */
const char *source_uses_rest(const struct source_settings *settings);

/* Whether a route with these rules can use the source. If not, writes `why`, which completes a
 * sentence that begins with the route and the source. */
bool source_check_rules(const struct source_settings *settings, const struct source_rules *rules,
                        char why[SOURCE_WHY_ROOM]);

/* The maximum number of descriptors that the source has open at a time. */
size_t source_descriptors(const struct source_settings *settings);

/* The environment is copied. Returns a source that the caller owns; or NULL when out of memory, or if
 * it can't be created for another reason, which has been logged. */
struct source *source_create(const struct source_environment *environment,
                             const struct source_settings *settings);

/* Starts the slow call. `done` is called exactly once, never before source_start has returned.
 * Returns NULL when out of memory; then `done` is never called. */
struct source_call *source_start(struct source *source, const struct source_request *request,
                                 source_done_fn *done, void *caller);

/* Whether a call that is started now would be queued. */
bool source_is_busy(const struct source *source);

/* A request waits for the call now; it may have been started when none did. */
void source_await(struct source_call *call);

/* Ends the call now: `done` is called with SOURCE_CANCELLED before this returns. */
void source_cancel(struct source_call *call);

/* The result of the call has been found in the cache: ends it as source_cancel does. If results of
 * the source come that way, it counts as a call that has ended with this status. */
void source_found(struct source_call *call, enum source_status status);

/* Call it when no call is pending, and not from within a `done`. NULL is allowed. */
void source_destroy(struct source *source);

#endif
