/* From the text of a template to what is rendered, and its end. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "render/mustache_nodes.h"

#define BYTE_ORDER_MARK SLICE("\xEF\xBB\xBF")

struct mustache *mustache_compile(const char *file, struct slice text, struct mustache_error *error)
{
    *error = (struct mustache_error){.place = {.file = file, .line = 1, .column = 1}};
    if (text.len > MUSTACHE_TEMPLATE_MAX) {
        snprintf(error->why, sizeof error->why, "the template is longer than %d bytes",
                 MUSTACHE_TEMPLATE_MAX);
        return NULL;
    }
    if (slice_starts(text, BYTE_ORDER_MARK))
        text = slice_from(text, BYTE_ORDER_MARK.len);

    struct mustache *template = alloc_zeroed(sizeof *template);
    char *copy = alloc_copy(text.data, text.len), *name = alloc_copy(file, strlen(file));
    bool ok = template && copy && name;
    if (!ok)
        snprintf(error->why, sizeof error->why, "out of memory");
    if (template)
        *template = (struct mustache){.file = name, .text = {.data = copy, .len = text.len}};
    if (ok && mustache_parse(template, error))
        return template;
    error->place.file = file;
    if (template) {
        mustache_free(template);
    } else {
        free(copy);
        free(name);
    }
    return NULL;
}

void mustache_free(struct mustache *template)
{
    if (!template)
        return;
    free(template->file);
    free((char *)(uintptr_t) template->text.data);
    free(template->nodes);
    free(template);
}
