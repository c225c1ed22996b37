/* web/query: the values of one parameter of a query string. */
#include "web/query.h"

#include <stdio.h>

#include "unit.h"

#define ROOM 8 /* what a value may have */

/* The values of "name", each followed by "|"; "!" if the next one is bad. The query has a block of
 * its own, and `out` exactly the room. */
static struct slice values_of(struct slice query, struct buffer *found)
{
    struct slice exact = unit_exact(query), rest = exact;
    char *out = malloc(ROOM);
    enum query_step step;
    size_t len;
    assert_non_null(out);
    while ((step = query_next(&rest, SLICE("name"), out, ROOM, &len)) == QUERY_VALUE) {
        assert_true(len <= ROOM);
        unit_append(found, out, len);
        unit_append(found, "|", 1);
    }
    if (step == QUERY_BAD)
        unit_append(found, "!", 1);
    else
        assert_int_equal(rest.len, 0);
    free(out);
    unit_drop(exact);
    return buffer_slice(found);
}

static void test_values(void **state)
{
    static const struct {
        struct slice query, values;
    } cases[] = {
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("name=a"), SLICE_INIT("a|")},
        {SLICE_INIT("name=a&name=b"), SLICE_INIT("a|b|")},
        {SLICE_INIT("name=b&name=a&name=b"), SLICE_INIT("b|a|b|")},
        /* other parameters, at all places, and those that only look alike */
        {SLICE_INIT("x=1&name=a&y&name=b&z="), SLICE_INIT("a|b|")},
        {SLICE_INIT("Name=a&names=b&nam=c&xname=d&name%3De=f&n%61me=g"), SLICE_INIT("")},
        {SLICE_INIT("x=%zz&name=a&%"), SLICE_INIT("a|")},
        {SLICE_INIT("x=123456789012345678901234567890&name=a"), SLICE_INIT("a|")},
        {SLICE_INIT("x=name=a"), SLICE_INIT("")},
        {SLICE_INIT("=name&=&==a"), SLICE_INIT("")},
        {SLICE_INIT("name=a;name=b"), SLICE_INIT("a;name=b|")},
        /* empty ones */
        {SLICE_INIT("name"), SLICE_INIT("|")},
        {SLICE_INIT("name="), SLICE_INIT("|")},
        {SLICE_INIT("name=&name"), SLICE_INIT("||")},
        {SLICE_INIT("&&name=a&&"), SLICE_INIT("a|")},
        {SLICE_INIT("&"), SLICE_INIT("")},
        /* encoded */
        {SLICE_INIT("name=a=b"), SLICE_INIT("a=b|")},
        {SLICE_INIT("name=a+b"), SLICE_INIT("a b|")},
        {SLICE_INIT("name=+"), SLICE_INIT(" |")},
        {SLICE_INIT("name=a%20b"), SLICE_INIT("a b|")},
        {SLICE_INIT("name=%2B%2b%26%3d%25"), SLICE_INIT("++&=%|")},
        {SLICE_INIT("name=%C3%A9%c3%a9"), SLICE_INIT("\xc3\xa9\xc3\xa9|")},
        {SLICE_INIT("name=\xc3\xa9"), SLICE_INIT("\xc3\xa9|")},
        {SLICE_INIT("name=%00"), SLICE_INIT("\0|")},
        {SLICE_INIT("name=%FF%ff%0f%F0"), SLICE_INIT("\xff\xff\x0f\xf0|")},
        {SLICE_INIT("name=user/7"), SLICE_INIT("user/7|")},
        {SLICE_INIT("name=%2541"), SLICE_INIT("%41|")}, /* once, not twice */
        /* broken ones: at the end, before another, and not only at the last digit */
        {SLICE_INIT("name=%"), SLICE_INIT("!")},
        {SLICE_INIT("name=%4"), SLICE_INIT("!")},
        {SLICE_INIT("name=a%"), SLICE_INIT("!")},
        {SLICE_INIT("name=%4&name=b"), SLICE_INIT("!")},
        {SLICE_INIT("name=%&41"), SLICE_INIT("!")},
        {SLICE_INIT("name=%g0"), SLICE_INIT("!")},
        {SLICE_INIT("name=%0g"), SLICE_INIT("!")},
        {SLICE_INIT("name=%G0"), SLICE_INIT("!")},
        {SLICE_INIT("name=%0:"), SLICE_INIT("!")},
        {SLICE_INIT("name=%0@"), SLICE_INIT("!")},
        {SLICE_INIT("name=%/0"), SLICE_INIT("!")},
        {SLICE_INIT("name=%`0"), SLICE_INIT("!")},
        {SLICE_INIT("name=%%41"), SLICE_INIT("!")},
        {SLICE_INIT("name=%+1"), SLICE_INIT("!")},
        {SLICE_INIT("name=%-1"), SLICE_INIT("!")},
        {SLICE_INIT("name=% 1"), SLICE_INIT("!")},
        {SLICE_INIT("name=a&name=%"), SLICE_INIT("a|!")},
        /* at the room, and above it */
        {SLICE_INIT("name=12345678"), SLICE_INIT("12345678|")},
        {SLICE_INIT("name=123456789"), SLICE_INIT("!")},
        {SLICE_INIT("name=1234567%38&name=9"), SLICE_INIT("12345678|9|")},
        {SLICE_INIT("name=%31%32%33%34%35%36%37%38"), SLICE_INIT("12345678|")},
        {SLICE_INIT("name=%31%32%33%34%35%36%37%38+"), SLICE_INIT("!")},
        {SLICE_INIT("name=a&name=123456789"), SLICE_INIT("a|!")},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buffer found = {0};
        assert_slice(i, values_of(cases[i].query, &found), cases[i].values);
        buffer_free(&found);
    }
}

/* What is absent has no data. */
static void test_absent(void **state)
{
    struct slice rest = {0};
    char out[1];
    size_t len;
    (void)state;
    assert_int_equal(query_next(&rest, SLICE("name"), out, sizeof out, &len), QUERY_END);
}

/* Every pair of digits, in either case. */
static void test_all_bytes(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        for (int upper = 0; upper < 2; upper++) {
            char query[16], out[1];
            size_t len;
            snprintf(query, sizeof query, upper ? "name=%%%02X" : "name=%%%02x", (unsigned)byte);
            struct slice rest = slice_of(query);
            assert_int_equal(query_next(&rest, SLICE("name"), out, 1, &len), QUERY_VALUE);
            assert_int_equal(len, 1);
            assert_int_equal((unsigned char)out[0], byte);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_all_bytes),
    };
    return cmocka_run_group_tests_name("query", tests, NULL, NULL);
}
