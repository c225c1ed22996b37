/* The module source: calls are made by a library that the config names. This file has the source and
 * its calls; module_library.c loads modules, module_host.c has the functions that modules call, and
 * module_result.c checks their results.
 *
 *     start --> RUNNING --done by the module--> COMPLETED --later--> done()
 *                  |                                |
 *                  '--> deadline, cancel            '--> cancel --> done(), ABANDONED --later--> freed
 *                          |
 *                          '--> cancel of the module --> done()
 *
 * The module may complete a call at any time, even within its `start`. So the result is copied, and
 * reported later, when no function of the module is on the stack. */
#include "source/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ev.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/later.h"
#include "base/log.h"
#include "base/timeout.h"
#include "source/module_host.h"
#include "source/module_library.h"
#include "source/module_options.h"
#include "source/module_result.h"
#include "source/terms.h"

#define REASON_ROOM (MODULE_REASON_ROOM + 200)
#define BLOCKED_S   0.1 /* a function of a module that takes this long is logged */

enum module_call_state {
    MODULE_CALL_RUNNING,
    MODULE_CALL_COMPLETED, /* by the module; it is queued, and its `done` is called later */
    MODULE_CALL_ABANDONED, /* it is still queued, but its `done` has been called */
};

struct module_call {
    struct source_call call;
    enum module_call_state state;
    struct module_ticket ticket;  /* open while RUNNING */
    struct timeout deadline;      /* active while RUNNING */
    struct later later;           /* in the queue unless RUNNING */
    struct module_result *result; /* owned, unless RUNNING; NULL: out of memory */
    source_done_fn *done;
    void *caller;
    const struct source_rules *rules; /* of the route, which belong to the config; or NULL */
    bool authorized, has_user;        /* see terms.h */
    struct workerless_call shared;    /* what the module sees, as well as all that follows */
    struct workerless_input inputs[];
};

struct module {
    struct source source;
    struct ev_loop *loop;
    struct workerless_module functions;
    struct module_port port;
    struct workerless_source shared;  /* what the module sees */
    struct workerless_setting *pairs; /* owned; what it points to */
    void *instance;                   /* of the module */
    bool is_open;
    struct timeout_queue deadlines;
    struct later_queue completed;
    struct log_limit blocked;
};

static struct module *module_of(const struct module_call *call)
{
    return (struct module *)call->call.source;
}

static const struct module_settings *settings_of(const struct module *module)
{
    return (const struct module_settings *)module->source.settings;
}

/* A function of the module was called at `since`, and has returned now. */
static void judge_time(struct module *module, const char *function, double since)
{
    double taken = clock_monotonic() - since;
    if (taken >= BLOCKED_S)
        log_limited(&module->blocked, LOG_LEVEL_WARNING, "source",
                    "source \"%.100s\": the %s of the module %.60s has blocked this process for "
                    "%.1fs",
                    module->source.settings->name, function, module->functions.name, taken);
}

/* --- how calls end --- */

/* RUNNING --> COMPLETED --> ABANDONED */
static void call_set_state(struct module_call *call, enum module_call_state state)
{
    check(state == call->state + 1);
    call->state = state;
}

static void call_free(struct module_call *call)
{
    free(call->result);
    free(call);
}

/* Writes the source's name and the text. */
static const char *call_reason(const struct module_call *call, char room[REASON_ROOM],
                               const char *text)
{
    snprintf(room, REASON_ROOM, "source \"%.100s\": %s", module_of(call)->source.settings->name,
             text);
    return room;
}

/* What the module says of how long the result is good, and for whom. The terms point into the
 * reader. */
static struct source_terms read_terms(const struct module_call *call, struct terms_reader *reader)
{
    const struct module_result *result = call->result;
    terms_begin(reader, call->rules, call->authorized,
                result->status == SOURCE_NOT_FOUND ? 404 : 200, clock_fleet_ms() / 1000);
    if (!call->has_user)
        terms_of_nobody(reader);
    if (result->cache_control.data)
        terms_field(reader, SLICE("Cache-Control"), result->cache_control);
    return terms_end(reader);
}

static void call_report(struct module_call *call)
{
    const struct module_result *given = call->result;
    char room[REASON_ROOM];
    struct terms_reader reader;
    struct source_terms terms;
    struct source_result result = {.status = SOURCE_FAILED};
    if (!given) {
        result.reason = call_reason(call, room, "not enough memory for the result of the module");
    } else {
        result.status = given->status;
        result.type = given->type;
        result.body = given->body;
        result.retry_after_s = given->retry_after_s;
        result.reason = call_reason(call, room, given->reason);
        if (given->status != SOURCE_FAILED) {
            terms = read_terms(call, &reader);
            result.terms = &terms;
        }
    }
    call->done(call->caller, &result);
}

