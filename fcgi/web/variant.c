/* Finds the values in one pass over the variables, and one over the query. Values point into the
 * request, or into a scratch buffer if they had to be decoded, joined or changed to lower case. */
#include "web/variant.h"

#include "base/byte.h"
#include "base/put.h"
#include "fastcgi/params.h"
#include "web/digest.h"
#include "web/language.h"
#include "web/query.h"
#include "web/request.h"

#define SCRATCH_MAX 16384

struct finder {
    const struct vary *vary;
    struct slice values[INPUTS_MAX]; /* data is NULL: not found */
    size_t used;                     /* of the scratch */
    char scratch[SCRATCH_MAX];
};

static bool is_authorization(const struct input *input)
{
    return input->kind == INPUT_HEADER && slice_equal(input->name, SLICE("authorization"));
}

/* Whether the value must not be readable in a key. */
static bool is_secret(const struct input *input)
{
    return input->kind == INPUT_COOKIE || is_authorization(input);
}

static size_t longest(const struct input *input)
{
    return is_secret(input)                ? VARIANT_SECRET_MAX
           : input->kind == INPUT_LANGUAGE ? VARIANT_ACCEPT_MAX
                                           : VARIANT_VALUE_MAX;
}

/* --- the query --- */

static bool decode_parameter(struct finder *finder, struct slice encoded, struct slice *value)
{
    size_t room = SCRATCH_MAX - finder->used;
    char *out = finder->scratch + finder->used;
    value->data = out;
    if (room > VARIANT_VALUE_MAX)
        room = VARIANT_VALUE_MAX;
    if (!query_decode(encoded, out, room, &value->len))
        return false;
    finder->used += value->len;
    return true;
}

static bool find_in_query(struct finder *finder, struct slice query)
{
    struct slice name, encoded;
    bool wanted = false;
    for (size_t i = 0; i < finder->vary->count; i++)
        wanted |= finder->vary->inputs[i].kind == INPUT_QUERY;
    while (wanted && query_next_pair(&query, &name, &encoded)) {
        for (size_t i = 0; name.len > 0 && i < finder->vary->count; i++) {
            const struct input *input = &finder->vary->inputs[i];
            if (input->kind == INPUT_QUERY && !finder->values[i].data &&
                query_name_is(name, input->name) &&
                !decode_parameter(finder, encoded, &finder->values[i]))
                return false;
        }
    }
    return true;
}

/* --- variables --- */

/* Finds the first cookie of that name in a Cookie header. */
static void find_cookie(struct slice header, struct slice name, struct slice *value)
{
    while (header.len > 0) {
        const char *end = memchr(header.data, ';', header.len);
        size_t len = end ? (size_t)(end - header.data) : header.len;
        struct slice pair = slice_trim((struct slice){.data = header.data, .len = len});
        if (pair.len > name.len && pair.data[name.len] == '=' && slice_starts(pair, name)) {
            *value = slice_from(pair, name.len + 1);
            return;
        }
        header = slice_from(header, end ? len + 1 : len);
    }
}

/* Appends another value of the same header. Returns false if the result is too long. */
static bool join(struct finder *finder, struct slice added, size_t most, struct slice *value)
{
    added = slice_trim(added);
    if (added.len == 0)
        return true;
    if (!value->data) {
        *value = added;
        return added.len <= most;
    }
    size_t len = value->len + SLICE(", ").len + added.len;
    if (added.len > most || len > most || len > SCRATCH_MAX - finder->used)
        return false;
    char *out = finder->scratch + finder->used;
    memcpy(out, value->data, value->len);
    memcpy(out + value->len, ", ", 2);
    memcpy(out + value->len + 2, added.data, added.len);
    *value = (struct slice){.data = out, .len = len};
    finder->used += len;
    return true;
}

/* Whether `rest` is what follows HTTP_ in the variable of the header (RFC 3875 4.1.18). The name
 * has only letters in lower case, digits and '-'. */
