/* Reads fallbacks. A fallback takes the place of a result, so it has to be balanced as well. */
#include "conf/fallback.h"

#include <stdlib.h>

#include "conf/files.h"
#include "conf/problems.h"
#include "conf/scan.h"
#include "render/balance.h"
#include "web/route.h"

/* Returns whether it is balanced in place, too. */
static bool check_balance(struct problems *problems, int line, const char *called, const char *path,
                          struct slice html)
{
    struct balance found = balance_check(html);
    char phrase[BALANCE_PHRASE_MAX];
    if (found.in_template.flaw != BALANCE_NO_FLAW) {
        balance_phrase(phrase, sizeof phrase, &found.in_template);
        problems_add(problems, line,
                     "fallback = %s: %s has %s: that would break the rest of a page", called, path,
                     phrase);
    } else if (found.in_place.flaw != BALANCE_NO_FLAW) {
        balance_phrase(phrase, sizeof phrase, &found.in_place);
        problems_warn(problems, line,
                      "fallback = %s: %s has %s: that would break the rest of a page that has it "
                      "outside of a <template>, as with SSI",
                      called, path, phrase);
    }
    return found.in_place.flaw == BALANCE_NO_FLAW;
}

void fallback_read(struct route *route, struct problems *problems, int line, const char *name)
{
    struct slice html = {0};
    const char *why;
    char quote[QUOTE_ROOM];
    char *path = files_path(problems, line, NULL, name);
    if (!path)
        return;
    problem_quote(quote, name);
    html.data = scan_read_file(path, &html.len, &why);
    if (html.data)
        route->fallback_opens = !check_balance(problems, line, quote, path, html);
    else
        problems_add(problems, line, "fallback = %s: %s: %s", quote, path, why);
    route->fallback = html;
    free(path);
}
