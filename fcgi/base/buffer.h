/* A growable byte buffer. Each append passes the maximum size. */
#ifndef WORKERLESS_BASE_BUFFER_H
#define WORKERLESS_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/budget.h"
#include "base/slice.h"

struct buffer { /* all zero: empty, holds no memory */
    char *data;
    size_t len;
    size_t capacity;
};

/* Appends the bytes. Returns false, and changes nothing, if the length would exceed `limit` or when
 * out of memory. */
bool buffer_append(struct buffer *buffer, const void *bytes, size_t len, size_t limit);

/* Frees the memory; the buffer is empty again. May be called twice. */
void buffer_free(struct buffer *buffer);

/* The same for a buffer whose memory counts in a budget; the append also fails if the budget has no
 * room. Use only these three for such a buffer, never buffer_append or buffer_free. */
bool buffer_append_counted(struct buffer *buffer, const void *bytes, size_t len, size_t limit,
                           enum budget_name budget);

/* The same, even if the budget has no room; it is exceeded then. */
bool buffer_append_forced(struct buffer *buffer, const void *bytes, size_t len, size_t limit,
                          enum budget_name budget);

static inline void buffer_free_counted(struct buffer *buffer, enum budget_name budget)
{
    if (!buffer->data)
        return;
    budget_sub(budget, buffer->capacity);
    buffer_free(buffer);
}

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){.data = buffer->data, .len = buffer->len};
}

#endif
