/* Reads one pair after the other. Those of other parameters are skipped, valid or not. */
#include "web/query.h"

static struct slice take_until(struct slice *rest, char separator)
{
    const char *end = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
    struct slice part = {.data = rest->data, .len = end ? (size_t)(end - rest->data) : rest->len};
    *rest = slice_from(*rest, end ? part.len + 1 : part.len);
    return part;
}

/* 0 to 15, or -1. */
static int hex_value(char digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

static enum query_step decode(struct slice value, char *out, size_t size, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < value.len; i++) {
        char byte = value.data[i];
        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%') {
            int high = value.len - i > 2 ? hex_value(value.data[i + 1]) : -1;
            int low = high >= 0 ? hex_value(value.data[i + 2]) : -1;
            if (low < 0)
                return QUERY_BAD;
            byte = (char)(high * 16 + low);
            i += 2;
        }
        if (*len == size)
            return QUERY_BAD;
        out[(*len)++] = byte;
    }
    return QUERY_VALUE;
}

enum query_step query_next(struct slice *rest, struct slice parameter, char *out, size_t size,
                           size_t *len)
{
    while (rest->len > 0) {
        struct slice value = take_until(rest, '&');
        if (slice_equal(take_until(&value, '='), parameter))
            return decode(value, out, size, len);
    }
    return QUERY_END;
}
