/* A growable run of bytes with a bound that the caller names at every growth. */
#ifndef WORKERLESS_BASE_BUFFER_H
#define WORKERLESS_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct buffer { /* all zero: empty, holds no memory */
    char *data;
    size_t len;
    size_t capacity;
};

/* Appends the bytes. False, and nothing changed, if len would pass `limit` or memory is refused. */
bool buffer_append(struct buffer *buffer, const void *bytes, size_t len, size_t limit);

/* Frees the memory; the buffer is empty again. May be called twice. */
void buffer_free(struct buffer *buffer);

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){.data = buffer->data, .len = buffer->len};
}

#endif
