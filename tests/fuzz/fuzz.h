/* What the fuzz targets share. Each target is one function; libFuzzer has the main program. */
#ifndef WORKERLESS_TESTS_FUZZ_H
#define WORKERLESS_TESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has to hold for any input. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline struct slice fuzz_slice(const uint8_t *data, size_t size)
{
    return (struct slice){.data = (const char *)data, .len = size};
}

/* Whether `part` lies within `whole`. */
static inline bool fuzz_within(struct slice part, struct slice whole)
{
    return part.len == 0 || (part.data >= whole.data && part.len <= whole.len &&
                             (size_t)(part.data - whole.data) <= whole.len - part.len);
}

#endif
