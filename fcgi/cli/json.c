/* One function steps over a value; everything else uses it. */
#include "cli/json.h"

#include <stdlib.h>

#include "base/byte.h"

#define NUMBER_MAX 40 /* bytes that are read of a number */

/* The text that has not been read. `bad`: it is no JSON. */
struct reader {
    const char *at, *end;
    bool bad;
};

static struct reader reader_of(struct slice text)
{
    return (struct reader){.at = text.data, .end = text.data + text.len};
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && byte_is_one_of(*reader->at, " \t\r\n"))
        reader->at++;
}

/* The next byte that is no blank; 0 at the end. */
static char peek(struct reader *reader)
{
    skip_blanks(reader);
    return reader->at < reader->end ? *reader->at : '\0';
}

static bool take(struct reader *reader, char byte)
{
    if (peek(reader) != byte || reader->at == reader->end)
        return false;
    reader->at++;
    return true;
}

static void skip_string(struct reader *reader)
{
    if (!take(reader, '"')) {
        reader->bad = true;
        return;
    }
    for (; reader->at < reader->end && *reader->at != '"'; reader->at++) {
        if ((unsigned char)*reader->at < 0x20)
            break;
        if (*reader->at == '\\' && ++reader->at == reader->end)
            break;
    }
    reader->bad |= reader->at == reader->end || *reader->at != '"';
    if (!reader->bad)
        reader->at++;
}

static void skip_word(struct reader *reader)
{
    static const struct slice words[] = {SLICE_INIT("true"), SLICE_INIT("false"),
                                         SLICE_INIT("null")};
    struct slice rest = {.data = reader->at, .len = (size_t)(reader->end - reader->at)};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!slice_starts(rest, words[i]))
            continue;
        reader->at += words[i].len;
        return;
    }
    const char *from = reader->at;
    while (reader->at < reader->end &&
           (byte_is_digit(*reader->at) || byte_is_one_of(*reader->at, "+-.eE")))
        reader->at++;
    reader->bad |= reader->at == from;
}

/* Calls itself for what is nested, JSON_DEPTH_MAX times at most. */
static void skip_value(struct reader *reader, unsigned depth)
{
    char first = peek(reader), last = first == '{' ? '}' : ']';
    if (first == '"') {
        skip_string(reader);
        return;
    }
    if (first != '{' && first != '[') {
        skip_word(reader);
        return;
    }
    reader->bad |= depth == 0;
    reader->at++;
    if (take(reader, last))
        return;
    while (!reader->bad) {
        if (first == '{') {
            skip_string(reader);
            reader->bad |= !take(reader, ':');
        }
        if (!reader->bad)
            skip_value(reader, depth - 1);
        if (reader->bad || take(reader, last))
            return;
        reader->bad |= !take(reader, ',');
    }
}

bool json_valid(struct slice text)
{
    struct reader reader = reader_of(text);
    if (text.len == 0)
        return false;
    skip_value(&reader, JSON_DEPTH_MAX);
    skip_blanks(&reader);
    return !reader.bad && reader.at == reader.end;
}

/* Steps over the next value, and returns it. */
static struct slice next_value(struct reader *reader)
{
    skip_blanks(reader);
    const char *from = reader->at;
    skip_value(reader, JSON_DEPTH_MAX);
    return (struct slice){.data = from, .len = (size_t)(reader->at - from)};
}

bool json_next(struct slice *rest, struct slice *element)
{
    struct reader reader = reader_of(*rest);
    if (rest->len == 0 || (!take(&reader, '[') && !take(&reader, ',')) || peek(&reader) == ']')
        return false;
    *element = next_value(&reader);
    if (reader.bad)
        return false;
    *rest = (struct slice){.data = reader.at, .len = (size_t)(reader.end - reader.at)};
    return true;
}

bool json_next_member(struct slice *rest, struct slice *name, struct slice *value)
{
    struct reader reader = reader_of(*rest);
    if (rest->len == 0 || (!take(&reader, '{') && !take(&reader, ',')) || peek(&reader) != '"')
        return false;
    *name = next_value(&reader);
    take(&reader, ':');
    *value = next_value(&reader);
    if (reader.bad)
        return false;
    *rest = (struct slice){.data = reader.at, .len = (size_t)(reader.end - reader.at)};
    return true;
}

