/* Builds the config from what the parser has found.
 *
 *     values by the table of options --> complete sections --> references, files --> all together
 *
 * Each step continues after a problem if that makes sense, so that one run shows all problems. */
#include "conf/build.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/fnv.h"
#include "conf/conf.h"
#include "conf/fallback.h"
#include "conf/files.h"
#include "conf/option_value.h"
#include "conf/options.h"
#include "conf/pages.h"
#include "conf/problems.h"
#include "conf/rendering.h"
#include "conf/scan.h"
#include "conf/syntax.h"
#include "conf/units.h"
#include "conf/vary.h"
#include "redis/check.h"
#include "park/tally.h"
#include "source/source.h"

/* nginx times out after 60s by default, and the response takes a moment, too. */
#define HOLD_DOUBTFUL_S 55

struct builder {
    struct conf *conf;
    const struct document *document;
    struct place *places; /* one for each section of the document */
    struct given *given;  /* of all places */
    struct problems *problems;
};

/* What the file says about an option. */
struct given {
    const struct value *value; /* NULL: the option is not set */
    bool bad;                  /* it is invalid */
};

/* State of a section during the build. */
struct place {
    const struct section *section;
    const struct source_type *type; /* of a source, if known */
    void *target;                   /* where its options are stored */
    struct given *given;            /* by the option's number */
};

static const struct given *given_of(const struct place *place, const char *name)
{
    return &place->given[option_find(place->section->kind, place->type, name)];
}

static const struct value *given(const struct place *place, const char *name)
{
    return given_of(place, name)->value;
}

/* The line to report for the option: its own, or that of its section. */
static int line_of(const struct place *place, const char *name)
{
    const struct value *value = given(place, name);
    return value ? value->line : place->section->line;
}

static bool refuse_memory(struct problems *problems)
{
    problems_add(problems, 0, "out of memory");
    return false;
}

/* Finds the types of sources, since the meaning of other options depends on them. */
static void find_types(struct builder *builder)
{
    const struct document *document = builder->document;
    size_t option = option_find(SECTION_SOURCE, NULL, "type");
    for (size_t i = 0; i < document->value_count; i++) {
        const struct value *value = &document->values[i];
        if (value->option == option && !builder->places[value->section].type)
            builder->places[value->section].type = source_type_find(value->text);
    }
}

/* Creates the settings of a source section. If the type is unknown, they have only a name. */
static struct source_settings *build_settings(struct conf *conf, const struct place *place)
{
    const struct source_type *type = place->type;
    struct source_settings *settings = alloc_zeroed(type ? type->settings_size : sizeof *settings);
    if (settings) {
        settings->type = type;
        settings->holders = 1;
        conf->sources[conf->source_count++] = settings;
    }
    return settings;
}

/* Creates the structs that options are stored in. */
static bool build_places(struct builder *builder)
{
    const struct document *document = builder->document;
    struct conf *conf = builder->conf;
    size_t sources = 0, routes = 0, pages = 0, options = options_count();
    for (size_t i = 0; i < document->section_count; i++) {
        sources += document->sections[i].kind == SECTION_SOURCE;
        routes += document->sections[i].kind == SECTION_FRAGMENT;
        pages += document->sections[i].kind == SECTION_PAGE;
    }
    builder->places = alloc_zeroed(document->section_count * sizeof(*builder->places));
    builder->given = alloc_zeroed(document->section_count * options * sizeof(*builder->given));
    conf->sources = alloc_zeroed((sources + 1) * sizeof(*conf->sources));
    conf->routes = alloc_zeroed((routes + 1) * sizeof(*conf->routes));
    conf->pages = alloc_zeroed((pages + 1) * sizeof(*conf->pages));
    if (!builder->places || !builder->given || !conf->sources || !conf->routes || !conf->pages)
        return refuse_memory(builder->problems);
    find_types(builder);
    for (size_t i = 0; i < document->section_count; i++) {
        const struct section *section = &document->sections[i];
        struct place *place = &builder->places[i];
        const char **title = NULL;
        place->section = section;
        place->given = &builder->given[i * options];
        place->target = conf;
        if (section->kind == SECTION_SOURCE) {
            struct source_settings *settings = build_settings(conf, place);
            if (!settings)
                return refuse_memory(builder->problems);
            place->target = settings;
            title = &settings->name;
        } else if (section->kind == SECTION_FRAGMENT) {
            place->target = &conf->routes[conf->route_count++];
            title = &((struct route *)place->target)->pattern;
        } else if (section->kind == SECTION_PAGE) {
            place->target = &conf->pages[conf->page_count++];
            title = &((struct page *)place->target)->path;
        }
        if (title && !(*title = alloc_copy(section->title, strlen(section->title))))
            return refuse_memory(builder->problems);
    }
    return true;
}

