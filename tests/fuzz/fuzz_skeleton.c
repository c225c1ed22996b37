/* Skeletons of pages: placeholders are in order and within the text, links are lines of a header,
 * and the same text further back in a page has the same placeholders. */
#include "render/skeleton.h"

#include <string.h>

#include "fuzz.h"

#define BEFORE "<p title=\"<\">1 < 2</p><!-- <?start> -->"

/* Reads a copy with that before it. */
static struct skeleton *read_behind(const char *before, struct slice html,
                                    struct skeleton_problem *problem)
{
    size_t skip = strlen(before);
    char *copy = malloc(skip + html.len + 1);
    FUZZ_CHECK(copy);
    memcpy(copy, before, skip);
    if (html.len > 0)
        memcpy(copy + skip, html.data, html.len);
    *problem = (struct skeleton_problem){0};
    struct skeleton *skeleton =
        skeleton_read((struct slice){.data = copy, .len = skip + html.len}, problem);
    if (!skeleton)
        free(copy);
    return skeleton;
}

static void check_links(struct slice links)
{
    FUZZ_CHECK(links.len <= SKELETON_LINKS_MAX);
    for (size_t i = 0; i < links.len; i++) {
        char byte = links.data[i];
        FUZZ_CHECK(byte == '\r' || byte == '\n' || (byte >= ' ' && byte <= '~'));
        FUZZ_CHECK((byte == '\r') == (i + 1 < links.len && links.data[i + 1] == '\n'));
    }
    FUZZ_CHECK(links.len == 0 || links.data[links.len - 1] == '\n');
}

static void check_skeleton(const struct skeleton *skeleton)
{
    struct slice text = skeleton->text;
    size_t end = 0;
    for (size_t i = 0; i < skeleton->count; i++) {
        const struct placeholder *of = &skeleton->list[i];
        FUZZ_CHECK(of->begin >= end && of->begin < of->end && of->end <= text.len);
        FUZZ_CHECK(memcmp(text.data + of->begin, "<?", 2) == 0 && text.data[of->end - 1] == '>');
        FUZZ_CHECK(of->name.len > 0 && fuzz_within(of->name, text));
        FUZZ_CHECK(of->name.data > text.data + of->begin && of->name.data < text.data + of->end);
        end = of->end;
    }
    FUZZ_CHECK(skeleton->tail >= end && skeleton->tail <= text.len);
    check_links(skeleton->links);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice html = fuzz_slice(data, size);
    struct skeleton_problem problem, behind;
    struct skeleton *skeleton = read_behind("", html, &problem);
    struct skeleton *other = read_behind(BEFORE, html, &behind);
    FUZZ_CHECK(!skeleton == !other);
    if (!skeleton) {
        FUZZ_CHECK(problem.line > 0 && problem.column > 0 && problem.phrase[0]);
        FUZZ_CHECK(problem.line == behind.line);
        return 0;
    }
    check_skeleton(skeleton);
    check_skeleton(other);
    FUZZ_CHECK(skeleton->count == other->count);
    FUZZ_CHECK(skeleton->tail + strlen(BEFORE) == other->tail);
    for (size_t i = 0; i < skeleton->count; i++)
        FUZZ_CHECK(skeleton->list[i].end + strlen(BEFORE) == other->list[i].end);
    skeleton_free(skeleton);
    skeleton_free(other);
    return 0;
}