static void on_later(struct later *later)
{
    struct module_call *call = container_of(later, struct module_call, later);
    if (call->state == MODULE_CALL_COMPLETED)
        call_report(call);
    call_free(call);
}

/* The module has completed the call. */
static void on_completed(struct module_ticket *ticket, const struct workerless_result *result,
                         const char *problem)
{
    struct module_call *call = container_of(ticket, struct module_call, ticket);
    struct module *module = module_of(call);
    timeout_stop(&call->deadline);
    call_set_state(call, MODULE_CALL_COMPLETED);
    call->result = result ? module_result_copy(result, settings_of(module)->max_body)
                          : module_result_failed(problem);
    later_add(&module->completed, &call->later, on_later);
}

/* Ends a RUNNING call, and tells the module. */
static void call_give_up(struct module_call *call, enum handle_state how)
{
    struct module *module = module_of(call);
    timeout_stop(&call->deadline);
    module_ticket_end(&call->ticket, module->functions.cancel ? how : HANDLE_ABANDONED);
    if (!module->functions.cancel)
        return;
    double since = clock_monotonic();
    module->functions.cancel(module->instance, &call->shared);
    judge_time(module, "cancel", since);
}

static void on_deadline(void *context, struct timeout *deadline)
{
    struct module *module = context;
    struct module_call *call = container_of(deadline, struct module_call, deadline);
    char text[100], room[REASON_ROOM];
    snprintf(text, sizeof text, "the module has not completed the call within timeout = %gs",
             settings_of(module)->timeout);
    call_give_up(call, HANDLE_TIMED_OUT);
    call->done(call->caller, &(struct source_result){.status = SOURCE_TIMED_OUT,
                                                     .reason = call_reason(call, room, text)});
    call_free(call);
}

static void module_cancel(struct source_call *source_call)
{
    static const struct source_result cancelled = {.status = SOURCE_CANCELLED,
                                                   .reason = "cancelled"};
    struct module_call *call = (struct module_call *)source_call;
    if (call->state == MODULE_CALL_COMPLETED) {
        call_set_state(call, MODULE_CALL_ABANDONED);
        call->done(call->caller, &cancelled);
        return;
    }
    call_give_up(call, HANDLE_CANCELLED);
    call->done(call->caller, &cancelled);
    call_free(call);
}

/* --- how calls begin --- */

/* Copies the text to *at, and moves *at behind the copy. */
static struct workerless_text keep(char **at, struct slice text)
{
    struct workerless_text kept = {.data = *at, .len = text.len};
    if (text.len > 0)
        memcpy(*at, text.data, text.len);
    (*at)[text.len] = '\0';
    *at += text.len + 1;
    return kept;
}

static size_t input_count(const struct source_request *request)
{
    return request->inputs.vary ? request->inputs.vary->count : 0;
}

/* The bytes of all texts that `keep` copies. */
static size_t text_room(const struct source_request *request)
{
    struct inputs_reader reader = inputs_read(request->inputs);
    const struct input *input;
    struct slice value;
    size_t room = request->name.len + request->rest.len + request->request_id.len +
                  request->traceparent.len + 4;
    while ((input = inputs_next(&reader, &value)))
        room += input->name.len + value.len + 2;
    return room;
}

static enum workerless_input_kind kind_of(enum input_kind kind)
{
    static const enum workerless_input_kind kinds[] = {
        [INPUT_QUERY] = WORKERLESS_QUERY,   [INPUT_COOKIE] = WORKERLESS_COOKIE,
        [INPUT_HEADER] = WORKERLESS_HEADER, [INPUT_LANGUAGE] = WORKERLESS_LANGUAGE,
        [INPUT_HOST] = WORKERLESS_HOST,
    };
    return kinds[kind];
}

/* Copies the request into the call, which has room for it. */
static void call_fill(struct module_call *call, const struct source_request *request)
{
    struct inputs_reader reader = inputs_read(request->inputs);
    const struct input *input;
    struct slice value;
    struct workerless_call *shared = &call->shared;
    char *at = (char *)(call->inputs + input_count(request));
    shared->inputs = call->inputs;
    shared->name = keep(&at, request->name);
    shared->rest = keep(&at, request->rest);
    shared->request_id = keep(&at, request->request_id);
    shared->traceparent = keep(&at, request->traceparent);
    while ((input = inputs_next(&reader, &value))) {
        struct workerless_input *given = &call->inputs[shared->input_count++];
        given->kind = kind_of(input->kind);
        given->name = keep(&at, input->name);
        if (value.data)
            given->value = keep(&at, value);
    }
}

