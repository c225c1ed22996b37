/* Reads the config file into struct conf.
 *
 *     include_load, for each file:  scan_read_file --> scan_prepare --> syntax_parse
 *                                       --> files_expand
 *         --> build
 */
#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "conf/build.h"
#include "conf/files.h"
#include "conf/include.h"
#include "conf/options.h"
#include "conf/problems.h"
#include "conf/syntax.h"
#include "conf/vary.h"
#include "park/tally.h"
#include "render/skeleton.h"
#include "render/templates.h"

/* Notes the config file itself and the ones that it includes; those that it names have been. */
static void note_config(struct problems *problems)
{
    bool ok = files_note(problems, problems->file);
    for (size_t i = 0; i < problems->included_count && ok; i++)
        ok = files_note(problems, problems->included[i].path);
}

struct conf *conf_load(const char *file, FILE *errors)
{
    struct problems problems = {.file = file};
    struct document document = {0};
    struct conf *conf = alloc_zeroed(sizeof *conf);
    int last_line;
    if (!conf || !(conf->file = alloc_copy(file, strlen(file)))) {
        problems_add(&problems, 0, "out of memory");
    } else {
        problems.named = &conf->files;
        if (include_load(&document, &last_line, &problems))
            build(conf, &document, last_line, &problems);
        note_config(&problems);
    }
    problems_write(&problems, errors);
    if (problems_found(&problems, PROBLEM_ERROR) > 0) {
        conf_free(conf);
        conf = NULL;
    } else {
        conf->warning_count = problems_found(&problems, PROBLEM_WARNING);
    }
    problems_free(&problems);
    document_free(&document);
    return conf;
}

struct site conf_site(const struct conf *conf)
{
    return (struct site){
        .routes = conf->routes,
        .route_count = conf->route_count,
        .pages = conf->pages,
        .page_count = conf->page_count,
        .purge = &conf->purge,
        .status = &conf->status,
        .max_stream = conf->max_stream,
    };
}

static const char *file_of(const char *place)
{
    size_t len = strlen(CONF_LOG_FILE);
    return strncmp(place, CONF_LOG_FILE, len) == 0 ? place + len : NULL;
}

const char *conf_log_file(const struct conf *conf)
{
    return file_of(conf->log);
}

const char *conf_access_log_file(const struct conf *conf)
{
    return file_of(conf->access_log.place);
}

void conf_count(struct conf *conf)
{
    for (size_t i = 0; i < conf->route_count; i++)
        conf->routes[i].recipe.tally = route_tally_of(conf->routes[i].pattern);
}

struct source_settings *conf_hold_settings(struct source_settings *settings)
{
    settings->holders++;
    return settings;
}

void conf_release_settings(struct source_settings *settings)
{
    if (--settings->holders > 0)
        return;
    options_free(SECTION_SOURCE, settings->type, settings);
    free((char *)settings->name);
    free(settings);
}

void conf_free(struct conf *conf)
{
    if (!conf)
        return;
    for (size_t i = 0; i < conf->source_count; i++)
        conf_release_settings(conf->sources[i]);
    for (size_t i = 0; i < conf->route_count; i++) {
        vary_free(&conf->routes[i]);
        options_free(SECTION_FRAGMENT, NULL, &conf->routes[i]);
        free((char *)conf->routes[i].pattern);
        free((char *)conf->routes[i].fallback.data);
    }
    for (size_t i = 0; i < conf->page_count; i++) {
        options_free(SECTION_PAGE, NULL, &conf->pages[i]);
        skeleton_free(conf->pages[i].skeleton);
        free((char *)conf->pages[i].path);
    }
    for (size_t i = 0; i < conf->files.count; i++)
        free(conf->files.list[i]);
    free(conf->files.list);
    templates_free(conf->template_set);
    free(conf->sources);
    free(conf->routes);
    free(conf->pages);
    options_free(SECTION_TOP, NULL, conf);
    options_free(SECTION_CACHE, NULL, conf);
    free((char *)conf->file);
    free(conf);
}

void conf_print_options(FILE *out)
{
    options_print(out);
}
