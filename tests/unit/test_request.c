/* web/request: how the CGI variables of various front servers are read. */
#include "web/request.h"

#include <stdio.h>

#include "unit.h"

static void test_set(void **state)
{
    static const struct {
        struct slice name;
        size_t offset;
    } cases[] = {
        {SLICE_INIT("REQUEST_METHOD"), offsetof(struct web_request, method)},
        {SLICE_INIT("DOCUMENT_URI"), offsetof(struct web_request, document_uri)},
        {SLICE_INIT("SCRIPT_NAME"), offsetof(struct web_request, script_name)},
        {SLICE_INIT("PATH_INFO"), offsetof(struct web_request, path_info)},
        {SLICE_INIT("CONTENT_LENGTH"), offsetof(struct web_request, content_length)},
        {SLICE_INIT("HTTP_IF_NONE_MATCH"), offsetof(struct web_request, if_none_match)},
        {SLICE_INIT("REMOTE_ADDR"), offsetof(struct web_request, remote_addr)},
        {SLICE_INIT("HTTP_WORKERLESS_PURGE"), offsetof(struct web_request, purge)},
        {SLICE_INIT("QUERY_STRING"), offsetof(struct web_request, query)},
        {SLICE_INIT("HTTP_ACCEPT"), offsetof(struct web_request, accept)},
        {SLICE_INIT("HTTP_PREFER"), offsetof(struct web_request, prefer)},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct web_request request = {0};
        web_request_set(&request, cases[i].name, SLICE("first"));
        web_request_set(&request, cases[i].name, SLICE("last")); /* checklist 33 */
        for (size_t k = 0; k < LENGTH(cases); k++) {
            struct slice *field = (struct slice *)((char *)&request + cases[k].offset);
            assert_slice(i, *field, i == k ? SLICE("last") : SLICE(""));
        }
    }
}

/* Everything else is dropped: HTTP_PROXY (checklist 37), names that are similar to known ones, and
 * headers by which a client could claim that it may purge. */
static void test_set_unknown(void **state)
{
    static const char *const names[] = {
        "HTTP_PROXY",
        "",
        "REQUEST_METHO",
        "REQUEST_METHODS",
        "request_method",
        "PATH_INFO ",
        "REQUEST_URI",
        "QUERY_STRINGS",
        "SCRIPT_FILENAME",
        "HTTP_COOKIE",
        "HTTP_AUTHORIZATION",
        "HTTP_REMOTE_ADDR",
        "HTTP_X_FORWARDED_FOR",
        "REMOTE_HOST",
        "REMOTE_ADDR2",
        "WORKERLESS_PURGE",
        "HTTP_WORKERLESS_PURGE_",
        "HTTP_X_REAL_IP",
    };
    static const struct web_request nothing;
    struct web_request request = {0};
    (void)state;
    for (size_t i = 0; i < LENGTH(names); i++) {
        web_request_set(&request, slice_of(names[i]), SLICE("value"));
        assert_row(i, memcmp(&request, &nothing, sizeof request) == 0);
    }
    web_request_set(&request, (struct slice){0}, (struct slice){0});
    assert_memory_equal(&request, &nothing, sizeof request);
}

static void test_path(void **state)
{
    static const struct {
        struct slice document_uri, script_name, path_info, path;
    } cases[] = {
        /* nginx, with and without DOCUMENT_URI in its fastcgi_params */
        {SLICE_INIT("/fragment/a"), SLICE_INIT("/fragment/a"), SLICE_INIT(""),
         SLICE_INIT("/fragment/a")},
        {SLICE_INIT(""), SLICE_INIT("/fragment/a"), SLICE_INIT(""), SLICE_INIT("/fragment/a")},
        /* lighttpd, Apache */
        {SLICE_INIT(""), SLICE_INIT("/fragment"), SLICE_INIT("/a"), SLICE_INIT("/fragment/a")},
        /* h2o, HAProxy */
        {SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT("/fragment/a"), SLICE_INIT("/fragment/a")},
        {SLICE_INIT("/x"), SLICE_INIT("/y"), SLICE_INIT("/z"), SLICE_INIT("/x")},
        {SLICE_INIT("/with\0zero"), SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT("/with\0zero")},
        {SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT("")},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct web_request request = {
            .document_uri = cases[i].document_uri,
            .script_name = cases[i].script_name,
            .path_info = cases[i].path_info,
        };
        char joined[32];
        struct slice path;
        assert_row(i, web_request_path(&request, joined, sizeof joined, &path));
        assert_slice(i, path, cases[i].path);
    }
    struct web_request absent = {0};
    char joined[1];
    struct slice path = SLICE("something");
    assert_true(web_request_path(&absent, joined, sizeof joined, &path));
    assert_int_equal(path.len, 0);
}

