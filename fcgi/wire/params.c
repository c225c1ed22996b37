/* The name-value pair codec: lengths of one byte, or of four when the first one's high bit is set. */
#include "wire/params.h"

#include <stdbool.h>
#include <stdint.h>

static bool take_length(struct slice *rest, size_t *len)
{
    if (rest->len < 1)
        return false;
    const unsigned char *byte = (const unsigned char *)rest->data;
    if (byte[0] < 0x80) {
        *len = byte[0];
        *rest = slice_from(*rest, 1);
        return true;
    }
    if (rest->len < 4)
        return false;
    *len = (uint32_t)(byte[0] & 0x7f) << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 |
           byte[3];
    *rest = slice_from(*rest, 4);
    return true;
}

static bool take_bytes(struct slice *rest, size_t len, struct slice *bytes)
{
    if (len > rest->len)
        return false;
    *bytes = (struct slice){.data = rest->data, .len = len};
    *rest = slice_from(*rest, len);
    return true;
}

enum params_step params_next(struct slice *rest, struct slice *name, struct slice *value)
{
    size_t name_len, value_len;
    if (rest->len == 0)
        return PARAMS_END;
    if (!take_length(rest, &name_len) || !take_length(rest, &value_len) ||
        !take_bytes(rest, name_len, name) || !take_bytes(rest, value_len, value))
        return PARAMS_BAD;
    return PARAMS_PAIR;
}

size_t params_encode_short(char *out, struct slice name, struct slice value)
{
    out[0] = (char)name.len;
    out[1] = (char)value.len;
    memcpy(out + 2, name.data, name.len);
    memcpy(out + 2 + name.len, value.data, value.len);
    return 2 + name.len + value.len;
}
