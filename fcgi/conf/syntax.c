/* Parses one file's text with libconfuse. No other file of ours knows confuse.h.
 *
 *     text --> cfg_parse_buf --+-- on_section --> document.sections
 *                              +-- on_value ----> document.values
 *                              +-- on_error ----> problems
 *
 * Its tree is discarded: it has no lines of values and only the last line of a section, and it
 * drops the first of two sections with the same title. Its callbacks know the line, so they build
 * the document. It stops at an unknown option; then that name is added as a dummy option, and it
 * parses again, to find more problems.
 */
#include "conf/syntax.h"

#include <confuse.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define UNKNOWN_MAX 16
#define LIST_MAX    64

struct unknown {
    enum option_section section;
    char *name;
};

struct reader {
    struct document *document;
    struct problems *problems;
    struct unknown unknown[UNKNOWN_MAX];
    size_t unknown_count;
    int before, last; /* lines of other files before this one; its last line */
    bool again;       /* an unknown option was found: parse again */
    bool explained;   /* the reason of the failure has been reported */
    bool no_memory;
};

/* libconfuse passes no context to its callbacks. It can't run twice at a time: its lexer is
 * global. */
static struct reader *reader;

static enum option_section kind_of(const cfg_t *cfg)
{
    static const char *const names[SECTION_KINDS] = {"root", "cache", "source", "fragment", "page"};
    size_t kind = SECTION_KINDS - 1;
    while (kind > SECTION_TOP && strcmp(cfg->name, names[kind]) != 0)
        kind--;
    return (enum option_section)kind;
}

/* At the end of the file, libconfuse reports the line after the last one. */
static int line_of(const cfg_t *cfg)
{
    int line = reader->before + cfg->line;
    return line < reader->last ? line : reader->last;
}

/* Makes room for one more element: an array's capacity is a power of two. */
static bool grow(void **items, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return true;
    void *larger = alloc_resized(*items, (count > 0 ? 2 * count : 1) * size);
    if (!larger)
        return false;
    *items = larger;
    return true;
}

bool document_add_section(struct document *document, struct section section)
{
    void *sections = document->sections;
    if (!grow(&sections, document->section_count, sizeof section))
        return false;
    document->sections = sections;
    document->sections[document->section_count++] = section;
    return true;
}

bool document_add_value(struct document *document, struct value value)
{
    void *values = document->values;
    if (!grow(&values, document->value_count, sizeof value))
        return false;
    document->values = values;
    document->values[document->value_count++] = value;
    return true;
}

static bool add_section(enum option_section kind, const char *title, int line)
{
    char *copy = title ? alloc_copy(title, strlen(title)) : NULL;
    struct section section = {.kind = kind, .title = copy, .line = line};
    if ((title && !copy) || !document_add_section(reader->document, section)) {
        free(copy);
        reader->no_memory = true;
        return false;
    }
    return true;
}

static bool is_unknown(enum option_section section, const char *name)
{
    for (size_t i = 0; i < reader->unknown_count; i++)
        if (reader->unknown[i].section == section && strcmp(reader->unknown[i].name, name) == 0)
            return true;
    return false;
}

static void on_unknown(const cfg_t *cfg, const char *name)
{
    char quote[QUOTE_ROOM], hint[OPTION_HINT_ROOM], *copy;
    enum option_section section = kind_of(cfg);
    reader->explained = true;
    if (is_unknown(section, name))
        return;
    option_hint(section, name, hint);
    problems_add(reader->problems, line_of(cfg), "no option %s %s%s", problem_quote(quote, name),
                 section_place(section), hint);
    if (reader->unknown_count == UNKNOWN_MAX || !(copy = alloc_copy(name, strlen(name))))
        return;
    reader->unknown[reader->unknown_count++] = (struct unknown){.section = section, .name = copy};
    reader->again = true;
}

/* Called when a source or fragment section begins: each has a hidden option, and this is its
 * parser, which gets the default. libconfuse aborts if a default is rejected. */
static int on_section(cfg_t *cfg, cfg_opt_t *hidden, const char *text, void *result)
{
    (void)text;
    *(void **)result = NULL;
    if (kind_of(cfg) >= SECTION_SOURCE)
        add_section(kind_of(cfg), cfg_title(cfg) ? cfg_title(cfg) : "", line_of(cfg));
    else
        on_unknown(cfg, hidden->name); /* "source=s|" reaches it from outside */
    return 0;
}

/* The value's text is copied. */
static bool add_value(struct value value)
{
    char *copy = reader->no_memory ? NULL : alloc_copy(value.text, strlen(value.text));
    value.text = copy;
    if (!copy || !document_add_value(reader->document, value)) {
        free(copy);
        reader->no_memory = true;
        return false;
    }
    return true;
}

/* Called for each value, also of unknown options. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
    enum option_section kind = kind_of(cfg);
    size_t option = option_find(kind, NULL, opt->name);
    bool known = option < options_count();
    *(void **)result = NULL;
    if (!known)
        on_unknown(cfg, opt->name); /* "cache|redis" reaches into a section */
    if (cfg_opt_size(opt) > LIST_MAX) {
        if (known)
            problems_add(reader->problems, line_of(cfg), "more than %d values of %s", LIST_MAX,
                         opt->name);
        reader->explained = true;
        return -1;
    }
    if (!known)
        return 0;
    struct value value = {
        .option = option,
        .section = kind < SECTION_SOURCE ? (size_t)kind : reader->document->section_count - 1,
        .after = reader->document->section_count,
        .line = line_of(cfg),
        .begins = cfg_opt_size(opt) <= 1,
        .text = (char *)text,
    };
    return add_value(value) ? 0 : -1;
}

