/* web/route: which names are valid, which route matches them, and their keys. */
#include "web/route.h"

#include <stdio.h>

#include "unit.h"

static void test_names(void **state)
{
    static const struct {
        struct slice name;
        bool valid;
    } cases[] = {
        {SLICE_INIT("a"), true},
        {SLICE_INIT("user/42"), true},
        {SLICE_INIT("a/b/c/d"), true},
        {SLICE_INIT("..."), true},
        {SLICE_INIT("a..b"), true},
        {SLICE_INIT(".a"), true},
        {SLICE_INIT("a."), true},
        {SLICE_INIT("..a/b.."), true},
        {SLICE_INIT("with space"), true},
        {SLICE_INIT("100%"), true},
        {SLICE_INIT("%2e%2e"), true}, /* a name, not an encoding: the front server decodes */
        {SLICE_INIT("a?b#c&d=e"), true},
        {SLICE_INIT("{braces}"), true},
        {SLICE_INIT("\"quotes'<>"), true},
        {SLICE_INIT("back\\slash"), true},
        {SLICE_INIT("gr\xc3\xbc\xc3\x9f"), true},
        {SLICE_INIT("\xf0\x9f\x98\x80"), true},

        {SLICE_INIT(""), false},
        {SLICE_INIT("."), false},
        {SLICE_INIT(".."), false},
        {SLICE_INIT("/"), false},
        {SLICE_INIT("/a"), false},
        {SLICE_INIT("a/"), false},
        {SLICE_INIT("a//b"), false},
        {SLICE_INIT("./a"), false},
        {SLICE_INIT("a/."), false},
        {SLICE_INIT("a/./b"), false},
        {SLICE_INIT("../a"), false},
        {SLICE_INIT("a/.."), false},
        {SLICE_INIT("a/../b"), false},
        {SLICE_INIT("a\0b"), false}, /* checklist 34 */
        {SLICE_INIT("a\r\nb"), false},
        {SLICE_INIT("a\n"), false},
        {SLICE_INIT("\ta"), false},
        {SLICE_INIT("a\x1f"), false},
        {SLICE_INIT("a\x7f"), false},
        {SLICE_INIT("\xff"), false},
        {SLICE_INIT("a\xc3"), false},
        {SLICE_INIT("\x80"), false},
        {SLICE_INIT("\xc0\xae\xc0\xae"), false}, /* ".." in an overlong form */
        {SLICE_INIT("a\xc0\xaf"
                    "b"),
         false},
        {SLICE_INIT("\xed\xa0\x80"), false},
        {SLICE_INIT("\xf4\x90\x80\x80"), false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].name);
        assert_row(i, route_name_valid(exact) == cases[i].valid);
        unit_drop(exact);
    }
    assert_false(route_name_valid((struct slice){0}));
}

/* One byte alone is a name unless it is a control character, a dot, a slash or not UTF-8. */
static void test_bytes(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[] = {(char)byte};
        bool valid = byte >= 0x20 && byte < 0x7f && byte != '.' && byte != '/';
        assert_row(byte, route_name_valid((struct slice){name, 1}) == valid);
    }
}

static void test_name_length(void **state)
{
    char name[ROUTE_NAME_MAX + 2];
    (void)state;
    memset(name, 'x', sizeof name);
    for (size_t len = 1; len <= sizeof name; len++)
        assert_row(len, route_name_valid((struct slice){name, len}) == (len <= ROUTE_NAME_MAX));

    /* The limit is in bytes: the last character may not cross it. */
    memcpy(name + ROUTE_NAME_MAX - 1, "\xc3\xbc", 2);
    assert_false(route_name_valid((struct slice){name, ROUTE_NAME_MAX + 1}));
    assert_false(route_name_valid((struct slice){name, ROUTE_NAME_MAX}));
    memcpy(name + ROUTE_NAME_MAX - 2, "\xc3\xbc", 2);
    assert_true(route_name_valid((struct slice){name, ROUTE_NAME_MAX}));
}

