/* Finds a type of source by its name, and passes each call to the source's guard. */
#include "source/source.h"

#include <string.h>

#include "source/guard.h"

const struct source_type *source_type_find(const char *name)
{
    const struct source_type *const *type = source_types;
    while (*type && strcmp((*type)->name, name) != 0)
        type++;
    return *type;
}

const char *source_check(const struct source_settings *settings, const char **option)
{
    return settings->type->check ? settings->type->check(settings, option) : NULL;
}

const char *source_lacks_name(const struct source_settings *settings)
{
    return settings->type->lacks_name ? settings->type->lacks_name(settings) : NULL;
}

const char *source_uses_rest(const struct source_settings *settings)
{
    return settings->type->uses_rest ? settings->type->uses_rest(settings) : NULL;
}

bool source_check_rules(const struct source_settings *settings, const struct source_rules *rules,
                        char why[SOURCE_WHY_ROOM])
{
    return !settings->type->check_rules || settings->type->check_rules(settings, rules, why);
}

size_t source_descriptors(const struct source_settings *settings)
{
    return settings->type->descriptors ? settings->type->descriptors(settings) : 0;
}

struct source *source_create(const struct source_environment *environment,
                             const struct source_settings *settings)
{
    struct source *source = settings->type->create(environment, settings);
    if (source && !(source->guard = source_guard_new(environment->loop, source))) {
        settings->type->destroy(source);
        return NULL;
    }
    return source;
}

struct source_call *source_start(struct source *source, const struct source_request *request,
                                 source_done_fn *done, void *caller)
{
    return source->guard ? source_guard_start(source->guard, request, done, caller)
                         : source->type->start(source, request, done, caller);
}

bool source_is_busy(const struct source *source)
{
    return (source->guard && source_guard_is_busy(source->guard)) ||
           (source->type->is_busy && source->type->is_busy(source));
}

void source_await(struct source_call *call)
{
    if (call->source->guard)
        source_guard_await(call);
    else if (call->source->type->await)
        call->source->type->await(call);
}

void source_cancel(struct source_call *call)
{
    if (call->source->guard)
        source_guard_cancel(call);
    else
        call->source->type->cancel(call);
}

void source_found(struct source_call *call, enum source_status status)
{
    if (call->source->guard && call->source->type->found)
        source_guard_found(call, status);
    else
        source_cancel(call);
}

void source_destroy(struct source *source)
{
    if (!source)
        return;
    source_guard_free(source->guard);
    source->type->destroy(source);
}
