/* Dictionaries of structured fields (RFC 9651 4.2.2). Pure. */
#ifndef WORKERLESS_SOURCE_STRUCTURED_H
#define WORKERLESS_SOURCE_STRUCTURED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum structured_kind {
    STRUCTURED_INTEGER, /* number is it */
    STRUCTURED_BOOLEAN, /* number is 0 or 1 */
    STRUCTURED_OTHER,   /* another item, or an inner list: only its syntax is checked */
};

/* A member, without its parameters. */
struct structured_member {
    struct slice key;
    enum structured_kind kind;
    int64_t number;
};

struct structured_reader {
    struct slice rest;
    bool any; /* there was a member */
    bool bad; /* it is not a dictionary: nothing that was read counts */
};

struct structured_reader structured_read(struct slice value);

/* Reads the next member. Returns false at the end, or if the dictionary is bad; a member that comes
 * twice is read twice, and the last one counts (RFC 9651 3.2). */
bool structured_next(struct structured_reader *reader, struct structured_member *member);

#endif