/* Whether this section may have the option; only sources differ. */
static bool has_option(const struct place *place, const struct option_row *row)
{
    return !row->only || row->only == place->type;
}

/* If types of source share the name, the option is that of the source's own type. The value of an
 * option that the section can't have is checked as well; build_rest reports the option. */
static void build_value(struct builder *builder, const struct value *value)
{
    struct place *place = &builder->places[value->section];
    size_t number =
        option_find(place->section->kind, place->type, option_row(value->option).option->name);
    struct option_row row = option_row(number);
    const struct option *option = row.option;
    struct given *known = &place->given[number];
    char quote[QUOTE_ROOM], wrong[OPTION_WRONG_ROOM], where[PLACE_ROOM];
    if (known->value && value->begins && option->kind != OPTION_INCLUDE) {
        problems_add(builder->problems, value->line, "%s is set twice; first in %s", option->name,
                     problems_place(builder->problems, value->line, known->value->line, where));
        return;
    }
    if (!known->value)
        known->value = value;
    if (value->origin == VALUE_UNREADABLE) {
        known->bad = true;
        return;
    }
    if (has_option(place, &row) ? option_store(option, value->text, place->target, wrong)
                                : option_check(option, value->text, wrong))
        return;
    known->bad = true;
    if (option->secret || value->origin == VALUE_FROM_FILE)
        problems_add(builder->problems, value->line, "%s: %s", option->name, wrong);
    else
        problems_add(builder->problems, value->line, "%s = %s: %s", option->name,
                     problem_quote(quote, value->text), wrong);
}

/* The name of a section in messages, such as fragment "a". */
static const char *call(const struct place *place, char room[2 * QUOTE_ROOM])
{
    static const char *const kinds[SECTION_KINDS] =
        {[SECTION_SOURCE] = "source", [SECTION_FRAGMENT] = "fragment", [SECTION_PAGE] = "page"};
    char quote[QUOTE_ROOM];
    snprintf(room, 2 * QUOTE_ROOM, "%s %s", kinds[place->section->kind],
             problem_quote(quote, place->section->title));
    return room;
}

/* Reports misplaced and missing options, and sets defaults. */
static void build_rest(struct builder *builder, struct place *place)
{
    enum option_section kind = place->section->kind;
    char called[2 * QUOTE_ROOM], types[OPTION_TYPES_ROOM], wrong[OPTION_WRONG_ROOM];
    if (kind == SECTION_SOURCE) {
        const struct given *type = given_of(place, "type");
        if (!type->value)
            problems_add(builder->problems, place->section->line, "%s: type is missing",
                         call(place, called));
        if (!type->value || type->bad)
            return; /* its other options are unknown */
    }
    for (size_t i = 0, count = options_count(); i < count; i++) {
        struct option_row row = option_row(i);
        const struct option *option = row.option;
        const struct value *value = place->given[i].value;
        if (row.section != kind)
            continue;
        if (value && !has_option(place, &row)) {
            option_types(option->name, types);
            problems_add(builder->problems, value->line, "%s is for sources of type %s",
                         option->name, types);
        } else if (!value && has_option(place, &row)) {
            if (option->required)
                problems_add(builder->problems, place->section->line, "%s: %s is missing",
                             call(place, called), option->name);
            else if (option->preset && !option_store(option, option->preset, place->target, wrong))
                problems_add(builder->problems, 0, "default of %s: %s", option->name, wrong);
        }
    }
}

/* Returns the first section of that kind and title. */
static const struct place *find_title(const struct builder *builder, enum option_section kind,
                                      const char *title)
{
    for (size_t i = 0; i < builder->document->section_count; i++) {
        const struct section *section = builder->places[i].section;
        if (section->kind == kind && strcmp(section->title, title) == 0)
            return &builder->places[i];
    }
    return NULL;
}

static void check_unique(const struct builder *builder, const struct place *place)
{
    char called[2 * QUOTE_ROOM], where[PLACE_ROOM];
    const struct section *section = place->section;
    const struct place *first = find_title(builder, section->kind, section->title);
    if (first != place)
        problems_add(builder->problems, section->line, "%s is defined twice; first in %s",
                     call(place, called),
                     problems_place(builder->problems, section->line, first->section->line, where));
}

