/* The status on a terminal, refreshed until the user ends it. */
#ifndef WORKERLESS_CLI_WATCH_H
#define WORKERLESS_CLI_WATCH_H

struct daemon;

/* Shows it until q or Ctrl-C, and gives the terminal back as it was. Returns the exit status. */
int watch(struct daemon *daemon);

#endif
