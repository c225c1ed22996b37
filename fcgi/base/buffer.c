/* A growable byte buffer. It doubles, but never exceeds the limit. */
#include "base/buffer.h"

#include <stdlib.h>

#include "base/alloc.h"

bool buffer_append(struct buffer *buffer, const void *bytes, size_t len, size_t limit)
{
    if (buffer->len > limit || len > limit - buffer->len)
        return false;
    if (len == 0)
        return true;
    size_t needed = buffer->len + len;
    if (needed > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity : 256;
        while (capacity < needed)
            capacity *= 2;
        if (capacity > limit)
            capacity = limit;
        char *data = alloc_resized(buffer->data, capacity);
        if (!data)
            return false;
        buffer->data = data;
        buffer->capacity = capacity;
    }
    memcpy(buffer->data + buffer->len, bytes, len);
    buffer->len = needed;
    return true;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

bool buffer_append_forced(struct buffer *buffer, const void *bytes, size_t len, size_t limit,
                          enum budget_name budget)
{
    size_t before = buffer->capacity;
    if (!buffer_append(buffer, bytes, len, limit))
        return false;
    budget_add(budget, buffer->capacity - before);
    return true;
}

bool buffer_append_counted(struct buffer *buffer, const void *bytes, size_t len, size_t limit,
                           enum budget_name budget)
{
    return budget_has_room(budget, len) && buffer_append_forced(buffer, bytes, len, limit, budget);
}