/* The option's value, if it is set and valid. */
static const struct value *sound(const struct place *place, const char *name)
{
    const struct given *option = given_of(place, name);
    return option->bad ? NULL : option->value;
}

/* Such a result would be fetched again for each request, and never be served. */
static void warn_of_body(const struct builder *builder, const struct place *place)
{
    const struct conf *conf = builder->conf;
    const struct value *value = sound(place, "max_body");
    char quote[QUOTE_ROOM];
    size_t max_body;
    if (value && !units_parse_size(value->text, &max_body) && max_body > conf->max_unsent &&
        max_body > conf->cache.memory_bytes)
        problems_warn(builder->problems, value->line,
                      "max_body = %s is more than max_unsent and more than memory: a result that "
                      "fits into neither is rejected with 503; raise max_unsent",
                      problem_quote(quote, value->text));
}

/* A file that is too large to be read is known by its place and time. One that is not there counts
 * as empty; the check of its source reports it. */
static uint64_t digest_file(uint64_t digest, const char *path)
{
    size_t len = 0;
    const char *why;
    struct stat status;
    char *text = scan_read_file(path, &len, &why);
    digest = fnv_add(digest, (struct slice){.data = text, .len = text ? len : 0});
    if (!text && stat(path, &status) == 0) {
        digest =
            fnv_add(digest, (struct slice){(const char *)&status.st_ino, sizeof status.st_ino});
        digest =
            fnv_add(digest, (struct slice){(const char *)&status.st_mtim, sizeof status.st_mtim});
    }
    free(text);
    return digest;
}

/* So that a reload sees whether a file has changed. */
static uint64_t digest_files(const struct place *place)
{
    uint64_t digest = FNV_BEGIN;
    bool any = false;
    for (size_t i = 0, count = options_count(); i < count; i++) {
        struct option_row row = option_row(i);
        if (row.section != SECTION_SOURCE || !has_option(place, &row) ||
            row.option->kind != OPTION_PATH)
            continue;
        const char *path = *(const char **)((char *)place->target + row.option->offset);
        if (!path || !*path)
            continue;
        digest = digest_file(digest, path);
        any = true;
    }
    return any ? digest : 0;
}

/* Makes the paths of a section relative to the working directory. Returns false when out of memory,
 * which is reported. */
static bool resolve_paths(const struct builder *builder, const struct place *place)
{
    for (size_t i = 0, count = options_count(); i < count; i++) {
        struct option_row row = option_row(i);
        const char **member = (void *)((char *)place->target + row.option->offset);
        if (row.section != place->section->kind || !has_option(place, &row) ||
            row.option->kind != OPTION_PATH || !*member || !**member)
            continue;
        char *path = files_path(builder->problems, line_of(place, row.option->name),
                                row.option->directory, *member);
        if (!path)
            return false;
        free((char *)*member);
        *member = path;
    }
    return true;
}

static void build_source(struct builder *builder, struct place *place)
{
    struct source_settings *settings = place->target;
    char called[2 * QUOTE_ROOM];
    const char *wrong, *option = "type";
    check_unique(builder, place);
    if (!place->section->title[0])
        problems_add(builder->problems, place->section->line, "a source needs a name");
    for (size_t i = 0, count = options_count(); i < count; i++) {
        struct option_row row = option_row(i);
        if (row.section == SECTION_SOURCE && row.option->required && has_option(place, &row) &&
            (!place->given[i].value || place->given[i].bad))
            return;
    }
    if (!resolve_paths(builder, place))
        return;
    settings->files = digest_files(place);
    wrong = source_check(settings, &option);
    if (wrong)
        problems_add(builder->problems, line_of(place, option), "%s: %s", call(place, called),
                     wrong);
    warn_of_body(builder, place);
}

/* Checks a name, or the beginning of one and '*'. */
static const char *check_pattern(const char *pattern)
{
    char name[ROUTE_NAME_MAX + 1];
    size_t len = strlen(pattern);
    const char *star = strchr(pattern, '*');
    if (star && star[1])
        return "'*' can only be the last character";
    if (len <= ROUTE_NAME_MAX) {
        memcpy(name, pattern, len);
        if (star)
            name[len - 1] = 'x'; /* stands for any name that it matches */
        if (route_name_valid((struct slice){.data = name, .len = len}))
            return NULL;
    }
    return "not a name: it must be 1 to 255 bytes of UTF-8 without control characters, with no "
           "\"\", \".\" or \"..\" between its slashes";
}

