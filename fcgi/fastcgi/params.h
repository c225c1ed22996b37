/* The name-value pair codec of PARAMS and GET_VALUES (FastCGI 1.0, section 3.4). Pure.
 *
 * PARAMS is a stream: the end of a record may split a pair anywhere. So the complete stream is
 * collected first, and decoded here.
 */
#ifndef WORKERLESS_FASTCGI_PARAMS_H
#define WORKERLESS_FASTCGI_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum params_step {
    PARAMS_PAIR, /* name and value are set; both may be empty or contain any byte */
    PARAMS_END,  /* everything is decoded */
    PARAMS_BAD,  /* a length points past the end, or the stream ends inside a pair */
};

/* Reads a length at *at and advances: one byte, or four if the high bit of the first is set.
 * Returns false if it is incomplete. */
static inline bool params_take_length(const unsigned char **at, const unsigned char *end,
                                      size_t *len)
{
    const unsigned char *byte = *at;
    if (byte < end && byte[0] < 0x80) {
        *len = byte[0];
        *at = byte + 1;
        return true;
    }
    if (end - byte < 4)
        return false;
    *len = (uint32_t)(byte[0] & 0x7f) << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 |
           byte[3];
    *at = byte + 4;
    return true;
}

/* Decodes and removes the next pair of `rest`. Name and value point into it; they are empty if
 * there is none. Inline, since it runs about twenty times per request, more often than anything
 * else. */
static inline enum params_step params_next(struct slice *rest, struct slice *name,
                                           struct slice *value)
{
    size_t name_len, value_len;
    *name = *value = (struct slice){0};
    if (rest->len == 0) /* its data may be NULL, to which nothing may be added, not even 0 */
        return PARAMS_END;
    const unsigned char *at = (const unsigned char *)rest->data, *end = at + rest->len;
    if (rest->len >= 2 && (at[0] | at[1]) < 0x80) { /* nearly always */
        name_len = at[0];
        value_len = at[1];
        at += 2;
    } else if (!params_take_length(&at, end, &name_len) ||
               !params_take_length(&at, end, &value_len)) {
        return PARAMS_BAD;
    }
    if (name_len > (size_t)(end - at) || value_len > (size_t)(end - at) - name_len)
        return PARAMS_BAD;
    *name = (struct slice){.data = (const char *)at, .len = name_len};
    *value = (struct slice){.data = (const char *)at + name_len, .len = value_len};
    at += name_len + value_len;
    *rest = (struct slice){.data = (const char *)at, .len = (size_t)(end - at)};
    return PARAMS_PAIR;
}

/* Encodes a pair whose name and value are shorter than 128 bytes. `out` has room for
 * 2 + name.len + value.len bytes; returns that number. */
size_t params_encode_short(char *out, struct slice name, struct slice value);

/* Encodes only the two lengths, behind which the name and the value follow. Each is up to 2^31 - 1.
 * Returns how many bytes were written. */
#define PARAMS_LENGTHS_MAX 8
size_t params_encode_lengths(char out[PARAMS_LENGTHS_MAX], size_t name_len, size_t value_len);

/* The same for a name and a value of up to 2^31 - 1 bytes. `out` has room for
 * PARAMS_LENGTHS_MAX + name.len + value.len bytes; returns how many were written. */
size_t params_encode(char *out, struct slice name, struct slice value);

#endif
