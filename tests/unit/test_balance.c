/* render/balance: which fragments end where they began, and what is said of the others. */
#include "render/balance.h"

#include <time.h>

#include "base/byte.h"
#include "render/elements.h"
#include "render/markup.h"
#include "unit.h"

struct row {
    const char *section;
    struct slice html;
    enum balance_flaw in_template, in_place;
};

#define ROW(section, html, in_template, in_place)                                                  \
    {section, SLICE_INIT(html), BALANCE_##in_template, BALANCE_##in_place},
#define CAUTIOUS ROW
static const struct row rows[] = {
#include "balance_rows.h"
};
#undef CAUTIOUS
#undef ROW

static bool is_clean(const struct balance *balance)
{
    return balance->in_template.flaw == BALANCE_NO_FLAW &&
           balance->in_place.flaw == BALANCE_NO_FLAW;
}

/* Checks a copy in a block of its own, so that a read beyond it is noticed. The findings have no
 * names. */
static struct balance check_exact(struct slice html)
{
    struct slice exact = unit_exact(html);
    struct balance balance = balance_check(exact);
    unit_drop(exact);
    balance.in_template.name = balance.in_place.name = (struct slice){0};
    return balance;
}

static struct balance check_buffer(const struct buffer *buffer)
{
    return check_exact(buffer_slice(buffer));
}

static void append(struct buffer *buffer, struct slice bytes)
{
    unit_append(buffer, bytes.data, bytes.len);
}

static void test_rows(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct balance is = check_exact(rows[i].html);
        if (is.in_template.flaw == rows[i].in_template && is.in_place.flaw == rows[i].in_place)
            continue;
        wrong++;
        print_error("%s: %.*s: %d, %d; not %d, %d\n", rows[i].section, SLICE_ARGS(rows[i].html),
                    (int)is.in_template.flaw, (int)is.in_place.flaw, (int)rows[i].in_template,
                    (int)rows[i].in_place);
    }
    assert_int_equal(wrong, 0);
}

/* Names, and with them all tags, are the same in any case. */
static void test_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct buffer upper = {0};
        append(&upper, rows[i].html);
        for (size_t at = 0; at < upper.len; at++)
            upper.data[at] = byte_to_upper(upper.data[at]);
        struct balance is = check_buffer(&upper);
        buffer_free(&upper);
        if (strcmp(rows[i].section, "13.2.5.42") == 0)
            continue; /* "[CDATA[" is not */
        assert_row(i, is.in_template.flaw == rows[i].in_template);
        assert_row(i, is.in_place.flaw == rows[i].in_place);
    }
}

/* What is clean in place is so beside anything else that is, and within elements and templates.
 * What is clean in a template is so in any template. */
static void test_together(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        if (rows[i].in_template != BALANCE_NO_FLAW)
            continue;
        struct buffer html = {0};
        append(&html, SLICE("<template>"));
        append(&html, rows[i].html);
        append(&html, SLICE("</template>"));
        struct balance is = check_buffer(&html);
        assert_row(i, is_clean(&is));
        html.len = 0;
        if (rows[i].in_place == BALANCE_NO_FLAW) {
            append(&html, SLICE("<div>"));
            for (size_t j = 0; j < LENGTH(rows); j++) {
                if (rows[j].in_place != BALANCE_NO_FLAW)
                    continue;
                html.len = strlen("<div>");
                append(&html, rows[i].html);
                append(&html, rows[j].html);
                is = check_exact(slice_from(buffer_slice(&html), strlen("<div>")));
                assert_row(i, is_clean(&is));
                append(&html, SLICE("</div>"));
                is = check_buffer(&html);
                assert_row(i, is_clean(&is));
            }
        }
        buffer_free(&html);
    }
}