/* The room at, below and above what is needed, from one variable or from two. */
static void test_path_room(void **state)
{
    static const struct web_request requests[] = {
        {.document_uri = SLICE_INIT("/fragment/abc")},
        {.script_name = SLICE_INIT("/fragment/abc")},
        {.path_info = SLICE_INIT("/fragment/abc")},
        {.script_name = SLICE_INIT("/fragment"), .path_info = SLICE_INIT("/abc")},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(requests); i++) {
        for (size_t size = 0; size < 20; size++) {
            char joined[20];
            struct slice path;
            memset(joined, 0x55, sizeof joined);
            bool fits = web_request_path(&requests[i], joined, size, &path);
            assert_row(i, fits == (size >= 13));
            for (size_t k = size; k < sizeof joined; k++)
                assert_row(i, joined[k] == 0x55);
            if (fits)
                assert_slice(i, path, SLICE("/fragment/abc"));
        }
    }
}

/* Checklist 43. */
static void test_content_length(void **state)
{
    static const struct {
        struct slice text;
        bool sound;
        uint64_t len;
    } cases[] = {
        {SLICE_INIT(""), true, 0},
        {SLICE_INIT("0"), true, 0},
        {SLICE_INIT("1"), true, 1},
        {SLICE_INIT("65536"), true, 65536},
        {SLICE_INIT("000000000000000000000000000007"), true, 7},
        {SLICE_INIT("4294967296"), true, 4294967296},
        {SLICE_INIT("9223372036854775790"), true, 9223372036854775790},
        {SLICE_INIT("9223372036854775808"), false, 0},
        {SLICE_INIT("18446744073709551616"), false, 0},
        {SLICE_INIT("18446744073709551617"), false, 0},
        {SLICE_INIT("99999999999999999999999999"), false, 0},
        {SLICE_INIT("-1"), false, 0},
        {SLICE_INIT("+1"), false, 0},
        {SLICE_INIT("1e9"), false, 0},
        {SLICE_INIT("0x10"), false, 0},
        {SLICE_INIT("1.0"), false, 0},
        {SLICE_INIT(" 1"), false, 0},
        {SLICE_INIT("1 "), false, 0},
        {SLICE_INIT("1,1"), false, 0},
        {SLICE_INIT("1\0"), false, 0},
        {SLICE_INIT("\xb2"), false, 0},
        {SLICE_INIT("/"), false, 0},
        {SLICE_INIT(":"), false, 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].text);
        struct web_request request = {.content_length = exact};
        uint64_t len;
        assert_row(i, web_request_content_length(&request, &len) == cases[i].sound);
        if (cases[i].sound)
            assert_row(i, len == cases[i].len);
        unit_drop(exact);
    }
    struct web_request absent = {0};
    uint64_t len = 9;
    assert_true(web_request_content_length(&absent, &len));
    assert_int_equal(len, 0);
}

