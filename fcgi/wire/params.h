/* The name-value pair codec of PARAMS and GET_VALUES (FastCGI 1.0, section 3.4). Pure.
 *
 * PARAMS is a stream: a pair may be cut anywhere by a record's end. So the stream is collected
 * first, and decoded here in one piece.
 */
#ifndef WORKERLESS_WIRE_PARAMS_H
#define WORKERLESS_WIRE_PARAMS_H

#include "base/slice.h"

enum params_step {
    PARAMS_PAIR, /* name and value are set; both may be empty and hold any byte */
    PARAMS_END,  /* all was decoded */
    PARAMS_BAD,  /* a length points past the end, or the stream ends inside a pair */
};

/* Decodes the next pair of `rest`, which shrinks by it. Name and value point into it. */
enum params_step params_next(struct slice *rest, struct slice *name, struct slice *value);

/* Encodes a pair whose name and value are shorter than 128 bytes. `out` has room for
 * 2 + name.len + value.len bytes; returns that number. */
size_t params_encode_short(char *out, struct slice name, struct slice value);

#endif
