/* render/text: which types are text, and that nothing in a text can act as HTML. */
#include "render/text.h"

#include "base/alloc.h"
#include "base/utf8.h"
#include "unit.h"

#define FFFD "\xef\xbf\xbd"

static void test_types(void **state)
{
    static const struct {
        const char *type;
        bool html, text;
    } cases[] = {
        {"text/html", true, true},
        {"TEXT/HTML; charset=utf-8", true, true},
        {"text/html;charset=iso-8859-1", true, true},
        {" text/html ; x=y", true, true},
        {"application/xhtml+xml", true, true},
        {"text/htmlx", false, true},
        {"text/plain", false, true},
        {"Text/Markdown; charset=utf-8", false, true},
        {"application/json", false, true},
        {"application/json; charset=utf-8", false, true},
        {"application/problem+json", false, true},
        {"application/vnd.api+JSON", false, true},
        {"application/xml", false, true},
        {"image/svg+xml", false, true},
        {"application/javascript", false, true},
        {"application/x-ndjson", false, true},
        {"", false, true},
        {"  ", false, true},
        {"image/png", false, false},
        {"application/octet-stream", false, false},
        {"application/jsonp", false, false},
        {"model/gltf+json", false, false},
        {"text", false, false},
        {"text/", false, false},
        {"+xml", false, false},
        {"; charset=utf-8", false, false},
        {"image/png; text/html", false, false},
        {"multipart/form-data", false, false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice type = slice_of(cases[i].type);
        if (text_is_html(type) != cases[i].html || text_is_text(type) != cases[i].text)
            fail_msg("\"%s\"", cases[i].type);
    }
    assert_true(text_is_text((struct slice){0}));
    assert_false(text_is_html((struct slice){0}));
}

static void test_json_types(void **state)
{
    static const struct {
        const char *type;
        bool json;
    } cases[] = {
        {"application/json", true},
        {"Application/JSON ; charset=utf-8", true},
        {"application/problem+json", true},
        {"application/vnd.api+JSON; x=y", true},
        {"application/x-ndjson", false},
        {"application/jsonp", false},
        {"application/+json", true},
        {"model/gltf+json", false},
        {"text/json", false},
        {"text/html", false},
        {"+json", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, text_is_json(slice_of(cases[i].type)) == cases[i].json);
}

static void test_valid_types(void **state)
{
    char longest[TEXT_TYPE_MAX + 1];
    (void)state;
    memset(longest, 'a', sizeof longest);
    assert_true(text_type_is_valid(SLICE("image/png; x=y")));
    assert_true(text_type_is_valid((struct slice){longest, TEXT_TYPE_MAX}));
    assert_false(text_type_is_valid((struct slice){longest, TEXT_TYPE_MAX + 1}));
    assert_false(text_type_is_valid(SLICE("")));
    assert_false(text_type_is_valid(SLICE("text/html\r\nX: y")));
    assert_false(text_type_is_valid(SLICE("a\0b")));
}

static void test_render(void **state)
{
    static const struct {
        struct slice name, text;
        const char *html;
    } cases[] = {
        {SLICE("a"), SLICE("result for a"), "<div id=\"a\">result for a</div>"},
        {SLICE("a"), SLICE(""), "<div id=\"a\"></div>"},
        {SLICE(""), SLICE(""), "<div id=\"\"></div>"},
        {SLICE("a"), SLICE("<script>alert('1')</script>"),
         "<div id=\"a\">&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;</div>"},
        {SLICE("a"), SLICE("&amp; \"q\""), "<div id=\"a\">&amp;amp; &quot;q&quot;</div>"},
        {SLICE("\"><script>"), SLICE("x"), "<div id=\"&quot;&gt;&lt;script&gt;\">x</div>"},
        {SLICE("user/42"), SLICE("x"), "<div id=\"user/42\">x</div>"},
        {SLICE("gr\xc3\xbc\xc3\x9f"), SLICE("\xe2\x82\xac \xf0\x9f\x98\x80"),
         "<div id=\"gr\xc3\xbc\xc3\x9f\">\xe2\x82\xac \xf0\x9f\x98\x80</div>"},
        {SLICE("a"), SLICE("1\t2\n3\r\n4"), "<div id=\"a\">1\t2\n3\r\n4</div>"},
        {SLICE("a"), SLICE("\0\x01\x1f\x7f"), "<div id=\"a\">" FFFD FFFD FFFD "\x7f</div>"},
        {SLICE("a"), SLICE("x\xffy\xc0\xafz"), "<div id=\"a\">x" FFFD "y" FFFD FFFD "z</div>"},
        {SLICE("a"), SLICE("cut \xe2\x82"), "<div id=\"a\">cut " FFFD FFFD "</div>"},
        {SLICE("a"), SLICE("\xe2<b>"), "<div id=\"a\">" FFFD "&lt;b&gt;</div>"},
        {SLICE("a"), SLICE("\xed\xa0\x80"), "<div id=\"a\">" FFFD FFFD FFFD "</div>"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buffer out = {0};
        assert_true(text_render(&out, cases[i].name, cases[i].text, SIZE_MAX));
        assert_int_equal(out.len, strlen(cases[i].html));
        assert_memory_equal(out.data, cases[i].html, out.len);
        buffer_free(&out);
    }
    struct buffer out = {0};
    assert_true(text_render(&out, (struct slice){0}, (struct slice){0}, SIZE_MAX));
    assert_int_equal(out.len, 17);
    buffer_free(&out);
}

/* The limit in the header, for every byte, alone and before each special one. */
static void test_growth(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            char text[] = {(char)first, (char)second};
            struct slice slice = {.data = text, .len = 2};
            struct buffer out = {0};
            assert_true(text_render(&out, slice, slice, 17 + 6 * 4));
            buffer_free(&out);
        }
    }
}

/* For any input, the output is UTF-8, and has no markup but ours. */
static void test_random(void **state)
{
    unsigned short random[3] = {1, 2, 3};
    (void)state;
    for (int round = 0; round < 2000; round++) {
        char text[64];
        size_t len = (size_t)(nrand48(random) % (long)sizeof text);
        for (size_t i = 0; i < len; i++)
            text[i] = (char)nrand48(random);
        struct buffer out = {0};
        assert_true(
            text_render(&out, SLICE("n"), (struct slice){.data = text, .len = len}, SIZE_MAX));
        struct slice body = buffer_slice(&out);
        assert_true(slice_starts(body, SLICE("<div id=\"n\">")));
        body = slice_from(body, strlen("<div id=\"n\">"));
        body.len -= strlen("</div>");
        while (body.len > 0) {
            size_t step = utf8_sequence(body);
            assert_true(step > 0);
            assert_null(memchr("<>\"'", body.data[0], 4));
            body = slice_from(body, step);
        }
        buffer_free(&out);
    }
}

/* At the limit, one below it, and with each allocation failing: all or nothing. */
static void test_refusal(void **state)
{
    struct slice name = SLICE("a\"b"), text = SLICE("1 < 2 & \xff");
    struct buffer out = {0};
    (void)state;
    assert_true(text_render(&out, name, text, SIZE_MAX));
    size_t needed = out.len;
    buffer_free(&out);

    for (size_t limit = 0; limit <= needed; limit++) {
        assert_true(buffer_append(&out, "kept", 4, SIZE_MAX));
        assert_int_equal(text_render(&out, name, text, limit + 4), limit == needed);
        assert_int_equal(out.len, limit == needed ? needed + 4 : 4);
        assert_memory_equal(out.data, "kept", 4);
        buffer_free(&out);
    }

    static char long_text[10000];
    memset(long_text, '<', sizeof long_text);
    bool rendered = false;
    for (long successes = 0; !rendered; successes++) {
        alloc_fail_after(successes);
        rendered =
            text_render(&out, name, (struct slice){.data = long_text, .len = sizeof long_text},
                        SIZE_MAX);
        alloc_fail_after(-1);
        assert_true(rendered || out.len == 0);
        assert_true(successes < 100);
        buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),       cmocka_unit_test(test_json_types),
        cmocka_unit_test(test_valid_types), cmocka_unit_test(test_render),
        cmocka_unit_test(test_growth),      cmocka_unit_test(test_random),
        cmocka_unit_test(test_refusal),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