/* If the name begins with a URL path or a slash, reports what to write instead. */
static bool check_slash(const struct builder *builder, const struct place *place)
{
    const char *pattern = place->section->title;
    size_t prefix = strlen(ROUTE_URL_PREFIX);
    bool has_prefix = strncmp(pattern, ROUTE_URL_PREFIX, prefix) == 0;
    const char *name = pattern + (has_prefix ? prefix : 1);
    char called[2 * QUOTE_ROOM], quote[QUOTE_ROOM];
    if (pattern[0] != '/' || check_pattern(name))
        return true;
    problems_add(builder->problems, place->section->line, "%s: the name must not %s: write %s",
                 call(place, called), has_prefix ? "include the URL prefix" : "begin with a slash",
                 problem_quote(quote, name));
    return false;
}

/* Writes "there are: slow, api". */
static void list_sources(const struct conf *conf, char *room, size_t size)
{
    size_t len = (size_t)snprintf(room, size, "there %s", conf->source_count ? "are:" : "is none");
    for (size_t i = 0; i < conf->source_count && len < size; i++) {
        bool last = i + 1 == conf->source_count, full = len + 60 > size;
        len += (size_t)snprintf(room + len, size - len, " %.40s%s",
                                full ? "..." : conf->sources[i]->name, last || full ? "" : ",");
        if (full)
            return;
    }
}

static void find_source(const struct builder *builder, const struct place *place,
                        struct recipe *recipe)
{
    const struct value *value = given(place, "source");
    const struct place *found;
    char called[2 * QUOTE_ROOM], quote[QUOTE_ROOM], names[300];
    if (!value)
        return;
    found = find_title(builder, SECTION_SOURCE, value->text);
    if (found) {
        unsigned index = 0;
        while (builder->conf->sources[index] != found->target)
            index++;
        recipe->source = index;
        return;
    }
    list_sources(builder->conf, names, sizeof(names));
    problems_add(builder->problems, value->line, "%s: no source named %s (%s)", call(place, called),
                 problem_quote(quote, value->text), names);
}

/* Reads the files of certificates to check them. */
static void build_cache(struct builder *builder, struct place *place)
{
    struct redis_settings *redis = &builder->conf->cache.redis;
    struct redis_problem problem;
    if (!resolve_paths(builder, place))
        return;
    size_t max_value = builder->conf->cache.max_value;
    if (redis->max_pending > 0 && max_value > redis->max_pending)
        problems_warn(builder->problems, line_of(place, "max_pending"),
                      "max_pending is less than max_value: a result between the two is never "
                      "stored in Redis; raise max_pending");
    /* Missing or invalid options have been reported. */
    if (!redis->address || !redis->tls_ca || !redis->tls_certificate || !redis->tls_key ||
        !redis->tls_name || redis_check_tls(redis, &problem))
        return;
    problems_add(builder->problems, line_of(place, problem.option), "%s: %s", problem.option,
                 problem.why);
}

/* The first matching pattern wins, so an earlier one of that kind may match everything that this
 * one does. */
static void check_reached(const struct builder *builder, const struct place *place)
{
    const char *title = place->section->title;
    char called[2 * QUOTE_ROOM], quote[QUOTE_ROOM], where[PLACE_ROOM];
    for (const struct place *earlier = builder->places; earlier < place; earlier++) {
        const struct section *section = earlier->section;
        if (section->kind != place->section->kind || strcmp(section->title, title) == 0)
            continue;
        const char *star = strchr(section->title, '*');
        if (star && star[1] == '\0' &&
            strncmp(section->title, title, (size_t)(star - section->title)) == 0) {
            problems_add(builder->problems, place->section->line,
                         "%s is never used: %s in %s comes first and matches all of it",
                         call(place, called), problem_quote(quote, section->title),
                         problems_place(builder->problems, place->section->line, section->line,
                                        where));
            return;
        }
    }
}

/* Checks whether the route fits its source, notes what follows from that, and warns if every name
 * gets the same result, although that may be intended: one page that says "not yet" for a part of a
 * site. */
