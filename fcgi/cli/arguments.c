/* The table of options, and the parser of getopt_long around it. */
#include "cli/arguments.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/spelling.h"
#include "conf/units.h"

#define LONG_ONLY   256 /* getopt_long returns this plus the number of an option without a letter */
#define HELP_COLUMN 26
#define HELP_WIDTH  80

enum value_kind { VALUE_NONE, VALUE_TEXT, VALUE_DURATION, VALUE_HEADER };

struct cli_option {
    const char *name;
    char letter; /* 0: none */
    enum value_kind kind;
    const char *value; /* what the help calls its value */
    size_t offset;     /* of its member in struct arguments */
    const char *help;
};

#define AT(member) offsetof(struct arguments, member)

/* clang-format off */
static const struct cli_option options[] = {
    {"config", 'c', VALUE_TEXT, "FILE", AT(config), "the config file"},
    {"socket", 's', VALUE_TEXT, "ADDRESS", AT(socket),
     "the daemon's address (unix:PATH or tcp:HOST:PORT) instead of the config's"},
    {"timeout", 0, VALUE_DURATION, "TIME", AT(timeout),
     "give up if the daemon sends nothing for this time, such as 500ms or 10s (default: 5s; get "
     "also allows for the fragment's hold)"},
    {"test", 't', VALUE_NONE, NULL, AT(test), "check the config and exit"},
    {"verbose", 'v', VALUE_NONE, NULL, AT(verbose), "log in detail (debug level)"},
    {"include", 'i', VALUE_NONE, NULL, AT(include), "print the status and the headers, too"},
    {"header", 'H', VALUE_HEADER, "'NAME: VALUE'", 0,
     "send this request header; may be given several times"},
    {"json", 'j', VALUE_NONE, NULL, AT(json), "print JSON"},
    {"full", 'f', VALUE_NONE, NULL, AT(full), "list the fragments in progress, too"},
    {"watch", 'w', VALUE_NONE, NULL, AT(watch), "show it on the terminal until Ctrl-C"},
    {"interval", 0, VALUE_DURATION, "TIME", AT(interval),
     "how often to refresh the view (default: 1s)"},
    {"soft", 0, VALUE_NONE, NULL, AT(soft), "make the entries stale instead of removing them"},
    {"exact", 0, VALUE_NONE, NULL, AT(exact), "a * at the end of a name is a part of the name"},
    {"fast", 0, VALUE_NONE, NULL, AT(fast),
     "send waiting requests to other processes instead of finishing them"},
    {"wait", 0, VALUE_DURATION, "TIME", AT(wait),
     "how long to wait until it has ended; 0: do not wait (default: as long as the config lets it "
     "take, and 5s)"},
    {"partials", 0, VALUE_TEXT, "DIR", AT(partials),
     "where partials are (default: the directory of the template)"},
    {"version", 'V', VALUE_NONE, NULL, AT(version), "print the version and exit"},
    {"help", 'h', VALUE_NONE, NULL, AT(help), "print this help and exit"},
};
/* clang-format on */

#define OPTIONS (sizeof options / sizeof options[0])

