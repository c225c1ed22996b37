/* Reads skeletons, and checks whether something fills their placeholders. */
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
        return "the path of a page begins with a slash";
    if (strlen(path) > PAGE_PATH_MAX)
        return "the path of a page must not be longer than 255 bytes";
    if (star && star[1])
        return "'*' can only be the last character";
    for (const char *at = path; *at; at++)
        if (byte_is_control(*at) || *at == '?' || *at == '#')
            return "the path of a page must not have control characters, ? or #";
    if (strncmp(path, ROUTE_URL_PREFIX, strlen(ROUTE_URL_PREFIX)) == 0 ||
        strncmp(path, "/workerless/", 12) == 0 || strcmp(path, "/fragments") == 0)
        return "this path is used for something else";
    return NULL;
}

static void check_names(const struct page *page, const char *called, int line,
                        struct problems *problems)
{
    const struct skeleton *skeleton = page->skeleton;
    char quote[QUOTE_ROOM], name[ROUTE_NAME_MAX + 1];
    if (skeleton->count == 0)
        problems_warn(problems, line, "%s: %s has no placeholder <?start name=\"NAME\">", called,
                      page->file);
    for (size_t i = 0; i < skeleton->count; i++) {
        struct slice of = skeleton->list[i].name;
        if (route_name_valid(of) && event_name_valid(of))
            continue;
        size_t len = of.len < ROUTE_NAME_MAX ? of.len : ROUTE_NAME_MAX;
        memcpy(name, of.data, len);
        name[len] = '\0';
        problems_add(problems, line,
                     "%s: %s has a placeholder %s, which can't be a fragment's name", called,
                     page->file, problem_quote(quote, name));
    }
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
    if (page->skeleton) {
        check_names(page, called, file_line, problems);
        return;
    }
    free((char *)text.data);
    if (problem.line > 0)
        problems_add(problems, file_line, "%s: %s, line %zu, column %zu: %s", called, page->file,
                     problem.line, problem.column, problem.phrase);
    else
        problems_add(problems, 0, "%s", problem.phrase);
}

/* A placeholder that nothing fills stays in the page for ever. */
static void check_route(const struct conf *conf, const struct page *page, struct slice name,
                        const char *called, int line, struct problems *problems)
{
    size_t rest_at;
    const struct route *route = route_find(conf->routes, conf->route_count, name, &rest_at);
    if (!route)
        problems_warn(problems, line,
                      "%s: no fragment section has \"%.*s\", so its placeholder in %s stays as it "
                      "is",
                      called, SLICE_ARGS(name), page->file);
    else if (!route->stream)
        problems_warn(problems, line,
                      "%s: the placeholder \"%.*s\" in %s stays as it is, since the fragment's "
                      "section does not have stream = \"yes\"",
                      called, SLICE_ARGS(name), page->file);
}

void pages_check(const struct conf *conf, const struct page *page, const char *called, int line,
                 struct problems *problems)
{
    const struct skeleton *skeleton = page->skeleton;
    if (!skeleton)
        return;
    if (skeleton->count > conf->max_stream)
        problems_add(problems, line,
                     "%s: %s has %zu placeholders, which is more than max_stream (%zu)", called,
                     page->file, skeleton->count, conf->max_stream);
    for (size_t i = 0; i < skeleton->count; i++)
        check_route(conf, page, skeleton->list[i].name, called, line, problems);
}
