/* Finds, checks and writes ids, and makes new ones. */
#include "source/trace.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/byte.h"
#include "base/put.h"
#include "base/random.h"
#include "fastcgi/params.h"

#define ID         "HTTP_X_REQUEST_ID"
#define PARENT     "HTTP_TRACEPARENT"
#define PARENT_LEN 55 /* "00-" 32 digits "-" 16 digits "-" 2 digits */

/* An id must not be zero. */
static uint64_t next_id(uint64_t *random)
{
    uint64_t id = random_next(random);
    return id ? id : 1;
}

/* Letters, digits and what UUIDs, paths and Base64 have: nothing that a log or a header treats as
 * special. */
static bool is_id(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        if (!byte_is_alnum(id.data[i]) && !byte_is_one_of(id.data[i], "-._~:/+=@"))
            return false;
    }
    return id.len > 0 && id.len <= TRACE_ID_MAX;
}

/* Whether there are so many hexadecimal digits, in lower case; `nonzero`: and not only zeros. */
static bool is_hex(const char *text, size_t len, bool nonzero)
{
    for (size_t i = 0; i < len; i++) {
        if (byte_hex_value(text[i]) < 0 || byte_is_upper(text[i]))
            return false;
        nonzero = nonzero && text[i] == '0';
    }
    return !nonzero;
}

static bool is_parent(struct slice parent)
{
    const char *text = parent.data;
    if (parent.len < PARENT_LEN || text[2] != '-' || text[35] != '-' || text[52] != '-' ||
        !is_hex(text, 2, false) || !is_hex(text + 3, 32, true) || !is_hex(text + 36, 16, true) ||
        !is_hex(text + 53, 2, false) || memcmp(text, "ff", 2) == 0)
        return false;
    if (memcmp(text, "00", 2) == 0)
        return parent.len == PARENT_LEN;
    return parent.len == PARENT_LEN || text[PARENT_LEN] == '-';
}

void trace_find(struct slice variables, struct slice *id, struct slice *parent)
{
    struct slice name, value;
    *id = *parent = (struct slice){0};
    while (params_next(&variables, &name, &value) == PARAMS_PAIR) {
        if (slice_equal(name, SLICE(ID)))
            *id = value;
        else if (slice_equal(name, SLICE(PARENT)))
            *parent = value;
    }
    if (!is_id(*id))
        id->len = 0;
    parent->len = is_parent(*parent) ? PARENT_LEN : 0;
}

size_t trace_keep(struct slice variables, char out[TRACE_VARIABLES_MAX])
{
    struct slice id, parent;
    size_t len = 0;
    trace_find(variables, &id, &parent);
    if (id.len > 0)
        len += params_encode_short(out, SLICE(ID), id);
    if (parent.len > 0)
        len += params_encode_short(out + len, SLICE(PARENT), parent);
    return len;
}

void trace_write_id(struct slice id, uint64_t *random, char out[TRACE_ID_ROOM])
{
    if (is_id(id)) {
        snprintf(out, TRACE_ID_ROOM, "X-Request-Id: %.*s", SLICE_ARGS(id));
        return;
    }
    uint64_t high = next_id(random), low = next_id(random);
    put(put_hex(put_hex(put(out, SLICE("X-Request-Id: ")), high), low), SLICE("\0"));
}

void trace_write_parent(struct slice parent, uint64_t *random, char out[TRACE_PARENT_ROOM])
{
    if (is_parent(parent)) {
        snprintf(out, TRACE_PARENT_ROOM, "traceparent: 00%.*s", PARENT_LEN - 2, parent.data + 2);
        return;
    }
    uint64_t high = next_id(random), low = next_id(random), span = next_id(random);
    char *at = put_hex(put_hex(put(out, SLICE("traceparent: 00-")), high), low);
    put(put_hex(put(at, SLICE("-")), span), SLICE("-01\0"));
}
