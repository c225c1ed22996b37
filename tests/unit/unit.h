/* What the unit tests share: cmocka with the headers that it needs, and a few helpers. */
#ifndef WORKERLESS_TESTS_UNIT_H
#define WORKERLESS_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/slice.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* Fails unless the two slices hold the same bytes; says which row of a table it was. */
#define assert_slice(row, actual, expected)                                                        \
    do {                                                                                           \
        struct slice is_ = (actual), ought_ = (expected);                                          \
        if (!slice_equal(is_, ought_))                                                             \
            fail_msg("row %zu: is \"%.*s\", not \"%.*s\"", (size_t)(row), SLICE_ARGS(is_),         \
                     SLICE_ARGS(ought_));                                                          \
    } while (0)

/* The same with a condition. */
#define assert_row(row, condition)                                                                 \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("row %zu: not so: %s", (size_t)(row), #condition);                            \
    } while (0)

/* A copy in a block of its own that ends with it, so that the sanitizer or valgrind sees any read
 * past its end. (One byte goes before it, since no block is empty.) Free it with unit_drop. */
static inline struct slice unit_exact(struct slice bytes)
{
    char *block = malloc(1 + bytes.len);
    assert_non_null(block);
    if (bytes.len > 0)
        memcpy(block + 1, bytes.data, bytes.len);
    return (struct slice){.data = block + 1, .len = bytes.len};
}

static inline void unit_drop(struct slice exact)
{
    free((char *)(uintptr_t)exact.data - 1);
}

/* A number below `bound`, from a sequence that is the same in every run. */
static inline size_t unit_random(size_t bound)
{
    static unsigned short state[3] = {2011, 3, 1};
    return (size_t)nrand48(state) % bound;
}

/* How a stream arrives. */
enum unit_feed { FEED_WHOLE, FEED_BYTES, FEED_RANDOM };
#define FEED_WAYS 10 /* once in one piece, once by bytes, the others at random splits */

/* Cuts the next piece off the stream, which is not empty. */
static inline struct slice unit_piece(struct slice *stream, enum unit_feed feed)
{
    size_t len = stream->len;
    if (feed == FEED_BYTES)
        len = 1;
    else if (feed != FEED_WHOLE)
        len = 1 + unit_random(unit_random(2) ? len : len < 16 ? len : 16);
    struct slice piece = {.data = stream->data, .len = len};
    *stream = slice_from(*stream, len);
    return piece;
}

/* buffer_append without a limit; memory does not fail here. */
static inline void unit_append(struct buffer *buffer, const void *bytes, size_t len)
{
    assert_true(buffer_append(buffer, bytes, len, SIZE_MAX));
}

#endif
