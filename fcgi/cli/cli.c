/* The table of commands, the general help, and the version. */
#include "cli/cli.h"

#include "config.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>

#include "base/signals.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "conf/conf.h"
#include "redis/tls.h"
#include "source/http_features.h"

#define CONF_DEFAULT SYSCONFDIR "/workerless/workerless.conf"

/* clang-format off */
static const struct command commands[] = {
    {.name = "run", .operands = "", .options = "config test verbose version help",
     .summary = "Serve. This is what workerless does if no command is named.",
     .details =
        "Runs the daemon in the foreground. It logs to stderr by default, and serves until a\n"
        "signal ends it.\n",
     .example = "workerless run -c /etc/workerless/workerless.conf",
     .run = run_command},
    {.name = "check", .operands = "", .options = "config help",
     .summary = "Check the config.",
     .details =
        "Reads the config, and prints every error and warning with its file and line. The exit\n"
        "status is 1 if there is an error.\n",
     .example = "workerless check -c /etc/workerless/workerless.conf && systemctl reload workerless",
     .run = check_command},
    {.name = "get", .operands = "PATH", .least = 1, .most = 1,
     .options = "config socket timeout include header help",
     .summary = "Request a path from the daemon, without a front server.",
     .details =
        "Sends a GET for PATH to the daemon, and prints the body of the response as it arrives.\n"
        "PATH is written as in a URL, with its query; streams work, too. A request may be held as\n"
        "long as the fragment's \"hold\" says, and then is answered with status 202.\n",
     .example = "workerless get -H 'Accept-Language: de' '/fragment/user/7?theme=dark'",
     .run = get_command},
    {.name = "purge", .operands = "NAME...", .least = 1, .most = SIZE_MAX,
     .options = "config socket timeout soft exact header help",
     .summary = "Remove fragments from the caches.",
     .details =
        "Removes the fragments from Redis and from the memory of all processes, in all their\n"
        "variants; with a query, the variant for that and for the headers. A NAME that ends in *\n"
        "stands for all names that begin like that. It is written as in a URL: the name a%b is\n"
        "a%25b. The option \"purge\" of the config must list an address; the first one is claimed.\n",
     .example = "workerless purge news 'user/7/*'",
     .run = purge_command},
    {.name = "status", .operands = "", .options = "config socket timeout json full watch interval help",
     .summary = "Show what the daemon is doing.",
     .details =
        "Prints what waits, whether Redis is up, each source, each fragment section, and the\n"
        "limits that were reached. With --watch, shows that on the terminal, with rates, until you\n"
        "press q or Ctrl-C; colours are left out if NO_COLOR is set. The option \"status\" of the\n"
        "config must list an address; the first one is claimed.\n",
     .example = "workerless status --watch --interval 500ms",
     .run = status_command},
    {.name = "explain", .operands = "NAME[?QUERY]", .least = 1, .most = 1,
     .options = "config socket timeout header json help",
     .summary = "Show what is known of a fragment, and why it is not cached.",
     .details =
        "Prints the section, the source and the key of the fragment; what memory and Redis hold\n"
        "of it, and for how long; who is making it now; and why its last result was not stored.\n"
        "If the fragment has inputs, give those of the variant: its query, and headers by -H. NAME\n"
        "is written as in a URL. The option \"status\" of the config must list an address; the\n"
        "first one is claimed.\n",
     .example = "workerless explain -H 'Cookie: session=5' 'user/7?theme=dark'",
     .run = explain_command},
    {.name = "render", .operands = "TEMPLATE", .least = 1, .most = 1, .options = "partials help",
     .summary = "Render a template with JSON from stdin.",
     .details =
        "Reads JSON from stdin, renders the file TEMPLATE with it, and writes the result to stdout.\n"
        "No daemon or config is needed. A mistake is reported with its file, line and column, and\n"
        "then nothing is written. A partial that is missing is left out, with a warning; in the\n"
        "templates of a config that is an error.\n",
     .example = "workerless render templates/card.html < card.json",
     .run = render_command},
    {.name = "drain", .operands = "", .options = "config socket timeout fast wait help",
     .summary = "Let the daemon finish its requests and end.",
     .details =
        "Sends SIGQUIT to the daemon, so that it accepts no more connections, finishes its\n"
        "requests and ends; with --fast, SIGTERM. Waits for that. The option \"status\" of the\n"
        "config must list an address, since the status says which process to send it to.\n",
     .example = "workerless drain --wait 1m",
     .run = drain_command},
};
/* clang-format on */

#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_usage(FILE *out)
{
    fputs("Usage: workerless [run] [OPTION]...\n"
          "       workerless COMMAND [OPTION]... [ARGUMENT]...\n"
          "\n"
          "A FastCGI responder that holds requests for slow page fragments until their results\n"
          "are ready, and caches the results in Redis. It runs in the foreground and logs to\n"
          "stderr by default.\n"
          "\n"
          "Commands:\n\n",
          out);
    arguments_list(commands, COMMANDS, out);
    fputs("\nOptions without a command, and of run:\n\n", out);
    arguments_list_options(&commands[0], out);
    fprintf(out,
            "\nThe config file is %s unless -c names another one.\n"
            "\"workerless COMMAND --help\" explains a command and its options.\n"
            "\n"
            "Exit status: 0 success; 1 failure; 2 wrong usage; 3 the response's status is 4xx;\n"
            "4 it is 5xx; 5 the daemon did not answer, or did not end, in time.\n",
            CONF_DEFAULT);
}

static int print_help(void)
{
    print_usage(stdout);
    puts("\nConfig options and their defaults:\n");
    conf_print_options(stdout);
    return CLI_OK;
}

static int print_version(void)
{
    puts("workerless " PACKAGE_VERSION);
    printf("TLS to Redis: %s\n", redis_tls_is_built() ? "yes" : "no");
    http_features_print(stdout);
    return CLI_OK;
}

int cli_main(int argc, char **argv)
{
    struct arguments arguments;
    if (!arguments_parse(&arguments, commands, COMMANDS, CONF_DEFAULT, argc, argv, stderr))
        return CLI_USAGE;
    if (arguments.help && !arguments.named)
        return print_help();
    if (arguments.help) {
        arguments_help(arguments.command, stdout);
        return CLI_OK;
    }
    if (arguments.version)
        return print_version();
    if (arguments.command->run != run_command) {
        /* Only a daemon holds signals back, and goes on without a reader of its output. */
        signals_release();
        signal(SIGPIPE, SIG_DFL);
    }
    return arguments.command->run(&arguments);
}
