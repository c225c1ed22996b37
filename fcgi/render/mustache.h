/* Mustache templates: compiled once, rendered any number of times. Pure.
 *
 * Supported are the required modules of the specification (https://github.com/mustache/spec, version
 * 1.4: interpolation, sections, inverted sections, comments, set delimiters, partials) and of the
 * optional ones inheritance and dynamic names. There are no lambdas: JSON has no functions.
 *
 *     {{name}} {{a.b}} {{.}}   a value, escaped for HTML unless it is HTML (mustache_value.h)
 *     {{{name}}} {{&name}}     a value as it is
 *     {{#name}}…{{/name}}      a section: for each element of a list, or once if the value counts
 *                              as true (see mustache_value.h)
 *     {{^name}}…{{/name}}      an inverted section: if the value counts as false
 *     {{! … }}                 a comment
 *     {{=<% %>=}}              other delimiters, for the rest of the file
 *     {{>name}}                a partial: another template in this place
 *     {{<name}}{{$block}}…{{/block}}{{/name}}  a parent: a template with other blocks
 *     {{$block}}…{{/block}}    a block, with what it holds if nobody replaces it
 *     {{>*name}} {{<*name}}…   the same of the template whose name is the value
 *
 * Where the specification leaves it open: an object or a list has no text, so {{name}} of it is an
 * error. A parent holds blocks, comments and text that is ignored; any other tag there is an error.
 *
 * A template is immutable, so one may be rendered while it is being rendered. Nothing is global. */
#ifndef WORKERLESS_RENDER_MUSTACHE_H
#define WORKERLESS_RENDER_MUSTACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "render/mustache_value.h"

#define MUSTACHE_TEMPLATE_MAX (1024 * 1024) /* bytes of a template */
#define MUSTACHE_NESTED_MAX   64  /* sections, parents and blocks in each other, in a file */
#define MUSTACHE_DEPTH_MAX    256 /* the same while rendering, with those in partials, and these */

struct buffer;
struct mustache;

/* Where something is in a template. */
struct mustache_place {
    const char *file;    /* borrowed: from the caller when a template is compiled, else from the
                              template, which may be a partial */
    size_t line, column; /* from 1; a column is a character */
};

#define MUSTACHE_WHY_ROOM 300
struct mustache_error {
    struct mustache_place place;
    char why[MUSTACHE_WHY_ROOM]; /* a message for the author */
};

/* Writes "FILE:LINE:COLUMN: why" to `out`, cut if there is not enough room, and terminated if `size`
 * is not 0. */
void mustache_describe(const struct mustache_error *error, char *out, size_t size);

/* Compiles the text of a template; `file` is for messages. Both are copied. Returns it owned; or
 * NULL, and sets *error: it is not a valid template, or there is no memory. */
struct mustache *mustache_compile(const char *file, struct slice text,
                                  struct mustache_error *error);

/* Frees a template; NULL is accepted. */
void mustache_free(struct mustache *template);

/* One after the other, the names of partials and parents that stand in the template; a name comes as
 * often as it is there. Begin with *at = 0. Returns false at the end. Dynamic names are not among
 * them. The name is borrowed from the template. */
bool mustache_next_partial(const struct mustache *template, size_t *at, struct slice *name);

/* The place of the partial that mustache_next_partial has found last, having left this `at`. */
struct mustache_place mustache_partial_place(const struct mustache *template, size_t at);

/* Whether the template has a name of a partial or parent that is found only while rendering. */
bool mustache_is_dynamic(const struct mustache *template);

enum mustache_lookup {
    MUSTACHE_FOUND,
    MUSTACHE_MISSING, /* nothing is rendered in its place, as the specification says */
    MUSTACHE_REFUSED, /* rendering fails */
};

/* Finds the template of a partial or parent. If found, sets *found, which has to stay as long as the
 * rendering takes. If refused, sets *why to a text that completes a sentence which begins with the
 * name: "is not in the directory of templates". A dynamic name is any text that the data has. */
typedef enum mustache_lookup mustache_find_fn(void *arg, struct slice name,
                                              const struct mustache **found, const char **why);

struct mustache_call {
    const struct mustache_value *contexts; /* names are looked up in the last one first */
    size_t count;
    mustache_find_fn *find; /* NULL: there are no partials */
    void *arg;              /* of find */
    size_t output_max;      /* bytes */
    size_t steps_max;       /* tags, texts, repetitions and lookups; some 10 to 100 ns each */
};

/* Appends what the template makes of the contexts to `out`. Returns false, with *error set and the
 * length of `out` unchanged, if anything fails: a limit is reached, a value has no text, a partial is
 * refused, or there is no memory. */
bool mustache_render(const struct mustache *template, const struct mustache_call *call,
                     struct buffer *out, struct mustache_error *error);

#endif
