/* Sections are compared by their titles, and options by the rows of the option table. */
#include "conf/compare.h"

#include <string.h>

#include "conf/conf.h"
#include "conf/option_value.h"
#include "conf/options.h"
#include "conf/problems.h"
#include "render/skeleton.h"

#define LISTED_MAX 10 /* names of one kind of change */

/* Names that are written one after the other; the first one begins the line. */
struct list {
    FILE *out;
    const char *head;
    size_t count;
};

static void list_name(struct list *list, const char *name, bool quoted)
{
    char quote[QUOTE_ROOM];
    if (list->count++ == 0)
        fprintf(list->out, "%s: ", list->head);
    if (list->count <= LISTED_MAX)
        fprintf(list->out, "%s%s", list->count > 1 ? ", " : "",
                quoted ? problem_quote(quote, name) : name);
}

static void list_end(struct list *list)
{
    if (list->count > LISTED_MAX)
        fprintf(list->out, " and %zu more", list->count - LISTED_MAX);
    if (list->count > 0)
        fputc('\n', list->out);
}

/* --- sources --- */

bool conf_same_source(const struct source_settings *a, const struct source_settings *b)
{
    return a->type == b->type && strcmp(a->name, b->name) == 0 && a->files == b->files &&
           options_equal(SECTION_SOURCE, a->type, a, b);
}

static const struct source_settings *find_source(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->source_count; i++)
        if (strcmp(conf->sources[i]->name, name) == 0)
            return conf->sources[i];
    return NULL;
}

static void write_sources(const struct conf *running, const struct conf *next, FILE *out)
{
    struct list added = {out, "sources added", 0}, removed = {out, "sources removed", 0};
    struct list replaced = {out, "sources replaced", 0};
    for (size_t i = 0; i < next->source_count; i++)
        if (!find_source(running, next->sources[i]->name))
            list_name(&added, next->sources[i]->name, true);
    list_end(&added);
    for (size_t i = 0; i < running->source_count; i++)
        if (!find_source(next, running->sources[i]->name))
            list_name(&removed, running->sources[i]->name, true);
    list_end(&removed);
    for (size_t i = 0; i < next->source_count; i++) {
        const struct source_settings *before = find_source(running, next->sources[i]->name);
        if (before && !conf_same_source(before, next->sources[i]))
            list_name(&replaced, next->sources[i]->name, true);
    }
    list_end(&replaced);
}

/* --- fragments --- */

/* Some flags say whether an option is set, whatever its value. */
static bool same_freshness(const struct freshness *a, const struct freshness *b)
{
    return a->ttl_by_source == b->ttl_by_source && a->stale_by_source == b->stale_by_source &&
           a->error_by_source == b->error_by_source &&
           a->browser_ttl_is_set == b->browser_ttl_is_set;
}

/* An empty file is not the same as none. */
static bool same_file(struct slice a, struct slice b)
{
    return a.data && b.data ? slice_equal(a, b) : a.data == b.data;
}

static bool same_route(const struct conf *running, const struct route *a, const struct conf *next,
                       const struct route *b)
{
    return strcmp(running->sources[a->recipe.source]->name,
                  next->sources[b->recipe.source]->name) == 0 &&
           options_equal(SECTION_FRAGMENT, NULL, a, b) &&
           same_freshness(&a->recipe.freshness, &b->recipe.freshness) &&
           a->recipe.rendering.digest == b->recipe.rendering.digest &&
           same_file(a->fallback, b->fallback);
}

/* The section with the pattern, or NULL. The search begins at `near`, where it usually is. */
static const struct route *find_route(const struct conf *conf, const char *pattern, size_t near)
{
    for (size_t i = 0; i < conf->route_count; i++) {
        const struct route *route = &conf->routes[(near + i) % conf->route_count];
        if (strcmp(route->pattern, pattern) == 0)
            return route;
    }
    return NULL;
}

/* Whether the fragments that both have come in another order. */
static bool is_reordered(const struct conf *running, const struct conf *next)
{
    const struct route *last = NULL;
    for (size_t i = 0; i < next->route_count; i++) {
        const struct route *before = find_route(running, next->routes[i].pattern, i);
        if (before && last && before < last)
            return true;
        if (before)
            last = before;
    }
    return false;
}

