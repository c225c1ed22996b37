/* Templates: text of the config with placeholders in braces, which a request has values for.
 *
 *     {name}                      of the fragment
 *     {rest}                      of the name: what the * of its route's pattern stands for
 *     {query}                     all query inputs that the template does not name
 *     {query:NAME} {header:NAME}  the value of one input
 *     {language} {host}           likewise
 *
 * Cookies and credentials have no placeholder: a url is logged in many places. Pure.
 */
#ifndef WORKERLESS_SOURCE_TEMPLATE_H
#define WORKERLESS_SOURCE_TEMPLATE_H

#include <stdbool.h>

#include "base/slice.h"
#include "source/inputs.h"

struct source_request;

enum template_kind {
    TEMPLATE_TEXT,
    TEMPLATE_NAME,
    TEMPLATE_REST,
    TEMPLATE_QUERY, /* {query} */
    TEMPLATE_INPUT, /* any of the others; `input` says which */
    /* Not in a template that template_check has accepted: */
    TEMPLATE_SECRET,     /* a cookie, or a header with credentials */
    TEMPLATE_UNKNOWN,    /* braces around anything else */
    TEMPLATE_UNBALANCED, /* one brace */
};

struct template_part {
    enum template_kind kind;
    struct slice text;  /* as the template has it, with the braces */
    struct input input; /* of TEMPLATE_INPUT */
};

/* Cuts the next part off `rest`, and sets *part. Returns false at the end. */
bool template_next(struct slice *rest, struct template_part *part);

/* Returns NULL, or what is wrong with the placeholders: `why`, which completes a sentence that
 * begins with the option's name. */
#define TEMPLATE_WHY_ROOM 300
const char *template_check(const char *template, char why[TEMPLATE_WHY_ROOM]);

/* Whether the template has a placeholder of that kind. */
bool template_has(const char *template, enum template_kind kind);

/* Whether the part stands for the input. A request has one language and one host. */
bool template_is(const struct template_part *part, const struct input *input);

/* Whether any part does. */
bool template_names(const char *template, const struct input *input);

/* The value of a part that is neither TEMPLATE_TEXT nor TEMPLATE_QUERY. Its data is NULL if it is
 * an input that is absent. */
struct slice template_value(const struct template_part *part, const struct source_request *request);

#endif
