/* JSON is read by jansson. */
#include "render/json.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/table.h"

void render_json_start(void)
{
    json_object_seed((size_t)table_hash("jansson", strlen("jansson")) | 1);
}

struct json_t *render_json_read(struct slice text, char why[RENDER_JSON_WHY_ROOM])
{
    json_error_t error = {0};
    json_t *json = json_loadb(text.len > 0 ? text.data : "", text.len,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (json)
        return json;
    if (json_error_code(&error) == json_error_out_of_memory || error.text[0] == '\0') {
        snprintf(why, RENDER_JSON_WHY_ROOM, "cannot be read: out of memory");
        return NULL;
    }
    char said[JSON_ERROR_TEXT_LENGTH]; /* it may quote the text */
    escape_plain(said, sizeof said, slice_of(error.text), JSON_ERROR_TEXT_LENGTH);
    snprintf(why, RENDER_JSON_WHY_ROOM, "is invalid in line %d: %.*s", error.line, 150, said);
    return NULL;
}

void render_json_free(struct json_t *json)
{
    json_decref(json);
}
