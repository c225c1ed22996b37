/* Compiles the templates that routes name, into the config. */
#include "conf/rendering.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fnv.h"
#include "conf/conf.h"
#include "conf/problems.h"
#include "conf/template_files.h"
#include "render/templates.h"

void rendering_check_directory(const struct conf *conf, int line, struct problems *problems)
{
    struct stat status;
    int error = stat(conf->templates, &status) != 0 ? errno : 0;
    if (error || !S_ISDIR(status.st_mode))
        problems_add(problems, line, "templates: %s: %s", conf->templates,
                     strerror(error ? error : ENOTDIR));
}

/* Compiles the route's template, which the rule borrows. */
static void load(struct conf *conf, const struct route *route, int line, struct render_rule *rule,
                 struct problems *problems)
{
    struct template_files files = {.directory = conf->templates};
    struct slice name = slice_of(route->template);
    char quote[QUOTE_ROOM], why[TEMPLATE_WHY_ROOM];
    if (!conf->template_set && !(conf->template_set = templates_new())) {
        problems_add(problems, 0, "out of memory");
        return;
    }
    if (template_files_add(&files, conf->template_set, name, why) != TEMPLATE_ADDED)
        problems_add(problems, line, "template = %s: %s", problem_quote(quote, route->template),
                     why);
    rule->templates = conf->template_set;
    rule->template = templates_get(rule->templates, name);
}

void rendering_build(struct conf *conf, struct route *route, const char *called,
                     const struct rendering_lines *lines, struct problems *problems)
{
    struct render_rule *rule = &route->recipe.rendering;
    rule->raw = route->recipe.rules.any_type;
    rule->json_max = conf->max_json;
    rule->html_max = conf->max_rendered;
    rule->steps_max = conf->max_render_steps;
    bool has_template = route->template && *route->template;
    if (lines->required && !lines->template)
        problems_add(problems, lines->required, "%s: required is for fragments with a template",
                     called);
    if (!has_template)
        return;
    if (rule->raw)
        problems_add(problems, lines->template,
                     "%s has a template, but render = \"raw\" uses none: remove one of them",
                     called);
    else if (!conf->templates || !*conf->templates)
        problems_add(problems, lines->template,
                     "%s has a template, but the option templates is not set: add "
                     "templates = \"DIRECTORY\" at the top level",
                     called);
    else
        load(conf, route, lines->template, rule, problems);
}

/* Where problems go. */
struct reader {
    struct problems *problems;
    int line;
};

static void on_problem(void *arg, enum template_found found, const char *text)
{
    const struct reader *reader = arg;
    (void)found;
    problems_add(reader->problems, reader->line, "%s", text);
}

void rendering_complete(struct conf *conf, int line, struct problems *problems)
{
    struct reader reader = {.problems = problems, .line = line};
    struct template_files files = {.directory = conf->templates,
                                   .report = on_problem,
                                   .arg = &reader};
    if (conf->template_set)
        template_files_complete(&files, conf->template_set);
    for (size_t i = 0; i < conf->route_count; i++) {
        struct render_rule *rule = &conf->routes[i].recipe.rendering;
        uint64_t digest = FNV_BEGIN;
        if (rule->template)
            digest = templates_digest(conf->template_set, slice_of(conf->routes[i].template));
        rule->digest = render_rule_digest(rule, digest);
    }
}
