/* A FastCGI client for one request on a connection of its own. It blocks.
 *
 *     request --BEGIN_REQUEST, PARAMS, STDIN--> daemon --STDOUT--> head, body --END_REQUEST--> done
 *
 * The daemon's answer is as little trusted as that of any peer: it may be slow, broken, or from
 * another program that listens there.
 */
#ifndef WORKERLESS_CLI_CLIENT_H
#define WORKERLESS_CLI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define CLIENT_HEAD_MAX    ((size_t)64 << 10)
#define CLIENT_REQUEST_MAX ((size_t)1 << 20)
#define CLIENT_WHY_ROOM    256

enum client_result {
    CLIENT_DONE,
    CLIENT_UNREACHABLE, /* there is no connection, and nothing was sent */
    CLIENT_FAILED,
    CLIENT_TIMED_OUT,
    CLIENT_STOPPED, /* a callback has returned false */
};

/* One CGI variable. */
struct client_variable {
    struct slice name, value;
};

/* Called once with the status and the head (header lines with LF or CRLF, without the empty line);
 * then for each piece of the body, as it arrives. Returning false ends the request. */
typedef bool client_head_fn(void *context, int status, struct slice head);
typedef bool client_body_fn(void *context, struct slice body);

struct client_exchange {
    const char *address; /* unix:PATH or tcp:HOST:PORT, as sockets_check_address permits it */
    const struct client_variable *variables;
    size_t variable_count;
    double silence; /* seconds: the longest time to wait for the next bytes */
    client_head_fn *head;
    client_body_fn *body;
    void *context;
};

/* Sends the request, and returns when its response is complete. If the result is neither DONE nor
 * STOPPED, `why` completes a sentence. */
enum client_result client_exchange(const struct client_exchange *exchange,
                                   char why[CLIENT_WHY_ROOM]);

#endif
