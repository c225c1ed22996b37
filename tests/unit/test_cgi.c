/* cli/cgi: what the user types, as CGI variables. */
#include "unit.h"

#include "base/alloc.h"
#include "cli/cgi.h"

static struct slice variable(const struct cgi *cgi, const char *name)
{
    struct slice value = {0};
    for (size_t i = 0; i < cgi->count; i++)
        if (slice_equal(cgi->variables[i].name, slice_of(name)))
            value = cgi->variables[i].value;
    return value;
}

static void test_targets(void **state)
{
    static const struct {
        const char *target, *path, *query, *wrong;
    } cases[] = {
        {"/fragment/a", "/fragment/a", "", NULL},
        {"/fragment/a?x=%41&y", "/fragment/a", "x=%41&y", NULL},
        {"/a?b?c", "/a", "b?c", NULL},
        {"/a?", "/a", "", NULL},
        /* RFC 3986 2.1; a plus is a plus in a path */
        {"/a%20b%2fc%3F%e9+d", "/a b/c?\xe9+d", "", NULL},
        {"/a b\xc3\xa9", "/a b\xc3\xa9", "", NULL},
        {"%2fa", "/a", "", NULL},
        {"/a%", NULL, NULL, "a % is not followed by two hexadecimal digits"},
        {"/a%4", NULL, NULL, "a % is not followed by two hexadecimal digits"},
        {"/a%4g", NULL, NULL, "a % is not followed by two hexadecimal digits"},
        {"a", NULL, NULL, "a path begins with /, such as /fragment/a"},
        {"", NULL, NULL, "a path begins with /, such as /fragment/a"},
        {"?/", NULL, NULL, "a path begins with /, such as /fragment/a"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct cgi cgi;
        const char *wrong = cgi_set(&cgi, "PURGE", cases[i].target, "192.0.2.1", NULL, 0);
        assert_slice(i, slice_of(wrong), slice_of(cases[i].wrong));
        if (!wrong) {
            assert_slice(i, variable(&cgi, "DOCUMENT_URI"), slice_of(cases[i].path));
            assert_slice(i, variable(&cgi, "SCRIPT_NAME"), slice_of(cases[i].path));
            assert_slice(i, variable(&cgi, "QUERY_STRING"), slice_of(cases[i].query));
            assert_slice(i, variable(&cgi, "REQUEST_URI"), slice_of(cases[i].target));
            assert_slice(i, variable(&cgi, "REQUEST_METHOD"), SLICE("PURGE"));
            assert_slice(i, variable(&cgi, "REMOTE_ADDR"), SLICE("192.0.2.1"));
            assert_slice(i, variable(&cgi, "HTTP_HOST"), SLICE("localhost"));
        }
        cgi_free(&cgi);
    }
}

static void test_headers(void **state)
{
    static const struct {
        const char *header, *name, *value; /* NULL: malformed */
    } cases[] = {
        {"Accept-Language: de", "HTTP_ACCEPT_LANGUAGE", "de"},
        {"cookie:a=b; c=d", "HTTP_COOKIE", "a=b; c=d"},
        {"X:  a b\t", "HTTP_X", "a b"},
        {"X:", "HTTP_X", ""},
        {"Host: example.org", "HTTP_HOST", "example.org"},
        {"X: caf\xc3\xa9", "HTTP_X", "caf\xc3\xa9"},
        /* RFC 9110 5.1, 5.5 */
        {"X", NULL, NULL},
        {": a", NULL, NULL},
        {"", NULL, NULL},
        {"X : a", NULL, NULL},
        {"X Y: a", NULL, NULL},
        {"X: a\nY: b", NULL, NULL},
        {"X: a\x7f", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct cgi cgi;
        const char *headers[] = {"First: 1", cases[i].header};
        const char *wrong = cgi_set(&cgi, "GET", "/a", "::1", headers, 2);
        assert_row(i, !wrong == (cases[i].name != NULL));
        if (!wrong) {
            assert_slice(i, variable(&cgi, "HTTP_FIRST"), SLICE("1"));
            assert_slice(i, variable(&cgi, cases[i].name), slice_of(cases[i].value));
        }
        cgi_free(&cgi);
    }
}

static void test_no_memory(void **state)
{
    struct cgi cgi;
    (void)state;
    alloc_fail_after(0);
    assert_string_equal(cgi_set(&cgi, "GET", "/a", "::1", NULL, 0), "out of memory");
    alloc_fail_after(-1);
    cgi_free(&cgi);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("cgi", tests, NULL, NULL);
}