static bool has_option(const struct command *command, const struct cli_option *option)
{
    size_t len = strlen(option->name);
    for (const char *at = command->options; (at = strstr(at, option->name)); at += len)
        if ((at == command->options || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
            return true;
    return false;
}

/* The command's option of that long name, or NULL. */
static const struct cli_option *find_option(const struct command *command, const char *name,
                                            size_t len)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (has_option(command, &options[i]) && strlen(options[i].name) == len &&
            memcmp(options[i].name, name, len) == 0)
            return &options[i];
    return NULL;
}

/* --- messages --- */

static void hint_at(FILE *errors, const char *before, const char *meant)
{
    if (meant)
        fprintf(errors, "; did you mean %s%s?", before, meant);
}

/* Ends a message. */
static bool refuse(const struct command *command, FILE *errors)
{
    fprintf(errors, "\nTry: workerless %s --help\n", command->name);
    return false;
}

static void consider(const char *given, const char *candidate, unsigned *nearest,
                     const char **meant)
{
    unsigned distance = spelling_distance(given, candidate);
    if (distance >= *nearest)
        return;
    *nearest = distance;
    *meant = candidate;
}

static bool refuse_command(const struct command *commands, size_t count, const char *given,
                           FILE *errors)
{
    unsigned nearest = spelling_limit(given);
    const char *meant = NULL;
    for (size_t i = 0; i < count; i++)
        consider(given, commands[i].name, &nearest, &meant);
    fprintf(errors, "workerless: there is no command \"%s\"", given);
    hint_at(errors, "", meant);
    fputs("\nTry: workerless --help\n", errors);
    return false;
}

static bool refuse_option(const struct command *command, const char *given, FILE *errors)
{
    char name[SPELLING_MAX + 1];
    const char *meant = NULL;
    size_t len = strcspn(given, "=");
    if (given[len] && find_option(command, given + 2, len - 2)) {
        fprintf(errors, "workerless: %.*s takes no value", (int)len, given);
        return refuse(command, errors);
    }
    fprintf(errors, "workerless: %s has no option %.*s", command->name, (int)len, given);
    if (strncmp(given, "--", 2) == 0 && len - 2 < sizeof name) {
        memcpy(name, given + 2, len - 2);
        name[len - 2] = '\0';
        unsigned nearest = spelling_limit(name);
        for (size_t i = 0; i < OPTIONS; i++)
            if (has_option(command, &options[i]))
                consider(name, options[i].name, &nearest, &meant);
    }
    hint_at(errors, "--", meant);
    return refuse(command, errors);
}

/* --- parsing --- */

static const struct cli_option *option_of(int code)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (code == (options[i].letter ? options[i].letter : LONG_ONLY + (int)i))
            return &options[i];
    check_never("a code of getopt_long without an option");
}

/* Stores the value of an option. Returns NULL, or what is wrong with it. */
static const char *store(struct arguments *arguments, const struct cli_option *option,
                         const char *value)
{
    void *member = (char *)arguments + option->offset;
    switch (option->kind) {
    case VALUE_NONE:
        *(bool *)member = true;
        return NULL;
    case VALUE_TEXT:
        *(const char **)member = value;
        arguments->config_given |= option->offset == AT(config);
        return NULL;
    case VALUE_DURATION:
        return units_parse_duration(value, member);
    case VALUE_HEADER:
        break;
    }
    if (arguments->header_count == ARGUMENTS_HEADERS_MAX)
        return "there are too many headers";
    arguments->headers[arguments->header_count++] = value;
    return NULL;
}

/* Makes the tables of getopt_long. `letters` begins with "+:" or ":". */
static void list_options(const struct command *command, const char *first, char *letters,
                         struct option *longs)
{
    letters = stpcpy(letters, first);
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct cli_option *option = &options[i];
        if (!has_option(command, option))
            continue;
        *longs++ = (struct option){
            .name = option->name,
            .has_arg = option->kind == VALUE_NONE ? no_argument : required_argument,
            .val = option->letter ? option->letter : LONG_ONLY + (int)i,
        };
        if (option->letter)
            *letters++ = option->letter;
        if (option->letter && option->kind != VALUE_NONE)
            *letters++ = ':';
    }
    *letters = '\0';
    *longs = (struct option){0};
}

/* The text of the option that getopt_long has refused: a long one, or a letter, which may stand
 * among others. */
static const char *refused_option(char **argv, char room[3])
{
    const char *word = argv[optind - 1];
    if (optopt == 0 || strncmp(word, "--", 2) == 0)
        return word;
    room[0] = '-';
    room[1] = (char)optopt;
    room[2] = '\0';
    return room;
}

/* Reads the options that the command has. `first`: getopt_long's mode; with "+:" it stops at the
 * first operand. Sets bits of *given. */