static void test_find(void **state)
{
    static const struct route routes[] = {
        {.pattern = "a"},         {.pattern = "user/me"},   {.pattern = "user/*"},
        {.pattern = "us*"},       {.pattern = "a*b"},       {.pattern = "b*"},
        {.pattern = "user/late"}, {.pattern = "\xc3\xbc*"}, {.pattern = "A"},
    };
    static const struct {
        struct slice name;
        int route;
    } cases[] = {
        {SLICE_INIT("a"), 0},         {SLICE_INIT("user/me"), 1},   {SLICE_INIT("user/42"), 2},
        {SLICE_INIT("user/me/x"), 2}, {SLICE_INIT("user/late"), 2}, /* the first match wins */
        {SLICE_INIT("user/"), 2},                                   /* the rest may be empty */
        {SLICE_INIT("user"), 3},      {SLICE_INIT("use"), 3},       {SLICE_INIT("us"), 3},
        {SLICE_INIT("u"), -1},        {SLICE_INIT("a*b"), 4}, /* only a last '*' is one */
        {SLICE_INIT("axb"), -1},      {SLICE_INIT("b"), 5},         {SLICE_INIT("bb"), 5},
        {SLICE_INIT("b*"), 5},        {SLICE_INIT("A"), 8},         {SLICE_INIT("aa"), -1},
        {SLICE_INIT("c"), -1},        {SLICE_INIT("\xc3\xbcx"), 7}, {SLICE_INIT("\xc3\xbc"), 7},
        {SLICE_INIT("\xc3"), -1},
    };
    size_t rest_at;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].name);
        const struct route *found = route_find(routes, LENGTH(routes), exact, &rest_at);
        assert_row(i, found == (cases[i].route < 0 ? NULL : &routes[cases[i].route]));
        if (found)
            assert_row(i, rest_at == (strcmp(found->pattern, "a*b") == 0 ? 3
                                      : strchr(found->pattern, '*') ? strlen(found->pattern) - 1
                                                                    : exact.len));
        unit_drop(exact);
    }
    assert_null(route_find(routes, 0, SLICE("a"), &rest_at));
    assert_null(route_find(NULL, 0, SLICE("a"), &rest_at));

    static const struct route all[] = {{.pattern = "*"}};
    assert_ptr_equal(route_find(all, 1, SLICE("x"), &rest_at), all);
    assert_ptr_equal(route_find(all, 1, SLICE("x/y/z"), &rest_at), all);
}

static void test_keys(void **state)
{
    static const struct {
        struct slice name, key;
    } cases[] = {
        {SLICE_INIT("a"), SLICE_INIT("a")},
        {SLICE_INIT("user/42"), SLICE_INIT("user/42")},
        {SLICE_INIT("{a}"), SLICE_INIT("%7Ba%7D")},
        {SLICE_INIT("100%"), SLICE_INIT("100%25")},
        {SLICE_INIT("%7B"), SLICE_INIT("%257B")},
        {SLICE_INIT("two words"), SLICE_INIT("two%20words")},
        {SLICE_INIT("  "), SLICE_INIT("%20%20")},
        {SLICE_INIT("gr\xc3\xbc\xc3\x9f"), SLICE_INIT("gr\xc3\xbc\xc3\x9f")},
        {SLICE_INIT("a:b*c?"), SLICE_INIT("a:b*c%3F")},
        {SLICE_INIT("a?x=1&y"), SLICE_INIT("a%3Fx=1&y")},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char key[ROUTE_KEY_MAX];
        size_t len = route_key(cases[i].name, key);
        assert_slice(i, ((struct slice){key, len}), cases[i].key);
    }
}

/* The longest key fits, whatever the name is made of. */
static void test_longest_key(void **state)
{
    static const char makings[] = {'%', '{', '}', ' ', '?', 'x'};
    (void)state;
    for (size_t i = 0; i < sizeof makings; i++) {
        char name[ROUTE_NAME_MAX], *key = malloc(ROUTE_KEY_MAX);
        assert_non_null(key);
        memset(name, makings[i], sizeof name);
        size_t len = route_key((struct slice){name, sizeof name}, key);
        assert_row(i, len == (makings[i] == 'x' ? ROUTE_NAME_MAX : ROUTE_KEY_MAX));
        free(key);
    }
}

/* Two names never share a key: the key can be read back. */
static void test_keys_differ(void **state)
{
    static const char makings[] = {'%', '{', '}', ' ', '?', '2', '3',
                                   '5', '7', 'B', 'D', 'F', '0', 'x'};
    (void)state;
    for (int round = 0; round < 5000; round++) {
        char name[20], key[3 * sizeof name], back[3 * sizeof name];
        size_t len = 1 + unit_random(sizeof name), back_len = 0;
        for (size_t i = 0; i < len; i++)
            name[i] = makings[unit_random(sizeof makings)];
        size_t key_len = route_key((struct slice){name, len}, key);
        for (size_t i = 0; i < key_len; i++) {
            unsigned byte = (unsigned char)key[i];
            assert_null(memchr("{}? ", key[i], 4));
            if (key[i] == '%') {
                char hex[] = {key[i + 1], key[i + 2], '\0'};
                assert_int_equal(sscanf(hex, "%2X", &byte), 1);
                i += 2;
            }
            back[back_len++] = (char)byte;
        }
        assert_slice(round, ((struct slice){back, back_len}), ((struct slice){name, len}));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_name_length), cmocka_unit_test(test_find),
        cmocka_unit_test(test_keys),        cmocka_unit_test(test_longest_key),
        cmocka_unit_test(test_keys_differ),
    };
    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