static bool is_variable(struct slice rest, struct slice header)
{
    if (rest.len != header.len)
        return false;
    for (size_t i = 0; i < rest.len; i++) {
        char byte = header.data[i];
        if (rest.data[i] != (byte == '-' ? '_' : byte_to_upper(byte)))
            return false;
    }
    return true;
}

/* Takes the variable HTTP_`rest` for one input. Returns false if its value is too long. */
static bool take_variable(struct finder *finder, size_t number, struct slice rest,
                          struct slice text)
{
    const struct input *input = &finder->vary->inputs[number];
    struct slice *value = &finder->values[number];
    switch (input->kind) {
    case INPUT_COOKIE:
        if (!value->data && slice_equal(rest, SLICE("COOKIE")))
            find_cookie(text, input->name, value);
        return true;
    case INPUT_HEADER:
        return !is_variable(rest, input->name) || join(finder, text, longest(input), value);
    case INPUT_LANGUAGE:
        return !slice_equal(rest, SLICE("ACCEPT_LANGUAGE")) ||
               join(finder, text, longest(input), value);
    case INPUT_HOST:
        return !slice_equal(rest, SLICE("HOST")) || join(finder, text, longest(input), value);
    case INPUT_QUERY:
        break;
    }
    return true;
}

/* The length of what follows HTTP_ in the variable that the input comes from; 0: in none. */
static size_t variable_len(const struct input *input)
{
    switch (input->kind) {
    case INPUT_COOKIE:
        return SLICE("COOKIE").len;
    case INPUT_HEADER:
        return input->name.len;
    case INPUT_LANGUAGE:
        return SLICE("ACCEPT_LANGUAGE").len;
    case INPUT_HOST:
        return SLICE("HOST").len;
    case INPUT_QUERY:
        break;
    }
    return 0;
}

/* Most variables are not wanted, and their length often tells that before their bytes are read:
 * `lengths` has a bit for each wanted length, modulo 64. */
static bool find_in_variables(struct finder *finder, struct slice variables)
{
    struct slice name, value;
    uint64_t lengths = 0;
    for (size_t i = 0; i < finder->vary->count; i++) {
        size_t len = variable_len(&finder->vary->inputs[i]);
        if (len > 0)
            lengths |= (uint64_t)1 << ((SLICE("HTTP_").len + len) % 64);
    }
    while (lengths != 0 && params_next(&variables, &name, &value) == PARAMS_PAIR) {
        if (!(lengths >> name.len % 64 & 1) || !slice_starts(name, SLICE("HTTP_")))
            continue;
        name = slice_from(name, SLICE("HTTP_").len);
        for (size_t i = 0; i < finder->vary->count; i++)
            if (!take_variable(finder, i, name, value))
                return false;
    }
    return true;
}

/* --- values --- */

/* Whether the text has no control characters. In the value of a header, a tab is none (RFC 9110
 * 5.5). */
static bool is_plain(struct slice text, enum input_kind kind)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];
        if (!(kind == INPUT_HEADER ? byte_is_of_field(byte) : !byte_is_control(byte)))
            return false;
    }
    return true;
}

/* Whether a Host header may have the byte: in a registered name, or in an address with a port (RFC
 * 3986 3.2.2). */
static bool is_of_host(char byte)
{
    return byte_is_lower(byte) || byte_is_digit(byte) ||
           byte_is_one_of(byte, "-._~%!$&'()*+,;=:[]");
}

static bool lower_host(struct finder *finder, struct slice *value)
{
    char *out = finder->scratch + finder->used;
    if (value->len > SCRATCH_MAX - finder->used)
        return false;
    for (size_t i = 0; i < value->len; i++) {
        out[i] = byte_to_lower(value->data[i]);
        if (!is_of_host(out[i]))
            return false;
    }
    value->data = out;
    finder->used += value->len;
    return true;
}

