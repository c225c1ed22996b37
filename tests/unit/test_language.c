/* web/language: which of the tags an Accept-Language header leads to. */
#include "web/language.h"

#include <stdio.h>

#include "unit.h"

static void test_lookup(void **state)
{
    static const struct {
        const char *tags, *accept, *chosen;
    } cases[] = {
        /* the default: RFC 4647 3.4.1 */
        {"en,de,fr", "", "en"},
        {"en,de,fr", "it", "en"},
        {"en,de,fr", "*", "en"},
        {"de", "en", "de"},
        {"de", "de", "de"},
        /* the order of the header: RFC 4647 2.3 */
        {"en,de,fr", "de", "de"},
        {"en,de,fr", "fr,de,en", "fr"},
        {"en,de,fr", "it,fr", "fr"},
        /* case does not count: RFC 5646 2.1.1; the tag is that of the config */
        {"en,de-CH", "DE-ch", "de-CH"},
        {"en,DE", "de", "DE"},
        /* shortened from the end: RFC 4647 3.4 */
        {"en,de", "de-CH", "de"},
        {"en,zh-Hant", "zh-Hant-CN-x-private1-private2", "zh-Hant"},
        {"en,zh", "zh-Hant-CN-x-private1-private2", "zh"},
        {"en,zh-Hant-CN", "zh-Hant-CN-x-private1-private2", "zh-Hant-CN"},
        {"en,de-CH", "de", "en"}, /* a tag is never shortened */
        {"en,d", "de", "en"},     /* at hyphens only */
        {"en,de", "deu", "en"},
        /* a single character goes with what follows it: RFC 4647 3.4 */
        {"en,zh-x,zh", "zh-x-private", "zh"},
        {"en,zh-x,zh", "zh-x", "zh-x"},
        {"en,a", "a-b-c", "a"},
        /* a range is shortened to its end before the next one is tried: RFC 4647 3.4 */
        {"en,de,fr-CH", "de-CH,fr-CH", "de"},
        {"en,fr-CH", "de-CH,fr-CH", "fr-CH"},
        /* weights: RFC 9110 12.4.2 */
        {"en,de,fr", "fr;q=0.5,de", "de"},
        {"en,de,fr", "fr;q=0.5,de;q=0.8", "de"},
        {"en,de,fr", "fr;q=0.8,de;q=0.8", "fr"},
        {"en,de,fr", "fr;q=0.801,de;q=0.8", "fr"},
        {"en,de,fr", "fr;q=0.8,de;q=0.801", "de"},
        {"en,de,fr", "fr;q=1,de", "fr"},
        {"en,de,fr", "fr;q=1.000,de", "fr"},
        {"en,de,fr", "fr;q=0.999,de", "de"},
        {"en,de,fr", "it,de;q=0.001", "de"},
        {"en,de,fr", "fr ; q=0.1 , de\t;\tq=0.2", "de"},
        {"en,de,fr", "fr;Q=0.1,de;Q=0.2", "de"},
        {"en,de,fr", "fr;q=0.,de;q=1.", "de"},
        /* a wildcard says only that all others are welcome: RFC 4647 3.4 */
        {"en,de,fr", "*,de;q=0.5", "de"},
        {"en,de,fr", "de;q=0.1,*;q=0.9", "de"},
        {"en,de,fr", "it,*;q=0.5", "en"},
        /* not acceptable: RFC 9110 12.4.2 */
        {"en,de,fr", "de;q=0", "en"},
        {"en,de,fr", "de;q=0,de-CH", "en"},
        {"en,de,fr", "de,de;q=0.0", "en"},
        {"en,de,fr", "en;q=0", "de"},
        {"en,de,fr", "en;q=0,*", "de"},
        {"en,de,fr", "en;q=0,de;q=0.000", "fr"},
        {"en,de,fr", "en;q=0,de;q=0,fr;q=0", "en"},
        {"en,de,fr", "*;q=0", "en"},
        {"de,de-CH", "de;q=0,de-CH;q=0.1", "de-CH"},
        /* what is malformed is ignored */
        {"en,de,fr", "fr;q=2,de", "de"},
        {"en,de,fr", "fr;q=1.001,de;q=0.1", "de"},
        {"en,de,fr", "fr;q=0.1234,de;q=0.1", "de"},
        {"en,de,fr", "fr;q=-1,de;q=0.1", "de"},
        {"en,de,fr", "fr;q=a,de;q=0.1", "de"},
        {"en,de,fr", "fr;q=0.a,de;q=0.1", "de"},
        {"en,de,fr", "fr;q=,de;q=0.1", "de"},
        {"en,de,fr", "fr;q,de;q=0.1", "de"},
        {"en,de,fr", "fr;,de;q=0.1", "de"},
        {"en,de,fr", "fr;x=1,de;q=0.1", "de"},
        {"en,de,fr", "fr;q=1;q=1,de;q=0.1", "de"},
        {"en,de,fr", "fr;q=.9,de;q=0.1", "de"},
        {"en,de,fr", ",,, ,de,,", "de"},
        {"en,de,fr", "-,--,de-,-fr", "de"},
        {"en,de,fr", "de fr,fr;q=0.1", "fr"},
        {"en,de,fr", "de*,d*,fr;q=0.1", "fr"},
        {"en,de,fr", ";q=1,=,;,fr;q=0.1", "fr"},
        {"en,de,fr", "en,de,fr,\x01\xff", "en"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice tags = unit_exact(slice_of(cases[i].tags));
        struct slice accept = unit_exact(slice_of(cases[i].accept));
        struct slice chosen = language_lookup(tags, accept);
        assert_slice(i, chosen, slice_of(cases[i].chosen));
        assert_row(i, chosen.data >= tags.data && chosen.data < tags.data + tags.len);
        unit_drop(tags);
        unit_drop(accept);
    }
    assert_slice(0, language_lookup(SLICE("de,en"), (struct slice){0}), SLICE("de"));
}

/* The last of the most tags can be chosen, and excluded. */
static void test_most_tags(void **state)
{
    char tags[LANGUAGE_TAGS_MAX * 6], accept[64];
    size_t len = 0;
    (void)state;
    for (int i = 0; i < LANGUAGE_TAGS_MAX; i++)
        len += (size_t)snprintf(tags + len, sizeof tags - len, "%sx%02dx", i > 0 ? "," : "", i);
    for (int i = 0; i < LANGUAGE_TAGS_MAX; i++) {
        snprintf(accept, sizeof accept, "x%02dx", i);
        struct slice chosen = language_lookup(slice_of(tags), slice_of(accept));
        assert_slice(i, chosen, slice_of(accept));
        snprintf(accept, sizeof accept, "x%02dx,x%02dx;q=0", i, i);
        chosen = language_lookup(slice_of(tags), slice_of(accept));
        assert_slice(i, chosen, i > 0 ? SLICE("x00x") : SLICE("x01x"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_most_tags),
    };
    return cmocka_run_group_tests_name("language", tests, NULL, NULL);
}
