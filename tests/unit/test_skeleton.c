/* render/skeleton: which placeholders a page has, where what comes late goes, which of its links
 * are repeated, and what is said of texts that are no skeletons. */
#include "render/skeleton.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "unit.h"

static struct skeleton *read_text(struct slice text, struct skeleton_problem *problem)
{
    char *copy = alloc_copy(text.data, text.len);
    struct skeleton *skeleton =
        copy ? skeleton_read((struct slice){.data = copy, .len = text.len}, problem) : NULL;
    if (!skeleton)
        free(copy);
    return skeleton;
}

/* Writes the skeleton as "before{name}between{name}|tail". */
static const char *show(const struct skeleton *skeleton)
{
    static char out[2000];
    size_t at = 0, from = 0;
    for (size_t i = 0; i <= skeleton->count; i++) {
        size_t to = i < skeleton->count ? skeleton->list[i].begin : skeleton->tail;
        at += (size_t)snprintf(out + at, sizeof out - at, "%.*s", (int)(to - from),
                               skeleton->text.data + from);
        if (i == skeleton->count)
            break;
        at += (size_t)snprintf(out + at, sizeof out - at, "{%.*s}",
                               SLICE_ARGS(skeleton->list[i].name));
        from = skeleton->list[i].end;
    }
    snprintf(out + at, sizeof out - at, "|%.*s", (int)(skeleton->text.len - skeleton->tail),
             skeleton->text.data + skeleton->tail);
    return out;
}

static void test_placeholders(void **state)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"", "|"},
        {"plain", "plain|"},
        {"a<?start name=\"x\">L<?end>b", "a{x}b|"},
        {"a<?start name='x'>L<?end>b", "a{x}b|"},
        {"a<?start name=\"x\" ?>L<?end?>b", "a{x}b|"},
        {"a<?start  other=1\tname=\"x/y z\">L<?end>b", "a{x/y z}b|"},
        {"<?start name=\"x\"><?end><?start name=\"y\"><p>L</p><?end>", "{x}{y}|"},
        {"a<?marker name=\"x\">b", "a{x}b|"},
        {"<?start name=\"x\">L<!-- <?end> --><b>M</b><?end>b", "{x}b|"},
        {"a<?end>b", "a<?end>b|"},
        {"a<?START name=\"x\">b<?END>", "a<?START name=\"x\">b<?END>|"}, /* browsers compare case */
        {"a<?xml name=\"x\">b", "a<?xml name=\"x\">b|"},
        {"a<?started name=\"x\">b", "a<?started name=\"x\">b|"},
        /* hidden marks */
        {"<!--<?start name=\"x\">-->a", "<!--<?start name=\"x\">-->a|"},
        {"<script>'<?marker name=\"x\">'</script><?marker name=\"y\">",
         "<script>'<?marker name=\"x\">'</script>{y}|"},
        {"<style><?marker name=\"x\"></style>", "<style><?marker name=\"x\"></style>|"},
        {"<title><?marker name=\"x\"></title>", "<title><?marker name=\"x\"></title>|"},
        {"<noscript><?marker name=\"x\"></noscript>", "<noscript><?marker name=\"x\"></noscript>|"},
        {"<template><template></template><?marker name=\"x\"></template><?marker name=\"y\">",
         "<template><template></template><?marker name=\"x\"></template>{y}|"},
        {"<a title=\"<?marker name='x'>\">", "<a title=\"<?marker name='x'>\">|"},
        {"</ <?marker name=\"x\">", "</ <?marker name=\"x\">|"}, /* a comment up to the ">" */
        {"1 < 2 <<?marker name=\"x\">", "1 < 2 <{x}|"},
        /* in SVG and MathML, such elements may end at once */
        {"<svg><title/><script href=\"a\"/></svg><?marker name=\"x\">",
         "<svg><title/><script href=\"a\"/></svg>{x}|"},
        {"<svg/><title/><?marker name=\"x\"></title>",
         "<svg/><title/><?marker name=\"x\"></title>|"},
        {"<math></math></svg><title/><?marker name=\"x\"></title>",
         "<math></math></svg><title/><?marker name=\"x\"></title>|"},
        /* the tail */
        {"<body>a</body>\n</html>\n", "<body>a|</body>\n</html>\n"},
        {"<body>a</BODY >", "<body>a|</BODY >"},
        {"<p>a</html>", "<p>a|</html>"},
        {"<!-- </body> -->a", "<!-- </body> -->a|"},
        {"<body>a</body><!-- </body> -->", "<body>a|</body><!-- </body> -->"},
        {"a</body>b</body>c", "a</body>b|</body>c"},
        {"a<template></body></template>b", "a<template></body></template>b|"},
        {"a</body><?marker name=\"x\">b</html>", "a</body>{x}|b</html>"},
        {"<script>'</body>'</script>b", "<script>'</body>'</script>b|"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct skeleton_problem problem;
        struct skeleton *skeleton = read_text(slice_of(rows[i].text), &problem);
        if (!skeleton)
            fail_msg("%s: %s", rows[i].text, problem.phrase);
        assert_string_equal(show(skeleton), rows[i].shown);
        skeleton_free(skeleton);
    }
}