/* Completes a value. Returns false if it is malformed or too long. */
static bool complete(struct finder *finder, size_t number)
{
    const struct input *input = &finder->vary->inputs[number];
    struct slice *value = &finder->values[number];
    if (input->kind == INPUT_LANGUAGE) {
        *value = language_lookup(input->name, *value);
        return true;
    }
    if (!value->data)
        return true;
    if (value->len > longest(input))
        return false;
    switch (input->kind) {
    case INPUT_QUERY:
        return !memchr(value->data, '\0', value->len);
    case INPUT_HOST:
        return lower_host(finder, value);
    case INPUT_COOKIE:
    case INPUT_HEADER:
    case INPUT_LANGUAGE:
        break;
    }
    return is_plain(*value, input->kind);
}

/* --- the key --- */

/* The bytes that stand in a key as they are. */
static const bool is_kept[256] = {
    ['+' ... ':'] = true, ['@' ... 'Z'] = true, ['a' ... 'z'] = true, ['_'] = true, ['~'] = true,
};

static bool add(struct variant *variant, struct slice text)
{
    if (text.len > sizeof variant->suffix - variant->suffix_len)
        return false;
    memcpy(variant->suffix + variant->suffix_len, text.data, text.len);
    variant->suffix_len += text.len;
    return true;
}

static bool add_encoded(struct variant *variant, struct slice text)
{
    char *at = variant->suffix + variant->suffix_len;
    const char *end = variant->suffix + sizeof variant->suffix;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (end - at < PUT_PERCENT_LEN)
            return false;
        if (is_kept[byte])
            *at++ = text.data[i];
        else
            at = put_percent(at, text.data[i]);
    }
    variant->suffix_len = (size_t)(at - variant->suffix);
    return true;
}

/* What comes before the name of the input. */
static struct slice prefix_of(const struct input *input)
{
    switch (input->kind) {
    case INPUT_QUERY:
        return memchr(input->name.data, ':', input->name.len) ||
                       slice_equal(input->name, SLICE("language")) ||
                       slice_equal(input->name, SLICE("host"))
                   ? SLICE("query:")
                   : SLICE("");
    case INPUT_COOKIE:
        return SLICE("cookie:");
    case INPUT_HEADER:
        return SLICE("header:");
    case INPUT_LANGUAGE:
        return SLICE("language"); /* its name is the list of tags */
    case INPUT_HOST:
        break;
    }
    return SLICE("host");
}

static bool add_input(struct variant *variant, const struct input *input, struct slice value)
{
    size_t label_at = variant->suffix_len + 1;
    char digest[DIGEST_HEX_LEN];
    if (!add(variant, variant->suffix_len > 0 ? SLICE("&") : SLICE("?")) ||
        !add(variant, prefix_of(input)) ||
        (input->kind != INPUT_LANGUAGE && !add_encoded(variant, input->name)))
        return false;
    struct slice label = {.data = variant->suffix + label_at,
                          .len = variant->suffix_len - label_at};
    if (!add(variant, SLICE("=")))
        return false;
    if (!is_secret(input))
        return add_encoded(variant, value);
    digest_write(label, value, digest);
    return add(variant, (struct slice){.data = digest, .len = sizeof digest});
}

bool variant_append(const struct variant *variant, char *key, size_t *len)
{
    if (variant->suffix_len > VARIANT_KEY_MAX - *len)
        return false;
    memcpy(key + *len, variant->suffix, variant->suffix_len);
    *len += variant->suffix_len;
    return true;
}

/* --- all --- */

bool variant_read(struct variant *variant, const struct vary *vary,
                  const struct web_request *request)
{
    struct finder finder;
    finder.vary = vary;
    finder.used = 0;
    memset(finder.values, 0, vary->count * sizeof *finder.values);
    variant->vary = vary;
    variant->packed_len = variant->suffix_len = 0;
    if (!find_in_query(&finder, request->query) || !find_in_variables(&finder, request->variables))
        return false;
    for (size_t i = 0; i < vary->count; i++) {
        if (!complete(&finder, i) ||
            !inputs_pack(variant->packed, &variant->packed_len, finder.values[i]) ||
            (finder.values[i].data && !add_input(variant, &vary->inputs[i], finder.values[i])))
            return false;
    }
    return variant->suffix_len > 0 || add(variant, SLICE("?"));
}
