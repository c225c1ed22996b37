/* The body of a POST to an http source: the config's template (see template.h) with the values of a
 * request. Pure.
 *
 * How a value is encoded depends on the media type: in JSON it is escaped for a string (RFC 8259
 * section 7), in a form it is percent-encoded. Unlike in a url, braces are common in a body: what
 * is not a placeholder is text. There is no {query}, and an absent input is empty. */
#ifndef WORKERLESS_SOURCE_BODY_H
#define WORKERLESS_SOURCE_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "source/source.h"

enum body_format {
    BODY_JSON,  /* application/json, or another type that ends in +json */
    BODY_FORM,  /* application/x-www-form-urlencoded */
    BODY_OTHER, /* without placeholders */
};

/* The format of a media type, which may have parameters. */
enum body_format body_format(struct slice type);

/* Returns NULL, or an error message for the user, which is valid until the next call: a placeholder
 * is not allowed, or not where a value can be. */
const char *body_check(const char *template, enum body_format format);

/* Returns the body, and sets *len. The caller frees it. NULL: out of memory. The template has been
 * checked. */
char *body_expand(const char *template, enum body_format format,
                  const struct source_request *request, size_t *len);

/* What the functions below write to. */
struct body_others {
    struct vary vary;
    struct input inputs[INPUTS_MAX];
    char packed[INPUTS_PACKED_MAX];
};

/* The inputs of the request that reach the source by the url and by header fields: those that the
 * body does not name, or the url names as well. They point into `others`. */
struct inputs body_other_inputs(const char *template, const char *url_template,
                                struct inputs inputs, struct body_others *others);

#endif
