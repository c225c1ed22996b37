/* Writes text piece by piece, where printf would cost too much. Each function writes at `at`, where
 * the caller has made sure that there is room, and returns where the next piece goes. No zero byte
 * is added. Pure. */
#ifndef WORKERLESS_BASE_PUT_H
#define WORKERLESS_BASE_PUT_H

#include <stdint.h>
#include <string.h>

#include "base/slice.h"

#define PUT_NUMBER_MAX 19 /* bytes */

static inline char *put(char *at, struct slice text)
{
    if (text.len > 0)
        memcpy(at, text.data, text.len);
    return at + text.len;
}

/* In decimal; 0 for a negative number. */
static inline char *put_number(char *at, int64_t number)
{
    uint64_t rest = number > 0 ? (uint64_t)number : 0;
    size_t count = 1;
    for (uint64_t bound = 10; rest >= bound && count < PUT_NUMBER_MAX; bound *= 10)
        count++;
    for (size_t i = count; i-- > 0; rest /= 10)
        at[i] = (char)('0' + rest % 10);
    return at + count;
}

/* As 16 hexadecimal digits, in lower case. */
static inline char *put_hex(char *at, uint64_t number)
{
    for (size_t i = 16; i-- > 0; number >>= 4)
        at[i] = "0123456789abcdef"[number & 15];
    return at + 16;
}

/* Each byte as two hexadecimal digits, in lower case. */
static inline char *put_hex_bytes(char *at, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        *at++ = "0123456789abcdef"[bytes[i] >> 4];
        *at++ = "0123456789abcdef"[bytes[i] & 15];
    }
    return at;
}

/* The same of one byte, but in upper case. */
static inline char *put_hex_byte(char *at, char byte)
{
    *at++ = "0123456789ABCDEF"[(unsigned char)byte >> 4];
    *at++ = "0123456789ABCDEF"[byte & 15];
    return at;
}

#define PUT_PERCENT_LEN 3

/* The percent-encoding of one byte (RFC 3986 2.1). */
static inline char *put_percent(char *at, char byte)
{
    *at++ = '%';
    return put_hex_byte(at, byte);
}

#endif
