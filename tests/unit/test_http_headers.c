/* source/http_headers: which headers the config may give to a call. */
#include "source/http_headers.h"

#include "unit.h"

static void test_check(void **state)
{
    static const struct {
        const char *header, *name, *value;
    } good[] = {
        {"Accept: application/json", "Accept", "application/json"},
        {"accept:x", "accept", "x"},
        {"X-Odd!#$%&'*+-.^_`|~09: \t a: b\tc  ", "X-Odd!#$%&'*+-.^_`|~09", "a: b\tc"},
        {"Authorization: Bearer \xc3\xbc\xff", "Authorization", "Bearer \xc3\xbc\xff"}, /* 5.5 */
        {"Accept-Encoding: identity", "Accept-Encoding", "identity"},
        {"Cookie: a=b; c=d", "Cookie", "a=b; c=d"},
    };
    static const struct {
        const char *header, *why;
    } bad[] = {
        {"", "write NAME: VALUE"},
        {"Accept", "write NAME: VALUE"},
        {"Accept application/json", "write NAME: VALUE"},
        {": x", "the name"},
        {"X Y: x", "the name"}, /* RFC 9110 5.1 */
        {"Accept : x", "the name"},
        {" Accept: x", "the name"},
        {"Acc\xc3\xa9pt: x", "the name"},
        {"X(Y): x", "the name"},
        {"X\nY: x", "the name"},
        {"Accept:", "has no value"},
        {"Accept:  \t", "has no value"},
        {"X-Y: a\r\nZ: b", "line ends"}, /* RFC 9110 5.5 */
        {"X-Y: a\nZ", "line ends"},
        {"X-Y: a\rZ", "line ends"},
        {"X-Y: a\n", "line ends"},
        {"X-Y: a\x1bZ", "line ends"},
        {"X-Y: a\x7fZ", "line ends"},
        {"Host: evil.test", "can't be set"}, /* RFC 9110 7.2 */
        {"hOST: evil.test", "can't be set"},
        {"Connection: close", "can't be set"}, /* RFC 9110 7.6.1 */
        {"Keep-Alive: 5", "can't be set"},
        {"Proxy-Connection: close", "can't be set"},
        {"TE: trailers", "can't be set"},
        {"Upgrade: h2c", "can't be set"},
        {"HTTP2-Settings: x", "can't be set"},
        {"Trailer: x", "can't be set"},
        {"Transfer-Encoding: chunked", "can't be set"}, /* RFC 9112 6.1 */
        {"Content-Length: 5", "can't be set"},          /* RFC 9112 6.2 */
        {"Expect: 100-continue", "can't be set"},
        {"Range: bytes=0-1", "can't be set"}, /* RFC 9110 14.2 */
        {"If-Range: x", "can't be set"},
        {"If-None-Match: *", "can't be set"}, /* RFC 9110 13.1 */
        {"If-Match: *", "can't be set"},
        {"If-Modified-Since: x", "can't be set"},
        {"If-Unmodified-Since: x", "can't be set"},
        {"Proxy-Authorization: x", "can't be set"},
        {"Proxy-Authenticate: x", "can't be set"},
        {"X-Request-ID: 1", "can't be set"},
        {"traceparent: 00", "can't be set"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++) {
        const char *why = http_header_check(good[i].header);
        if (why)
            fail_msg("%s: %s", good[i].header, why);
        assert_slice(i, http_header_name(good[i].header), slice_of(good[i].name));
        assert_slice(i, http_header_value(good[i].header), slice_of(good[i].value));
    }
    for (size_t i = 0; i < LENGTH(bad); i++) {
        const char *why = http_header_check(bad[i].header);
        if (!why || !strstr(why, bad[i].why))
            fail_msg("%s: %s", bad[i].header, why ? why : "good");
    }
}

static void test_find(void **state)
{
    static const char *const headers[] = {"Accept: a", "Cookie: b", "X-Y: c", "ACCEPT: d"};
    (void)state;
    assert_string_equal(http_headers_find(headers, 4, SLICE("x-y")), "X-Y: c");
    assert_string_equal(http_headers_find(headers, 4, SLICE("accept")), "Accept: a");
    assert_null(http_headers_find(headers, 4, SLICE("Accep")));
    assert_null(http_headers_find(headers, 2, SLICE("X-Y")));
    assert_null(http_headers_find(NULL, 0, SLICE("X-Y")));
    assert_true(http_headers_repeat(headers, 4));
    assert_false(http_headers_repeat(headers, 3));
    assert_false(http_headers_repeat(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests_name("http_headers", tests, NULL, NULL);
}
