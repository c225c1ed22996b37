/* Finds tags in the text of a template, and reads them. Pure. */
#ifndef WORKERLESS_RENDER_MUSTACHE_TAG_H
#define WORKERLESS_RENDER_MUSTACHE_TAG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum mustache_tag_kind {
    TAG_VALUE,      /* {{name}} */
    TAG_RAW,        /* {{{name}}}, {{&name}} */
    TAG_SECTION,    /* {{#name}} */
    TAG_INVERTED,   /* {{^name}} */
    TAG_PARTIAL,    /* {{>name}} */
    TAG_PARENT,     /* {{<name}} */
    TAG_BLOCK,      /* {{$name}} */
    TAG_CLOSE,      /* {{/name}} */
    TAG_COMMENT,    /* {{!…}} */
    TAG_DELIMITERS, /* {{=<% %>=}} */
};

struct mustache_delimiters {
    struct slice open, close; /* borrowed; not empty */
};

struct mustache_tag {
    enum mustache_tag_kind kind;
    size_t from, to;   /* where it begins, and what follows it */
    struct slice name; /* without * */
    bool dynamic;      /* *name; of TAG_PARTIAL, TAG_PARENT and TAG_CLOSE only */
    struct mustache_delimiters delimiters; /* of TAG_DELIMITERS: from now on */
};

enum mustache_tag_result { TAG_FOUND, TAG_NONE, TAG_BAD };

/* Finds the first tag from `at` on. If it is bad, sets tag->from, and *why to a message. Tags have
 * to be looked for in their order, with the delimiters that the last one has left. */
enum mustache_tag_result mustache_tag_find(struct slice text, size_t at,
                                           const struct mustache_delimiters *delimiters,
                                           struct mustache_tag *tag, const char **why);

/* Whether only spaces and tabs stand before `at` in its line; if so, *start is where the line
 * begins. */
bool mustache_begins_line(struct slice text, size_t at, size_t *start);

/* Whether only spaces and tabs stand from `at` to the end of its line, or of the text; if so, *next
 * is where the next line begins. */
bool mustache_ends_line(struct slice text, size_t at, size_t *next);

#endif
