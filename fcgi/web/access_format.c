/* Reads formats, and writes lines piece by piece. */
#include "web/access_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/byte.h"
#include "base/escape.h"
#include "base/put.h"
#include "base/spelling.h"

#define WRONG_ROOM   160
#define NAME_MAX_LEN SPELLING_MAX

/* Bytes of a value, escaped. With all fields and their names, a line of JSON has at most
 * 1024 + 2 * 512 + 6 * 160 bytes of values and fewer than 700 of everything else. */
#define KEY_ROOM   1025
#define TEXT_ROOM  513
#define SHORT_ROOM 161

#define NAME(constant, name) SLICE_INIT(name),
static const struct slice names[ACCESS_FIELDS] = {ACCESS_FIELD_TABLE(NAME)};
#undef NAME

/* --- reading a format --- */

enum step { STEP_END, STEP_LITERAL, STEP_FIELD, STEP_OPEN };

/* Takes the next piece. A field is returned without its braces. */
static enum step next_piece(struct slice *rest, struct slice *piece)
{
    *piece = (struct slice){.data = rest->data};
    if (rest->len == 0)
        return STEP_END;
    if (rest->len >= 2 && memcmp(rest->data, "{{", 2) == 0) {
        piece->len = 1;
        *rest = slice_from(*rest, 2);
        return STEP_LITERAL;
    }
    bool is_field = rest->data[0] == '{';
    const char *end = memchr(rest->data, is_field ? '}' : '{', rest->len);
    if (!is_field) {
        piece->len = end ? (size_t)(end - rest->data) : rest->len;
        *rest = slice_from(*rest, piece->len);
        return STEP_LITERAL;
    }
    if (!end)
        return STEP_OPEN;
    *piece = (struct slice){.data = rest->data + 1, .len = (size_t)(end - rest->data) - 1};
    *rest = slice_from(*rest, piece->len + 2);
    return STEP_FIELD;
}

/* ACCESS_FIELDS: there is no field of that name. */
static enum access_field find_field(struct slice name)
{
    size_t field = 0;
    while (field < ACCESS_FIELDS && !slice_equal(names[field], name))
        field++;
    return (enum access_field)field;
}

/* Writes what is wrong with a name, and which one may have been meant. */
static const char *wrong_name(char wrong[WRONG_ROOM], struct slice name)
{
    char word[NAME_MAX_LEN + 1];
    size_t nearest = ACCESS_FIELDS;
    snprintf(word, sizeof word, "%.*s", name.len < sizeof word ? (int)name.len : NAME_MAX_LEN,
             name.data);
    unsigned distance = spelling_limit(word);
    for (size_t i = 0; i < ACCESS_FIELDS; i++) {
        unsigned of_this = spelling_distance(word, names[i].data);
        if (of_this < distance) {
            distance = of_this;
            nearest = i;
        }
    }
    int len = snprintf(wrong, WRONG_ROOM, "there is no field {%.40s}", word);
    if (nearest < ACCESS_FIELDS)
        snprintf(wrong + len, WRONG_ROOM - (size_t)len, "; did you mean {%s}?",
                 names[nearest].data);
    return wrong;
}

/* Returns false if it is a text. */
static bool read_style(const char *text, enum access_style *style)
{
    *style = ACCESS_TEXT;
    if (strcmp(text, "json") == 0)
        *style = ACCESS_JSON;
    else if (strcmp(text, "logfmt") == 0)
        *style = ACCESS_LOGFMT;
    return *style != ACCESS_TEXT;
}

const char *access_format_check(const char *text)
{
    static char wrong[WRONG_ROOM];
    struct slice rest = slice_of(text), piece;
    enum access_style style;
    enum step step;
    bool any = false;
    if (read_style(text, &style))
        return NULL;
    if (rest.len > ACCESS_FORMAT_MAX)
        return "a format must not be longer than 1,000 bytes";
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return "a format must not have control characters";
    while ((step = next_piece(&rest, &piece)) != STEP_END) {
        if (step == STEP_OPEN)
            return "a } is missing after the name of a field; for a { itself, write {{";
        if (step == STEP_FIELD && find_field(piece) == ACCESS_FIELDS)
            return wrong_name(wrong, piece);
        any = any || step == STEP_FIELD;
    }
    return any ? NULL : "must be json, logfmt or a text with fields such as {status}";
}

