/* What a fragment depends on besides its name: a route's `vary`, and the values of one request.
 *
 * The values are packed in the order of `vary`, so that a flight keeps them in one piece: for each
 * input a byte that says whether it is there, two bytes with its length (the higher one first), and
 * its bytes. Exactly these values identify the variant in the cache, and exactly these reach the
 * source. Pure.
 */
#ifndef WORKERLESS_SOURCE_INPUTS_H
#define WORKERLESS_SOURCE_INPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define INPUTS_MAX        16   /* entries of one `vary` */
#define INPUTS_PACKED_MAX 8192 /* bytes of one request's packed values */

enum input_kind {
    INPUT_QUERY,    /* query:NAME: a parameter of the query */
    INPUT_COOKIE,   /* cookie:NAME */
    INPUT_HEADER,   /* header:NAME: a request header */
    INPUT_LANGUAGE, /* language:TAGS: the best of the tags for Accept-Language */
    INPUT_HOST,     /* host: the Host header */
};

/* One entry of `vary`. Belongs to the config. */
struct input {
    enum input_kind kind;
    struct slice name; /* of the parameter or cookie; of the header in lower case; for a language:
                          the tags, separated by commas, the default first; else empty */
};

/* Belongs to the config. */
struct vary {
    const struct input *inputs; /* in the order of the config */
    size_t count;               /* at most INPUTS_MAX */
};

/* The values of one request. All zero: none. */
struct inputs {
    const struct vary *vary; /* NULL: none */
    struct slice packed;     /* borrowed */
};

/* Appends the next value to `packed`, which has INPUTS_PACKED_MAX bytes and holds *len so far.
 * A value whose data is NULL is absent. Returns false if there is no room. */
bool inputs_pack(char *packed, size_t *len, struct slice value);

/* Reads one value after the other. */
struct inputs_reader {
    struct inputs inputs;
    size_t number;     /* of the next input */
    struct slice rest; /* of the packed values */
};

static inline struct inputs_reader inputs_read(struct inputs inputs)
{
    return (struct inputs_reader){.inputs = inputs, .rest = inputs.packed};
}

/* Returns the next input, and sets *value; its data is NULL if it is absent. NULL: there are no
 * more. */
const struct input *inputs_next(struct inputs_reader *reader, struct slice *value);

/* The value of the first input of that kind and name; its data is NULL if it is absent. */
struct slice inputs_find(struct inputs inputs, enum input_kind kind, struct slice name);

#endif
