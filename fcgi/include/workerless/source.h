/* The interface between workerless and a module: a shared object whose C code makes fragments.
 *
 *     source "NAME" {
 *         type = "module"
 *         file = "hello.so"
 *         settings = {"greeting = Hello"}
 *     }
 *
 * The module exports one symbol, `const struct workerless_module workerless_module`. It begins with
 * WORKERLESS_MODULE_HEAD, by which workerless sees what it was built for, and names the module's
 * functions. This header stands alone; it is C99, and C++ can use it as well.
 *
 *     check ... open --> start --> done       the module completes a call
 *                    '-> start --> cancel     workerless gives a call up
 *                    '-> close
 *
 * A module is part of the process. workerless recognizes calls that are completed twice, too late,
 * never, or by another thread; it can do nothing about a crash, or about a function that waits.
 *
 * Threads. There is one loop, of libev, in one thread, and all of the module's functions are called
 * there. They must return without waiting: for answers, timers or files they use watchers on the
 * loop (include ev.h, and link with -lev). Of the functions of struct workerless_host, other threads
 * may call only `now`. A module that uses threads brings their results to the loop by an ev_async of
 * its own.
 *
 * Processes. The library is loaded whenever the config is read: by each process that serves, and by
 * the supervisor, which forks them later; by `workerless check`, and by commands that ask the daemon.
 * So its constructors and `check` open nothing, and start no threads; `open` does.
 *
 * Memory. What a function gets belongs to the caller. It is valid until the function returns, unless
 * this header says otherwise. Texts have a length, and a NUL after it; they may contain NULs.
 *
 * Versions. WORKERLESS_ABI changes when a module has to be built again. Within one version, structs
 * only get new members at their ends: workerless accepts a module with shorter ones, for which the
 * new members are 0. */
#ifndef WORKERLESS_SOURCE_H
#define WORKERLESS_SOURCE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WORKERLESS_ABI 1U

#ifdef __GNUC__
#define WORKERLESS_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define WORKERLESS_PRINTF(text, first)
#endif

struct ev_loop; /* of ev.h */

struct workerless_text {
    const char *data; /* NULL: there is none */
    size_t len;       /* bytes, without the NUL at the end */
};

/* --- the results of calls --- */

enum workerless_status {
    WORKERLESS_OK,        /* there is a body */
    WORKERLESS_NOT_FOUND, /* there is no such fragment: 404 */
    WORKERLESS_FAILED     /* a stale result is served, or the route's fallback with 502 */
};

/* Begin with {0} or designated members, so that members that are not set are 0. */
struct workerless_result {
    enum workerless_status status;

    /* The media type of the body, such as "text/html; charset=utf-8". Unless the fragment has other
     * rules, HTML is used as it is, any other text is escaped, and all else is a failure. NULL:
     * text/plain. At most 200 bytes. */
    const char *type;

    const char *body; /* may be NULL if there are no bytes */
    size_t body_len;  /* bytes; at most `max_body` of the config */

    /* Of a failure: what has happened, for the log. At most 500 bytes of it are used. */
    const char *reason;

    /* The value of a Cache-Control header: how long the result is good, and who may get it. It
     * counts as that of an HTTP response does. NULL: nothing is said. At most 500 bytes. */
    const char *cache_control;

    /* Of a failure: seconds for which the source asks not to be called; 0: it does not. */
    unsigned retry_after_s;
};

/* --- what workerless offers --- */

enum workerless_level { WORKERLESS_ERROR, WORKERLESS_WARNING, WORKERLESS_INFO, WORKERLESS_DEBUG };

/* There is one in the process, which is never freed. */
struct workerless_host {
    uint32_t abi;  /* WORKERLESS_ABI of workerless */
    uint32_t size; /* of this struct in workerless */

    /* Completes the call with that id. The result is copied. No function of the module is called
     * before this returns, so it may be called anywhere, also within `start`.
     *
     * Each call is completed once, unless it is cancelled. Anything else does no harm, but it is
     * logged and counted: to complete a call again, after it was cancelled (if the module has a
     * `cancel`) or after `close`; or in another thread, which makes the call fail. */
    void (*done)(uint64_t call, const struct workerless_result *result);

    /* Writes a line to the log, which names the source. `source` is the id of a struct
     * workerless_source. Of many lines of one level, most are only counted. */
    void (*log)(uint64_t source, enum workerless_level level, const char *format, ...)
        WORKERLESS_PRINTF(3, 4);

    /* Seconds by a clock that never jumps; it is that of `deadline` below. */
    double (*now)(void);
};

/* An entry of `settings` in the config: "KEY = VALUE". Keys are different. */
struct workerless_setting {
    const char *key, *value;
};

