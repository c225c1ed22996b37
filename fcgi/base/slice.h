/* Borrowed bytes: a pointer and a length, not terminated, never owned. */
#ifndef WORKERLESS_BASE_SLICE_H
#define WORKERLESS_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *data; /* may be NULL when len is 0 */
    size_t len;
};

/* A string literal as a slice: SLICE_INIT in static initializers, SLICE anywhere else. */
#define SLICE_INIT(literal)                                                                        \
    {                                                                                              \
        .data = "" literal, .len = sizeof(literal) - 1                                             \
    }
#define SLICE(literal) ((struct slice)SLICE_INIT(literal))

/* "%.*s" arguments for a slice. */
#define SLICE_ARGS(slice) (int)(slice).len, (slice).data

/* A terminated string; NULL is an empty one. */
static inline struct slice slice_of(const char *text)
{
    return (struct slice){.data = text, .len = text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Whether they are equal, ignoring the case of ASCII letters. */
static inline bool slice_equal_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_starts(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len &&
           (prefix.len == 0 || memcmp(text.data, prefix.data, prefix.len) == 0);
}

/* The slice without its first `count` bytes; count must not exceed its length. */
static inline struct slice slice_from(struct slice text, size_t count)
{
    return (struct slice){.data = text.data + count, .len = text.len - count};
}

/* Moves up to `room` bytes from the beginning of the slice to `out`. Returns their number. */
static inline size_t slice_move(struct slice *from, char *out, size_t room)
{
    size_t count = from->len < room ? from->len : room;
    if (count > 0) {
        memcpy(out, from->data, count);
        *from = slice_from(*from, count);
    }
    return count;
}

/* The slice without spaces and tabs at either end. */
static inline struct slice slice_trim(struct slice text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_from(text, 1);
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

#endif
