/* Templates: what they own, their places and messages. Compiling is in mustache_parse.c, rendering in
 * mustache_render.c. */
#include "render/mustache.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/escape.h"
#include "render/mustache_nodes.h"

#define BYTE_ORDER_MARK SLICE("\xEF\xBB\xBF")

struct mustache_place mustache_place_of(const struct mustache *template, size_t at)
{
    struct mustache_place place = {.file = template->file, .line = 1, .column = 1};
    for (size_t i = 0; i < at; i++) {
        if (template->text.data[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)template->text.data[i] & 0xc0) != 0x80) {
            place.column++; /* not for the bytes of a character after its first */
        }
    }
    return place;
}

void mustache_fail(struct mustache_error *error, const struct mustache *template, size_t at,
                   const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error->place = mustache_place_of(template, at);
    vsnprintf(error->why, sizeof error->why, format, arguments);
    va_end(arguments);
}

const char *mustache_name(char room[MUSTACHE_NAME_ROOM], struct slice name)
{
    escape_plain(room, MUSTACHE_NAME_ROOM, name, name.len);
    return room;
}

void mustache_describe(const struct mustache_error *error, char *out, size_t size)
{
    snprintf(out, size, "%s:%zu:%zu: %s", error->place.file, error->place.line, error->place.column,
             error->why);
}

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

bool mustache_next_partial(const struct mustache *template, size_t *at, struct slice *name)
{
    while (*at < template->count) {
        const struct mustache_node *node = &template->nodes[(*at)++];
        if ((node->kind == NODE_PARTIAL || node->kind == NODE_PARENT) && !node->dynamic) {
            *name = mustache_span_text(template, node->text);
            return true;
        }
    }
    return false;
}

struct mustache_place mustache_partial_place(const struct mustache *template, size_t at)
{
    return mustache_place_of(template, template->nodes[at - 1].place);
}

bool mustache_is_dynamic(const struct mustache *template)
{
    for (size_t i = 0; i < template->count; i++)
        if (template->nodes[i].dynamic)
            return true;
    return false;
}
