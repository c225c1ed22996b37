/* Reads a variant's key back: what inputs it has, from its text alone. So two different sets of
 * inputs can't have the same key. */
#ifndef WORKERLESS_TESTS_READ_KEY_H
#define WORKERLESS_TESTS_READ_KEY_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "source/inputs.h"

struct key_input {
    enum input_kind kind;
    char name[128], value[1100]; /* the value is decoded; of a secret, it is the digest */
    size_t name_len, value_len;
};

/* Decodes up to `end`, or to the end of the text. Returns false if there is a byte that a key must
 * not have. */
static inline bool read_key_text(struct slice *rest, char end, char *out, size_t size, size_t *len)
{
    for (*len = 0; rest->len > 0 && rest->data[0] != end; (*len)++) {
        unsigned byte = (unsigned char)rest->data[0], used = 1;
        if (byte == '%') {
            char hex[3] = {0};
            if (rest->len < 3)
                return false;
            memcpy(hex, rest->data + 1, 2);
            if (strspn(hex, "0123456789ABCDEF") != 2 || sscanf(hex, "%2X", &byte) != 1)
                return false;
            used = 3;
        } else if (byte <= ' ' || byte >= 0x7f || strchr("&=?{}*[]\\#\"'<>", (int)byte)) {
            return false;
        }
        if (*len == size)
            return false;
        out[*len] = (char)byte;
        *rest = slice_from(*rest, used);
    }
    return true;
}

/* Removes the next input from *rest, which begins with its separator. */
static inline bool read_key_input(struct slice *rest, char separator, struct key_input *input)
{
    static const struct {
        struct slice prefix;
        enum input_kind kind;
    } kinds[] = {{SLICE_INIT("query:"), INPUT_QUERY},
                 {SLICE_INIT("cookie:"), INPUT_COOKIE},
                 {SLICE_INIT("header:"), INPUT_HEADER}};
    if (rest->len == 0 || rest->data[0] != separator)
        return false;
    *rest = slice_from(*rest, 1);
    const char *colon = memchr(rest->data, ':', rest->len);
    const char *equals = memchr(rest->data, '=', rest->len);
    input->kind = INPUT_QUERY;
    bool has_kind = colon && equals && colon < equals, known = !has_kind;
    for (size_t i = 0; has_kind && i < sizeof kinds / sizeof *kinds && !known; i++) {
        if (!slice_starts(*rest, kinds[i].prefix))
            continue;
        input->kind = kinds[i].kind;
        *rest = slice_from(*rest, kinds[i].prefix.len);
        known = true;
    }
    if (!known || !read_key_text(rest, '=', input->name, sizeof input->name, &input->name_len) ||
        rest->len == 0)
        return false;
    *rest = slice_from(*rest, 1);
    struct slice name = {.data = input->name, .len = input->name_len};
    if (!has_kind && slice_equal(name, SLICE("language")))
        input->kind = INPUT_LANGUAGE;
    if (!has_kind && slice_equal(name, SLICE("host")))
        input->kind = INPUT_HOST;
    return read_key_text(rest, '&', input->value, sizeof input->value, &input->value_len);
}

static inline bool read_key_is_digest(const struct key_input *input)
{
    struct slice value = {.data = input->value, .len = input->value_len};
    for (size_t i = 0; i < value.len; i++)
        if (!memchr("0123456789abcdef", value.data[i], 16))
            return false;
    return value.len == 32;
}

/* Whether the suffix of a key has exactly these inputs. */
static inline bool read_key_has(struct slice suffix, struct inputs inputs)
{
    struct inputs_reader reader = inputs_read(inputs);
    const struct input *input;
    struct slice value;
    struct key_input found;
    char separator = '?';
    while ((input = inputs_next(&reader, &value))) {
        if (!value.data)
            continue;
        if (!read_key_input(&suffix, separator, &found) || found.kind != input->kind)
            return false;
        separator = '&';
        bool named = input->kind != INPUT_LANGUAGE && input->kind != INPUT_HOST;
        if (named &&
            !slice_equal((struct slice){.data = found.name, .len = found.name_len}, input->name))
            return false;
        bool secret =
            input->kind == INPUT_COOKIE ||
            (input->kind == INPUT_HEADER && slice_equal(input->name, SLICE("authorization")));
        if (secret
                ? !read_key_is_digest(&found)
                : !slice_equal((struct slice){.data = found.value, .len = found.value_len}, value))
            return false;
    }
    return separator == '?' ? slice_equal(suffix, SLICE("?")) : suffix.len == 0;
}

#endif
