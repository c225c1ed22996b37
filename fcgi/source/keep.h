/* Header fields of a source's response that are kept with its result, and sent with it. Pure. */
#ifndef WORKERLESS_SOURCE_KEEP_H
#define WORKERLESS_SOURCE_KEEP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define KEEP_MAX 2048 /* bytes of all fields that are kept with one result */

/* Whether a field of that name can be kept: it is a name, and the field neither belongs to a
 * connection or to one client, nor has a value of our own, nor tells front servers what to do. */
bool keep_allows(struct slice name);

/* Whether the value can be a field's value: no control characters except a tab (RFC 9110 5.5). */
bool keep_value_valid(struct slice value);

/* Writes to `out`, which has room for KEEP_MAX bytes, the fields that a new response has, and those
 * of the older ones that it does not have (RFC 9111 3.2). Both are lines "name: value\n" with names
 * in lower case, and at most KEEP_MAX bytes. What does not fit is left out. Returns the length. */
size_t keep_merge(struct slice older, struct slice newer, char *out);

/* For the option `keep`: returns NULL, or what is wrong with the name. */
const char *keep_check(const char *name);

#endif
