/* Reads directives. */
#include "source/directives.h"

#include "base/byte.h"
#include "source/structured.h"

/* One directive with its argument. */
struct directive {
    struct slice name;
    bool has_argument;
    struct slice argument; /* without the quotes */
};

static struct slice take_token(struct slice *text)
{
    struct slice token = {.data = text->data};
    while (token.len < text->len && byte_is_of_token(text->data[token.len]))
        token.len++;
    *text = slice_from(*text, token.len);
    return token;
}

/* Takes a quoted string, without its quotes; a backslash quotes a byte. Returns false, and takes
 * nothing, if its end is missing. */
static bool take_quoted(struct slice *text, struct slice *inside)
{
    for (size_t i = 1; i < text->len; i++) {
        if (text->data[i] == '\\') {
            i++;
        } else if (text->data[i] == '"') {
            *inside = (struct slice){.data = text->data + 1, .len = i - 1};
            *text = slice_from(*text, i + 1);
            return true;
        }
    }
    return false;
}

static struct slice take_argument(struct slice *text)
{
    struct slice argument = {.data = text->data};
    if (text->len > 0 && text->data[0] == '"' && take_quoted(text, &argument))
        return argument;
    while (argument.len < text->len && !strchr(",; \t", text->data[argument.len]))
        argument.len++;
    *text = slice_from(*text, argument.len);
    return argument;
}

/* Takes the next directive. Anything between two directives that is not in the syntax (a semicolon,
 * a missing comma) separates them. Returns false if there are no more. */
static bool next_directive(struct slice *text, struct directive *directive)
{
    while (text->len > 0 && !byte_is_of_token(text->data[0]))
        *text = slice_from(*text, 1);
    if (text->len == 0)
        return false;
    directive->name = take_token(text);
    directive->has_argument = text->len > 0 && text->data[0] == '=';
    if (directive->has_argument) {
        *text = slice_from(*text, 1);
        directive->argument = take_argument(text);
    }
    return true;
}

bool directives_read_seconds(struct slice text, int64_t *seconds)
{
    *seconds = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *seconds = *seconds * 10 + (text.data[i] - '0');
        if (*seconds > DIRECTIVE_MOST_S)
            *seconds = DIRECTIVE_MOST_S;
    }
    return text.len > 0;
}

/* The member for a directive that is only there or not; NULL: it is another one. */
static bool *flag_of(struct directives *directives, struct slice name)
{
    const struct {
        struct slice name;
        bool *flag;
    } flags[] = {
        {SLICE("no-store"), &directives->no_store},
        {SLICE("no-cache"), &directives->no_cache},
        {SLICE("private"), &directives->is_private},
        {SLICE("public"), &directives->is_public},
        {SLICE("must-revalidate"), &directives->must_revalidate},
        {SLICE("proxy-revalidate"), &directives->must_revalidate},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (slice_equal_nocase(flags[i].name, name))
            return flags[i].flag;
    return NULL;
}

/* The member for a directive that has a time; NULL: it is another one. */
static int64_t *time_of(struct directives *directives, struct slice name)
{
    const struct {
        struct slice name;
        int64_t *time_s;
    } times[] = {
        {SLICE("max-age"), &directives->max_age_s},
        {SLICE("s-maxage"), &directives->s_maxage_s},
        {SLICE("stale-while-revalidate"), &directives->stale_s},
        {SLICE("stale-if-error"), &directives->stale_error_s},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (slice_equal_nocase(times[i].name, name))
            return times[i].time_s;
    return NULL;
}

static void apply(struct directives *directives, const struct directive *directive)
{
    bool *flag = flag_of(directives, directive->name);
    int64_t *time_s = time_of(directives, directive->name);
    if (flag)
        *flag = true;
    if (time_s && *time_s == DIRECTIVE_NOT_SAID &&
        (!directive->has_argument || !directives_read_seconds(directive->argument, time_s)))
        *time_s = 0;
}

void directives_add(struct directives *directives, struct slice value)
{
    struct directive directive;
    while (next_directive(&value, &directive))
        apply(directives, &directive);
}

void directives_add_surrogate(struct directives *directives, struct slice value)
{
    struct directive directive;
    while (next_directive(&value, &directive)) {
        const char *plus = directive.has_argument && directive.argument.len > 0
                               ? memchr(directive.argument.data, '+', directive.argument.len)
                               : NULL;
        if (plus && slice_equal_nocase(directive.name, SLICE("max-age"))) {
            size_t len = (size_t)(plus - directive.argument.data);
            struct directive more = {.name = SLICE("stale-while-revalidate"),
                                     .has_argument = true,
                                     .argument = slice_from(directive.argument, len + 1)};
            directive.argument.len = len;
            apply(directives, &more);
        }
        apply(directives, &directive);
    }
}

bool directives_add_dictionary(struct directives *directives, struct slice value, size_t *members)
{
    struct structured_reader reader = structured_read(value);
    struct structured_member member;
    while (structured_next(&reader, &member)) {
        bool *flag = flag_of(directives, member.key);
        int64_t *time_s = time_of(directives, member.key);
        ++*members;
        if (flag)
            *flag = member.kind != STRUCTURED_BOOLEAN || member.number != 0;
        if (time_s) /* RFC 9213 2.1: a time is an Integer */
            *time_s = member.kind != STRUCTURED_INTEGER || member.number < 0 ? 0
                      : member.number > DIRECTIVE_MOST_S                     ? DIRECTIVE_MOST_S
                                                                             : member.number;
    }
    return !reader.bad;
}

struct slice directives_next_token(struct slice *list)
{
    while (list->len > 0 && !byte_is_of_token(list->data[0]))
        *list = slice_from(*list, 1);
    return take_token(list);
}
