/* Checks and fills templates of bodies. */
#include "source/body.h"

#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/byte.h"
#include "base/put.h"
#include "base/utf8.h"
#include "source/template.h"

#define WHY_ROOM 200

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

static bool has_value(const struct template_part *part)
{
    return part->kind == TEMPLATE_NAME || part->kind == TEMPLATE_REST ||
           part->kind == TEMPLATE_INPUT;
}

/* --- checks --- */

/* Where a text of JSON is. */
struct json_place {
    bool in_string;
    bool escaped; /* behind a backslash */
};

static void json_pass(struct json_place *place, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (place->escaped)
            place->escaped = false;
        else if (text.data[i] == '"')
            place->in_string = !place->in_string;
        else
            place->escaped = place->in_string && text.data[i] == '\\';
    }
}

/* Returns what is wrong with a placeholder, or NULL. Outside of a string, or behind a backslash, a
 * value could become another part of the JSON. */
static const char *part_problem(const struct template_part *part, enum body_format format,
                                const struct json_place *place)
{
    if (part->kind == TEMPLATE_QUERY)
        return "is not allowed in body; write {query:NAME} for each input";
    if (part->kind == TEMPLATE_SECRET)
        return "is not allowed in body; if it is in vary, it is sent as a header";
    if (!has_value(part))
        return NULL;
    if (format == BODY_OTHER)
        return "in body requires a Content-Type (in headers) of application/json, which is the "
               "default, or application/x-www-form-urlencoded";
    if (format == BODY_JSON && !place->in_string)
        return "in body must be within quotes, since it is JSON";
    if (format == BODY_JSON && place->escaped)
        return "in body must not follow a backslash";
    return NULL;
}

const char *body_check(const char *template, enum body_format format)
{
    static char why[WHY_ROOM];
    struct slice rest = slice_of(template);
    struct template_part part;
    struct json_place place = {0};
    while (template_next(&rest, &part)) {
        const char *problem = part_problem(&part, format, &place);
        if (problem) {
            snprintf(why, sizeof why, "%.*s %s", part.text.len < 60 ? (int)part.text.len : 60,
                     part.text.data, problem);
            return why;
        }
        if (!has_value(&part))
            json_pass(&place, part.text);
    }
    return NULL;
}

/* --- values --- */

static bool append(struct buffer *body, const char *bytes, size_t len)
{
    return buffer_append(body, bytes, len, SIZE_MAX);
}

/* A value within a string of JSON; what is not UTF-8 becomes U+FFFD. */
static bool append_json(struct buffer *body, struct slice value)
{
    bool ok = true;
    while (ok && value.len > 0) {
        char byte = value.data[0];
        size_t len = utf8_sequence(value);
        char escaped[] = {'\\', 'u', '0', '0', '0', '0'};
        put_hex_byte(escaped + 4, byte);
        if (len == 0)
            ok = append(body, "\\uFFFD", 6);
        else if (byte_is_control(byte))
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
        char encoded[PUT_PERCENT_LEN];
        put_percent(encoded, value.data[i]);
        bool kept = byte_is_unreserved(value.data[i]);
        ok = append(body, kept ? &value.data[i] : encoded, kept ? 1 : sizeof encoded);
    }
    return ok;
}

char *body_expand(const char *template, enum body_format format,
                  const struct source_request *request, size_t *len)
{
    struct buffer body = {0};
    struct slice rest = slice_of(template);
    struct template_part part;
    bool ok = true;
    while (ok && template_next(&rest, &part)) {
        if (!has_value(&part))
            ok = append(&body, part.text.data, part.text.len);
        else if (format == BODY_JSON)
            ok = append_json(&body, template_value(&part, request));
        else
            ok = append_form(&body, template_value(&part, request));
    }
    if (ok && append(&body, "", 1)) {
        *len = body.len - 1;
        return body.data;
    }
    buffer_free(&body);
    return NULL;
}

struct inputs body_other_inputs(const char *template, const char *url_template,
                                struct inputs inputs, struct body_others *others)
{
    struct inputs_reader reader = inputs_read(inputs);
    const struct input *input;
    struct slice value;
    size_t len = 0;
    others->vary = (struct vary){.inputs = others->inputs};
    while ((input = inputs_next(&reader, &value))) {
        if (template_names(template, input) && !template_names(url_template, input))
            continue;
        others->inputs[others->vary.count++] = *input;
        inputs_pack(others->packed, &len, value); /* there is room: it was packed before */
    }
    return (struct inputs){.vary = &others->vary, .packed = {.data = others->packed, .len = len}};
}