/* What follows a clean fragment is seen for what it is, at its place. */
static void test_what_follows(void **state)
{
    static const struct {
        struct slice html;
        enum balance_flaw flaw;
        bool in_place; /* only after what is clean there too */
    } after[] = {
        {SLICE_INIT("</template>"), BALANCE_STRAY, false},
        {SLICE_INIT("<!--"), BALANCE_COMMENT, false},
        {SLICE_INIT("<?end>"), BALANCE_MARKER, false},
        {SLICE_INIT("<b"), BALANCE_TAG, false},
        {SLICE_INIT("<textarea>"), BALANCE_ELEMENT, true},
        {SLICE_INIT("<script>"), BALANCE_ELEMENT, true},
        {SLICE_INIT("<template>"), BALANCE_ELEMENT, true},
        {SLICE_INIT("<plaintext>"), BALANCE_ELEMENT, true},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        for (size_t j = 0; j < LENGTH(after); j++) {
            if ((after[j].in_place ? rows[i].in_place : rows[i].in_template) != BALANCE_NO_FLAW)
                continue;
            struct buffer html = {0};
            append(&html, rows[i].html);
            append(&html, after[j].html);
            struct balance is = check_buffer(&html);
            assert_row(i, is.in_template.flaw == after[j].flaw);
            assert_row(i, is.in_template.offset == rows[i].html.len);
            if (rows[i].in_place == BALANCE_NO_FLAW)
                assert_row(i, is.in_place.offset == rows[i].html.len);
            buffer_free(&html);
        }
    }
}

/* What can't be cut anywhere but at its ends. */
static const struct slice tokens[] = {
    SLICE_INIT("<p>"),
    SLICE_INIT("</p>"),
    SLICE_INIT("<a href=x title=\"a > b\" hidden>"),
    SLICE_INIT("<a title='<b>'/>"),
    SLICE_INIT("<img\nsrc = 'x' />"),
    SLICE_INIT("</a title=\"x\">"),
    SLICE_INIT("<!---->"),
    SLICE_INIT("<!-- <p> -- x --!>"),
    SLICE_INIT("<!doctype html>"),
    SLICE_INIT("<?x y?>"),
    SLICE_INIT("<style>a > b</style>"),
    SLICE_INIT("<script>\"</b>\"</script >"),
    SLICE_INIT("<script><!-- <script> </script> --></script>"),
    SLICE_INIT("<textarea><p></textarea>"),
    SLICE_INIT("<title>x</title>"),
    SLICE_INIT("<iframe></iframe>"),
    SLICE_INIT("<template><p>x<template></p></template></template>"),
    SLICE_INIT("<noscript>x</noscript>"),
};
static const struct slice texts[] = {
    SLICE_INIT(""),     SLICE_INIT("x"),   SLICE_INIT("a > b"), SLICE_INIT(" < "),
    SLICE_INIT("\xe2"), SLICE_INIT("-->"), SLICE_INIT("]]>"),   SLICE_INIT("&amp"),
};

/* Any sequence of tokens is clean in a template, and cut at any place within one it is not. */
static void test_cut(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct buffer html = {0};
        for (size_t left = 1 + unit_random(12); left > 0; left--) {
            struct slice token = tokens[unit_random(LENGTH(tokens))];
            append(&html, texts[unit_random(LENGTH(texts))]);
            size_t before = html.len;
            append(&html, token);
            for (size_t cut = before + 1; cut < html.len; cut++) {
                struct balance is =
                    check_exact((struct slice){.data = (const char *)html.data, .len = cut});
                assert_int_not_equal(is.in_template.flaw, BALANCE_NO_FLAW);
                assert_int_not_equal(is.in_place.flaw, BALANCE_NO_FLAW);
                assert_true(is.in_template.offset >= before && is.in_template.offset < cut);
            }
            struct balance is = check_buffer(&html);
            assert_int_equal(is.in_template.flaw, BALANCE_NO_FLAW);
        }
        buffer_free(&html);
    }
}

/* For any bytes, what is found lies within them. */
static void test_random(void **state)
{
    static const char *const pieces[] =
        {"<",     ">",     "/",       "!",        "-",        "--",
         "?",     "\"",    "'",       "=",        " ",        "\n",
         "\0",    "x",     "[CDATA[", "]]>",      "svg",      "math",
         "title", "style", "script",  "template", "noscript", "select",
         "col",   "mi",    "end",     "p",        "div",      "foreignobject"};
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct buffer html = {0};
        for (size_t left = unit_random(30); left > 0; left--) {
            const char *piece = pieces[unit_random(LENGTH(pieces))];
            unit_append(&html, piece, *piece ? strlen(piece) : 1);
        }
        struct balance is = check_buffer(&html);
        struct balance_finding findings[] = {is.in_template, is.in_place};
        for (size_t i = 0; i < LENGTH(findings); i++) {
            assert_true(findings[i].flaw <= BALANCE_AMBIGUOUS);
            if (findings[i].flaw == BALANCE_NO_FLAW)
                continue;
            assert_true(findings[i].offset < html.len);
            assert_true(html.data[findings[i].offset] == '<' || findings[i].flaw == BALANCE_QUOTE);
            size_t line, column;
            markup_position(buffer_slice(&html), findings[i].offset, &line, &column);
            assert_true(findings[i].line == line && findings[i].column == column);
        }
        assert_true(is.in_template.flaw == BALANCE_NO_FLAW || is.in_place.flaw != BALANCE_NO_FLAW);
        buffer_free(&html);
    }
}

