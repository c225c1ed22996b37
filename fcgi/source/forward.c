/* Inputs as header fields. The values come from strangers: none may end its field or, in a Cookie,
 * its pair. Such values are rejected when the request arrives, but this file does not rely on it.
 * */
#include "source/forward.h"

#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/byte.h"
#include "source/template.h"

/* --- the fields of one request --- */

static bool append(struct buffer *fields, struct slice text)
{
    return buffer_append(fields, text.data, text.len, SIZE_MAX);
}

static bool append_field(struct buffer *fields, struct slice name, struct slice value)
{
    value = slice_trim(value); /* curl would drop a field that has only blanks */
    return append(fields, name) && append(fields, value.len > 0 ? SLICE(": ") : SLICE(";")) &&
           append(fields, value) && append(fields, SLICE("\n"));
}

/* The name of the field; empty for an input that is in the url. */
static struct slice field_of(const struct input *input)
{
    switch (input->kind) {
    case INPUT_QUERY:
        break;
    case INPUT_COOKIE:
        return SLICE("Cookie");
    case INPUT_HEADER:
        return input->name;
    case INPUT_LANGUAGE:
        return SLICE("Accept-Language");
    case INPUT_HOST:
        return SLICE("X-Forwarded-Host");
    }
    return SLICE("");
}

/* Returns NULL, or why the value can't be sent. RFC 9110 section 5.5 allows no control characters
 * but tabs, RFC 6265 section 4.2.1 separates cookies by semicolons. */
static const char *refuse_one(const struct input *input, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (!byte_is_of_field(value.data[i]))
            return "a cookie or header of the request has a control character in its value";
        if (value.data[i] == ';' && input->kind == INPUT_COOKIE)
            return "a cookie of the request has a semicolon in its value";
    }
    return NULL;
}

const struct input *forward_next(const char *url_template, struct inputs_reader *reader,
                                 struct slice *value)
{
    const struct input *input;
    while ((input = inputs_next(reader, value)))
        if (input->kind != INPUT_QUERY && value->data && !template_names(url_template, input))
            return input;
    return NULL;
}

const char *forward_refuse(const char *url_template, struct inputs inputs)
{
    struct inputs_reader reader = inputs_read(inputs);
    const struct input *input;
    const char *why = NULL;
    struct slice value;
    while (!why && (input = forward_next(url_template, &reader, &value)))
        why = refuse_one(input, value);
    return why;
}

bool forward_append_cookies(struct buffer *out, const char *url_template, struct inputs inputs)
{
    struct inputs_reader reader = inputs_read(inputs);
    const struct input *input;
    struct slice value;
    bool ok = true, any = false;
    while (ok && (input = forward_next(url_template, &reader, &value))) {
        if (input->kind != INPUT_COOKIE)
            continue;
        ok = append(out, any ? SLICE("; ") : SLICE("")) && append(out, input->name) &&
             append(out, SLICE("=")) && append(out, value);
        any = true;
    }
    return ok;
}

static bool append_cookie_field(struct buffer *fields, const char *url_template,
                                struct inputs inputs)
{
    size_t before = fields->len;
    if (!append(fields, SLICE("Cookie: ")))
        return false;
    size_t begun = fields->len;
    if (!forward_append_cookies(fields, url_template, inputs))
        return false;
    if (fields->len == begun)
        fields->len = before; /* there are none */
    return fields->len == before || append(fields, SLICE("\n"));
}

static bool append_others(struct buffer *fields, const char *url_template, struct inputs inputs)
{
    struct inputs_reader reader = inputs_read(inputs);
    const struct input *input;
    struct slice value;
    bool ok = true;
    while (ok && (input = forward_next(url_template, &reader, &value)))
        ok = input->kind == INPUT_COOKIE || append_field(fields, field_of(input), value);
    return ok;
}

enum forward_result forward_fields(const char *url_template, const struct source_request *request,
                                   char **fields, const char **why)
{
    struct inputs_reader reader = inputs_read(request->inputs);
    struct slice value;
    if ((*why = forward_refuse(url_template, request->inputs)))
        return FORWARD_REFUSED;
    if (!forward_next(url_template, &reader, &value))
        return FORWARD_NOTHING;
    struct buffer buffer = {0};
    if (append_cookie_field(&buffer, url_template, request->inputs) &&
        append_others(&buffer, url_template, request->inputs) &&
        append(&buffer, (struct slice){.data = "", .len = 1})) {
        *fields = buffer.data;
        return FORWARD_FIELDS;
    }
    buffer_free(&buffer);
    return FORWARD_NO_MEMORY;
}

/* --- checks at start --- */

static bool varies_on(const struct vary *vary, const struct template_part *part)
{
    for (size_t i = 0; i < vary->count; i++)
        if (template_is(part, &vary->inputs[i]))
            return true;
    return false;
}

bool forward_check_named(const char *option, const char *template, const struct vary *vary,
                         char why[SOURCE_WHY_ROOM])
{
    struct slice rest = slice_of(template);
    struct template_part part;
    while (template_next(&rest, &part)) {
        if (part.kind != TEMPLATE_INPUT || varies_on(vary, &part))
            continue;
        bool language = part.input.kind == INPUT_LANGUAGE;
        int shown = part.text.len < 82 ? (int)part.text.len - 2 : 80;
        snprintf(why, SOURCE_WHY_ROOM, "whose %s has {%.*s}; add \"%.*s%s\" to its vary", option,
                 shown, part.text.data + 1, shown, part.text.data + 1, language ? ":TAGS" : "");
        return false;
    }
    return true;
}

/* No earlier input becomes the same field, unless both are cookies. */
static bool check_once(const char *url_template, const struct vary *vary, size_t number,
                       char why[SOURCE_WHY_ROOM])
{
    struct slice field = field_of(&vary->inputs[number]);
    if (vary->inputs[number].kind == INPUT_COOKIE)
        return true;
    for (size_t i = 0; field.len > 0 && i < number; i++) {
        if (!slice_equal_nocase(field, field_of(&vary->inputs[i])) ||
            template_names(url_template, &vary->inputs[i]))
            continue;
        snprintf(why, SOURCE_WHY_ROOM,
                 "to which two inputs would be sent as the header \"%.*s\"; remove one from its "
                 "vary",
                 field.len < 80 ? (int)field.len : 80, field.data);
        return false;
    }
    return true;
}

bool forward_check(const char *url_template, const struct source_rules *rules,
                   char why[SOURCE_WHY_ROOM])
{
    const struct vary *vary = &rules->vary;
    bool ok = forward_check_named("url", url_template, vary, why);
    for (size_t i = 0; ok && i < vary->count; i++)
        ok = template_names(url_template, &vary->inputs[i]) ||
             check_once(url_template, vary, i, why);
    return ok;
}

bool forward_uses_field(const char *url_template, const struct source_rules *rules,
                        struct slice name)
{
    for (size_t i = 0; i < rules->vary.count; i++) {
        const struct input *input = &rules->vary.inputs[i];
        if (slice_equal_nocase(field_of(input), name) && !template_names(url_template, input))
            return true;
    }
    return false;
}
