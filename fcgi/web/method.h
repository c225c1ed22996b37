/* HTTP methods as bits, so that a set of them is one number. Pure. */
#ifndef WORKERLESS_WEB_METHOD_H
#define WORKERLESS_WEB_METHOD_H

#include "base/slice.h"

enum method {
    METHOD_UNKNOWN = 0, /* no endpoint has it */
    METHOD_GET = 1 << 0,
    METHOD_HEAD = 1 << 1,
    METHOD_PURGE = 1 << 2,
};

/* The method of that name, which is case-sensitive (RFC 9110 9.1). */
static inline enum method method_of(struct slice name)
{
    if (slice_equal(name, SLICE("GET")))
        return METHOD_GET;
    if (slice_equal(name, SLICE("HEAD")))
        return METHOD_HEAD;
    if (slice_equal(name, SLICE("PURGE")))
        return METHOD_PURGE;
    return METHOD_UNKNOWN;
}

#endif