static void check_use(const struct builder *builder, const struct place *place)
{
    struct route *route = place->target;
    const struct value *value = given(place, "source");
    const struct place *found = value ? find_title(builder, SECTION_SOURCE, value->text) : NULL;
    bool has_star = strchr(place->section->title, '*') != NULL;
    int line = place->section->line;
    char pattern[QUOTE_ROOM], source[QUOTE_ROOM], called[2 * QUOTE_ROOM], why[SOURCE_WHY_ROOM];
    char where[PLACE_ROOM];
    if (!found || !found->type)
        return;
    route->recipe.freshness.always_shared = found->type->via_cache;
    problem_quote(pattern, place->section->title);
    problem_quote(source, value->text);
    if (!source_check_rules(found->target, &route->recipe.rules, why))
        problems_add(builder->problems, line, "%s uses source %s, %s", call(place, called), source,
                     why);
    const char *option = source_lacks_name(found->target);
    if (has_star && option)
        problems_warn(builder->problems, line,
                      "every name of %s gets the same result, since the %s of source %s has no "
                      "{name}; add it in %s, where the name belongs",
                      pattern, option, source,
                      problems_place(builder->problems, line, line_of(found, option), where));
    option = source_uses_rest(found->target);
    if (!has_star && option)
        problems_warn(builder->problems, line,
                      "{rest} in the %s of source %s is empty for %s, which has no *; use {name} "
                      "in %s, or another source",
                      option, source, pattern,
                      problems_place(builder->problems, line, line_of(found, option), where));
}

/* Warns of settings that are allowed but usually not intended. */
static void warn_of_fragment(const struct builder *builder, const struct place *place)
{
    const struct route *route = place->target;
    const struct freshness *freshness = &route->recipe.freshness;
    const struct value *stale = sound(place, "stale"), *hold = sound(place, "hold");
    const struct value *stale_error = sound(place, "stale_error");
    const char *prefix = &ROUTE_URL_PREFIX[1];
    char called[2 * QUOTE_ROOM], quote[QUOTE_ROOM], other[QUOTE_ROOM];
    if (strncmp(route->pattern, prefix, strlen(prefix)) == 0) {
        const char *name = route->pattern + strlen(prefix);
        problems_warn(builder->problems, place->section->line,
                      "the URL of %s is " ROUTE_URL_PREFIX "%s; for /%s write %s",
                      call(place, called), route->pattern, route->pattern,
                      problem_quote(quote, name));
    }
    if (stale && stale_error && freshness->stale_error > 0 &&
        freshness->stale_error <= freshness->stale)
        problems_warn(builder->problems, stale_error->line,
                      "stale_error = %s has no effect, since stale = %s already serves the result "
                      "for "
                      "that long; make stale_error longer than stale",
                      problem_quote(quote, stale_error->text), problem_quote(other, stale->text));
    if (route->recipe.rules.ignores_origin)
        problems_warn(builder->problems, line_of(place, "origin"),
                      "%s caches results that its source forbids sharing, and every visitor gets "
                      "them (origin = \"ignore\")",
                      call(place, called));
    if (hold && route->recipe.hold > HOLD_DOUBTFUL_S)
        problems_warn(
            builder->problems, hold->line,
            "hold = %s: nginx answers 504 after 60s (fastcgi_read_timeout), and other front "
            "servers have a similar timeout; raise it above hold, or set hold to 55s or less",
            problem_quote(quote, hold->text));
}

static void build_rendering(const struct builder *builder, const struct place *place)
{
    char called[2 * QUOTE_ROOM];
    const struct value *template = sound(place, "template"), *required = given(place, "required");
    struct rendering_lines lines = {.template = template ? template->line : 0,
                                    .required = required ? required->line : 0};
    rendering_build(builder->conf, place->target, call(place, called), &lines, builder->problems);
}

static void build_top(const struct builder *builder, const struct place *place)
{
    const struct value *value = sound(place, "templates");
    if (value && *value->text && resolve_paths(builder, place))
        rendering_check_directory(builder->conf, value->line, builder->problems);
}

static void build_vary(const struct builder *builder, const struct place *place)
{
    char called[2 * QUOTE_ROOM], wrong[VARY_WRONG_ROOM];
    const char *option = given_of(place, "vary")->bad ? NULL : vary_build(place->target, wrong);
    if (option)
        problems_add(builder->problems, line_of(place, option), "%s: %s", call(place, called),
                     wrong);
}

