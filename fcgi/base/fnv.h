/* FNV-1a, by which contents are compared that nobody forges. Not for tables: see table.h. */
#ifndef WORKERLESS_BASE_FNV_H
#define WORKERLESS_BASE_FNV_H

#include <stdint.h>

#include "base/slice.h"

#define FNV_BEGIN UINT64_C(0xcbf29ce484222325)

/* Continues with the bytes, and with their end: "ab" and "c" are not "a" and "bc". */
static inline uint64_t fnv_add(uint64_t digest, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        digest = (digest ^ (unsigned char)bytes.data[i]) * UINT64_C(0x100000001b3);
    return (digest ^ 0x100) * UINT64_C(0x100000001b3);
}

#endif