static void repeat(struct buffer *buffer, const char *text, size_t count)
{
    while (count-- > 0)
        unit_append(buffer, text, strlen(text));
}

/* One element more than is followed is a flaw, where it must be followed. */
static void test_depth(void **state)
{
    static const struct {
        const char *open, *close;
        bool in_template, in_place;
    } cases[] = {
        {"<template>", "</template>", true, true},
        {"<svg>", "</svg>", true, true},
        {"<i>", "</i>", false, true},
        {"<p><i>", "</i></p>", false, true},
        {"<svg><title><svg><title>", "</title></svg></title></svg>", true, true},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        size_t each = 0;
        for (const char *at = cases[i].open; *at; at++)
            each += *at == '<';
        for (size_t more = 0; more < 2; more++) {
            struct buffer html = {0};
            repeat(&html, cases[i].open, BALANCE_DEPTH / each + more);
            repeat(&html, cases[i].close, BALANCE_DEPTH / each + more);
            struct balance is = check_buffer(&html);
            enum balance_flaw flaw = more ? BALANCE_DEEP : BALANCE_NO_FLAW;
            assert_row(i, is.in_place.flaw == flaw);
            assert_row(i, is.in_template.flaw == (cases[i].in_template ? flaw : BALANCE_NO_FLAW));
            buffer_free(&html);
        }
    }
    /* Elements that the parser closes by itself are not deep, however many they are. */
    struct buffer html = {0};
    repeat(&html, "<li>x", 10000);
    assert_int_equal(check_buffer(&html).in_template.flaw, BALANCE_NO_FLAW);
    buffer_free(&html);
}

/* What needs the most steps is read in one pass: four times as much takes about four times as long.
 * The limit is far from both 4 and 16. */