/* Where the config does not say for how long a result is good, the source may. */
static void build_freshness(struct builder *builder, const struct place *place)
{
    static const char *const without_ttl[] = {"default_ttl", "ttl_min", "ttl_max"};
    struct route *route = place->target;
    struct freshness *freshness = &route->recipe.freshness;
    freshness->stale_by_source = !given(place, "stale");
    freshness->error_by_source = !given(place, "stale_error");
    freshness->browser_ttl_is_set = given(place, "browser_ttl") != NULL;
    freshness->ttl_by_source = !given(place, "ttl");
    if (freshness->ttl_by_source) {
        freshness->ttl = freshness->default_ttl;
        if (freshness->ttl_min > freshness->ttl_max)
            problems_add(builder->problems, line_of(place, "ttl_min"),
                         "ttl_min is more than ttl_max");
        return;
    }
    for (size_t i = 0; i < sizeof without_ttl / sizeof *without_ttl; i++)
        if (given(place, without_ttl[i]))
            problems_warn(builder->problems, line_of(place, without_ttl[i]),
                          "%s has no effect, since ttl is set: then what the source says does not "
                          "count",
                          without_ttl[i]);
}

static void build_fragment(struct builder *builder, struct place *place)
{
    struct route *route = place->target;
    const struct value *fallback = given(place, "fallback");
    char called[2 * QUOTE_ROOM];
    const char *wrong = check_pattern(route->pattern);
    check_unique(builder, place);
    if (!wrong)
        check_reached(builder, place);
    else if (check_slash(builder, place))
        problems_add(builder->problems, place->section->line, "%s: %s", call(place, called), wrong);
    route->recipe.number = (unsigned)(route - builder->conf->routes);
    route->recipe.tally = route_tally_of(route->pattern);
    find_source(builder, place, &route->recipe);
    build_freshness(builder, place);
    if (fallback)
        fallback_read(route, builder->problems, fallback->line, fallback->text);
    build_vary(builder, place);
    build_rendering(builder, place);
    route->recipe.rules.has_template = route->template && *route->template;
    if (wrong)
        return;
    check_use(builder, place);
    warn_of_fragment(builder, place);
}

static void build_page(struct builder *builder, struct place *place)
{
    struct page *page = place->target;
    const struct value *file = sound(place, "file");
    char called[2 * QUOTE_ROOM];
    check_unique(builder, place);
    check_reached(builder, place);
    if (!resolve_paths(builder, place))
        return;
    if (!given(place, "page_hold"))
        page->hold = builder->conf->page_hold;
    pages_build(page, call(place, called), place->section->line, file ? file->line : 0,
                builder->problems);
}

/* Results that come by the cache need one that others can write into. */
static void check_redis(const struct builder *builder, const struct place *place)
{
    const char *redis = builder->conf->cache.redis.address;
    char called[2 * QUOTE_ROOM];
    if (place->type && place->type->via_cache && redis && !*redis)
        problems_add(builder->problems, line_of(place, "type"),
                     "%s: type = \"%s\" needs a Redis: set redis in the cache section",
                     call(place, called), place->type->name);
}

/* What depends on other sections. */
static void check_whole(const struct builder *builder, const struct place *place)
{
    char called[2 * QUOTE_ROOM];
    check_redis(builder, place);
    if (place->section->kind == SECTION_PAGE)
        pages_check(builder->conf, place->target, call(place, called), line_of(place, "file"),
                    builder->problems);
}

/* If the document was not parsed to its end, only its values are checked: what is missing may be in
 * the rest. */
static void build_all(struct builder *builder, int last_line)
{
    const struct document *document = builder->document;
    if (!build_places(builder))
        return;
    for (size_t i = 0; i < document->value_count; i++)
        build_value(builder, &document->values[i]);
    for (size_t i = 0; document->whole && i < document->section_count; i++) {
        struct place *place = &builder->places[i];
        build_rest(builder, place);
        if (place->section->kind == SECTION_TOP)
            build_top(builder, place);
        else if (place->section->kind == SECTION_SOURCE)
            build_source(builder, place);
        else if (place->section->kind == SECTION_CACHE)
            build_cache(builder, place);
        else if (place->section->kind == SECTION_FRAGMENT)
            build_fragment(builder, place);
        else if (place->section->kind == SECTION_PAGE)
            build_page(builder, place);
    }
    for (size_t i = 0; document->whole && i < document->section_count; i++)
        check_whole(builder, &builder->places[i]);
    if (document->whole)
        rendering_complete(builder->conf, line_of(&builder->places[0], "templates"),
                           builder->problems);
    if (document->whole && builder->conf->route_count == 0)
        problems_add(builder->problems, last_line, "no fragment section: nothing to serve");
}

void build(struct conf *conf, const struct document *document, int last_line,
           struct problems *problems)
{
    struct builder builder = {.conf = conf, .document = document, .problems = problems};
    build_all(&builder, last_line);
    free(builder.given);
    free(builder.places);
}
