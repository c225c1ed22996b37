/* What a template is rendered with for one fragment: its name, its inputs, and what its source has
 * returned. Nothing is copied. Pure.
 *
 *     {{id}}           the fragment's name
 *     {{inputs.NAME}}  the value of an input, if the request has it
 *     {{content}}      the source's text, escaped; or its HTML as it is; with JSON instead, what its
 *                      members are called
 *
 * Names are looked up in the JSON first: if it has an `id` of its own, {{id}} is that one. */
#ifndef WORKERLESS_RENDER_CONTEXT_H
#define WORKERLESS_RENDER_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "render/mustache.h"

/* What plain text becomes without a template: text_render does the same, and needs less time. */
#define CONTEXT_TEXT_TEMPLATE SLICE("<div id=\"{{id}}\">{{content}}</div>")

#define CONTEXT_INPUTS_MAX 16

/* It refers to itself: don't copy it. What it is given has to stay as long as it is used. */
struct context {
    struct mustache_value stack[2]; /* for struct mustache_call: ours, and the JSON */
    size_t count;                   /* of the stack */
    struct mustache_field fields[3], inputs[CONTEXT_INPUTS_MAX];
    size_t input_count;
};

/* Begins a context with the fragment's name, without inputs. */
void context_begin(struct context *context, struct slice name);

/* Adds an input; one whose value has no data is absent, and not added. Of two with one name, the
 * first counts. Returns false if there are CONTEXT_INPUTS_MAX already. */
bool context_add_input(struct context *context, struct slice name, struct slice value);

/* Ends it with what the source has returned: a text, HTML, or JSON. One of them has to be called,
 * last. */
void context_end_text(struct context *context, struct slice content);
void context_end_html(struct context *context, struct slice content);
void context_end_json(struct context *context, const struct json_t *json);

#endif
