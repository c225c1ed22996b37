/* The values of one parameter of a query string (application/x-www-form-urlencoded, URL Standard
 * 5.1). Pure. */
#ifndef WORKERLESS_WEB_QUERY_H
#define WORKERLESS_WEB_QUERY_H

#include <stddef.h>

#include "base/slice.h"

enum query_step {
    QUERY_VALUE, /* a value is in `out`, its length in *len */
    QUERY_END,
    QUERY_BAD, /* a value has a broken percent-encoding, or is longer than `size` */
};

/* Removes everything up to and including the next value of `parameter` from *rest, and decodes that
 * value into `out`. After QUERY_BAD, *rest must not be used. */
enum query_step query_next(struct slice *rest, struct slice parameter, char *out, size_t size,
                           size_t *len);

#endif
