/* The variables that the config adds to each request: "NAME=VALUE". Pure. */
#ifndef WORKERLESS_SOURCE_FASTCGI_PARAMS_H
#define WORKERLESS_SOURCE_FASTCGI_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Checks one element of `params`. Returns NULL, or an error message for the user, which does not
 * show the value. */
const char *fastcgi_param_check(const char *param);

/* Of a checked element. */
struct slice fastcgi_param_name(const char *param);
struct slice fastcgi_param_value(const char *param);

/* Whether one of them has the name. */
bool fastcgi_params_have(const char *const *params, size_t count, struct slice name);

/* Whether two of them have the same name. */
bool fastcgi_params_repeat(const char *const *params, size_t count);

/* Writes the name of the variable that a header field is sent in (RFC 3875 4.1.18). Returns what was
 * written, or the empty slice if there is no room. */
#define FASTCGI_VARIABLE_ROOM 128
struct slice fastcgi_variable_of(struct slice header, char out[FASTCGI_VARIABLE_ROOM]);

#endif