bool access_format_read(struct access_format *format, const char *text)
{
    size_t len = strlen(text);
    *format = (struct access_format){0};
    if (read_style(text, &format->style))
        return true;
    format->text = alloc_copy(text, len);
    format->pieces = alloc_zeroed((len + 1) * sizeof *format->pieces); /* each has a byte */
    if (!format->text || !format->pieces) {
        access_format_free(format);
        return false;
    }
    struct slice rest = {.data = format->text, .len = len}, piece;
    enum step step;
    while ((step = next_piece(&rest, &piece)) != STEP_END) {
        struct access_piece *next = &format->pieces[format->count++];
        if (step == STEP_LITERAL)
            next->literal = piece;
        else
            next->field = find_field(piece);
    }
    return true;
}

bool access_format_has(const struct access_format *format, enum access_field field)
{
    bool has = format->style != ACCESS_TEXT;
    for (size_t i = 0; i < format->count; i++)
        has = has || (format->pieces[i].literal.len == 0 && format->pieces[i].field == field);
    return has;
}

void access_format_free(struct access_format *format)
{
    free(format->pieces);
    free(format->text);
    *format = (struct access_format){0};
}

/* --- values --- */

/* "2026-11-28T06:17:27.123Z" */
#define STAMP_LEN 24

/* The date is formatted once for each second. */
static char *put_time(char *at, int64_t time_us)
{
    static char stamp[32] = "1970-01-01T00:00:00.000Z";
    static time_t of;
    time_t seconds = (time_t)(time_us / 1000000);
    unsigned ms = (unsigned)(time_us / 1000 % 1000);
    struct tm parts;
    if (seconds != of && gmtime_r(&seconds, &parts) &&
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S.000Z", &parts) == STAMP_LEN)
        of = seconds;
    memcpy(at, stamp, STAMP_LEN);
    at[20] = (char)('0' + ms / 100);
    at[21] = (char)('0' + ms / 10 % 10);
    at[22] = (char)('0' + ms % 10);
    return at + STAMP_LEN;
}

/* With six digits after the point. */
static char *put_seconds(char *at, double seconds)
{
    int64_t us = (int64_t)(seconds * 1e6 + 0.5);
    at = put_number(at, us / 1000000);
    *at++ = '.';
    us %= 1000000;
    for (int64_t unit = 100000; unit > 0; unit /= 10)
        *at++ = (char)('0' + us / unit % 10);
    return at;
}

enum value_kind { VALUE_TIME, VALUE_NUMBER, VALUE_SECONDS, VALUE_SHORT, VALUE_TEXT, VALUE_KEY };

static const size_t rooms[] =
    {[VALUE_SHORT] = SHORT_ROOM, [VALUE_TEXT] = TEXT_ROOM, [VALUE_KEY] = KEY_ROOM};

struct value {
    enum value_kind kind;
    bool known;
    struct slice text;
    int64_t number;
    double seconds;
};

static struct value text_value(struct slice text, enum value_kind kind)
{
    return (struct value){.kind = kind, .known = text.len > 0, .text = text};
}

static struct value number_value(int64_t number)
{
    return (struct value){.kind = VALUE_NUMBER, .known = number >= 0, .number = number};
}

static struct value seconds_value(double seconds)
{
    return (struct value){.kind = VALUE_SECONDS, .known = seconds >= 0, .seconds = seconds};
}

static struct value value_of(const struct access_values *values, enum access_field field)
{
    switch (field) {
    case ACCESS_TIME:
        return (struct value){.kind = VALUE_TIME, .known = true, .number = values->time_us};
    case ACCESS_PID:
        return number_value(getpid());
    case ACCESS_CLIENT:
        return text_value(values->client, VALUE_SHORT);
    case ACCESS_METHOD:
        return text_value(values->method, VALUE_SHORT);
    case ACCESS_PATH:
        return text_value(values->path, VALUE_TEXT);
    case ACCESS_ROUTE:
        return text_value(values->route, VALUE_TEXT);
    case ACCESS_KEY:
        return text_value(values->key, VALUE_KEY);
    case ACCESS_OUTCOME:
        return text_value(values->outcome, VALUE_SHORT);
    case ACCESS_FROM:
        return text_value(values->from, VALUE_SHORT);
    case ACCESS_STATUS:
        return number_value(values->status);
    case ACCESS_BYTES:
        return number_value(values->bytes);
    case ACCESS_TOTAL:
        return seconds_value(values->total);
    case ACCESS_PARKED:
        return seconds_value(values->parked);
    case ACCESS_REDIS_TIME:
        return seconds_value(values->redis);
    case ACCESS_LEASE_TIME:
        return seconds_value(values->lease);
    case ACCESS_QUEUED:
        return seconds_value(values->queued);
    case ACCESS_SOURCE_TIME:
        return seconds_value(values->source);
    case ACCESS_REQUEST_ID:
        return text_value(values->request_id, VALUE_SHORT);
    case ACCESS_TRACE_ID:
        return text_value(values->trace_id, VALUE_SHORT);
    case ACCESS_FIELDS:
        break;
    }
    return (struct value){0};
}

/* Values that are not text. */
static char *put_plain(char *at, const struct value *value)
{
    switch (value->kind) {
    case VALUE_TIME:
        return put_time(at, value->number);
    case VALUE_SECONDS:
        return put_seconds(at, value->seconds);
    default:
        return put_number(at, value->number);
    }
}

/* --- lines --- */

static char *put_as_word(char *at, const struct value *value)
{
    if (!value->known)
        return put(at, SLICE("-"));
    if (value->kind < VALUE_SHORT)
        return put_plain(at, value);
    return at + escape_word(at, rooms[value->kind], value->text, value->text.len);
}

/* Cuts the line, but never within a literal or a value that fits. */
static char *put_text(char *at, const struct access_format *format,
                      const struct access_values *values)
{
    const char *end = at + ACCESS_LINE_MAX - 1;
    for (size_t i = 0; i < format->count; i++) {
        const struct access_piece *piece = &format->pieces[i];
        char room[KEY_ROOM];
        struct slice next = piece->literal;
        if (next.len == 0) {
            struct value value = value_of(values, piece->field);
            next.data = room;
            next.len = (size_t)(put_as_word(room, &value) - room);
        }
        if (next.len > (size_t)(end - at))
            break;
        at = put(at, next);
    }
    return at;
}

/* Whether logfmt needs quotes around it. */
static bool is_bare(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!byte_is_alnum(text.data[i]) && !byte_is_one_of(text.data[i], "-._~:/+@*%,"))
            return false;
    return true;
}