struct slice json_member(struct slice object, const char *name)
{
    struct slice found, value;
    while (json_next_member(&object, &found, &value))
        if (found.len == strlen(name) + 2 && memcmp(found.data + 1, name, strlen(name)) == 0)
            return value;
    return (struct slice){0};
}

double json_number(struct slice value)
{
    char text[NUMBER_MAX + 1];
    if (value.len == 0 || !(byte_is_digit(value.data[0]) || value.data[0] == '-'))
        return 0;
    size_t len = value.len < NUMBER_MAX ? value.len : NUMBER_MAX;
    memcpy(text, value.data, len);
    text[len] = '\0';
    double number = strtod(text, NULL);
    return number > JSON_NUMBER_MAX    ? JSON_NUMBER_MAX
           : number < -JSON_NUMBER_MAX ? -JSON_NUMBER_MAX
                                       : number;
}

bool json_is_true(struct slice value)
{
    return slice_equal(value, SLICE("true"));
}

bool json_is_null(struct slice value)
{
    return value.len == 0 || slice_equal(value, SLICE("null"));
}

/* --- strings --- */

/* Reads four hexadecimal digits. */
static bool take_unit(struct slice *rest, unsigned *unit)
{
    *unit = 0;
    if (rest->len < 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        int digit = byte_hex_value(rest->data[i]);
        if (digit < 0)
            return false;
        *unit = *unit * 16 + (unsigned)digit;
    }
    *rest = slice_from(*rest, 4);
    return true;
}

/* Reads what follows \u: a character, of which two halves may stand there (RFC 8259 7). U+FFFD if
 * there is none. */
static unsigned take_escaped(struct slice *rest)
{
    unsigned high, low;
    if (!take_unit(rest, &high))
        return 0xfffd;
    if (high < 0xd800 || high > 0xdfff)
        return high;
    struct slice second = *rest;
    if (high > 0xdbff || !slice_starts(second, SLICE("\\u")))
        return 0xfffd;
    second = slice_from(second, 2);
    if (!take_unit(&second, &low) || low < 0xdc00 || low > 0xdfff)
        return 0xfffd;
    *rest = second;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* Writes the character in UTF-8. Returns the number of bytes. */
static size_t write_utf8(unsigned character, char out[4])
{
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    size_t len = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const unsigned char firsts[] = {[2] = 0xc0, [3] = 0xe0, [4] = 0xf0};
    for (size_t i = len; i-- > 1; character >>= 6)
        out[i] = (char)(0x80 | (character & 0x3f));
    out[0] = (char)(firsts[len] | character);
    return len;
}

/* Removes the next character of a string that is not empty, and writes its bytes. Returns their
 * number. */
static size_t take_character(struct slice *rest, char out[4])
{
    static const char names[] = "bfnrt", meant[] = "\b\f\n\r\t";
    size_t len = 1;
    out[0] = rest->data[0];
    *rest = slice_from(*rest, 1);
    if (out[0] != '\\') {
        while (((unsigned char)out[0] & 0xc0) == 0xc0 && len < 4 && rest->len > 0 &&
               ((unsigned char)rest->data[0] & 0xc0) == 0x80) {
            out[len++] = rest->data[0];
            *rest = slice_from(*rest, 1);
        }
        return len;
    }
    if (rest->len == 0)
        return 1;
    char kind = rest->data[0];
    *rest = slice_from(*rest, 1);
    if (kind == 'u')
        return write_utf8(take_escaped(rest), out);
    const char *found = strchr(names, kind);
    out[0] = found && kind ? meant[found - names] : kind;
    return 1;
}

size_t json_text(struct slice value, char *out, size_t size)
{
    size_t used = 0;
    if (value.len >= 2 && value.data[0] == '"') {
        struct slice rest = {.data = value.data + 1, .len = value.len - 2};
        while (rest.len > 0) {
            char bytes[4];
            size_t len = take_character(&rest, bytes);
            if (len > size - 1 - used)
                break;
            memcpy(out + used, bytes, len);
            used += len;
        }
    }
    out[used] = '\0';
    return used;
}
