/* The contexts of a fragment. */
#include "render/context.h"

void context_begin(struct context *context, struct slice name)
{
    context->count = 0;
    context->input_count = 0;
    context->fields[0] = (struct mustache_field){SLICE("id"), mustache_text(name)};
}

bool context_add_input(struct context *context, struct slice name, struct slice value)
{
    if (!value.data)
        return true;
    if (context->input_count == CONTEXT_INPUTS_MAX)
        return false;
    context->inputs[context->input_count++] = (struct mustache_field){name, mustache_text(value)};
    return true;
}

static void end(struct context *context, size_t fields)
{
    context->fields[1] =
        (struct mustache_field){SLICE("inputs"),
                                mustache_fields(context->inputs, context->input_count)};
    context->stack[0] = mustache_fields(context->fields, fields);
}

static void end_content(struct context *context, struct mustache_value content)
{
    context->fields[2] = (struct mustache_field){SLICE("content"), content};
    end(context, 3);
    context->count = 1;
}

void context_end_text(struct context *context, struct slice content)
{
    end_content(context, mustache_text(content));
}

void context_end_html(struct context *context, struct slice content)
{
    end_content(context, mustache_html(content));
}

void context_end_json(struct context *context, const struct json_t *json)
{
    end(context, 2);
    context->stack[1] = mustache_json(json);
    context->count = 2;
}
