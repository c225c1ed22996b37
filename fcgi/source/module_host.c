/* One table of handles for the process, and a note of what other threads have called.
 *
 * Other threads only see the lock and what it protects: they can't log or count. So they leave a
 * note, and wake the loop. */
#include "source/module_host.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <ev.h>

#include "base/clock.h"
#include "base/counters.h"

#define LINE_ROOM  800
#define UNTOLD     HANDLE_SPARE_BIT /* in the id of a call: its module is not told that it has ended */
#define NOTES_MOST 64 /* further calls by other threads are not noted; their calls time out */

enum fault {
    FAULT_TWICE,
    FAULT_AFTER_TIMEOUT,
    FAULT_AFTER_CANCEL,
    FAULT_UNKNOWN_CALL,
    FAULT_UNKNOWN_SOURCE,
    FAULT_THREAD,
    FAULTS
};

/* What another thread has called. */
struct note {
    enum handle_kind kind;
    uint64_t handle;
};

static struct handles handles;
static size_t ports; /* that are open */
static struct log_limit limits[FAULTS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ev_loop *watching; /* by the lock; NULL: no port is open */
static struct note notes[NOTES_MOST];
static size_t note_count;

static bool is_owned; /* also by the lock */
static pthread_t owner;
static ev_async async;

/* --- what modules do wrong --- */

static void log_fault(enum fault fault, const struct handle_view *view)
{
    static const char *const texts[FAULTS] = {
        [FAULT_TWICE] = "has completed a call twice; the second result is ignored",
        [FAULT_AFTER_TIMEOUT] = "has completed a call that had timed out; the result is ignored",
        [FAULT_AFTER_CANCEL] = "has completed a call that was cancelled; the result is ignored",
        [FAULT_UNKNOWN_CALL] =
            "has completed a call that does not exist or ended long ago; the result is ignored",
        [FAULT_UNKNOWN_SOURCE] = "has logged a message for a source that is not open",
        [FAULT_THREAD] = "has called workerless from another thread than that of the loop",
    };
    bool has_fragment = view->fragment[0] != '\0', has_source = view->source[0] != '\0';
    counter_add(COUNTER_MODULE_FAULTS, 1);
    log_limited(&limits[fault], LOG_LEVEL_ERROR, "module", "%s%s%s%s%s%s %s",
                has_fragment ? "fragment \"" : "", view->fragment, has_fragment ? "\": " : "",
                has_source ? "the module of source \"" : "a module", view->source,
                has_source ? "\"" : "", texts[fault]);
}

static uint64_t handle_of(uint64_t call)
{
    return call & ~UNTOLD;
}

/* A call was completed that is not live. */
static void judge_stale(uint64_t call)
{
    struct handle_view view = handles_look(&handles, handle_of(call));
    bool is_call = view.kind == HANDLE_OF_CALL;
    if ((is_call && view.state == HANDLE_ABANDONED) ||
        ((call & UNTOLD) &&
         view.state == HANDLE_FORGOTTEN)) /* how it ended is not known any more */
        return;
    if (is_call && view.state == HANDLE_COMPLETED)
        log_fault(FAULT_TWICE, &view);
    else if (is_call && view.state == HANDLE_TIMED_OUT)
        log_fault(FAULT_AFTER_TIMEOUT, &view);
    else if (is_call && view.state == HANDLE_CANCELLED)
        log_fault(FAULT_AFTER_CANCEL, &view);
    else
        log_fault(FAULT_UNKNOWN_CALL, &view);
}

/* --- other threads --- */

/* Whether this is another thread; if so, notes what it has called. Without a loop, nobody would read
 * the note. */
static bool is_stray(enum handle_kind kind, uint64_t handle)
{
    pthread_mutex_lock(&lock);
    bool stray = is_owned && !pthread_equal(pthread_self(), owner);
    if (stray && note_count < NOTES_MOST)
        notes[note_count++] = (struct note){kind, handle};
    if (stray && watching)
        ev_async_send(watching, &async);
    pthread_mutex_unlock(&lock);
    return stray;
}

static void complete(struct module_ticket *ticket, const struct workerless_result *result,
                     const char *problem)
{
    handles_end(&handles, handle_of(ticket->id), HANDLE_COMPLETED);
    ticket->port->complete(ticket, result, problem);
}

static void judge_note(const struct note *note)
{
    struct handle_view view = handles_look(&handles, note->handle);
    log_fault(FAULT_THREAD, &view);
    struct module_ticket *ticket =
        note->kind == HANDLE_OF_CALL ? handles_find(&handles, HANDLE_OF_CALL, note->handle) : NULL;
    if (ticket)
        complete(ticket, NULL, "the module has completed the call in another thread");
}

static void on_async(struct ev_loop *loop, ev_async *watcher, int events)
{
    struct note noted[NOTES_MOST];
    (void)loop, (void)watcher, (void)events;
    pthread_mutex_lock(&lock);
    size_t count = note_count;
    memcpy(noted, notes, count * sizeof *noted);
    note_count = 0;
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < count; i++)
        judge_note(&noted[i]);
}

