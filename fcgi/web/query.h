/* The values of one parameter of a query string (application/x-www-form-urlencoded, URL Standard
 * 5.1). Pure. */
#ifndef WORKERLESS_WEB_QUERY_H
#define WORKERLESS_WEB_QUERY_H

#include <stddef.h>

#include "base/slice.h"

enum query_step {
    QUERY_VALUE, /* the next value is in `out`, and its length in *len */
    QUERY_END,
    QUERY_BAD, /* the next value has a broken percent-encoding, or is longer than `size` */
};

/* Takes from *rest what comes before the next value of `parameter`, and that itself, and decodes it
 * into `out`. After QUERY_BAD nothing is of use. */
enum query_step query_next(struct slice *rest, struct slice parameter, char *out, size_t size,
                           size_t *len);

#endif
