/* A compiled template: its text, and nodes that refer to it. Only for the files of templates. Pure.
 *
 * The nodes stand in the order of the text. One that holds others is followed by them; `next` is
 * what follows them all. So {{#a}}x{{b}}{{/a}}y is
 *
 *     0  SECTION a   next 3
 *     1  TEXT x      next 2
 *     2  VALUE b     next 3
 *     3  TEXT y      next 4
 *
 * Indentation. A tag that stands alone in its line takes the line with it. The spaces before a
 * partial or a parent that does so are kept as its `indent`, and each line of that template gets
 * them. Of a block, the indentation that its lines have in common is removed from them and kept as
 * its `indent`: each of its lines gets it back, and so do the lines that replace them. */
#ifndef WORKERLESS_RENDER_MUSTACHE_NODES_H
#define WORKERLESS_RENDER_MUSTACHE_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "render/mustache.h"

enum mustache_node_kind {
    NODE_TEXT,
    NODE_VALUE,
    NODE_RAW,
    NODE_SECTION,
    NODE_INVERTED,
    NODE_PARTIAL,
    NODE_PARENT, /* holds only blocks */
    NODE_BLOCK,
};

/* Bytes of the template's text. */
struct mustache_span {
    uint32_t at, len;
};

struct mustache_node {
    enum mustache_node_kind kind;
    bool dynamic;    /* of a partial or parent: the name is looked up */
    bool standalone; /* its tag has a line of its own, which is no text */
    bool begins;     /* of a block, partial or parent: only spaces are before it in its line */
    uint32_t place;  /* of its tag or text */
    uint32_t next;   /* the number of the node after it and those in it */
    struct mustache_span text;   /* of a text; otherwise the name */
    struct mustache_span indent; /* see above; of a parent that is not alone: to be written first */
};

struct mustache {
    char *file;
    struct slice text; /* owned */
    struct mustache_node *nodes;
    size_t count, capacity;
};

static inline struct slice mustache_span_text(const struct mustache *template,
                                              struct mustache_span span)
{
    return (struct slice){.data = template->text.data + span.at, .len = span.len};
}

/* The place of that byte of the text. */
struct mustache_place mustache_place_of(const struct mustache *template, size_t at);

/* Sets *error to that place and a formatted message. Names in it are to be escaped. */
void mustache_fail(struct mustache_error *error, const struct mustache *template, size_t at,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A name for a message: escaped, and cut if it is long. Returns `room`. */
#define MUSTACHE_NAME_ROOM 80
const char *mustache_name(char room[MUSTACHE_NAME_ROOM], struct slice name);

/* Makes the nodes of the template's text. Returns false, and sets *error, if it is not valid, or when
 * out of memory. */
bool mustache_parse(struct mustache *template, struct mustache_error *error);

/* Removes the indentation of the block, whose nodes are complete, and keeps it as its `indent`. The
 * spaces before its tag count as well if `with_tag`. */
void mustache_outdent(struct mustache *template, size_t block, bool with_tag);

#endif
