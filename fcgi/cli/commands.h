/* The functions of the commands, each of them a command_fn in a file of its name. */
#ifndef WORKERLESS_CLI_COMMANDS_H
#define WORKERLESS_CLI_COMMANDS_H

struct arguments;

/* Serves by the config until a signal ends the process; with --test, as check_command. */
int run_command(const struct arguments *arguments);

/* Checks the config, and says what is wrong with it. */
int check_command(const struct arguments *arguments);

#endif