static char *put_quoted(char *at, const struct value *value)
{
    *at++ = '"';
    at += escape_json(at, rooms[value->kind], value->text, value->text.len);
    *at++ = '"';
    return at;
}

static char *put_logfmt(char *at, const struct access_values *values)
{
    const char *start = at;
    for (size_t i = 0; i < ACCESS_FIELDS; i++) {
        struct value value = value_of(values, (enum access_field)i);
        if (!value.known)
            continue;
        if (at > start)
            *at++ = ' ';
        at = put(put(at, names[i]), SLICE("="));
        if (value.kind < VALUE_SHORT)
            at = put_plain(at, &value);
        else if (value.text.len < rooms[value.kind] && is_bare(value.text))
            at = put(at, value.text);
        else
            at = put_quoted(at, &value);
    }
    return at;
}

static char *put_json(char *at, const struct access_values *values)
{
    struct slice before = SLICE("{\"");
    for (size_t i = 0; i < ACCESS_FIELDS; i++) {
        struct value value = value_of(values, (enum access_field)i);
        if (!value.known)
            continue;
        at = put(put(put(at, before), names[i]), SLICE("\":"));
        before = SLICE(",\"");
        if (value.kind >= VALUE_SHORT) {
            at = put_quoted(at, &value);
        } else if (value.kind == VALUE_TIME) {
            *at++ = '"';
            at = put_plain(at, &value);
            *at++ = '"';
        } else {
            at = put_plain(at, &value);
        }
    }
    *at++ = '}';
    return at;
}

size_t access_format_write(const struct access_format *format, const struct access_values *values,
                           char out[ACCESS_LINE_MAX])
{
    char *at = out;
    switch (format->style) {
    case ACCESS_TEXT:
        at = put_text(at, format, values);
        break;
    case ACCESS_LOGFMT:
        at = put_logfmt(at, values);
        break;
    case ACCESS_JSON:
        at = put_json(at, values);
        break;
    }
    *at++ = '\n';
    return (size_t)(at - out);
}
