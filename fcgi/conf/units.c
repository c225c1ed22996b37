/* Numbers with units. strtod and similar functions are not used: they accept a sign, "inf", "0x1p3"
 * and the decimal sign of the locale. */
#include "conf/units.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/byte.h"
#include "base/slice.h"

static const struct {
    const char *name;
    double times, per; /* seconds = number * times / per: 250ms is exactly 0.25 */
} duration_units[] = {
    {"us", 1, 1e6}, {"ms", 1, 1e3}, {"s", 1, 1}, {"m", 60, 1}, {"h", 3600, 1}, {"d", 86400, 1},
};

static const struct {
    const char *name;
    unsigned shift;
} size_units[] = {{"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};

/* Reads the digits at the beginning of the text. Returns false if the number exceeds SIZE_MAX. */
static bool take_digits(struct slice *text, size_t *number)
{
    size_t sum = 0;
    while (text->len > 0 && byte_is_digit(text->data[0])) {
        size_t digit = (size_t)(text->data[0] - '0');
        if (sum > (SIZE_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
        *text = slice_from(*text, 1);
    }
    *number = sum;
    return true;
}

/* Reads a number with or without a fraction: number / scale. */
static void take_number(struct slice *text, double *number, double *scale)
{
    *number = 0;
    *scale = 1;
    for (; text->len > 0 && byte_is_digit(text->data[0]); *text = slice_from(*text, 1))
        *number = *number * 10 + (text->data[0] - '0');
    if (text->len < 2 || text->data[0] != '.' || !byte_is_digit(text->data[1]))
        return;
    *text = slice_from(*text, 1);
    for (; text->len > 0 && byte_is_digit(text->data[0]); *text = slice_from(*text, 1)) {
        if (*scale >= 1e9) /* more digits make no difference */
            continue;
        *number = *number * 10 + (text->data[0] - '0');
        *scale *= 10;
    }
}

static const char *parse_duration(struct slice text, double *seconds)
{
    bool zero = slice_equal(text, SLICE("0"));
    double number, scale;
    if (text.len == 0 || !byte_is_digit(text.data[0]))
        return "not a duration; write it like 60s, 5m or 250ms";
    take_number(&text, &number, &scale);
    if (zero) {
        *seconds = 0;
        return NULL;
    }
    if (text.len == 0)
        return "a bare number; write it with a unit: 60s, 5m, 250ms";
    for (size_t i = 0; i < sizeof(duration_units) / sizeof(*duration_units); i++) {
        if (slice_equal(text, slice_of(duration_units[i].name))) {
            *seconds = number * duration_units[i].times / (scale * duration_units[i].per);
            return NULL;
        }
    }
    return "no such unit; a duration is in us, ms, s, m, h or d";
}

const char *units_parse_duration(const char *text, double *seconds)
{
    return parse_duration(slice_of(text), seconds);
}

const char *units_parse_range(const char *text, double *low, double *high)
{
    const char *dash = strchr(text, '-');
    double first, second;
    const char *wrong;
    if (!dash) {
        wrong = units_parse_duration(text, &first);
        second = first;
    } else {
        wrong = parse_duration((struct slice){.data = text, .len = (size_t)(dash - text)}, &first);
        if (!wrong)
            wrong = units_parse_duration(dash + 1, &second);
    }
    if (wrong)
        return wrong;
    if (first > second)
        return "the start of the range is above its end";
    *low = first;
    *high = second;
    return NULL;
}

const char *units_parse_size(const char *text, size_t *bytes)
{
    struct slice unit = slice_of(text);
    size_t number;
    if (!byte_is_digit(text[0]))
        return "not a size; write it like 512B, 64KiB or 1MiB";
    if (!take_digits(&unit, &number))
        return "too large";
    if (unit.len == 0) {
        if (number > 0)
            return "a bare number; write it with a unit: 512B, 64KiB, 1MiB";
        *bytes = 0;
        return NULL;
    }
    if (unit.data[0] == '.')
        return "not a whole number; write the next smaller unit: 1536KiB, not 1.5MiB";
    for (size_t i = 0; i < sizeof(size_units) / sizeof(*size_units); i++) {
        if (!slice_equal(unit, slice_of(size_units[i].name)))
            continue;
        if (number > SIZE_MAX >> size_units[i].shift)
            return "too large";
        *bytes = number << size_units[i].shift;
        return NULL;
    }
    return "no such unit; a size is in B, KiB, MiB or GiB (1KiB is 1024B)";
}

const char *units_parse_count(const char *text, size_t *count)
{
    struct slice rest = slice_of(text);
    size_t number;
    if (!byte_is_digit(text[0]))
        return "not a number";
    if (!take_digits(&rest, &number))
        return "too large";
    if (rest.len > 0)
        return "not a plain number; this is a count and has no unit";
    *count = number;
    return NULL;
}

const char *units_parse_rate(const char *text, size_t *count, double *seconds)
{
    static const char wrong[] = "write it like \"5 in 10s\"";
    struct slice rest = slice_of(text), between = SLICE(" in ");
    size_t number;
    double time;
    if (rest.len == 0) {
        *count = 0;
        *seconds = 0;
        return NULL;
    }
    if (!byte_is_digit(text[0]) || !take_digits(&rest, &number) || !slice_starts(rest, between) ||
        parse_duration(slice_from(rest, between.len), &time) || number == 0 || time <= 0)
        return wrong;
    *count = number;
    *seconds = time;
    return NULL;
}

const char *units_parse_share(const char *text, double *share)
{
    static const char wrong[] = "write it like 1, 0.01 or 1/100";
    struct slice rest = slice_of(text);
    double number, scale, of = 1, of_scale = 1;
    if (rest.len == 0 || !byte_is_digit(rest.data[0]))
        return wrong;
    take_number(&rest, &number, &scale);
    if (rest.len > 1 && rest.data[0] == '/' && byte_is_digit(rest.data[1])) {
        rest = slice_from(rest, 1);
        take_number(&rest, &of, &of_scale);
    }
    if (rest.len > 0)
        return wrong;
    if (of <= 0 || number * of_scale > of * scale)
        return "must be from 0 to 1";
    *share = number * of_scale / (of * scale);
    return NULL;
}

const char *units_parse_mode(const char *text, unsigned *mode)
{
    size_t len = strlen(text);
    unsigned bits = 0;
    if (len < 3 || len > 4 || strspn(text, "01234567") != len)
        return "not an octal file mode; write it like 0660";
    for (; *text; text++)
        bits = bits * 8 + (unsigned)(*text - '0');
    if (bits > 0777)
        return "only the permission bits can be set: up to 0777";
    *mode = bits;
    return NULL;
}
