/* The words of the command line: which command is meant, its options, and its operands.
 *
 *     argv --> command, options --> struct arguments --> the command's function
 *
 * What a command is, and which options it has, is data: a row of struct command. Parsing, the help
 * and the messages about mistakes come from the rows.
 */
#ifndef WORKERLESS_CLI_ARGUMENTS_H
#define WORKERLESS_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define ARGUMENTS_HEADERS_MAX 64

/* The exit status of every command. */
enum cli_status {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* a file, the connection, a permission, or the daemon's answer */
    CLI_USAGE = 2,       /* the command line itself is wrong */
    CLI_REJECTED = 3,    /* the response has a status of 400 to 499 */
    CLI_UNAVAILABLE = 4, /* of 500 to 599 */
    CLI_TIMED_OUT = 5,   /* the daemon did not answer, or did not end, in time */
};

#define ARGUMENTS_NOT_GIVEN (-1.) /* in place of a duration */

/* Texts belong to argv. */
struct arguments {
    const struct command *command;
    bool named;         /* the command line names the command */
    const char *config; /* the config file */
    bool config_given;
    const char *socket; /* NULL: that of the config */
    double timeout;     /* seconds, or ARGUMENTS_NOT_GIVEN */
    double interval, wait;
    const char *partials; /* a directory; NULL: that of the template */
    bool help, version, test, verbose;
    bool include, json, full, watch, soft, exact, fast;
    const char *headers[ARGUMENTS_HEADERS_MAX];
    size_t header_count;
    char **operands;
    size_t operand_count;
};

typedef int command_fn(const struct arguments *arguments);

struct command {
    const char *name;
    const char *operands; /* how the help shows them; "": there are none */
    size_t least, most;   /* number of operands */
    const char *options;  /* long names, with a space between */
    const char *summary;  /* one line */
    const char *details;  /* for its own help; paragraphs end with a newline */
    const char *example;  /* one command line */
    command_fn *run;      /* returns the exit status */
};

/* Reads the command line. The first command is meant if none is named; its options may come before
 * the name of another one that has them, too. `config` is the config file unless one is given. If
 * the command line is wrong, writes a message to `errors` and returns false; `arguments->command`
 * is set anyway. May change the order of argv. */
bool arguments_parse(struct arguments *arguments, const struct command *commands, size_t count,
                     const char *config, int argc, char **argv, FILE *errors);

/* Writes the help of one command; and the part of the general help that lists all of them. */
void arguments_help(const struct command *command, FILE *out);
void arguments_list(const struct command *commands, size_t count, FILE *out);

/* Writes one line for each option of the command. */
void arguments_list_options(const struct command *command, FILE *out);

#endif