static void write_routes(const struct conf *running, const struct conf *next, FILE *out)
{
    struct list added = {out, "fragments added", 0}, removed = {out, "fragments removed", 0};
    struct list changed = {out, "fragments changed", 0};
    for (size_t i = 0; i < next->route_count; i++)
        if (!find_route(running, next->routes[i].pattern, i))
            list_name(&added, next->routes[i].pattern, true);
    list_end(&added);
    for (size_t i = 0; i < running->route_count; i++)
        if (!find_route(next, running->routes[i].pattern, i))
            list_name(&removed, running->routes[i].pattern, true);
    list_end(&removed);
    for (size_t i = 0; i < next->route_count; i++) {
        const struct route *before = find_route(running, next->routes[i].pattern, i);
        if (before && !same_route(running, before, next, &next->routes[i]))
            list_name(&changed, next->routes[i].pattern, true);
    }
    list_end(&changed);
    if (is_reordered(running, next))
        fputs("the order of the fragments has changed\n", out);
}

/* --- pages --- */

static const struct page *find_page(const struct conf *conf, const char *path)
{
    for (size_t i = 0; i < conf->page_count; i++)
        if (strcmp(conf->pages[i].path, path) == 0)
            return &conf->pages[i];
    return NULL;
}

/* Whether the pages that both have come in another order. */
static bool pages_are_reordered(const struct conf *running, const struct conf *next)
{
    const struct page *last = NULL;
    for (size_t i = 0; i < next->page_count; i++) {
        const struct page *before = find_page(running, next->pages[i].path);
        if (before && last && before < last)
            return true;
        if (before)
            last = before;
    }
    return false;
}

static bool same_page(const struct page *a, const struct page *b)
{
    return options_equal(SECTION_PAGE, NULL, a, b) &&
           slice_equal(a->skeleton->text, b->skeleton->text);
}

static void write_pages(const struct conf *running, const struct conf *next, FILE *out)
{
    struct list added = {out, "pages added", 0}, removed = {out, "pages removed", 0};
    struct list changed = {out, "pages changed", 0};
    for (size_t i = 0; i < next->page_count; i++)
        if (!find_page(running, next->pages[i].path))
            list_name(&added, next->pages[i].path, true);
    list_end(&added);
    for (size_t i = 0; i < running->page_count; i++)
        if (!find_page(next, running->pages[i].path))
            list_name(&removed, running->pages[i].path, true);
    list_end(&removed);
    for (size_t i = 0; i < next->page_count; i++) {
        const struct page *before = find_page(running, next->pages[i].path);
        if (before && !same_page(before, &next->pages[i]))
            list_name(&changed, next->pages[i].path, true);
    }
    list_end(&changed);
    if (pages_are_reordered(running, next))
        fputs("the order of the pages has changed\n", out);
}

/* --- the top level and the cache section, whose options are in struct conf --- */

static bool is_in_conf(const struct option_row *row)
{
    return row->section == SECTION_TOP || row->section == SECTION_CACHE;
}

static bool differs(const struct option_row *row, const struct conf *running,
                    const struct conf *next)
{
    return is_in_conf(row) && !option_equal(row->option, running, next);
}

void conf_keep_fixed(struct conf *running, struct conf *next)
{
    for (size_t i = 0, count = options_count(); i < count; i++) {
        struct option_row row = option_row(i);
        if (is_in_conf(&row) && !option_is_reloadable(&row))
            option_swap(row.option, running, next);
    }
}

void conf_list_fixed(const struct conf *running, const struct conf *next,
                     char names[CONF_FIXED_ROOM])
{
    size_t len = 0;
    names[0] = '\0';
    for (size_t i = 0, count = options_count(); i < count; i++) {
        struct option_row row = option_row(i);
        size_t needed = strlen(row.option->name) + 3;
        if (!differs(&row, running, next) || option_is_reloadable(&row) ||
            needed > CONF_FIXED_ROOM - len)
            continue;
        len += (size_t)snprintf(names + len, CONF_FIXED_ROOM - len, "%s%s", len > 0 ? ", " : "",
                                row.option->name);
    }
}

void conf_write_changes(const struct conf *running, const struct conf *next, FILE *out)
{
    struct list options = {out, "options changed", 0};
    write_routes(running, next, out);
    write_sources(running, next, out);
    write_pages(running, next, out);
    for (size_t i = 0, count = options_count(); i < count; i++) {
        struct option_row row = option_row(i);
        if (differs(&row, running, next) && option_is_reloadable(&row))
            list_name(&options, row.option->name, false);
    }
    list_end(&options);
}
