/* Encoding of name-value pairs. */
#include "fastcgi/params.h"

#include "base/put.h"

size_t params_encode_short(char *out, struct slice name, struct slice value)
{
    out[0] = (char)name.len;
    out[1] = (char)value.len;
    return (size_t)(put(put(out + 2, name), value) - out);
}

static char *put_length(char *at, size_t len)
{
    if (len >= 0x80) {
        *at++ = (char)(len >> 24 | 0x80);
        *at++ = (char)(len >> 16);
        *at++ = (char)(len >> 8);
    }
    *at++ = (char)len;
    return at;
}

size_t params_encode_lengths(char out[PARAMS_LENGTHS_MAX], size_t name_len, size_t value_len)
{
    return (size_t)(put_length(put_length(out, name_len), value_len) - out);
}

size_t params_encode(char *out, struct slice name, struct slice value)
{
    char *at = out + params_encode_lengths(out, name.len, value.len);
    return (size_t)(put(put(at, name), value) - out);
}