static void test_etag(void **state)
{
    static const struct {
        struct slice header;
        bool matches; /* the tag "abc", with its quotes */
    } cases[] = {
        {SLICE_INIT("\"abc\""), true},
        {SLICE_INIT("W/\"abc\""), true}, /* weak comparison */
        {SLICE_INIT("*"), true},
        {SLICE_INIT(" \t*\t "), true},
        {SLICE_INIT("  \"abc\"\t"), true},
        {SLICE_INIT("\"x\",\"abc\""), true},
        {SLICE_INIT("\"abc\", \"x\""), true},
        {SLICE_INIT("\"x\" , W/\"abc\" , \"y\""), true},
        {SLICE_INIT(",,\"abc\",,"), true},
        {SLICE_INIT("\"x\",\"y\",\"z\",\"abc\""), true},
        {SLICE_INIT("W/\"x\",W/\"abc\""), true},
        {SLICE_INIT(""), false},
        {SLICE_INIT(" "), false},
        {SLICE_INIT(","), false},
        {SLICE_INIT("abc"), false},
        {SLICE_INIT("\"abc"), false},
        {SLICE_INIT("abc\""), false},
        {SLICE_INIT("\"ABC\""), false},
        {SLICE_INIT("\"abcd\""), false},
        {SLICE_INIT("\"ab\""), false},
        {SLICE_INIT("\"\""), false},
        {SLICE_INIT("w/\"abc\""), false}, /* W is case-sensitive */
        {SLICE_INIT("W/"), false},
        {SLICE_INIT("W"), false},
        {SLICE_INIT("W /\"abc\""), false},
        {SLICE_INIT("W/W/\"abc\""), false},
        {SLICE_INIT("\"x\";\"abc\""), false},
        {SLICE_INIT("\"x\" \"abc\""), false},
        {SLICE_INIT("*, \"x\""), false}, /* the star stands alone */
        {SLICE_INIT("**"), false},
        {SLICE_INIT("\"abc\"\0"), false},
        {SLICE_INIT("\"x, \"abc\""), false},
        {SLICE_INIT("\"x,\", \"abc\""), true},   /* a comma is a byte of a tag */
        {SLICE_INIT("\"x,\\\", \"abc\""), true}, /* and so is a backslash */
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].header);
        assert_row(i, web_request_etag_matches(exact, SLICE("\"abc\"")) == cases[i].matches);
        unit_drop(exact);
    }
    assert_false(web_request_etag_matches((struct slice){0}, SLICE("\"abc\"")));
}

/* A list of many, with ours at each place. */
static void test_etag_lists(void **state)
{
    (void)state;
    for (int count = 1; count < 20; count++) {
        for (int ours = 0; ours <= count; ours++) {
            struct buffer header = {0};
            for (int i = 0; i < count; i++) {
                char tag[32];
                int len = snprintf(tag, sizeof tag, "%s\"%d\"", i ? ", " : "", i == ours ? 99 : i);
                unit_append(&header, tag, (size_t)len);
            }
            assert_int_equal(web_request_etag_matches(buffer_slice(&header), SLICE("\"99\"")),
                             ours < count);
            buffer_free(&header);
        }
    }
}

