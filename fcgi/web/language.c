/* The best of a list of languages. */
#include "web/language.h"

#include <stdbool.h>
#include <stdint.h>

#define WEIGHT_MAX     1000
#define WEIGHT_INVALID (-1)

/* Removes everything up to the comma from *rest, and returns it. */
static inline struct slice take_item(struct slice *rest)
{
    struct slice item = {.data = rest->data};
    while (item.len < rest->len && rest->data[item.len] != ',')
        item.len++;
    *rest = slice_from(*rest, item.len < rest->len ? item.len + 1 : item.len);
    return item;
}

/* In thousandths: "0", "0.5", "1.000" (RFC 9110 12.4.2). */
static int read_weight(struct slice text)
{
    int weight, unit = WEIGHT_MAX;
    if (text.len == 0 || text.len > 5 || text.data[0] < '0' || text.data[0] > '1' ||
        (text.len > 1 && text.data[1] != '.'))
        return WEIGHT_INVALID;
    weight = (text.data[0] - '0') * unit;
    for (size_t i = 2; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return WEIGHT_INVALID;
        unit /= 10;
        weight += (text.data[i] - '0') * unit;
    }
    return weight <= WEIGHT_MAX ? weight : WEIGHT_INVALID;
}

/* Removes the next range from *rest. Returns its weight, or WEIGHT_INVALID. */
static int next_range(struct slice *rest, struct slice *range)
{
    struct slice item = take_item(rest);
    const char *semicolon = item.len > 0 ? memchr(item.data, ';', item.len) : NULL;
    if (!semicolon) {
        *range = slice_trim(item);
        return WEIGHT_MAX;
    }
    size_t len = (size_t)(semicolon - item.data);
    struct slice weight = slice_trim(slice_from(item, len + 1));
    item.len = len;
    *range = slice_trim(item);
    if (weight.len < 2 || (weight.data[0] | 0x20) != 'q' || weight.data[1] != '=')
        return WEIGHT_INVALID;
    return read_weight(slice_from(weight, 2));
}

/* Removes the last subtag, and the one before it too if that is a single character (RFC 4647
 * 3.4). */
static struct slice shorten(struct slice range)
{
    while (range.len > 0 && range.data[range.len - 1] != '-')
        range.len--;
    if (range.len > 0)
        range.len--;
    if (range.len >= 2 && range.data[range.len - 2] == '-')
        range.len -= 2;
    return range;
}

/* The first tag that is equal to the range and not excluded; its len is 0 if there is none. */
static struct slice find_tag(struct slice tags, uint32_t excluded, struct slice range)
{
    for (uint32_t bit = 1; tags.len > 0; bit <<= 1) {
        struct slice tag = take_item(&tags);
        if (slice_equal_nocase(tag, range) && !(excluded & bit))
            return tag;
    }
    return (struct slice){0};
}

/* The tags that have a weight of 0, by their number. */
static uint32_t find_excluded(struct slice tags, struct slice accept)
{
    uint32_t excluded = 0;
    while (accept.len > 0) {
        struct slice range, rest = tags;
        if (next_range(&accept, &range) != 0)
            continue;
        for (uint32_t bit = 1; rest.len > 0; bit <<= 1)
            if (slice_equal_nocase(take_item(&rest), range))
                excluded |= bit;
    }
    return excluded;
}

static struct slice find_default(struct slice tags, uint32_t excluded)
{
    struct slice rest = tags;
    for (uint32_t bit = 1; rest.len > 0; bit <<= 1) {
        struct slice tag = take_item(&rest);
        if (!(excluded & bit))
            return tag;
    }
    return take_item(&tags);
}

/* As language_lookup, if the tags of these numbers are excluded. Sets *excludes if the header
 * excludes any range. */
static struct slice lookup(struct slice tags, struct slice accept, uint32_t excluded,
                           bool *excludes)
{
    struct slice best = {0};
    int best_weight = 0;
    *excludes = false;
    while (accept.len > 0) {
        struct slice range, tag = {0};
        int weight = next_range(&accept, &range);
        *excludes |= weight == 0;
        if (weight <= best_weight)
            continue;
        for (; range.len > 0 && tag.len == 0; range = shorten(range))
            tag = find_tag(tags, excluded, range);
        if (tag.len > 0) {
            best = tag;
            best_weight = weight;
        }
    }
    return best.len > 0 ? best : find_default(tags, excluded);
}

/* Hardly any header excludes a language. */
struct slice language_lookup(struct slice tags, struct slice accept)
{
    bool excludes;
    struct slice best = lookup(tags, accept, 0, &excludes);
    return excludes ? lookup(tags, accept, find_excluded(tags, accept), &excludes) : best;
}