/* --- what modules call --- */

static void host_done(uint64_t call, const struct workerless_result *given)
{
    struct workerless_result result = {0};
    if (is_stray(HANDLE_OF_CALL, handle_of(call)))
        return;
    struct module_ticket *ticket = handles_find(&handles, HANDLE_OF_CALL, handle_of(call));
    if (!ticket) {
        judge_stale(call);
        return;
    }
    if (given)
        memcpy(&result, given, ticket->port->result_size);
    complete(ticket, given ? &result : NULL, "the module has completed the call without a result");
}

__attribute__((format(printf, 3, 4))) static void
host_log(uint64_t source, enum workerless_level level, const char *format, ...)
{
    static const enum log_level levels[MODULE_LEVELS] = {
        [WORKERLESS_ERROR] = LOG_LEVEL_ERROR,
        [WORKERLESS_WARNING] = LOG_LEVEL_WARNING,
        [WORKERLESS_INFO] = LOG_LEVEL_INFO,
        [WORKERLESS_DEBUG] = LOG_LEVEL_DEBUG,
    };
    size_t at = (unsigned)level < MODULE_LEVELS ? (size_t)level : WORKERLESS_ERROR;
    char line[LINE_ROOM];
    va_list arguments;
    if (is_stray(HANDLE_OF_SOURCE, source))
        return;
    struct module_port *port = handles_find(&handles, HANDLE_OF_SOURCE, source);
    if (!port) {
        struct handle_view view = handles_look(&handles, source);
        log_fault(FAULT_UNKNOWN_SOURCE, &view);
        return;
    }
    if (!log_enabled(levels[at]))
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    log_limited(&port->lines[at], levels[at], "module", "source \"%.*s\": %s",
                SLICE_ARGS(port->source), line);
}

static double host_now(void)
{
    return clock_monotonic();
}

const struct workerless_host module_host = {
    .abi = WORKERLESS_ABI,
    .size = sizeof(struct workerless_host),
    .done = host_done,
    .log = host_log,
    .now = host_now,
};

/* --- ports and tickets --- */

static void start_watching(struct ev_loop *loop)
{
    ev_async_init(&async, on_async);
    ev_async_start(loop, &async);
    ev_unref(loop); /* it does not keep the loop running */
    pthread_mutex_lock(&lock);
    owner = pthread_self();
    is_owned = true;
    watching = loop;
    note_count = 0;
    pthread_mutex_unlock(&lock);
}

static void stop_watching(struct ev_loop *loop)
{
    pthread_mutex_lock(&lock);
    watching = NULL;
    pthread_mutex_unlock(&lock);
    ev_ref(loop);
    ev_async_stop(loop, &async);
    for (size_t i = 0; i < FAULTS; i++)
        log_limit_end(&limits[i]);
}

bool module_port_open(struct module_port *port, struct ev_loop *loop)
{
    port->id = handles_add(&handles, HANDLE_OF_SOURCE, port, port->source, (struct slice){0});
    if (port->id != 0 && ports++ == 0)
        start_watching(loop);
    return port->id != 0;
}

void module_port_close(struct module_port *port, struct ev_loop *loop)
{
    if (port->id == 0)
        return;
    handles_end(&handles, port->id, HANDLE_CLOSED);
    port->id = 0;
    for (size_t i = 0; i < MODULE_LEVELS; i++)
        log_limit_end(&port->lines[i]);
    if (--ports == 0)
        stop_watching(loop);
}

bool module_ticket_open(struct module_ticket *ticket, struct module_port *port,
                        struct slice fragment)
{
    uint64_t handle = handles_add(&handles, HANDLE_OF_CALL, ticket, port->source, fragment);
    ticket->port = port;
    ticket->id = handle | (port->is_untold ? UNTOLD : 0);
    return handle != 0;
}

void module_ticket_end(struct module_ticket *ticket, enum handle_state how)
{
    handles_end(&handles, handle_of(ticket->id), how);
}
