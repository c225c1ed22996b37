/* The header fields that the config adds to each call: "NAME: VALUE". Pure. */
#ifndef WORKERLESS_SOURCE_HTTP_HEADERS_H
#define WORKERLESS_SOURCE_HTTP_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Checks one element of `headers` (RFC 9110 5.1, 5.5). Returns NULL, or an error message for the
 * user, which does not show the value. */
const char *http_header_check(const char *header);

/* Of a checked header: its name, and its value without surrounding spaces. */
struct slice http_header_name(const char *header);
struct slice http_header_value(const char *header);

/* The header of that name, in any case; NULL if there is none. */
const char *http_headers_find(const char *const *headers, size_t count, struct slice name);

/* Whether two of them have the same name. */
bool http_headers_repeat(const char *const *headers, size_t count);

#endif
