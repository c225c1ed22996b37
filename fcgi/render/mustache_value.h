/* What a template is rendered with: texts, JSON, and names that stand for them. Nothing is copied;
 * all of it is borrowed from the caller while a template is rendered. Pure.
 *
 * A value counts as false, so that its section is left out, if JavaScript's !!value is false for it:
 * it is absent, null, false, 0 or an empty text; and, as the specification of Mustache says, if it
 * is an empty list. Everything else counts as true, also an object without members. */
#ifndef WORKERLESS_RENDER_MUSTACHE_VALUE_H
#define WORKERLESS_RENDER_MUSTACHE_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct json_t; /* jansson's */
struct mustache_field;

enum mustache_kind {
    MUSTACHE_NOTHING, /* absent */
    MUSTACHE_TEXT,
    MUSTACHE_HTML, /* a text that is HTML already: it is never escaped */
    MUSTACHE_JSON,
    MUSTACHE_FIELDS, /* an object whose members are these fields */
};

/* All zero: absent. */
struct mustache_value {
    enum mustache_kind kind;
    union {
        struct slice text;
        const struct json_t *json; /* not NULL */
        struct {
            const struct mustache_field *list;
            size_t count;
        } fields;
    };
};

struct mustache_field {
    struct slice name;
    struct mustache_value value;
};

static inline struct mustache_value mustache_text(struct slice text)
{
    return (struct mustache_value){.kind = MUSTACHE_TEXT, .text = text};
}

static inline struct mustache_value mustache_html(struct slice html)
{
    return (struct mustache_value){.kind = MUSTACHE_HTML, .text = html};
}

static inline struct mustache_value mustache_json(const struct json_t *json)
{
    return (struct mustache_value){.kind = MUSTACHE_JSON, .json = json};
}

static inline struct mustache_value mustache_fields(const struct mustache_field *list, size_t count)
{
    return (struct mustache_value){.kind = MUSTACHE_FIELDS,
                                   .fields = {.list = list, .count = count}};
}

/* The member of that name; false if there is none, or the value is no object. Of two fields with
 * one name, the first counts. */
bool mustache_member(const struct mustache_value *value, struct slice name,
                     struct mustache_value *member);

bool mustache_is_true(const struct mustache_value *value);

/* Whether it is null or absent. */
bool mustache_is_null(const struct mustache_value *value);

/* Whether it is an object or a list, even an empty one. */
bool mustache_has_members(const struct mustache_value *value);

/* Whether it is a list, and how many elements that has. */
bool mustache_is_list(const struct mustache_value *value, size_t *count);
struct mustache_value mustache_element(const struct mustache_value *list, size_t index);

/* The value as a text, which is borrowed from the value or from `room`: a number as JSON has it, with
 * as few digits as name it; true, false; nothing for null and what is absent. Returns NULL, or what
 * the value is if it has no text: "a list" or "an object". */
#define MUSTACHE_NUMBER_ROOM 40
const char *mustache_text_of(const struct mustache_value *value, char room[MUSTACHE_NUMBER_ROOM],
                             struct slice *text);

#endif
