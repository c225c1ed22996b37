/* Encoding of name-value pairs. */
#include "fastcgi/params.h"

#include "base/put.h"

size_t params_encode_short(char *out, struct slice name, struct slice value)
{
    out[0] = (char)name.len;
    out[1] = (char)value.len;
    return (size_t)(put(put(out + 2, name), value) - out);
}
