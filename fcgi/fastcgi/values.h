/* GET_VALUES: what a front server may ask about us (FastCGI 1.0, section 4.1). Pure. */
#ifndef WORKERLESS_FASTCGI_VALUES_H
#define WORKERLESS_FASTCGI_VALUES_H

#include <stddef.h>

#include "base/slice.h"

/* Our answers. That requests may share a connection is always true. */
struct values {
    size_t max_conns; /* maximum number of connections */
    size_t max_reqs;  /* maximum number of concurrent requests */
};

/* The longest record that values_answer writes. */
#define VALUES_ANSWER_MAX 160

/* Reads the names in the content of a GET_VALUES record and writes the GET_VALUES_RESULT record to
 * `out`: one pair for each name that we know, however often it is asked for. Returns its length, or
 * 0 if the content is malformed. */
size_t values_answer(struct slice content, const struct values *ours, char *out);

#endif
