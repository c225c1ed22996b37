/* Fragments of HTML: what is found lies within them, and what is clean stays so beside a copy of
 * itself, within an element and within a template, and hides nothing that follows. */
#include "render/balance.h"

#include <string.h>

#include "fuzz.h"

static bool is_clean(const struct balance_finding *finding)
{
    return finding->flaw == BALANCE_NO_FLAW;
}

static void check_finding(const struct balance_finding *finding, struct slice html)
{
    char phrase[BALANCE_PHRASE_MAX];
    size_t len = balance_phrase(phrase, sizeof phrase, finding);
    FUZZ_CHECK(len < sizeof phrase - 1 && strlen(phrase) == len);
    if (is_clean(finding))
        return;
    FUZZ_CHECK(finding->offset < html.len && finding->line > 0 && finding->column > 0);
    FUZZ_CHECK(finding->line + finding->column <= finding->offset + 2);
}

/* The same between two others; the caller frees its data. */
static struct slice wrap(const char *before, struct slice html, size_t times, const char *after)
{
    struct slice all = {.len = strlen(before) + times * html.len + strlen(after)};
    char *out = malloc(all.len + 1), *at = out;
    FUZZ_CHECK(out);
    all.data = out;
    memcpy(at, before, strlen(before));
    at += strlen(before);
    for (; times > 0; times--) {
        if (html.len > 0)
            memcpy(at, html.data, html.len);
        at += html.len;
    }
    memcpy(at, after, strlen(after));
    return all;
}

static struct balance check_wrapped(const char *before, struct slice html, size_t times,
                                    const char *after)
{
    struct slice all = wrap(before, html, times, after);
    struct balance balance = balance_check(all);
    free((char *)(uintptr_t)all.data);
    return balance;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice html = fuzz_slice(data, size);
    struct balance is = balance_check(html);
    check_finding(&is.in_template, html);
    check_finding(&is.in_place, html);
    FUZZ_CHECK(is_clean(&is.in_template) || !is_clean(&is.in_place));
    if (!is_clean(&is.in_template))
        return 0;

    struct balance next = check_wrapped("", html, 1, "</template>");
    FUZZ_CHECK(next.in_template.flaw == BALANCE_STRAY && next.in_template.offset == size);
    next = check_wrapped("", html, 1, "<!--");
    FUZZ_CHECK(next.in_template.flaw == BALANCE_COMMENT && next.in_template.offset == size);
    next = check_wrapped("<template>", html, 1, "</template>");
    FUZZ_CHECK((is_clean(&next.in_template) && is_clean(&next.in_place)) ||
               next.in_template.flaw == BALANCE_DEEP);
    if (!is_clean(&is.in_place))
        return 0;

    next = check_wrapped("", html, 2, "");
    FUZZ_CHECK(is_clean(&next.in_template) && is_clean(&next.in_place));
    next = check_wrapped("<div>", html, 1, "</div>");
    FUZZ_CHECK(is_clean(&next.in_place) || next.in_place.flaw == BALANCE_DEEP);
    next = check_wrapped("", html, 1, "<textarea>");
    FUZZ_CHECK(next.in_template.flaw == BALANCE_ELEMENT && next.in_template.offset == size);
    return 0;
}
