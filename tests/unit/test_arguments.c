/* cli/arguments: which command lines mean what, and the messages about others. */
#include "unit.h"

#include <stdio.h>

#include "cli/arguments.h"

#define WORDS_MAX 12

static const struct command commands[] = {
    {.name = "run", .operands = "", .options = "config test verbose help", .details = "Runs."},
    {.name = "get",
     .operands = "PATH",
     .least = 1,
     .most = 1,
     .options = "config socket timeout header include help",
     .summary = "Gets.",
     .details = "Gets a path, which is long enough to be described.\n",
     .example = "workerless get /a"},
    {.name = "purge",
     .operands = "NAME...",
     .least = 1,
     .most = SIZE_MAX,
     .options = "config soft exact help"},
};

static bool parse(struct arguments *arguments, const char *line, char **text)
{
    static char words[200];
    char *argv[WORDS_MAX + 1], *rest = words, *word;
    int argc = 0;
    size_t len = 0;
    assert_true(strlen(line) < sizeof words);
    strcpy(words, line);
    while (argc < WORDS_MAX && (word = strsep(&rest, "|")))
        argv[argc++] = word;
    argv[argc] = NULL;
    FILE *errors = open_memstream(text, &len);
    assert_non_null(errors);
    static char *kept[WORDS_MAX + 1]; /* the operands are part of it */
    memcpy(kept, argv, sizeof kept);
    bool good =
        arguments_parse(arguments, commands, LENGTH(commands), "/default", argc, kept, errors);
    fclose(errors);
    return good;
}

/* Words are separated by "|". */
static void test_good(void **state)
{
    static const struct {
        const char *line, *command, *config;
        bool named;
        size_t operands, headers;
        const char *last; /* operand */
    } cases[] = {
        {"workerless", "run", "/default", false, 0, 0, NULL},
        {"workerless|-c|/x", "run", "/x", false, 0, 0, NULL},
        {"workerless|-tvc/x", "run", "/x", false, 0, 0, NULL},
        {"workerless|run|--config=/x", "run", "/x", true, 0, 0, NULL},
        {"workerless|-c|/x|run|-v", "run", "/x", true, 0, 0, NULL},
        {"workerless|get|/a", "get", "/default", true, 1, 0, "/a"},
        {"workerless|get|/a|-c|/x", "get", "/x", true, 1, 0, "/a"},
        {"workerless|-c|/x|get|/a", "get", "/x", true, 1, 0, "/a"},
        {"workerless|-c|/x|get|-c|/y|/a", "get", "/y", true, 1, 0, "/a"},
        {"workerless|get|--|-a", "get", "/default", true, 1, 0, "-a"},
        {"workerless|get|-H|A: b|/a|-HC: d", "get", "/default", true, 1, 2, "/a"},
        {"workerless|get|--inc|--time|5s|/a", "get", "/default", true, 1, 0, "/a"},
        {"workerless|purge|a|b|--soft|c", "purge", "/default", true, 3, 0, "c"},
        {"workerless|get|--help", "get", "/default", true, 0, 0, NULL},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct arguments arguments;
        char *text;
        assert_row(i, parse(&arguments, cases[i].line, &text));
        assert_slice(i, slice_of(text), SLICE(""));
        assert_slice(i, slice_of(arguments.command->name), slice_of(cases[i].command));
        assert_slice(i, slice_of(arguments.config), slice_of(cases[i].config));
        assert_row(i, arguments.config_given == (strcmp(cases[i].config, "/default") != 0));
        assert_row(i, arguments.named == cases[i].named);
        assert_row(i, arguments.operand_count == cases[i].operands);
        assert_row(i, arguments.header_count == cases[i].headers);
        if (cases[i].last)
            assert_slice(i, slice_of(arguments.operands[cases[i].operands - 1]),
                         slice_of(cases[i].last));
        free(text);
    }
}

static void test_values(void **state)
{
    struct arguments arguments;
    char *text;
    (void)state;
    assert_true(parse(&arguments, "workerless|get|--timeout|1.5s|-s|unix:/s|-i|-H|A: b|/a", &text));
    assert_true(arguments.timeout == 1.5 && arguments.wait == ARGUMENTS_NOT_GIVEN);
    assert_true(arguments.include && !arguments.json && !arguments.test);
    assert_string_equal(arguments.socket, "unix:/s");
    assert_string_equal(arguments.headers[0], "A: b");
    free(text);
    assert_true(parse(&arguments, "workerless|purge|--soft|a", &text));
    assert_true(arguments.soft && !arguments.exact && !arguments.socket);
    free(text);
}

