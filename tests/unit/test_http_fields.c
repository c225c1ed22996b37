/* source/http_fields: the header fields that libcurl is given, and those behind the target. */
#include "source/http_fields.h"

#include <stdio.h>

#include "source/http_features.h"
#include "unit.h"

#define ACCEPT "Accept: text/html, text/plain;q=0.9, application/json;q=0.8, */*;q=0.1"

/* The lines of a list, each with a line end. */
static void join(const struct curl_slist *list, char out[1000])
{
    size_t len = 0;
    out[0] = '\0';
    for (; list; list = list->next)
        len += (size_t)snprintf(out + len, 1000 - len, "%s\n", list->data);
}

static CURLU *origin_of(const char *url)
{
    CURLU *origin = curl_url();
    char *copy = strdup(url), *path = strchr(strstr(copy, "://") + 3, '/');
    if (path)
        *path = '\0';
    assert_int_equal(curl_url_set(origin, CURLUPART_URL, copy, 0), CURLUE_OK);
    free(copy);
    return origin;
}

/* What is written, and what libcurl is given beside it. */
static void test_written(void **state)
{
    static const struct {
        const char *url;
        enum http2_use http2;
        const char *headers[2];
        const char *host; /* NULL: nothing is written */
        bool accept;
        const char *rest; /* after "Host:", "Accept:" and "Accept-Encoding:" */
    } cases[] = {
        {"http://127.0.0.1:9000/{name}", HTTP2_NEGOTIATED, {0}, "127.0.0.1:9000", true, ""},
        {"http://127.0.0.1:9000/{name}", HTTP2_NO, {0}, "127.0.0.1:9000", true, ""},
        {"HTTP://shop-1.example_a:80", HTTP2_NEGOTIATED, {0}, "shop-1.example_a", true, ""},
        {"http://me:secret@[::1]:8080/", HTTP2_NO, {0}, "[::1]:8080", true, ""},
        {"https://shop.example:443/", HTTP2_NO, {0}, "shop.example", true, ""},
        {"https://shop.example:80/", HTTP2_NO, {0}, "shop.example:80", true, ""},
        {"http://a/", HTTP2_NO, {"x-a: b", "X-C:d"}, "a", true, "x-a: b\nX-C: d\n"},
        {"http://a/", HTTP2_NO, {"accept: x/y"}, "a", false, "accept: x/y\n"},
        /* It could be HTTP/2. */
        {"https://shop.example/", HTTP2_NEGOTIATED, {0}, NULL, false, ""},
        {"http://shop.example/", HTTP2_PRIOR_KNOWLEDGE, {0}, NULL, false, ""},
        /* libcurl translates the host. */
        {"http://b\xc3\xbc"
         "cher.example/",
         HTTP2_NO,
         {0},
         NULL,
         false,
         ""},
        /* " HTTP/1.1" would become a part of it. */
        {"http://a/", HTTP2_NO, {"user-agent: shop/1"}, NULL, false, ""},
    };
    char codings[HTTP_ENCODINGS_ROOM], expected[1000], actual[1000];
    (void)state;
    http_features_encodings(codings);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *host = http_features_keeps_targets() ? cases[i].host : NULL;
        struct http_settings settings = {.url = cases[i].url, .http2 = cases[i].http2};
        struct http_fields fields;
        CURLU *origin = origin_of(cases[i].url);
        settings.headers = cases[i].headers;
        while (settings.header_count < 2 && cases[i].headers[settings.header_count])
            settings.header_count++;
        assert_true(http_fields_init(&fields, &settings, origin));
        curl_url_cleanup(origin);
        assert_row(i, !fields.text == !host);
        if (fields.text) {
            int len = snprintf(expected, sizeof expected, " HTTP/1.1\r\nHost: %s\r\n%s", host,
                               cases[i].accept ? ACCEPT "\r\n" : "");
            if (codings[0])
                snprintf(expected + len, sizeof expected - (size_t)len, "Accept-Encoding: %s\r\n",
                         codings);
            assert_slice(i, slice_of(fields.text), slice_of(expected));
            snprintf(expected, sizeof expected, "Host:\n%s%s%s", cases[i].accept ? "Accept:\n" : "",
                     codings[0] ? "Accept-Encoding:\n" : "", cases[i].rest);
            join(fields.rest, actual);
            assert_slice(i, slice_of(actual), slice_of(expected));
        }
        join(fields.elsewhere, actual);
        assert_row(i, strstr(actual, ACCEPT "\nUser-Agent: workerless/") == actual);
        http_fields_end(&fields);
    }
}

