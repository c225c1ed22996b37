/* Loads the config for a command. */
#ifndef WORKERLESS_CLI_LOAD_H
#define WORKERLESS_CLI_LOAD_H

struct conf;

/* Reports the config's problems where the operator sees them: on stderr, or in the log if that goes
 * to syslog. Returns what the caller owns, or NULL. */
struct conf *load_conf(const char *file);

#endif
