/* Turns a source's result into a fragment. Pure.
 *
 *     rule           HTML                 text                   JSON                   other types
 *     no template    as it is             escaped, in a <div>    escaped, in a <div>    refused
 *     a template     as {{content}}       escaped, {{content}}   its members            refused
 *     raw            as it is             as it is               as it is               as they are
 */
#ifndef WORKERLESS_RENDER_RENDER_H
#define WORKERLESS_RENDER_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

struct context;
struct mustache;
struct templates;

/* How the results of a route are rendered. Belongs to the config. All zero but `html_max`: there is no
 * template. */
struct render_rule {
    bool raw;                        /* everything passes as it is */
    const struct mustache *template; /* NULL: there is none */
    struct templates *templates;     /* that have its partials */
    const char *const *required;     /* dotted names that the JSON must have */
    size_t required_count;
    size_t json_max, html_max; /* bytes */
    size_t steps_max;          /* see struct mustache_call */
    uint64_t digest; /* of all that the HTML depends on, except the limits; 0: no template */
};

/* The digest of the rule, given that of its templates. */
uint64_t render_rule_digest(const struct render_rule *rule, uint64_t templates);

struct render_result {
    struct slice type, body; /* `body` is the source's own, or points into `html` */
    struct buffer html;      /* the caller frees it, even after a failure */
};

#define RENDER_WHY_ROOM 700

/* Sets *result, which is all zero at first. `context` has begun with the fragment's name and its
 * inputs; it is used only if the rule has a template. Returns false if the result can't be rendered,
 * with a sentence for the log in `why`. */
bool render_fragment(const struct render_rule *rule, struct slice name, struct context *context,
                     struct slice type, struct slice body, struct render_result *result,
                     char why[RENDER_WHY_ROOM]);

/* Whether the text is a name for `required`: parts with a dot between, none of which is empty. */
bool render_name_is_valid(const char *name);

#endif
