/* web/links: which header fields of fragments a page gets. */
#include "web/links.h"

#include <stdio.h>

#include "unit.h"

#define A "link: </a>; rel=preload\n"

static void test_links(void **state)
{
    static const struct {
        const char *kept, *added; /* with LF, as they are kept */
    } cases[] = {
        {"", ""},
        {"etag: \"rel=preload\"\n", ""},
        {A, A},
        {"x: y\n" A "links: z\n", A},
        {A A, A},
        {A "link: </ab>; rel=preload\n", A "link: </ab>; rel=preload\n"},
        {"link: <a>;rel=modulepreload\n", "link: <a>;rel=modulepreload\n"},
        {"link: <a>; as=style ; REL = \"Preload\"\n", "link: <a>; as=style ; REL = \"Preload\"\n"},
        {"link: <a>; rel=preload, <b> ;rel=preconnect,\n",
         "link: <a>; rel=preload, <b> ;rel=preconnect,\n"},
        {"link: <a>; title=\"\\\", <b>; x\"; rel=preload\n",
         "link: <a>; title=\"\\\", <b>; x\"; rel=preload\n"},
        {"link: <a,b;c>; rel=preload\n", "link: <a,b;c>; rel=preload\n"},
        /* they say something of the fragment */
        {"link: </preload>; rel=canonical\n", ""},
        {"link: <a>; rel=preload, <b>; rel=next\n", ""},
        {"link: <a>; rel=stylesheet; rel=preload\n", ""},
        {"link: <a>; rel=\"stylesheet preload\"\n", ""},
        {"link: <a>; title=\"; rel=preload\"\n", ""},
        {"link: <a; rel=preload\n", ""},
        {"link: <a>; rel=preload, <b>\n", ""},
        {"link: <a>; rel\n", ""},
        {"link: <a>; rel=\"\n", ""},
        {"link: <a>; title=\"\\\n", ""},
        {"link: \n", ""},
        {"link: ,\n", ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct links links = {.len = 0};
        struct slice kept = unit_exact(slice_of(cases[i].kept));
        links_add(&links, kept);
        unit_drop(kept);

        char lines[LINKS_MAX];
        size_t len = 0;
        for (size_t at = 0; at < links.len; at++)
            if (links.text[at] != '\r')
                lines[len++] = links.text[at];
        if (!slice_equal((struct slice){.data = lines, .len = len}, slice_of(cases[i].added)))
            fail_msg("%s: %.*s", cases[i].kept, (int)len, lines);
    }
}

/* Those of all fragments have a limit. */
static void test_many(void **state)
{
    struct links links = {.len = 0};
    char line[40];
    (void)state;
    for (int i = 0; i < 1000; i++) {
        int len = snprintf(line, sizeof line, "link: <%d>; rel=preload\n", i);
        links_add(&links, (struct slice){.data = line, .len = (size_t)len});
    }
    assert_in_range(links.len, LINKS_MAX - 40, LINKS_MAX);
    assert_memory_equal(links.text + links.len - 2, "\r\n", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests_name("links", tests, NULL, NULL);
}
