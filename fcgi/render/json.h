/* JSON of a source, read for templates. Pure. */
#ifndef WORKERLESS_RENDER_JSON_H
#define WORKERLESS_RENDER_JSON_H

#include <stddef.h>

#include "base/slice.h"

struct json_t; /* jansson's */

#define RENDER_JSON_WHY_ROOM 200

/* Gives jansson a secret for its hash tables. Call it once, before anything is read: otherwise jansson
 * opens /dev/urandom at the first object, and takes the time instead if it may not. */
void render_json_start(void);

/* Parses JSON (RFC 8259), which may be any value. Returns it owned; or NULL, with a text in `why`
 * that completes a sentence: "is invalid in line 3: …", or "cannot be read: out of memory". (When
 * there is no memory for a string, jansson calls it invalid.)
 *
 * At most 2048 arrays and objects are nested, and numbers have to fit into 64 bits or a double. Of
 * members with the same name the last counts. The value can take 80 times the memory of the text, so
 * the text's length has to be limited. The memory is jansson's, from malloc. */
struct json_t *render_json_read(struct slice text, char why[RENDER_JSON_WHY_ROOM]);

/* Frees it; NULL is accepted. */
void render_json_free(struct json_t *json);

#endif
