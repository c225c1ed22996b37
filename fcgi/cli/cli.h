/* The command line: the table of commands. */
#ifndef WORKERLESS_CLI_CLI_H
#define WORKERLESS_CLI_CLI_H

/* Runs the command that argv names. Signals must be held (base/signals.h). Returns the exit status
 * of the process: see enum cli_status. */
int cli_main(int argc, char **argv);

#endif
