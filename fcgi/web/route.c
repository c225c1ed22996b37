/* Names, patterns and keys. Pure. */
#include "web/route.h"

#include "base/byte.h"
#include "base/put.h"
#include "base/utf8.h"

static bool segments_valid(struct slice name)
{
    for (;;) {
        const char *slash = memchr(name.data, '/', name.len);
        struct slice segment = {
            .data = name.data,
            .len = slash ? (size_t)(slash - name.data) : name.len,
        };
        if (segment.len == 0 || slice_equal(segment, SLICE(".")) ||
            slice_equal(segment, SLICE("..")))
            return false;
        if (!slash)
            return true;
        name = slice_from(name, segment.len + 1);
        if (name.len == 0)
            return false;
    }
}

bool route_name_valid(struct slice name)
{
    if (name.len == 0 || name.len > ROUTE_NAME_MAX)
        return false;
    for (struct slice rest = name; rest.len > 0;) {
        size_t len = utf8_sequence(rest);
        if (len == 0 || byte_is_control(rest.data[0]))
            return false;
        rest = slice_from(rest, len);
    }
    return segments_valid(name);
}

bool route_matches(const char *pattern, struct slice name, size_t *rest_at)
{
    for (size_t i = 0;; i++) {
        *rest_at = i;
        if (pattern[i] == '*' && pattern[i + 1] == '\0')
            return true;
        if (i == name.len || pattern[i] == '\0')
            return i == name.len && pattern[i] == '\0';
        if (pattern[i] != name.data[i])
            return false;
    }
}

const struct route *route_find(const struct route *routes, size_t count, struct slice name,
                               size_t *rest_at)
{
    for (size_t i = 0; i < count; i++)
        if (route_matches(routes[i].pattern, name, rest_at))
            return &routes[i];
    return NULL;
}

size_t route_key(struct slice name, char *key)
{
    char *at = key;
    for (size_t i = 0; i < name.len; i++) {
        char byte = name.data[i];
        if (byte == '%' || byte == '{' || byte == '}' || byte == '?' || byte == ' ')
            at = put_percent(at, byte);
        else
            *at++ = byte;
    }
    return (size_t)(at - key);
}