static struct source_call *module_start(struct source *source, const struct source_request *request,
                                        source_done_fn *done, void *caller)
{
    struct module *module = (struct module *)source;
    struct module_call *call = alloc_zeroed(
        sizeof *call + input_count(request) * sizeof *call->inputs + text_room(request));
    if (!call)
        return NULL;
    call->call.source = source;
    call->done = done;
    call->caller = caller;
    call->rules = request->rules;
    call->authorized = terms_authorized(request);
    call->has_user = terms_has_user(request);
    if (!module_ticket_open(&call->ticket, &module->port, request->name)) {
        free(call);
        return NULL;
    }
    call_fill(call, request);
    timeout_start_late(&module->deadlines, &call->deadline, request->waited);
    call->shared.id = call->ticket.id;
    call->shared.deadline = call->deadline.at;
    double since = clock_monotonic();
    module->functions.start(module->instance, &call->shared);
    judge_time(module, "start", since);
    return &call->call;
}

/* --- the source --- */

static void module_destroy(struct source *source)
{
    struct module *module = (struct module *)source;
    later_run(&module->completed); /* what was cancelled after it had been completed */
    if (module->is_open && module->functions.close)
        module->functions.close(module->instance);
    module_port_close(&module->port, module->loop);
    later_queue_stop(&module->completed);
    timeout_queue_stop(&module->deadlines);
    log_limit_end(&module->blocked);
    free(module->pairs);
    free(module);
}

/* Returns false if the module refuses, which is logged. */
static bool module_open(struct module *module)
{
    const struct workerless_module *functions = &module->functions;
    char why[MODULE_WHY_ROOM] = "";
    module->is_open = true;
    if (!functions->open || (module->instance = functions->open(&module->shared, why, sizeof why)))
        return true;
    module->is_open = false;
    why[sizeof why - 1] = '\0';
    log_error("source", "source \"%.100s\": the module %.60s can't be opened: %s",
              module->source.settings->name, functions->name, why[0] ? why : "it does not say why");
    return false;
}

struct source *module_new(struct ev_loop *loop, const struct module_settings *settings,
                          const struct workerless_module *functions)
{
    const struct source_settings *common = &settings->settings;
    struct module *module = alloc_zeroed(sizeof *module);
    if (!module)
        return NULL;
    module->source = (struct source){.type = common->type, .settings = common};
    module->loop = loop;
    module->functions = *functions;
    module->port.source = slice_of(common->name);
    module->port.result_size = functions->result_size;
    module->port.is_untold = !functions->cancel;
    module->port.complete = on_completed;
    timeout_queue_init(&module->deadlines, loop, settings->timeout, on_deadline, module);
    later_queue_init(&module->completed, loop);
    module->pairs = module_pairs(settings->pairs, settings->pair_count);
    if (module->pairs && module_port_open(&module->port, loop)) {
        module->shared = (struct workerless_source){.id = module->port.id,
                                                    .name = common->name,
                                                    .host = &module_host,
                                                    .loop = loop,
                                                    .settings = module->pairs,
                                                    .setting_count = settings->pair_count,
                                                    .connections = common->limits.connections,
                                                    .timeout = settings->timeout};
        if (module_open(module))
            return &module->source;
    }
    module_destroy(&module->source);
    return NULL;
}

static struct source *module_create(const struct source_environment *environment,
                                    const struct source_settings *common)
{
    struct ev_loop *loop = environment->loop;
    const struct module_settings *settings = (const struct module_settings *)common;
    char why[MODULE_WHY_ROOM];
    const struct module_library *library = module_library_load(settings->file, why);
    if (!library) {
        log_error("source", "source \"%.100s\": %s", common->name, why);
        return NULL;
    }
    const struct workerless_module *functions = module_library_module(library);
    const char *version = functions->version ? functions->version : "";
    if (module_library_has_changed(library))
        log_warning("source",
                    "source \"%.100s\": %s has changed since it was loaded; the old code stays in "
                    "use until a restart",
                    common->name, settings->file);
    struct source *source = module_new(loop, settings, functions);
    if (source)
        log_info("source", "source \"%.100s\": opened the module %.60s%s%.60s of %s", common->name,
                 functions->name, *version ? " " : "", version, settings->file);
    return source;
}

static size_t module_descriptors(const struct source_settings *settings)
{
    return settings->limits.connections;
}

static double module_timeout(const struct source_settings *settings)
{
    return ((const struct module_settings *)settings)->timeout;
}

const struct source_type source_type_module = {
    .name = "module",
    .settings_size = sizeof(struct module_settings),
    .options = module_options,
    .option_count = MODULE_OPTIONS,
    .check = module_check,
    .descriptors = module_descriptors,
    .timeout = module_timeout,
    .create = module_create,
    .start = module_start,
    .cancel = module_cancel,
    .destroy = module_destroy,
};
