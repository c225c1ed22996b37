/* The target of a redirect, and whether it may be followed.
 *
 * Some APIs redirect to any URL that their caller chooses. Following it would expose servers that
 * only this host can reach. So a redirect may only lead to the scheme, host and port of the
 * source's url, or to one that the option `redirects` lists.
 */
#ifndef WORKERLESS_SOURCE_REDIRECT_H
#define WORKERLESS_SOURCE_REDIRECT_H

#include <stdbool.h>

struct http_settings;

#define REDIRECT_WHY_ROOM 400

/* Checks one element of `redirects`: HOST, HOST:PORT or SCHEME://HOST[:PORT], an IPv6 address in
 * brackets. The scheme defaults to that of the url, the port to the default port of the scheme.
 * Returns NULL, or an error message for the user. */
const char *redirect_check(const char *allowed);

/* Resolves `location`, the Location header of a response from `from`, to an absolute url. The user
 * and password of the source's url are kept only for its own scheme, host and port; those of a
 * Location are dropped. Returns a terminated string that the caller frees, and sets *elsewhere,
 * which is false for the source's own scheme, host and port. NULL: do not follow it; `why` is the
 * reason, which completes a sentence that begins with `from`. */
char *redirect_target(const struct http_settings *settings, const char *from, const char *location,
                      bool *elsewhere, char why[REDIRECT_WHY_ROOM]);

#endif
