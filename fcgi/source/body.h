/* The body of a POST to an http source: the config's template with the fragment's name. Pure.
 *
 * How a value is encoded depends on the media type: in JSON it is escaped for a string (RFC 8259
 * section 7), in a form it is percent-encoded. */
#ifndef WORKERLESS_SOURCE_BODY_H
#define WORKERLESS_SOURCE_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum body_format {
    BODY_JSON,  /* application/json, or another type that ends in +json */
    BODY_FORM,  /* application/x-www-form-urlencoded */
    BODY_OTHER, /* without placeholders */
};

/* The format of a media type, which may have parameters. */
enum body_format body_format(struct slice type);

/* Returns NULL, or an error message for the user: the format has no placeholders, or they are not
 * where a value can be. */
const char *body_check(const char *template, enum body_format format);

/* Whether the body depends on the fragment's name. */
bool body_has_name(const char *template);

/* Returns the body, and sets *len. The caller frees it. NULL: out of memory. The template has been
 * checked. */
char *body_expand(const char *template, enum body_format format, struct slice name, size_t *len);

#endif
