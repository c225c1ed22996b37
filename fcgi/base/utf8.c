/* UTF-8 by the table of well-formed byte sequences (Unicode, table 3-7). */
#include "base/utf8.h"

static const struct {
    unsigned char first_min, first_max, second_min, second_max;
    size_t len;
} forms[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

size_t utf8_sequence(struct slice text)
{
    const unsigned char *byte = (const unsigned char *)text.data;
    if (text.len == 0)
        return 0;
    if (byte[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (byte[0] < forms[i].first_min || byte[0] > forms[i].first_max)
            continue;
        if (text.len < forms[i].len || byte[1] < forms[i].second_min ||
            byte[1] > forms[i].second_max)
            return 0;
        for (size_t k = 2; k < forms[i].len; k++)
            if (byte[k] < 0x80 || byte[k] > 0xbf)
                return 0;
        return forms[i].len;
    }
    return 0;
}
