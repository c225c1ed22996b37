/* Query strings (application/x-www-form-urlencoded, URL Standard 5.1). Pure. */
#ifndef WORKERLESS_WEB_QUERY_H
#define WORKERLESS_WEB_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum query_step {
    QUERY_VALUE, /* a value is in `out`, its length in *len */
    QUERY_END,
    QUERY_BAD, /* a value has a broken percent-encoding, or is longer than `size` */
};

/* Removes everything up to and including the next value of `parameter` from *rest, and decodes that
 * value into `out`. The parameter must stand in the query as it is, not encoded. After QUERY_BAD,
 * *rest must not be used. */
enum query_step query_next(struct slice *rest, struct slice parameter, char *out, size_t size,
                           size_t *len);

/* Removes the next pair from *rest, and sets its name and its value, both still encoded. If it has
 * no '=', its value is empty. Returns false at the end. */
bool query_next_pair(struct slice *rest, struct slice *name, struct slice *value);

/* Whether the encoded name stands for `name`. */
bool query_name_is(struct slice encoded, struct slice name);

/* Whether the query has a parameter of that name, with or without a value. */
bool query_has(struct slice query, struct slice name);

/* Decodes a value into `out`. Returns false if its percent-encoding is broken, or it is longer than
 * `size`. */
bool query_decode(struct slice encoded, char *out, size_t size, size_t *len);

#endif
