/* Values of templates. The only file of templates that knows what JSON is made of. */
#include "render/mustache_value.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/byte.h"

bool mustache_member(const struct mustache_value *value, struct slice name,
                     struct mustache_value *member)
{
    if (value->kind == MUSTACHE_JSON) {
        const json_t *found = json_object_getn(value->json, name.data, name.len);
        if (found)
            *member = mustache_json(found);
        return found != NULL;
    }
    if (value->kind != MUSTACHE_FIELDS)
        return false;
    for (size_t i = 0; i < value->fields.count; i++) {
        if (slice_equal(value->fields.list[i].name, name)) {
            *member = value->fields.list[i].value;
            return true;
        }
    }
    return false;
}

static bool json_is_true_for_us(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_NULL:
    case JSON_FALSE:
        return false;
    case JSON_STRING:
        return json_string_length(json) > 0;
    case JSON_INTEGER:
        return json_integer_value(json) != 0;
    case JSON_REAL:
        return json_real_value(json) < 0 || json_real_value(json) > 0;
    case JSON_ARRAY:
        return json_array_size(json) > 0;
    case JSON_TRUE:
    case JSON_OBJECT:
    default:
        return true;
    }
}

bool mustache_is_true(const struct mustache_value *value)
{
    switch (value->kind) {
    case MUSTACHE_TEXT:
    case MUSTACHE_HTML:
        return value->text.len > 0;
    case MUSTACHE_JSON:
        return json_is_true_for_us(value->json);
    case MUSTACHE_FIELDS:
        return true;
    case MUSTACHE_NOTHING:
    default:
        return false;
    }
}

bool mustache_is_null(const struct mustache_value *value)
{
    return value->kind == MUSTACHE_NOTHING ||
           (value->kind == MUSTACHE_JSON && json_is_null(value->json));
}

bool mustache_has_members(const struct mustache_value *value)
{
    return value->kind == MUSTACHE_FIELDS ||
           (value->kind == MUSTACHE_JSON &&
            (json_is_object(value->json) || json_is_array(value->json)));
}

bool mustache_is_list(const struct mustache_value *value, size_t *count)
{
    if (value->kind != MUSTACHE_JSON || !json_is_array(value->json))
        return false;
    *count = json_array_size(value->json);
    return true;
}

struct mustache_value mustache_element(const struct mustache_value *list, size_t index)
{
    return mustache_json(json_array_get(list->json, index));
}

/* As few digits as are read back as this number. The exponent is written as "e16" or "e-7", and what
 * looks like an integer gets ".0". */
static struct slice real_text(double number, char room[MUSTACHE_NUMBER_ROOM])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(room, MUSTACHE_NUMBER_ROOM, "%.*g", digits, number);
        double back = strtod(room, NULL);
        if (!(back < number) && !(back > number))
            break;
    }
    char *exponent = strchr(room, 'e');
    if (exponent) {
        char *from = exponent + 1, *to = exponent + 1;
        if (*from == '-')
            to++;
        from++; /* C always writes a sign, and two digits at least */
        while (from[0] == '0' && byte_is_digit(from[1]))
            from++;
        memmove(to, from, strlen(from) + 1);
    } else if (!strchr(room, '.')) {
        strcat(room, ".0"); // NOLINT: 24 bytes at most are used
    }
    return slice_of(room);
}

static const char *json_text(const json_t *json, char room[MUSTACHE_NUMBER_ROOM],
                             struct slice *text)
{
    switch (json_typeof(json)) {
    case JSON_STRING:
        *text = (struct slice){json_string_value(json), json_string_length(json)};
        return NULL;
    case JSON_INTEGER:
        snprintf(room, MUSTACHE_NUMBER_ROOM, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        *text = slice_of(room);
        return NULL;
    case JSON_REAL:
        *text = real_text(json_real_value(json), room);
        return NULL;
    case JSON_TRUE:
        *text = SLICE("true");
        return NULL;
    case JSON_FALSE:
        *text = SLICE("false");
        return NULL;
    case JSON_ARRAY:
        return "a list";
    case JSON_OBJECT:
        return "an object";
    case JSON_NULL:
    default:
        *text = SLICE("");
        return NULL;
    }
}

const char *mustache_text_of(const struct mustache_value *value, char room[MUSTACHE_NUMBER_ROOM],
                             struct slice *text)
{
    switch (value->kind) {
    case MUSTACHE_TEXT:
    case MUSTACHE_HTML:
        *text = value->text;
        return NULL;
    case MUSTACHE_JSON:
        return json_text(value->json, room, text);
    case MUSTACHE_FIELDS:
        return "an object";
    case MUSTACHE_NOTHING:
    default:
        *text = SLICE("");
        return NULL;
    }
}
