/* Reads dates. The name of the day is not compared with the date. */
#include "source/date.h"

#include "base/byte.h"

/* Removes the literal from the beginning of the text. */
static bool take(struct slice *text, struct slice literal)
{
    if (!slice_starts(*text, literal))
        return false;
    *text = slice_from(*text, literal.len);
    return true;
}

/* Reads exactly `digits` digits. */
static bool take_digits(struct slice *text, size_t digits, int *number)
{
    *number = 0;
    if (text->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        char digit = text->data[i];
        if (!byte_is_digit(digit))
            return false;
        *number = *number * 10 + (digit - '0');
    }
    *text = slice_from(*text, digits);
    return true;
}

static bool take_month(struct slice *text, int *month)
{
    static const struct slice names[] = {
        SLICE_INIT("Jan"), SLICE_INIT("Feb"), SLICE_INIT("Mar"), SLICE_INIT("Apr"),
        SLICE_INIT("May"), SLICE_INIT("Jun"), SLICE_INIT("Jul"), SLICE_INIT("Aug"),
        SLICE_INIT("Sep"), SLICE_INIT("Oct"), SLICE_INIT("Nov"), SLICE_INIT("Dec"),
    };
    for (*month = 1; *month <= 12; ++*month)
        if (take(text, names[*month - 1]))
            return true;
    return false;
}

struct civil {
    int year, month, day, hour, minute, second;
};

static bool take_time(struct slice *text, struct civil *at)
{
    return take_digits(text, 2, &at->hour) && take(text, SLICE(":")) &&
           take_digits(text, 2, &at->minute) && take(text, SLICE(":")) &&
           take_digits(text, 2, &at->second);
}

/* "06 Nov 1994 08:49:37 GMT", after the day's name. */
static bool read_fixdate(struct slice text, struct civil *at)
{
    return take_digits(&text, 2, &at->day) && take(&text, SLICE(" ")) &&
           take_month(&text, &at->month) && take(&text, SLICE(" ")) &&
           take_digits(&text, 4, &at->year) && take(&text, SLICE(" ")) && take_time(&text, at) &&
           slice_equal(text, SLICE(" GMT"));
}

/* "06-Nov-94 08:49:37 GMT" */
static bool read_rfc850(struct slice text, struct civil *at)
{
    return take_digits(&text, 2, &at->day) && take(&text, SLICE("-")) &&
           take_month(&text, &at->month) && take(&text, SLICE("-")) &&
           take_digits(&text, 2, &at->year) && take(&text, SLICE(" ")) && take_time(&text, at) &&
           slice_equal(text, SLICE(" GMT"));
}

/* "Nov  6 08:49:37 1994" */
static bool read_asctime(struct slice text, struct civil *at)
{
    return take_month(&text, &at->month) && take(&text, SLICE(" ")) &&
           take_digits(&text, take(&text, SLICE(" ")) ? 1 : 2, &at->day) &&
           take(&text, SLICE(" ")) && take_time(&text, at) && take(&text, SLICE(" ")) &&
           take_digits(&text, 4, &at->year) && text.len == 0;
}

/* Days since 1970 in the Gregorian calendar; years are counted from March, so that the leap day is
 * the last one. */
static int64_t days_of(const struct civil *at)
{
    int64_t year = at->month > 2 ? at->year : at->year - 1;
    int64_t month = (at->month + 9) % 12;
    int64_t day_of_year = (153 * month + 2) / 5 + at->day - 1;
    return year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719468;
}

static int64_t seconds_of(const struct civil *at)
{
    return ((days_of(at) * 24 + at->hour) * 60 + at->minute) * 60 + at->second;
}

bool date_read(struct slice text, int64_t now_s, int64_t *seconds)
{
    struct civil at = {0};
    size_t day_name = 0;
    text = slice_trim(text);
    while (day_name < text.len && byte_is_letter(text.data[day_name]))
        day_name++;
    if (day_name < 3 || text.len - day_name < 2)
        return false;
    bool comma = text.data[day_name] == ',';
    if (!comma && text.data[day_name] != ' ')
        return false;
    text = slice_from(text, day_name + (comma && text.data[day_name + 1] == ' ' ? 2 : 1));
    bool two_digits = comma && !read_fixdate(text, &at);
    if ((two_digits && !read_rfc850(text, &at)) || (!comma && !read_asctime(text, &at)))
        return false;
    if (at.day < 1 || at.day > 31 || at.hour > 23 || at.minute > 59 || at.second > 60)
        return false;
    if (two_digits) { /* the latest such year that is not more than 50 years in the future */
        at.year += 2000;
        while (at.year > 1970 && seconds_of(&at) > now_s + (int64_t)50 * 365 * 86400)
            at.year -= 100;
    }
    *seconds = seconds_of(&at);
    return *seconds >= 0;
}