/* The preference "wait" of RFC 7240. */
static void test_wait(void **state)
{
    static const struct {
        struct slice prefer;
        int wait;
    } cases[] = {
        {SLICE_INIT(""), -1},
        {SLICE_INIT("wait=10"), 10},
        {SLICE_INIT("wait=0"), 0},
        {SLICE_INIT("wait=007"), 7},
        {SLICE_INIT("wait=999999999"), 999999999},
        {SLICE_INIT("wait=9999999999"), -1},
        {SLICE_INIT("Wait=10"), 10}, /* names are case-insensitive */
        {SLICE_INIT("WAIT=10"), 10},
        {SLICE_INIT("wait = 10"), 10},
        {SLICE_INIT(" \twait\t=\t10 \t"), 10},
        {SLICE_INIT("wait=\"10\""), 10},
        {SLICE_INIT("wait=\"\""), -1},
        {SLICE_INIT("wait=\""), -1},
        {SLICE_INIT("wait=\"10"), -1},
        {SLICE_INIT("wait=10\""), -1},
        {SLICE_INIT("wait=\" 10\""), -1},
        /* parameters of a preference are ignored, as none are defined */
        {SLICE_INIT("wait=10;foo"), 10},
        {SLICE_INIT("wait=10 ; foo=\"a, wait=5; b\"; wait=3"), 10},
        {SLICE_INIT("foo;wait=10"), -1},
        {SLICE_INIT(";wait=10"), -1},
        {SLICE_INIT("wait;wait=10"), -1},
        /* others beside it */
        {SLICE_INIT("respond-async, wait=10"), 10},
        {SLICE_INIT("respond-async,wait=10,return=minimal"), 10},
        {SLICE_INIT(",,wait=10,,"), 10},
        {SLICE_INIT(", ;, wait=10"), 10},
        {SLICE_INIT("foo=\"a, wait=5\", wait=10"), 10},
        {SLICE_INIT("foo=\"a;\", wait=10"), 10},
        {SLICE_INIT("foo=\"a, wait=5, b\""), -1},
        {SLICE_INIT("foo=wait, bar=\"wait=5\""), -1},
        {SLICE_INIT("await=10, waits=10, wai=10"), -1},
        /* the first one counts, even if it is invalid */
        {SLICE_INIT("wait=10, wait=5"), 10},
        {SLICE_INIT("wait=x, wait=5"), -1},
        {SLICE_INIT("wait, wait=5"), -1},
        /* nonsense */
        {SLICE_INIT("wait"), -1},
        {SLICE_INIT("wait="), -1},
        {SLICE_INIT("wait=;"), -1},
        {SLICE_INIT("wait=-1"), -1},
        {SLICE_INIT("wait=+1"), -1},
        {SLICE_INIT("wait=1.5"), -1},
        {SLICE_INIT("wait=1e1"), -1},
        {SLICE_INIT("wait=1 0"), -1},
        {SLICE_INIT("wait=10s"), -1},
        {SLICE_INIT("wait==1"), -1},
        {SLICE_INIT("wait=\xb2"), -1},
        {SLICE_INIT("wait=1\0"), -1},
        {SLICE_INIT("wait 10"), -1},
        {SLICE_INIT("=10"), -1},
        {SLICE_INIT("=,;,=;,"), -1},
        {SLICE_INIT("\""), -1},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].prefer);
        struct web_request request = {.prefer = exact};
        assert_row(i, web_request_wait(&request) == cases[i].wait);
        unit_drop(exact);
    }
    assert_int_equal(web_request_wait(&(struct web_request){0}), -1);
}

static void test_accepts(void **state)
{
    static const struct {
        struct slice accept;
        bool accepts; /* text/html, by name */
    } cases[] = {
        {SLICE_INIT("text/html"), true},
        {SLICE_INIT("TEXT/Html"), true},
        {SLICE_INIT("text/html;q=0.9"), true},
        {SLICE_INIT(" text/html ; charset=utf-8"), true},
        {SLICE_INIT("text/event-stream, text/html"), true},
        {SLICE_INIT("text/html,application/xhtml+xml,*/*;q=0.8"), true},
        {SLICE_INIT(",, text/html"), true},
        {SLICE_INIT("a/b;c=\"d,e\",text/html"), true},
        {SLICE_INIT("a/b;c=\"d,text/html,e\""), false},
        {SLICE_INIT(""), false},
        {SLICE_INIT(","), false},
        {SLICE_INIT(";text/html"), false},
        {SLICE_INIT("*/*"), false},
        {SLICE_INIT("text/*"), false},
        {SLICE_INIT("text/htm"), false},
        {SLICE_INIT("text/html5"), false},
        {SLICE_INIT("xtext/html"), false},
        {SLICE_INIT("text/plain;x=text/html"), false},
        {SLICE_INIT("text/html x"), false},
        {SLICE_INIT("text/html\0"), false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].accept);
        struct web_request request = {.accept = exact};
        assert_row(i, web_request_accepts(&request, SLICE("text/html")) == cases[i].accepts);
        unit_drop(exact);
    }
    assert_false(web_request_accepts(&(struct web_request){0}, SLICE("text/html")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_unknown),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_path_room),
        cmocka_unit_test(test_content_length),
        cmocka_unit_test(test_etag),
        cmocka_unit_test(test_etag_lists),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_accepts),
    };
    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