static void test_problems(void **state)
{
    static const struct {
        const char *text, *phrase;
        size_t line, column;
    } rows[] = {
        {"a\nb<?start name=\"x\">L", "the placeholder \"x\" has no <?end>", 2, 2},
        {"<?start name=\"x\">L<?start name=\"y\">M<?end><?end>",
         "the placeholder \"x\" contains another one", 1, 19},
        {"<?start name=\"x\">L<?marker name=\"y\"><?end>",
         "the placeholder \"x\" contains another one", 1, 19},
        {"<?marker name=\"x\"> <?marker name=\"x\">", "a second placeholder has the name \"x\"", 1,
         20},
        {"<?start>L<?end>", "a placeholder needs a name in quotes: <?start name=\"NAME\">", 1, 1},
        {"<?start name=x>L<?end>", "a placeholder needs a name in quotes: <?start name=\"NAME\">",
         1, 1},
        {"<?start name>", "a placeholder needs a name in quotes: <?start name=\"NAME\">", 1, 1},
        {"<?start name=>", "a placeholder needs a name in quotes: <?start name=\"NAME\">", 1, 1},
        {"<?start name=\"\">L<?end>",
         "a placeholder needs a name in quotes: <?start name=\"NAME\">", 1, 1},
        {"<?start name=\"x>L<?end>", "a placeholder needs a name in quotes: <?start name=\"NAME\">",
         1, 1},
        {"<?marker name=\"x&amp;y\">",
         "the name of the placeholder \"x&amp;y\" must not contain '&'", 1, 1},
        {"<?start name=\"x\">\n <p>L<?end>",
         "the placeholder \"x\" has an unclosed <p> that begins at line 2, column 2", 1, 1},
        {"<?start name=\"x\">L</div><?end>",
         "the placeholder \"x\" has a </div> without its start tag at line 1, column 19", 1, 1},
#define OPEN "what begins here has no end, so the rest of the page is in it"
        {"a<?start name=\"x\"", OPEN, 1, 2},
        {"a\n <!--<?marker name=\"x\">", OPEN, 2, 2},
        {"<p title=\"<?marker name='x'>", OPEN, 1, 1},
        {"<title/><?marker name=\"x\">", OPEN, 1, 1},
        {"<script><!--<script></script><?marker name=\"x\">", OPEN, 1, 1},
        {"<plaintext><?marker name=\"x\"></plaintext>", OPEN, 1, 1},
        {"<template>\n<template></template><?marker name=\"x\">", OPEN, 1, 1},
        {"<template></template> <template>", OPEN, 1, 23},
        {"<?start name=\"x\">L<!--<?end>", OPEN, 1, 19},
        {"<?marker name=\"\033[2J\">x<?marker name=\"\033[2J\">",
         "a second placeholder has the name \"\\x1b[2J\"", 1, 23},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct skeleton_problem problem = {0};
        assert_null(read_text(slice_of(rows[i].text), &problem));
        assert_string_equal(problem.phrase, rows[i].phrase);
        assert_int_equal(problem.line, rows[i].line);
        assert_int_equal(problem.column, rows[i].column);
    }
}

