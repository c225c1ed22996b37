/* Encoding of name-value pairs. */
#include "fastcgi/params.h"

#include <string.h>

size_t params_encode_short(char *out, struct slice name, struct slice value)
{
    out[0] = (char)name.len;
    out[1] = (char)value.len;
    memcpy(out + 2, name.data, name.len);
    memcpy(out + 2 + name.len, value.data, value.len);
    return 2 + name.len + value.len;
}