static void test_one_pass(void **state)
{
    static const char *const pieces[] = {
        "<",
        "<!-- -- ",
        "<![CDATA[>",
        "<svg/><![CDATA[>",
        "<a ",
        "<a b='",
        "</",
        "<noscript></noscript>",
        "<noscript><noscript>",
        "<script><!--",
        "<script><!-- <script></script>",
        "<svg><![CDATA[>]]></svg>",
        "<style></styl",
        "<col><style></style>",
        "<select><style></style></select>",
        "<?x>",
        "</p><p>",
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(pieces); i++) {
        double seconds[2];
        for (size_t large = 0; large < 2; large++) {
            struct buffer html = {0};
            repeat(&html, pieces[i], (large ? 1 << 18 : 1 << 16) / strlen(pieces[i]));
            seconds[large] = 1e9;
            for (int round = 0; round < 3; round++) {
                struct timespec begin, end;
                clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
                balance_check(buffer_slice(&html));
                clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
                double took = (double)(end.tv_sec - begin.tv_sec) +
                              (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
                if (took < seconds[large])
                    seconds[large] = took;
            }
            buffer_free(&html);
        }
        if (seconds[1] > 9 * seconds[0] + 0.001)
            fail_msg("\"%s\": %.6f s, and of four times as many %.6f s", pieces[i], seconds[0],
                     seconds[1]);
    }
}

static void test_phrases(void **state)
{
    static const struct {
        const char *html, *phrase;
    } cases[] = {
        {"<p>\n\n    <Textarea>", "an unclosed <Textarea> that begins at line 3, column 5"},
        {"<p title=\"x>", "an unclosed quote that begins at line 1, column 10"},
        {"\r\n\xc3\xa4<b", "an unclosed tag that begins at line 2, column 2"},
        {"x<!--", "an unclosed comment that begins at line 1, column 2"},
        {"<!doctype", "an unclosed declaration that begins at line 1, column 1"},
        {"<svg><![CDATA[", "an unclosed CDATA section that begins at line 1, column 6"},
        {"<?x", "an unclosed \"<?\" that begins at line 1, column 1"},
        {"<template>\n<template></template>",
         "an unclosed <template> that begins at line 1, column 1"},
        {"</template>", "a </template> without its start tag at line 1, column 1"},
        {"<?start name=a>x<?end>",
         "a <?start> marker, which belongs to the page, at line 1, column 1"},
        {"<template for=a></template>",
         "a <template for>, which would replace other parts of the page, at line 1, column 1"},
        {"x<svg><template>", "an unclosed <template> that begins at line 1, column 7"},
        {"<div></p>", "a </p> without its start tag at line 1, column 6"},
        {"x</body>", "a <body> tag, which belongs to the page, at line 1, column 2"},
        {"<template shadowrootmode=open></template>",
         "a <template shadowrootmode> outside of any element at line 1, column 1"},
        {"<noscript><!-- </noscript> -->",
         "a <noscript> tag, after which it is not certain what is open, at line 1, column 1"},
        {"<svg></b>", "a <b> tag, after which it is not certain what is open, at line 1, column 6"},
        {"<x\x1b\xff-012345678901234567890123456789>",
         "an unclosed <x\\x1b\\xff-0123456789012345678901234567> that begins at line 1, column 1"},
        {"x", "no flaw at line 0, column 0"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char phrase[BALANCE_PHRASE_MAX], cut[8];
        struct balance is = balance_check(slice_of(cases[i].html));
        size_t len = balance_phrase(phrase, sizeof phrase, &is.in_place);
        assert_int_equal(len, strlen(phrase));
        if (strcmp(phrase, cases[i].phrase) != 0)
            fail_msg("%s: %s", cases[i].html, phrase);
        assert_int_equal(balance_phrase(cut, sizeof cut, &is.in_place), sizeof cut - 1);
        assert_memory_equal(cut, phrase, sizeof cut - 1);
    }
}

/* The longest phrase has room. */
static void test_phrase_room(void **state)
{
    char name[64], phrase[BALANCE_PHRASE_MAX];
    (void)state;
    memset(name, '\xff', sizeof name);
    for (enum balance_flaw flaw = BALANCE_NO_FLAW; flaw <= BALANCE_AMBIGUOUS; flaw++) {
        struct balance_finding finding = {.flaw = flaw,
                                          .name = {.data = name, .len = sizeof name},
                                          .line = SIZE_MAX,
                                          .column = SIZE_MAX};
        assert_true(balance_phrase(phrase, sizeof phrase, &finding) < sizeof phrase - 1);
    }
}

/* Each name of the table is found, in any case; the table is in order, or some would not be. */
static void test_elements(void **state)
{
    static const char *const names =
        "annotation-xml area b base basefont bgsound big blockquote body br center code col dd "
        "desc "
        "div dl dt em embed font foreignobject frame frameset h1 h2 h3 h4 h5 h6 head hr html i "
        "iframe "
        "image img input keygen li link listing malignmark math menu meta mglyph mi mn mo ms mtext "
        "nobr noembed noframes noscript ol p param plaintext pre ruby s script select small source "
        "span strike strong style sub sup svg table template textarea title track tt u ul var wbr "
        "xmp ";
    (void)state;
    size_t count = 0;
    for (const char *at = names; *at; at = strchr(at, ' ') + 1, count++) {
        char upper[16];
        size_t len = (size_t)(strchr(at, ' ') - at);
        for (size_t i = 0; i < len; i++)
            upper[i] = byte_to_upper(at[i]);
        unsigned traits = element_traits((struct slice){.data = at, .len = len});
        if (traits == 0)
            fail_msg("%.*s", (int)len, at);
        assert_int_equal(element_traits((struct slice){.data = upper, .len = len}), traits);
        assert_int_equal(element_traits((struct slice){.data = at, .len = len + 1}), 0);
    }
    assert_int_equal(count, 85);
    assert_int_equal(element_traits(SLICE("")), 0);
    assert_int_equal(element_traits(SLICE("br\0")), 0);
    assert_int_equal(element_traits(SLICE("annotation-xml-x")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),     cmocka_unit_test(test_case),
        cmocka_unit_test(test_together), cmocka_unit_test(test_what_follows),
        cmocka_unit_test(test_cut),      cmocka_unit_test(test_random),
        cmocka_unit_test(test_depth),    cmocka_unit_test(test_one_pass),
        cmocka_unit_test(test_phrases),  cmocka_unit_test(test_phrase_room),
        cmocka_unit_test(test_elements),
    };
    return cmocka_run_group_tests_name("balance", tests, NULL, NULL);
}