/* What an error of libconfuse's parser does not say; "" if it says enough. */
static const char *hint(const char *format, const char *name, const char *text)
{
    if (name && strcmp(name, "source") == 0 && strstr(format, "missing equal sign"))
        return ", or the } that closes the section above it"; /* a section has that name, too */
    if (strcmp(format, "missing title for section '%s'") == 0)
        return ": write its name in quotes before the {";
    if (strcmp(format, "unexpected token '%s'") != 0)
        return "";
    return strstr(text, "'{'") ? ": only sections and options that take a list have braces"
                               : ": a comma, a quote or a = may be missing before it";
}

__attribute__((format(printf, 2, 0))) /* the format strings of libconfuse */
static void
on_error(cfg_t *cfg, const char *format, va_list arguments)
{
    char text[256];
    const char *name = NULL;
    if (strstr(format, "option '%s'")) { /* such messages have no other argument */
        va_list copy;
        va_copy(copy, arguments);
        name = va_arg(copy, const char *);
        va_end(copy);
    }
    if (name && strcmp(format, "no such option '%s'") == 0) {
        on_unknown(cfg, name);
        return;
    }
    reader->explained = true;
    if (name && is_unknown(kind_of(cfg), name)) /* it was written as a section */
        return;
    vsnprintf(text, sizeof(text), format, arguments);
    problems_add(reader->problems, line_of(cfg), "%s%s", text, hint(format, name, text));
}

/* Capacity for the options of a section: all rows, sections, unknown options, a hidden one, and the
 * final zeroes. */
static size_t opts_room(void)
{
    return options_count() + SECTION_KINDS + UNKNOWN_MAX + 2;
}

/* Sets the options that libconfuse accepts: ours, the sections, and unknown ones that it found
 * before (as lists, since a list can be written like a single value). */
static void describe(cfg_opt_t *opts[SECTION_KINDS])
{
    size_t count[SECTION_KINDS] = {0};
    for (size_t i = SECTION_SOURCE; i < SECTION_KINDS; i++)
        opts[i][count[i]++] = (cfg_opt_t)CFG_PTR_CB("", "x", CFGF_NONE, on_section, NULL);
    for (size_t i = 0, rows = options_count(); i < rows; i++) {
        struct option_row row = option_row(i);
        if (option_find(row.section, NULL, row.option->name) != i)
            continue; /* another type of source has it as well */
        cfg_opt_t *opt = &opts[row.section][count[row.section]++];
        *opt = (cfg_opt_t)CFG_PTR_CB(row.option->name, NULL, CFGF_NODEFAULT, on_value, NULL);
        if (row.option->kind == OPTION_LIST || row.option->kind == OPTION_INCLUDE)
            opt->flags |= CFGF_LIST;
    }
    for (size_t i = 0; i < reader->unknown_count; i++) {
        const struct unknown *unknown = &reader->unknown[i];
        opts[unknown->section][count[unknown->section]++] =
            (cfg_opt_t)CFG_PTR_LIST_CB(unknown->name, NULL, CFGF_NODEFAULT, on_value, NULL);
    }
    cfg_opt_t *top = &opts[SECTION_TOP][count[SECTION_TOP]];
    *top++ = (cfg_opt_t)CFG_SEC("cache", opts[SECTION_CACHE], CFGF_NONE);
    *top++ = (cfg_opt_t)CFG_SEC("source", opts[SECTION_SOURCE], CFGF_MULTI | CFGF_TITLE);
    *top++ = (cfg_opt_t)CFG_SEC("fragment", opts[SECTION_FRAGMENT], CFGF_MULTI | CFGF_TITLE);
    *top = (cfg_opt_t)CFG_SEC("page", opts[SECTION_PAGE], CFGF_MULTI | CFGF_TITLE);
}

/* Whether the text was parsed to its end. */
static bool parse_once(const char *text)
{
    cfg_opt_t *opts[SECTION_KINDS];
    cfg_t *cfg;
    bool whole;
    document_free(reader->document);
    reader->again = reader->explained = false;
    if (!add_section(SECTION_TOP, NULL, reader->before + 1) ||
        !add_section(SECTION_CACHE, NULL, reader->before + 1))
        return false;
    opts[0] = alloc_zeroed(SECTION_KINDS * opts_room() * sizeof(cfg_opt_t)); /* zeroes end each */
    if (!opts[0]) {
        reader->no_memory = true;
        return false;
    }
    for (size_t i = 1; i < SECTION_KINDS; i++)
        opts[i] = opts[i - 1] + opts_room();
    describe(opts);
    cfg = cfg_init(opts[SECTION_TOP], CFGF_NONE);
    if (!cfg) {
        free(opts[0]);
        reader->no_memory = true;
        return false;
    }
    cfg_set_error_function(cfg, on_error);
    whole = cfg_parse_buf(cfg, text) == CFG_SUCCESS && !reader->no_memory;
    if (!whole && !reader->explained && !reader->no_memory)
        problems_add(reader->problems, line_of(cfg), "syntax error");
    cfg_free(cfg);
    free(opts[0]);
    return whole;
}

void syntax_parse(const char *text, int before, int last, struct document *document,
                  struct problems *problems)
{
    struct reader here = {.document = document,
                          .problems = problems,
                          .before = before,
                          .last = last};
    reader = &here;
    do {
        document->whole = parse_once(text);
    } while (here.again && !here.no_memory);
    if (here.no_memory)
        problems_add(problems, 0, "out of memory");
    while (here.unknown_count > 0)
        free(here.unknown[--here.unknown_count].name);
    reader = NULL;
}

void document_free(struct document *document)
{
    for (size_t i = 0; i < document->section_count; i++)
        free(document->sections[i].title);
    for (size_t i = 0; i < document->value_count; i++)
        free(document->values[i].text);
    free(document->sections);
    free(document->values);
    *document = (struct document){0};
}