static bool parse_options(struct arguments *arguments, const char *first, int argc, char **argv,
                          unsigned *given, FILE *errors)
{
    const struct command *command = arguments->command;
    char letters[3 * OPTIONS + 3], room[3];
    struct option longs[OPTIONS + 1];
    int code;
    list_options(command, first, letters, longs);
    opterr = 0;
    optind = 0; /* glibc: start over, with another argv */
    while ((code = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (code == '?')
            return refuse_option(command, refused_option(argv, room), errors);
        if (code == ':') {
            fprintf(errors, "workerless: %s needs a value", refused_option(argv, room));
            return refuse(command, errors);
        }
        const struct cli_option *option = option_of(code);
        const char *wrong = store(arguments, option, optarg);
        *given |= 1u << (option - options);
        if (wrong) {
            fprintf(errors, "workerless: --%s %s: %s", option->name, optarg, wrong);
            return refuse(command, errors);
        }
    }
    return true;
}

/* Whether the command that is named has the options that came before its name. */
static bool takes_over(const struct command *command, unsigned given, FILE *errors)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!(given >> i & 1) || has_option(command, &options[i]))
            continue;
        fprintf(errors, "workerless: %s has no option --%s", command->name, options[i].name);
        return refuse(command, errors);
    }
    return true;
}

static bool check_operands(const struct arguments *arguments, FILE *errors)
{
    const struct command *command = arguments->command;
    if (arguments->help || arguments->version)
        return true;
    if (arguments->operand_count < command->least) {
        fprintf(errors, "workerless: %s needs %s", command->name, command->operands);
        return refuse(command, errors);
    }
    if (arguments->operand_count <= command->most)
        return true;
    fprintf(errors, "workerless: unexpected argument \"%s\"", arguments->operands[command->most]);
    return refuse(command, errors);
}

bool arguments_parse(struct arguments *arguments, const struct command *commands, size_t count,
                     const char *config, int argc, char **argv, FILE *errors)
{
    unsigned given = 0;
    *arguments = (struct arguments){.command = commands,
                                    .config = config,
                                    .timeout = ARGUMENTS_NOT_GIVEN,
                                    .interval = ARGUMENTS_NOT_GIVEN,
                                    .wait = ARGUMENTS_NOT_GIVEN};
    if (!parse_options(arguments, "+:", argc, argv, &given, errors))
        return false;
    argc -= optind;
    argv += optind;
    if (argc > 0) {
        const struct command *named = NULL;
        for (size_t i = 0; i < count && !named; i++)
            if (strcmp(commands[i].name, argv[0]) == 0)
                named = &commands[i];
        if (!named)
            return refuse_command(commands, count, argv[0], errors);
        arguments->command = named;
        arguments->named = true;
        if (!takes_over(named, given, errors) ||
            !parse_options(arguments, ":", argc, argv, &given, errors))
            return false;
        argc -= optind;
        argv += optind;
    }
    arguments->operands = argv;
    arguments->operand_count = (size_t)argc;
    return check_operands(arguments, errors);
}

/* --- help --- */

/* Words in lines of at most HELP_WIDTH columns, of which the first begins at `column`, and the
 * others at `indent`. */
static void write_wrapped(FILE *out, const char *text, int column, int indent)
{
    bool first = true;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (!first && column + 1 + word > HELP_WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
            first = true;
        }
        column += fprintf(out, "%s%.*s", first ? "" : " ", word, text);
        first = false;
        text += word + (text[word] == ' ');
    }
    fputc('\n', out);
}

void arguments_list_options(const struct command *command, FILE *out)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct cli_option *option = &options[i];
        char letter[5] = "    ";
        if (!has_option(command, option))
            continue;
        if (option->letter)
            snprintf(letter, sizeof letter, "-%c, ", option->letter);
        int column = fprintf(out, "  %s--%s%s%s", letter, option->name, option->value ? " " : "",
                             option->value ? option->value : "");
        if (column >= HELP_COLUMN) {
            fputc('\n', out);
            column = 0;
        }
        column += fprintf(out, "%*s", HELP_COLUMN - column, "");
        write_wrapped(out, option->help, column, HELP_COLUMN);
    }
}

void arguments_help(const struct command *command, FILE *out)
{
    fprintf(out, "Usage: workerless %s [OPTION]...%s%s\n\n%s\n", command->name,
            *command->operands ? " " : "", command->operands, command->details);
    arguments_list_options(command, out);
    fprintf(out, "\nExample:\n\n    %s\n", command->example);
}

void arguments_list(const struct command *commands, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        int column = fprintf(out, "  %s %s", commands[i].name, commands[i].operands);
        column += fprintf(out, "%*s", column < HELP_COLUMN ? HELP_COLUMN - column : 1, "");
        write_wrapped(out, commands[i].summary, column, HELP_COLUMN);
    }
}
