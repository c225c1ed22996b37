/* One character at a time, as utf8_sequence finds them. */
#include "base/escape.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"    /* U+FFFD */
#define PIECE_MAX   (4 * ESCAPED_LEN) /* bytes of a character, escaped in any way */

static const char digits[] = "0123456789abcdef";

static uint32_t code_point(const unsigned char *sequence, size_t len)
{
    uint32_t code = len == 1 ? sequence[0] : sequence[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (sequence[i] & 0x3fU);
    return code;
}

static bool is_unsafe(uint32_t code)
{
    static const uint32_t ranges[][2] = {{0x00, 0x1f},     {0x7f, 0x9f},     {0x61c, 0x61c},
                                         {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1])
            return true;
    return false;
}

/* The length of what most text consists of: bytes that are themselves in every form. */
static size_t ordinary_len(const char *text, size_t most)
{
    size_t len = 0;
    while (len < most && text[len] > ' ' && text[len] < 0x7f && text[len] != '"' &&
           text[len] != '\\')
        len++;
    return len;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Writes one character in its form; the text begins with it, and `len` is 0 if that is an invalid
 * byte. Returns the length. */
typedef size_t piece_fn(char piece[PIECE_MAX], struct slice text, size_t len);

static size_t put_as_it_is(char *piece, struct slice text, size_t len)
{
    memcpy(piece, text.data, len);
    return len;
}

static size_t put_bytes(char *piece, struct slice text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        char *at = piece + i * ESCAPED_LEN;
        at[0] = '\\';
        at[1] = 'x';
        at[2] = digits[byte >> 4];
        at[3] = digits[byte & 15];
    }
    return len * ESCAPED_LEN;
}

static size_t plain_piece(char piece[PIECE_MAX], struct slice text, size_t len)
{
    bool safe = len > 0 && !is_unsafe(code_point((const unsigned char *)text.data, len));
    return safe ? put_as_it_is(piece, text, len) : put_bytes(piece, text, len > 0 ? len : 1);
}

static size_t word_piece(char piece[PIECE_MAX], struct slice text, size_t len)
{
    char first = text.data[0];
    return first == ' ' || first == '"' || first == '\\' ? put_bytes(piece, text, 1)
                                                         : plain_piece(piece, text, len);
}

/* All unsafe characters are in the Basic Multilingual Plane. */
static size_t json_piece(char piece[PIECE_MAX], struct slice text, size_t len)
{
    char first = text.data[0];
    if (len == 0)
        return put_as_it_is(piece, SLICE(REPLACEMENT), strlen(REPLACEMENT));
    uint32_t code = code_point((const unsigned char *)text.data, len);
    if (is_unsafe(code)) {
        piece[0] = '\\';
        piece[1] = 'u';
        for (size_t i = 0; i < 4; i++)
            piece[2 + i] = digits[code >> (12 - 4 * i) & 15];
        return ESCAPED_JSON_LEN;
    }
    if (first != '"' && first != '\\')
        return put_as_it_is(piece, text, len);
    piece[0] = '\\';
    piece[1] = first;
    return 2;
}

static inline size_t escape(char *out, size_t size, struct slice text, size_t most, piece_fn *form)
{
    size_t at = 0, taken = 0, len;
    char piece[PIECE_MAX];
    for (; text.len > 0; text = slice_from(text, len)) {
        len = ordinary_len(text.data, least(text.len, least(most - taken, size - 1 - at)));
        if (len > 0) {
            memcpy(out + at, text.data, len);
            at += len;
            taken += len;
            continue;
        }
        len = utf8_sequence(text);
        size_t piece_len = form(piece, text, len);
        if (len == 0)
            len = 1;
        taken += len;
        if (taken > most || at + piece_len >= size)
            break;
        memcpy(out + at, piece, piece_len);
        at += piece_len;
    }
    out[at] = '\0';
    return at;
}

size_t escape_plain(char *out, size_t size, struct slice text, size_t most)
{
    return escape(out, size, text, most, plain_piece);
}

size_t escape_word(char *out, size_t size, struct slice text, size_t most)
{
    return escape(out, size, text, most, word_piece);
}

size_t escape_json(char *out, size_t size, struct slice text, size_t most)
{
    return escape(out, size, text, most, json_piece);
}