/* A source of the config. Valid until `close` has returned. */
struct workerless_source {
    uint64_t id;      /* for `log` */
    const char *name; /* of the source in the config */
    const struct workerless_host *host;
    struct ev_loop *loop;
    const struct workerless_setting *settings;
    size_t setting_count;
    size_t connections; /* maximum number of calls at a time */
    double timeout;     /* seconds for each call */
};

/* --- calls --- */

enum workerless_input_kind {
    WORKERLESS_QUERY, /* a parameter of the query */
    WORKERLESS_COOKIE,
    WORKERLESS_HEADER,   /* a header of the request; its name is in lower case */
    WORKERLESS_LANGUAGE, /* the best one of the route's languages; its name lists them */
    WORKERLESS_HOST      /* the Host header; it has no name */
};

/* What the fragment depends on besides its name: an entry of the route's `vary`. */
struct workerless_input {
    enum workerless_input_kind kind;
    struct workerless_text name;
    struct workerless_text value; /* as the client sent it; its data is NULL if it is absent */
};

/* What is asked for. Valid until the module completes the call, or `cancel` has returned. A module
 * without `cancel` must not use it after `start` has returned, and keeps the id. */
struct workerless_call {
    uint64_t id; /* for `done`; no other call in the process has it, or ever gets it */
    void *data;  /* the module's own; NULL at first */
    struct workerless_text name;           /* of the fragment */
    struct workerless_text rest;           /* of the name: what the * of its route stands for */
    const struct workerless_input *inputs; /* in the order of `vary` */
    size_t input_count;
    double deadline;                                /* by `now`: when the call will be cancelled */
    struct workerless_text request_id, traceparent; /* of the client's request; empty: unknown */
};

/* --- the module --- */

/* Functions that may be NULL say so. `why` has room for `size` bytes: write a terminated text. */
struct workerless_module {
    uint32_t abi; /* this member and the next seven are set by WORKERLESS_MODULE_HEAD */
    uint32_t size;
    uint32_t host_size, source_size, setting_size, call_size, input_size, result_size;

    const char *name;    /* of the module, for the log */
    const char *version; /* the same; may be NULL */

    /* Whether the settings of a source are right. Returns 0; or -1, and writes what is wrong. It is
     * called when the config is checked, before `open`. Reject here what can be rejected here:
     * `workerless check` does not see what only `open` finds. NULL: any settings are right. */
    int (*check)(const struct workerless_setting *settings, size_t count, char *why, size_t size);

    /* Begins the work of a source. Returns what the other functions get as `instance`; or NULL, and
     * writes why: then workerless does not start, or keeps the running config. When a reload has
     * changed the source, the new one is opened before the old one is closed. NULL: there is nothing
     * to do, and `instance` is NULL. */
    void *(*open)(const struct workerless_source *source, char *why, size_t size);

    /* Begins a call, which `done` completes. */
    void (*start)(void *instance, struct workerless_call *call);

    /* Ends a call that has not been completed: it has reached its deadline, or nobody needs it any
     * more. The module must not complete it. NULL: such calls go on, so that more than `connections`
     * may be under way, and their results are ignored. */
    void (*cancel)(void *instance, struct workerless_call *call);

    /* Ends the work of a source. No call is running. Stops all watchers of the source, and frees
     * what it has. NULL: there is nothing to do. */
    void (*close)(void *instance);
};

/* Begins the initializer of a struct workerless_module. */
#define WORKERLESS_MODULE_HEAD                                                                     \
    .abi = WORKERLESS_ABI, .size = sizeof(struct workerless_module),                               \
    .host_size = sizeof(struct workerless_host), .source_size = sizeof(struct workerless_source),  \
    .setting_size = sizeof(struct workerless_setting),                                             \
    .call_size = sizeof(struct workerless_call), .input_size = sizeof(struct workerless_input),    \
    .result_size = sizeof(struct workerless_result)

/* What the module exports, also if it is built with -fvisibility=hidden. */
#ifdef __GNUC__
__attribute__((__visibility__("default")))
#endif
extern const struct workerless_module workerless_module;

/* --- helpers --- */

/* The value of a setting, or `preset` if the config does not have it. */
static inline const char *workerless_setting(const struct workerless_setting *settings,
                                             size_t count, const char *key, const char *preset)
{
    size_t i;
    for (i = 0; i < count; i++)
        if (strcmp(settings[i].key, key) == 0)
            return settings[i].value;
    return preset;
}

/* The value of the first input of that kind and name; NULL as the name: of any name. Its data is NULL
 * if the input is absent, or not in the route's `vary`. */
static inline struct workerless_text workerless_input(const struct workerless_call *call,
                                                      enum workerless_input_kind kind,
                                                      const char *name)
{
    struct workerless_text none = {NULL, 0};
    size_t i;
    for (i = 0; i < call->input_count; i++)
        if (call->inputs[i].kind == kind && (!name || strcmp(call->inputs[i].name.data, name) == 0))
            return call->inputs[i].value;
    return none;
}

#ifdef __cplusplus
}
#endif

#endif
