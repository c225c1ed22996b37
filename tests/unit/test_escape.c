/* base/escape: no text leaves its place in a line. */
#include "unit.h"

#include "base/escape.h"

static struct slice escaped(size_t (*form)(char *, size_t, struct slice, size_t), const char *text,
                            size_t size, size_t most)
{
    static char out[1000];
    struct slice exact = unit_exact(slice_of(text));
    size_t len = form(out, size, exact, most);
    unit_drop(exact);
    assert_true(len < size);
    assert_int_equal(out[len], '\0');
    return (struct slice){.data = out, .len = len};
}

static void test_forms(void **state)
{
    static const struct {
        const char *text, *plain, *word, *json;
    } cases[] = {
        {"", "", "", ""},
        {"a/b?c=d&e", "a/b?c=d&e", "a/b?c=d&e", "a/b?c=d&e"},
        {"two words", "two words", "two\\x20words", "two words"},
        {"\"q\"", "\"q\"", "\\x22q\\x22", "\\\"q\\\""},
        {"a\\x20b", "a\\x20b", "a\\x5cx20b", "a\\\\x20b"},
        {"a\nb\r\t", "a\\x0ab\\x0d\\x09", "a\\x0ab\\x0d\\x09", "a\\u000ab\\u000d\\u0009"},
        {"\x1b[2J\x7f", "\\x1b[2J\\x7f", "\\x1b[2J\\x7f", "\\u001b[2J\\u007f"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        /* U+0085, U+2028, U+202E, U+1F600 */
        {"\xc2\x85", "\\xc2\\x85", "\\xc2\\x85", "\\u0085"},
        {"\xe2\x80\xa8", "\\xe2\\x80\\xa8", "\\xe2\\x80\\xa8", "\\u2028"},
        {"\xe2\x80\xae", "\\xe2\\x80\\xae", "\\xe2\\x80\\xae", "\\u202e"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        /* not UTF-8 */
        {"\xfc!", "\\xfc!", "\\xfc!", "\xef\xbf\xbd!"},
        {"\xe2\x82", "\\xe2\\x82", "\\xe2\\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_slice(i, escaped(escape_plain, cases[i].text, 1000, SIZE_MAX),
                     slice_of(cases[i].plain));
        assert_slice(i, escaped(escape_word, cases[i].text, 1000, SIZE_MAX),
                     slice_of(cases[i].word));
        assert_slice(i, escaped(escape_json, cases[i].text, 1000, SIZE_MAX),
                     slice_of(cases[i].json));
    }
}

/* It cuts before the first character that does not fit, never within one. */
static void test_cuts(void **state)
{
    static const struct {
        const char *text;
        size_t size, most;
        const char *word, *json;
    } cases[] = {
        {"abc", 4, 9, "abc", "abc"},
        {"abc", 3, 9, "ab", "ab"},
        {"abc", 1, 9, "", ""},
        {"abc", 9, 2, "ab", "ab"},
        {"abc", 9, 0, "", ""},
        {"a\n", 6, 9, "a\\x0a", "a"},
        {"a\n", 8, 9, "a\\x0a", "a\\u000a"},
        {"a\n", 5, 9, "a", "a"},
        {"a\nb", 5, 9, "a", "a"}, /* nothing follows what was left out */
        {"\xc3\xbcx", 9, 1, "", ""},
        {"\xc3\xbcx", 2, 9, "", ""},
        {"\xc3\xbcx", 9, 2, "\xc3\xbc", "\xc3\xbc"},
        {"\xc3\xbcx", 3, 9, "\xc3\xbc", "\xc3\xbc"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_slice(i, escaped(escape_word, cases[i].text, cases[i].size, cases[i].most),
                     slice_of(cases[i].word));
        assert_slice(i, escaped(escape_json, cases[i].text, cases[i].size, cases[i].most),
                     slice_of(cases[i].json));
    }
}

/* Whatever the bytes are, nothing that ends a line, a word or a string is left. */
static void test_any_bytes(void **state)
{
    char text[40], out[400];
    (void)state;
    for (size_t round = 0; round < 20000; round++) {
        size_t len = unit_random(sizeof text), most = unit_random(50), size = 1 + unit_random(399);
        for (size_t i = 0; i < len; i++)
            text[i] = (char)unit_random(256);
        size_t word = escape_word(out, size, (struct slice){text, len}, most);
        for (size_t i = 0; i < word; i++)
            assert_row(round, (unsigned char)out[i] > ' ' && out[i] != '"' && out[i] != 0x7f);
        size_t json = escape_json(out, size, (struct slice){text, len}, most);
        for (size_t i = 0; i < json; i++) {
            assert_row(round, (unsigned char)out[i] >= ' ' && out[i] != '"');
            if (out[i] == '\\')
                assert_row(round, ++i < json && strchr("u\"\\", out[i]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests_name("escape", tests, NULL, NULL);
}
