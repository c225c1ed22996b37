/* Unlike in a url, braces are common in a body: whatever is not a placeholder is text. */
#include "source/body.h"

#include <stdint.h>

#include "base/buffer.h"
#include "base/utf8.h"

#define PLACEHOLDER "{name}"

enum body_format body_format(struct slice type)
{
    size_t len = 0;
    while (len < type.len && type.data[len] != ';')
        len++;
    type = slice_trim((struct slice){.data = type.data, .len = len});
    struct slice suffix = SLICE("+json");
    if (slice_equal_nocase(type, SLICE("application/json")) ||
        (type.len > suffix.len &&
         slice_equal_nocase(slice_from(type, type.len - suffix.len), suffix)))
        return BODY_JSON;
    return slice_equal_nocase(type, SLICE("application/x-www-form-urlencoded")) ? BODY_FORM
                                                                                : BODY_OTHER;
}

bool body_has_name(const char *template)
{
    return strstr(template, PLACEHOLDER) != NULL;
}

/* Outside of a string, or behind a backslash, a value could become another part of the JSON. */
static const char *check_json(const char *template)
{
    bool in_string = false;
    for (const char *c = template; *c; c++) {
        if (strncmp(c, PLACEHOLDER, strlen(PLACEHOLDER)) == 0) {
            if (!in_string)
                return PLACEHOLDER " in body must be within quotes, since it is JSON";
            c += strlen(PLACEHOLDER) - 1;
        } else if (*c == '"') {
            in_string = !in_string;
        } else if (*c == '\\' && in_string && c[1]) {
            c++;
            if (*c == '{' && strncmp(c, PLACEHOLDER, strlen(PLACEHOLDER)) == 0)
                return PLACEHOLDER " in body must not follow a backslash";
        }
    }
    return NULL;
}

const char *body_check(const char *template, enum body_format format)
{
    if (format == BODY_JSON)
        return check_json(template);
    if (format == BODY_OTHER && body_has_name(template))
        return PLACEHOLDER " in body takes a Content-Type (in headers) of application/json, which "
                           "is the default, or application/x-www-form-urlencoded";
    return NULL;
}

static bool append(struct buffer *body, const char *bytes, size_t len)
{
    return buffer_append(body, bytes, len, SIZE_MAX);
}

static const char hex[] = "0123456789ABCDEF";

/* A value within a string of JSON; what is not UTF-8 becomes U+FFFD. */
static bool append_json(struct buffer *body, struct slice value)
{
    bool ok = true;
    while (ok && value.len > 0) {
        unsigned char byte = (unsigned char)value.data[0];
        size_t len = utf8_sequence(value);
        const char escaped[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
        if (len == 0)
            ok = append(body, "\\uFFFD", 6);
        else if (byte < ' ' || byte == 0x7f)
            ok = append(body, escaped, sizeof escaped);
        else
            ok = (byte != '"' && byte != '\\' ? true : append(body, "\\", 1)) &&
                 append(body, value.data, len);
        value = slice_from(value, len > 0 ? len : 1);
    }
    return ok;
}

/* A value of a form: all but unreserved characters (RFC 3986 2.3) is percent-encoded. */
static bool append_form(struct buffer *body, struct slice value)
{
    bool ok = true;
    for (size_t i = 0; ok && i < value.len; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        const char encoded[] = {'%', hex[byte >> 4], hex[byte & 15]};
        bool kept = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                    (byte >= '0' && byte <= '9') || (byte != '\0' && strchr("-._~", byte));
        ok = append(body, kept ? &value.data[i] : encoded, kept ? 1 : 3);
    }
    return ok;
}

char *body_expand(const char *template, enum body_format format, struct slice name, size_t *len)
{
    struct buffer body = {0};
    const char *placeholder;
    bool ok = true;
    while (ok && (placeholder = strstr(template, PLACEHOLDER))) {
        ok = append(&body, template, (size_t)(placeholder - template)) &&
             (format == BODY_JSON ? append_json(&body, name) : append_form(&body, name));
        template = placeholder + strlen(PLACEHOLDER);
    }
    if (ok && append(&body, template, strlen(template) + 1)) {
        *len = body.len - 1;
        return body.data;
    }
    buffer_free(&body);
    return NULL;
}