static void test_bad(void **state)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"workerless|gte|/a", "there is no command \"gte\"; did you mean get?\n"
                              "Try: workerless --help\n"},
        {"workerless|nonsense", "there is no command \"nonsense\"\nTry: workerless --help\n"},
        {"workerless|-x", "run has no option -x\nTry: workerless run --help\n"},
        {"workerless|-tx", "run has no option -x\nTry: workerless run --help\n"},
        {"workerless|--confg|x", "run has no option --confg; did you mean --config?\n"
                                 "Try: workerless run --help\n"},
        {"workerless|get|--inclde=5|/a", "get has no option --inclde; did you mean --include?\n"
                                         "Try: workerless get --help\n"},
        {"workerless|get|--include=5|/a", "--include takes no value\nTry: workerless get --help\n"},
        {"workerless|get|--soft|/a", "get has no option --soft\nTry: workerless get --help\n"},
        {"workerless|-v|get|/a", "get has no option --verbose\nTry: workerless get --help\n"},
        {"workerless|-c", "-c needs a value\nTry: workerless run --help\n"},
        {"workerless|get|/a|--timeout", "--timeout needs a value\nTry: workerless get --help\n"},
        {"workerless|get|/a|--timeout|5", "--timeout 5: a bare number; write it with a unit: 60s, "
                                          "5m, 250ms\nTry: workerless get --help\n"},
        {"workerless|get", "get needs PATH\nTry: workerless get --help\n"},
        {"workerless|get|/a|/b", "unexpected argument \"/b\"\nTry: workerless get --help\n"},
        {"workerless|-t|surplus", "there is no command \"surplus\"\nTry: workerless --help\n"},
        {"workerless|purge", "purge needs NAME...\nTry: workerless purge --help\n"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct arguments arguments;
        char *text;
        assert_row(i, !parse(&arguments, cases[i].line, &text));
        assert_row(i, strncmp(text, "workerless: ", 12) == 0);
        assert_slice(i, slice_of(text + 12), slice_of(cases[i].message));
        free(text);
    }
}

static void test_too_many_headers(void **state)
{
    (void)state;
    for (int headers = ARGUMENTS_HEADERS_MAX; headers <= ARGUMENTS_HEADERS_MAX + 1; headers++) {
        char *argv[ARGUMENTS_HEADERS_MAX + 5] = {"workerless", "get", "/a"};
        struct arguments arguments;
        char *text;
        size_t len;
        for (int i = 0; i < headers; i++)
            argv[3 + i] = "-HA: b";
        FILE *errors = open_memstream(&text, &len);
        bool good = arguments_parse(&arguments, commands, LENGTH(commands), "/default", 3 + headers,
                                    argv, errors);
        fclose(errors);
        assert_true(good == (headers == ARGUMENTS_HEADERS_MAX));
        assert_true(good || strstr(text, "there are too many headers"));
        free(text);
    }
}

static void test_help(void **state)
{
    static const char lines[] =
        "Usage: workerless get [OPTION]... PATH\n"
        "\n"
        "Gets a path, which is long enough to be described.\n"
        "\n"
        "  -c, --config FILE       the config file\n"
        "  -s, --socket ADDRESS    the daemon's address (unix:PATH or tcp:HOST:PORT)\n"
        "                          instead of the config's\n"
        "      --timeout TIME      give up if the daemon sends nothing for this time,\n"
        "                          such as 500ms or 10s (default: 5s; get also allows for\n"
        "                          the fragment's hold)\n"
        "  -i, --include           print the status and the headers, too\n"
        "  -H, --header 'NAME: VALUE'\n"
        "                          send this request header; may be given several times\n"
        "  -h, --help              print this help and exit\n"
        "\n"
        "Example:\n"
        "\n"
        "    workerless get /a\n";
    char *text;
    size_t len;
    (void)state;
    FILE *out = open_memstream(&text, &len);
    arguments_help(&commands[1], out);
    fclose(out);
    assert_string_equal(text, lines);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_values),
        cmocka_unit_test(test_bad),  cmocka_unit_test(test_too_many_headers),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
