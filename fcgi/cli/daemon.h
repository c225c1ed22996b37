/* The daemon that a command talks to: where it listens, and who may ask it what.
 *
 * Whoever may write to the daemon's socket may claim any address as REMOTE_ADDR, as front servers
 * do. So for what only some clients may do, a command claims the first address that the config
 * lists for it.
 */
#ifndef WORKERLESS_CLI_DAEMON_H
#define WORKERLESS_CLI_DAEMON_H

#include <stdbool.h>

#include "base/buffer.h"
#include "cli/client.h"

#define DAEMON_SILENCE_S  5.
#define DAEMON_WHY_ROOM   600
#define DAEMON_BODY_MAX   ((size_t)64 << 20)
#define DAEMON_CLIENT_MAX 64

struct arguments;
struct conf;

/* What a request needs the daemon's permission for. */
enum daemon_right { RIGHT_NONE, RIGHT_STATUS, RIGHT_PURGE };

struct daemon {
    const struct arguments *arguments;
    struct conf *conf;         /* NULL: only --socket is known */
    double silence;            /* seconds: see struct client_exchange */
    char why[DAEMON_WHY_ROOM]; /* after a failure: a sentence */
};

/* A request to the daemon. */
struct daemon_request {
    const char *method, *target;
    enum daemon_right right;
    const char *header; /* one more than the arguments have; NULL: none */
    client_head_fn *head;
    client_body_fn *body;
    void *context;
};

/* A complete response. */
struct daemon_response {
    int status;
    struct buffer body;
};

/* Reads the config. `silence` is for requests, unless the command line has --timeout. Returns
 * CLI_OK; or another status after reporting why. Call daemon_close in either case. */
int daemon_open(struct daemon *daemon, const struct arguments *arguments, double silence);
void daemon_close(struct daemon *daemon);

/* Sends the request to the first of its addresses that it accepts connections at. Returns CLI_OK if
 * there is a response, or if a callback has ended it; else another status, and daemon->why is
 * set. */
int daemon_ask(struct daemon *daemon, const struct daemon_request *request);

/* The same, and collects the response; the callbacks of the request are not used. A response that
 * denies the right is a failure as well. Free the response in either case. */
int daemon_fetch(struct daemon *daemon, const struct daemon_request *request,
                 struct daemon_response *response);
void daemon_response_free(struct daemon_response *response);

/* Prints a response: a good one to stdout, another one to stderr. Returns the exit status. */
int daemon_print(const struct daemon_response *response);

/* Prints daemon->why. Returns `status`. */
int daemon_report(const struct daemon *daemon, int status);

/* The exit status for the status of a response. */
int daemon_exit_status(int status);

#endif
