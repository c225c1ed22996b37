/* Each take_ function removes what it is named for from *text, and returns false if it is not
 * there. */
#include "source/structured.h"

#include "base/byte.h"

static bool at(const struct slice *text, char byte)
{
    return text->len > 0 && text->data[0] == byte;
}

static bool take_byte(struct slice *text, char byte)
{
    if (!at(text, byte))
        return false;
    *text = slice_from(*text, 1);
    return true;
}

static void take_bytes(struct slice *text, const char *bytes)
{
    while (text->len > 0 && byte_is_one_of(text->data[0], bytes))
        *text = slice_from(*text, 1);
}

static bool take_key(struct slice *text, struct slice *key)
{
    size_t len = 0;
    if (text->len == 0 || !(byte_is_lower(text->data[0]) || text->data[0] == '*'))
        return false;
    while (len < text->len && (byte_is_lower(text->data[len]) || byte_is_digit(text->data[len]) ||
                               byte_is_one_of(text->data[len], "_-.*")))
        len++;
    *key = (struct slice){.data = text->data, .len = len};
    *text = slice_from(*text, len);
    return true;
}

/* An Integer of up to 15 digits, or a Decimal of up to 12 and 3 (RFC 9651 4.2.4). */
static bool take_number(struct slice *text, struct structured_member *item)
{
    bool negative = take_byte(text, '-');
    size_t digits = 0, decimals = 0;
    item->kind = STRUCTURED_INTEGER;
    item->number = 0;
    for (; digits < text->len && byte_is_digit(text->data[digits]); digits++) {
        if (digits == 15)
            return false;
        item->number = item->number * 10 + (text->data[digits] - '0');
    }
    *text = slice_from(*text, digits);
    if (negative)
        item->number = -item->number;
    if (digits == 0 || !take_byte(text, '.'))
        return digits > 0;
    item->kind = STRUCTURED_OTHER;
    while (decimals < text->len && byte_is_digit(text->data[decimals]))
        decimals++;
    *text = slice_from(*text, decimals);
    return digits <= 12 && decimals >= 1 && decimals <= 3;
}

/* A String; as the rest of a Display String, whose bytes are percent-encoded in lower case. */
static bool take_string(struct slice *text, bool display)
{
    if (!take_byte(text, '"'))
        return false;
    for (size_t i = 0; i < text->len; i++) {
        char byte = text->data[i];
        if (byte == '"') {
            *text = slice_from(*text, i + 1);
            return true;
        }
        if (byte < 0x20 || byte > 0x7e) /* bytes above 0x7f are negative, or above 0x7e */
            return false;
        if (byte == '\\' && !display && !(++i < text->len && byte_is_one_of(text->data[i], "\"\\")))
            return false;
        if (byte == '%' && display) {
            for (int j = 0; j < 2; j++)
                if (!(++i < text->len && byte_is_one_of(text->data[i], "0123456789abcdef")))
                    return false;
        }
    }
    return false;
}

static bool take_token(struct slice *text)
{
    size_t len = 0;
    while (len < text->len &&
           (byte_is_alnum(text->data[len]) || byte_is_one_of(text->data[len], "!#$%&'*+-.^_`|~:/")))
        len++;
    *text = slice_from(*text, len);
    return len > 0;
}

static bool take_byte_sequence(struct slice *text)
{
    if (!take_byte(text, ':'))
        return false;
    while (text->len > 0 && (byte_is_alnum(text->data[0]) || byte_is_one_of(text->data[0], "+/=")))
        *text = slice_from(*text, 1);
    return take_byte(text, ':');
}

static bool take_boolean(struct slice *text, struct structured_member *item)
{
    item->kind = STRUCTURED_BOOLEAN;
    item->number = 1;
    if (!take_byte(text, '?'))
        return false;
    if (take_byte(text, '1'))
        return true;
    item->number = 0;
    return take_byte(text, '0');
}

/* A Date is an Integer after an "@". */
static bool take_date(struct slice *text, struct structured_member *item)
{
    bool taken =
        take_byte(text, '@') && take_number(text, item) && item->kind == STRUCTURED_INTEGER;
    item->kind = STRUCTURED_OTHER;
    return taken;
}

static bool take_bare_item(struct slice *text, struct structured_member *item)
{
    item->kind = STRUCTURED_OTHER;
    item->number = 0;
    if (text->len == 0)
        return false;
    char first = text->data[0];
    if (first == '-' || byte_is_digit(first))
        return take_number(text, item);
    if (first == '"')
        return take_string(text, false);
    if (first == '%')
        return take_byte(text, '%') && take_string(text, true);
    if (first == '?')
        return take_boolean(text, item);
    if (first == ':')
        return take_byte_sequence(text);
    if (first == '@')
        return take_date(text, item);
    return (byte_is_letter(first) || first == '*') && take_token(text);
}

static bool take_parameters(struct slice *text)
{
    struct structured_member ignored;
    while (take_byte(text, ';')) {
        take_bytes(text, " ");
        if (!take_key(text, &ignored.key) ||
            (take_byte(text, '=') && !take_bare_item(text, &ignored)))
            return false;
    }
    return true;
}

static bool take_inner_list(struct slice *text)
{
    struct structured_member ignored;
    if (!take_byte(text, '('))
        return false;
    for (;;) {
        take_bytes(text, " ");
        if (take_byte(text, ')'))
            return true;
        if (!take_bare_item(text, &ignored) || !take_parameters(text) ||
            !(at(text, ' ') || at(text, ')')))
            return false;
    }
}

static bool take_member(struct slice *text, struct structured_member *member)
{
    member->kind = STRUCTURED_BOOLEAN;
    member->number = 1;
    if (!take_key(text, &member->key))
        return false;
    if (take_byte(text, '=')) {
        if (at(text, '(')) {
            member->kind = STRUCTURED_OTHER;
            if (!take_inner_list(text))
                return false;
        } else if (!take_bare_item(text, member)) {
            return false;
        }
    }
    return take_parameters(text);
}

struct structured_reader structured_read(struct slice value)
{
    struct structured_reader reader = {.rest = value};
    take_bytes(&reader.rest, " ");
    return reader;
}

/* What separates a member from the one before it: a comma, which must not be the last thing. */
static bool take_separator(struct slice *text)
{
    take_bytes(text, " \t");
    if (!take_byte(text, ','))
        return false;
    take_bytes(text, " \t");
    return text->len > 0;
}

static bool at_end(struct slice text)
{
    take_bytes(&text, " ");
    return text.len == 0;
}

bool structured_next(struct structured_reader *reader, struct structured_member *member)
{
    if (reader->bad || at_end(reader->rest))
        return false;
    reader->bad =
        (reader->any && !take_separator(&reader->rest)) || !take_member(&reader->rest, member);
    reader->any = true;
    return !reader->bad;
}