static void test_links(void **state)
{
    static const struct {
        const char *text, *links;
    } rows[] = {
        {"<link rel=stylesheet href=a.css>", ""},
        {"<link rel=preload href=a.css as=style>",
         "Link: <a.css>; rel=\"preload\"; as=\"style\"\r\n"},
        {"<LINK HREF='/b.js' REL='modulepreload'/>", "Link: </b.js>; rel=\"modulepreload\"\r\n"},
        {"<link rel=preconnect href=\"https://x.example\" crossorigin>",
         "Link: <https://x.example>; rel=\"preconnect\"; crossorigin\r\n"},
        {"<link rel=preload href=a as=image><link rel=preload href=b as=font "
         "crossorigin=anonymous>",
         "Link: <a>; rel=\"preload\"; as=\"image\"\r\n"
         "Link: <b>; rel=\"preload\"; as=\"font\"; crossorigin=\"anonymous\"\r\n"},
        {"<link rel=preload href=a as=script referrerpolicy=no-referrer>",
         "Link: <a>; rel=\"preload\"; as=\"script\"; referrerpolicy=\"no-referrer\"\r\n"},
        {"<link rel=preload as=style>", ""},
        {"<link rel=preload href=\"\" as=style>", ""},
        {"<link rel=preload href=\"a&amp;b\" as=style>", ""},
        {"<link rel=preload href=\"a\nX: y\" as=style>", ""},
        {"<link rel=preload href=a as=\"x\r\n\">", ""},
        {"<link rel=preload href=a>b as=style>", "Link: <a>; rel=\"preload\"\r\n"},
        {"<link rel=preload href=a as=image imagesrcset=\"b 2x\">", ""},
        {"<link rel=preload href=a rel=x href=b>", "Link: <a>; rel=\"preload\"\r\n"},
        {"<base href=/x/><link rel=preload href=a>", ""},
        {"<template><link rel=preload href=a></template>", ""},
        {"<!--<link rel=preload href=a>-->", ""},
        {"<linked rel=preload href=a>", ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct skeleton_problem problem;
        struct skeleton *skeleton = read_text(slice_of(rows[i].text), &problem);
        assert_non_null(skeleton);
        if (!slice_equal(skeleton->links, slice_of(rows[i].links)))
            fail_msg("%s: %.*s", rows[i].text, SLICE_ARGS(skeleton->links));
        skeleton_free(skeleton);
    }
}

/* As many as fit into the header. */
static void test_many_links(void **state)
{
    struct buffer text = {0};
    struct skeleton_problem problem;
    (void)state;
    for (int i = 0; i < 1000; i++)
        unit_append(&text, "<link rel=preload href=abcdefgh>", 32);
    struct skeleton *skeleton = read_text(buffer_slice(&text), &problem);
    assert_in_range(skeleton->links.len, SKELETON_LINKS_MAX - 40, SKELETON_LINKS_MAX);
    assert_memory_equal(skeleton->links.data + skeleton->links.len - 2, "\r\n", 2);
    skeleton_free(skeleton);
    buffer_free(&text);
}

static void test_many_placeholders(void **state)
{
    struct buffer text = {0};
    struct skeleton_problem problem;
    char mark[40];
    (void)state;
    for (int i = 0; i < SKELETON_MAX; i++)
        unit_append(&text, mark, (size_t)snprintf(mark, sizeof mark, "<?marker name=\"%d\">", i));
    struct skeleton *skeleton = read_text(buffer_slice(&text), &problem);
    assert_int_equal(skeleton->count, SKELETON_MAX);
    skeleton_free(skeleton);
    unit_append(&text, "<?marker name=\"x\">", 18);
    assert_null(read_text(buffer_slice(&text), &problem));
    assert_string_equal(problem.phrase, "there are too many placeholders before \"x\"");
    buffer_free(&text);
}

static void test_no_memory(void **state)
{
    static const struct slice text =
        SLICE_INIT("<link rel=preload href=a><?start name=\"x\">L<?end><?marker name=\"y\">"
                   "<link rel=preload href=b>");
    struct skeleton_problem problem;
    struct skeleton *skeleton = NULL;
    int failures = 0;
    (void)state;
    for (; !skeleton; failures++) {
        alloc_fail_after(failures);
        problem = (struct skeleton_problem){.line = 1};
        skeleton = read_text(text, &problem);
        alloc_fail_after(-1);
        if (!skeleton && failures > 0) {
            assert_int_equal(problem.line, 0);
            assert_string_equal(problem.phrase, "out of memory");
        }
        assert_true(failures < 20);
    }
    assert_true(failures > 4);
    skeleton_free(skeleton);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_placeholders),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_many_links),
        cmocka_unit_test(test_many_placeholders),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
