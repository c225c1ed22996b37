/* Any source: finds the type of a kind and hands the call on to it. */
#include "source/source.h"

static const struct source_type *const types[] = {
    [SOURCE_SIMULATED] = &source_type_simulated,
    [SOURCE_HTTP] = &source_type_http,
};

const char *source_check(const struct source_settings *settings)
{
    return types[settings->kind]->check(settings);
}

struct source *source_create(struct ev_loop *loop, const struct source_settings *settings)
{
    return types[settings->kind]->create(loop, settings);
}

struct source_call *source_start(struct source *source, struct slice name, unsigned lane,
                                 source_done_fn *done, void *caller)
{
    return source->type->start(source, name, lane, done, caller);
}

bool source_is_busy(const struct source *source)
{
    return source->type->is_busy && source->type->is_busy(source);
}

void source_cancel(struct source_call *call)
{
    call->source->type->cancel(call);
}

void source_destroy(struct source *source)
{
    if (source)
        source->type->destroy(source);
}
