/* What all files of templates use: places, messages, names of partials. Compiling begins in
 * mustache_compile.c, rendering in mustache_render.c. */
#include "render/mustache.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/escape.h"
#include "render/mustache_nodes.h"

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
