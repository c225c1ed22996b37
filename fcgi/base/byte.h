/* What a byte is, in ASCII, whatever the locale: the classes of characters that HTTP and URLs are
 * made of. Bytes over 0x7f are in none of them. Pure. */
#ifndef WORKERLESS_BASE_BYTE_H
#define WORKERLESS_BASE_BYTE_H

#include <stdbool.h>
#include <string.h>

static inline bool byte_is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static inline bool byte_is_lower(char byte)
{
    return byte >= 'a' && byte <= 'z';
}

static inline bool byte_is_upper(char byte)
{
    return byte >= 'A' && byte <= 'Z';
}

static inline bool byte_is_letter(char byte)
{
    return byte_is_lower(byte) || byte_is_upper(byte);
}

static inline bool byte_is_alnum(char byte)
{
    return byte_is_letter(byte) || byte_is_digit(byte);
}

/* Whether it is one of the bytes of a string; '\0' never is. */
static inline bool byte_is_one_of(char byte, const char *bytes)
{
    return byte != '\0' && strchr(bytes, byte);
}

static inline bool byte_is_control(char byte)
{
    return (unsigned char)byte < 0x20 || byte == 0x7f;
}

/* Whether the value of a header field can have it: no control character but a tab (RFC 9110 5.5).
 * */
static inline bool byte_is_of_field(char byte)
{
    return !byte_is_control(byte) || byte == '\t';
}

/* tchar of RFC 9110 5.6.2: what names of header fields and cookies consist of. */
static inline bool byte_is_of_token(char byte)
{
    return byte_is_alnum(byte) || byte_is_one_of(byte, "!#$%&'*+-.^_`|~");
}

/* Unreserved (RFC 3986 2.3): what a url may have anywhere without a percent-encoding. */
static inline bool byte_is_unreserved(char byte)
{
    return byte_is_alnum(byte) || byte_is_one_of(byte, "-._~");
}

static inline char byte_to_lower(char byte)
{
    return byte_is_upper(byte) ? (char)(byte - 'A' + 'a') : byte;
}

static inline char byte_to_upper(char byte)
{
    return byte_is_lower(byte) ? (char)(byte - 'a' + 'A') : byte;
}

/* The value of a hexadecimal digit, 0 to 15; -1 if it is none. */
static inline int byte_hex_value(char digit)
{
    if (byte_is_digit(digit))
        return digit - '0';
    char lower = byte_to_lower(digit);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

#endif
