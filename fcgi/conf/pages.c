/* Reads skeletons, and checks whether there is a fragment for each of their placeholders. */
#include "conf/pages.h"

#include <stdlib.h>
#include <string.h>

#include "base/byte.h"
#include "conf/conf.h"
#include "conf/problems.h"
#include "conf/scan.h"
#include "render/skeleton.h"
#include "web/event.h"

static const char *check_path(const char *path)
{
    const char *star = strchr(path, '*');
    if (path[0] != '/')
        return "the path of a page must begin with a slash";
    if (strlen(path) > PAGE_PATH_MAX)
        return "the path of a page must not be longer than 255 bytes";
    if (star && star[1])
        return "'*' can only be the last character";
    for (const char *at = path; *at; at++)
        if (byte_is_control(*at) || *at == '?' || *at == '#')
            return "the path of a page must not contain control characters, '?' or '#'";
    if (strncmp(path, ROUTE_URL_PREFIX, strlen(ROUTE_URL_PREFIX)) == 0 ||
        strncmp(path, SITE_OWN_PREFIX, strlen(SITE_OWN_PREFIX)) == 0 ||
        strcmp(path, "/fragments") == 0)
        return "workerless uses this path itself";
    return NULL;
}

void pages_build(struct page *page, const char *called, int line, int file_line,
                 struct problems *problems)
{
    const char *wrong = check_path(page->path), *why;
    struct skeleton_problem problem;
    struct slice text = {0};
    if (wrong)
        problems_add(problems, line, "%s: %s", called, wrong);
    if (file_line == 0)
        return;
    text.data = scan_read_file(page->file, &text.len, &why);
    if (!text.data) {
        problems_add(problems, file_line, "%s: %s: %s", called, page->file, why);
        return;
    }
    page->skeleton = skeleton_read(text, &problem);
    if (page->skeleton)
        return;
    free((char *)text.data);
    if (problem.line > 0)
        problems_add(problems, file_line, "%s: %s, line %zu, column %zu: %s", called, page->file,
                     problem.line, problem.column, problem.phrase);
    else
        problems_add(problems, 0, "%s", problem.phrase);
}

static void refuse_name(const struct page *page, struct slice name, const char *called, int line,
                        struct problems *problems)
{
    char quote[QUOTE_ROOM], text[ROUTE_NAME_MAX + 1];
    size_t len = name.len < ROUTE_NAME_MAX ? name.len : ROUTE_NAME_MAX;
    memcpy(text, name.data, len);
    text[len] = '\0';
    problems_add(problems, line, "%s: %s has a placeholder %s, which can't be a fragment's name",
                 called, page->file, problem_quote(quote, text));
}

/* A placeholder that nothing replaces stays in the page for ever. */
static void check_route(const struct conf *conf, const struct page *page, struct slice name,
                        const char *called, int line, struct problems *problems)
{
    size_t rest_at;
    const struct route *route = route_find(conf->routes, conf->route_count, name, &rest_at);
    const char *why = !route           ? "no fragment section matches it"
                      : !route->stream ? "its fragment section does not have stream = \"yes\""
                                       : NULL;
    if (why)
        problems_warn(problems, line, "%s: the placeholder \"%.*s\" in %s is never replaced: %s",
                      called, SLICE_ARGS(name), page->file, why);
}

void pages_check(const struct conf *conf, const struct page *page, const char *called, int line,
                 struct problems *problems)
{
    const struct skeleton *skeleton = page->skeleton;
    if (!skeleton)
        return;
    if (skeleton->count == 0)
        problems_warn(problems, line, "%s: %s has no placeholder <?start name=\"NAME\">", called,
                      page->file);
    if (skeleton->count > conf->max_stream)
        problems_add(problems, line,
                     "%s: %s has %zu placeholders, which is more than max_stream (%zu)", called,
                     page->file, skeleton->count, conf->max_stream);
    for (size_t i = 0; i < skeleton->count; i++) {
        struct slice name = skeleton->list[i].name;
        if (route_name_valid(name) && event_name_valid(name))
            check_route(conf, page, name, called, line, problems);
        else
            refuse_name(page, name, called, line, problems);
    }
}
