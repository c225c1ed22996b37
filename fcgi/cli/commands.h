/* The functions of the commands, each of them a command_fn in a file of its name. */
#ifndef WORKERLESS_CLI_COMMANDS_H
#define WORKERLESS_CLI_COMMANDS_H

struct arguments;

/* Serves by the config until a signal ends the process; with --test, as check_command. */
int run_command(const struct arguments *arguments);

/* Checks the config, and says what is wrong with it. */
int check_command(const struct arguments *arguments);

/* Sends a GET, and writes the response as it arrives. */
int get_command(const struct arguments *arguments);

/* Purges each of the names. */
int purge_command(const struct arguments *arguments);

/* Prints the daemon's status, or shows it on the terminal. */
int status_command(const struct arguments *arguments);

/* Prints everything that the daemon and Redis have of a fragment. */
int explain_command(const struct arguments *arguments);

/* Renders a template with JSON from stdin. */
int render_command(const struct arguments *arguments);

/* Sends the daemon the signal to drain, and waits for its end. */
int drain_command(const struct arguments *arguments);

#endif
