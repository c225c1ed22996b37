/* A request as CGI variables (RFC 3875), from what the user has typed. Pure, but for its memory. */
#ifndef WORKERLESS_CLI_CGI_H
#define WORKERLESS_CLI_CGI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "cli/client.h"

#define CGI_VARIABLES_MAX 80

struct cgi {
    struct client_variable variables[CGI_VARIABLES_MAX];
    size_t count;
    char *texts; /* owned */
};

/* Sets the variables of a request. The target is a path, percent-encoded or not, and maybe a query
 * after a "?", as in a URL; a header is "NAME: VALUE". All arguments are borrowed as long as the
 * variables are used. Returns NULL; or what is wrong, static. Call cgi_free in either case. */
const char *cgi_set(struct cgi *cgi, const char *method, const char *target,
                    const char *remote_addr, const char *const *headers, size_t header_count);

void cgi_free(struct cgi *cgi);

#endif