/* libcurl adds no type of its own to a POST, and does not ask before it sends. */
static void test_post(void **state)
{
    static const struct {
        const char *body, *header, *all;
    } cases[] = {
        {"{}", NULL, "Content-Type: application/json\nExpect:\n"},
        {"{}", "content-type: a/b", "content-type: a/b\nExpect:\n"},
        {NULL, NULL, "Content-Type:\nExpect:\n"},
    };
    char actual[1000];
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct http_settings settings = {.url = "http://a/",
                                         .method = METHOD_POST,
                                         .body = cases[i].body,
                                         .headers = &cases[i].header,
                                         .header_count = cases[i].header != NULL};
        struct http_fields fields;
        CURLU *origin = origin_of("http://a/");
        assert_true(http_fields_init(&fields, &settings, origin));
        curl_url_cleanup(origin);
        join(fields.all, actual);
        assert_row(i, strstr(actual, cases[i].all));
        if (fields.text) {
            join(fields.rest, actual);
            assert_row(i, strstr(actual, cases[i].all));
        }
        http_fields_end(&fields);
    }
}

static void test_write(void **state)
{
    struct http_settings settings = {.url = "http://a/", .http2 = HTTP2_NO};
    struct http_fields fields;
    char expected[1000];
    (void)state;
    if (!http_features_keeps_targets())
        skip();
    CURLU *origin = origin_of(settings.url);
    assert_true(http_fields_init(&fields, &settings, origin));
    char *whole = http_fields_write(&fields, SLICE("/n?q"), SLICE("X-Request-Id: 7"),
                                    SLICE("traceparent: 00"));
    snprintf(expected, sizeof expected,
             "/n?q%sX-Request-Id: 7\r\ntraceparent: 00\r\nUser-Agent: workerless/", fields.text);
    assert_non_null(whole);
    assert_memory_equal(whole, expected, strlen(expected));
    assert_null(strpbrk(whole + strlen(expected), "\r\n "));
    free(whole);
    http_fields_end(&fields);
    curl_url_cleanup(origin);
}

/* Nothing is written for a libcurl that is not known to send it as it is. */
static void test_versions(void **state)
{
    static const struct {
        unsigned version;
        bool keeps;
    } cases[] = {
        {0x075600, false}, {0x075700, true},  {0x075801, true},  {0x081500, true},
        {0x081601, true},  {0x081700, false}, {0x090000, false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, http_features_version_keeps_targets(cases[i].version) == cases[i].keeps);
}

/* The fields of a request, in place of those of the list. */
static void test_with(void **state)
{
    static const struct {
        const char *lines, *all;
        bool replaced; /* one that would be written */
    } cases[] = {
        {"Cookie: a=b\nX-B: c\n", "X-A: 1\nAccept: 2\nX-C;\nCookie: a=b\nX-B: c\n", false},
        {"x-a: 3\n", "Accept: 2\nX-C;\nx-a: 3\n", false},
        {"x-c;\nX-AB: 1\n", "X-A: 1\nAccept: 2\nx-c;\nX-AB: 1\n", false},
        {"X-Z: 1\naccept: 3\n", "X-A: 1\nX-C;\nX-Z: 1\naccept: 3\n", true},
        {"USER-AGENT;\n", "X-A: 1\nAccept: 2\nX-C;\nUSER-AGENT;\n", true},
        {"accept-encoding: x\n", "X-A: 1\nAccept: 2\nX-C;\naccept-encoding: x\n", true},
        {"Accept-Language: de\n", "X-A: 1\nAccept: 2\nX-C;\nAccept-Language: de\n", false},
    };
    struct curl_slist *list =
        curl_slist_append(curl_slist_append(curl_slist_append(NULL, "X-A: 1"), "Accept: 2"),
                          "X-C;");
    char actual[1000];
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct curl_slist *with = http_fields_with(list, cases[i].lines);
        join(with, actual);
        assert_slice(i, slice_of(actual), slice_of(cases[i].all));
        curl_slist_free_all(with);
        assert_row(i, http_fields_replaced(cases[i].lines) == cases[i].replaced);
    }
    curl_slist_free_all(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),  cmocka_unit_test(test_post), cmocka_unit_test(test_write),
        cmocka_unit_test(test_versions), cmocka_unit_test(test_with),
    };
    return cmocka_run_group_tests_name("http_fields", tests, NULL, NULL);
}
