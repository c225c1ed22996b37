/* Reads one pair after the other. Those of other parameters are skipped, valid or not. */
#include "web/query.h"

#include "base/byte.h"

static struct slice take_until(struct slice *rest, char separator)
{
    const char *end = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
    struct slice part = {.data = rest->data, .len = end ? (size_t)(end - rest->data) : rest->len};
    *rest = slice_from(*rest, end ? part.len + 1 : part.len);
    return part;
}

/* Removes the next character from *rest and decodes it. *rest must not be empty. Returns false if
 * the encoding is broken. */
static bool decode_next(struct slice *rest, char *byte)
{
    size_t used = 1;
    *byte = rest->data[0];
    if (*byte == '+') {
        *byte = ' ';
    } else if (*byte == '%') {
        int high = rest->len > 2 ? byte_hex_value(rest->data[1]) : -1;
        int low = high >= 0 ? byte_hex_value(rest->data[2]) : -1;
        if (low < 0)
            return false;
        *byte = (char)(high * 16 + low);
        used = 3;
    }
    *rest = slice_from(*rest, used);
    return true;
}

bool query_decode(struct slice encoded, char *out, size_t size, size_t *len)
{
    *len = 0;
    while (encoded.len > 0) {
        char byte;
        if (!decode_next(&encoded, &byte) || *len == size)
            return false;
        out[(*len)++] = byte;
    }
    return true;
}

bool query_name_is(struct slice encoded, struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char byte;
        if (encoded.len == 0 || !decode_next(&encoded, &byte) || byte != name.data[i])
            return false;
    }
    return encoded.len == 0;
}

bool query_next_pair(struct slice *rest, struct slice *name, struct slice *value)
{
    if (rest->len == 0)
        return false;
    *value = take_until(rest, '&');
    *name = take_until(value, '=');
    return true;
}

bool query_has(struct slice query, struct slice name)
{
    struct slice encoded, value;
    while (query_next_pair(&query, &encoded, &value))
        if (query_name_is(encoded, name))
            return true;
    return false;
}

enum query_step query_next(struct slice *rest, struct slice parameter, char *out, size_t size,
                           size_t *len)
{
    struct slice name, value;
    while (query_next_pair(rest, &name, &value))
        if (slice_equal(name, parameter))
            return query_decode(value, out, size, len) ? QUERY_VALUE : QUERY_BAD;
    return QUERY_END;
}
