/* Where a redirect leads, and whether it may be followed.
 *
 * An API that redirects wherever its own callers want would let them read what only this host can
 * reach. So a redirect stays at the scheme, host and port of the source's url, or goes to one that
 * the option `redirects` lists.
 */
#ifndef WORKERLESS_SOURCE_REDIRECT_H
#define WORKERLESS_SOURCE_REDIRECT_H

struct http_settings;

#define REDIRECT_WHY_ROOM 400

/* Checks one element of `redirects`: HOST, HOST:PORT or SCHEME://HOST[:PORT], an IPv6 address in
 * brackets. Without a scheme it is the url's, without a port it is the scheme's own.
 * Returns NULL, or what is wrong, in the user's words. */
const char *redirect_check(const char *allowed);

/* The absolute url that `location` means, which is the Location header of what `from` answered. The
 * url's user and password go along only to the url's own scheme, host and port; those of a Location
 * are dropped. Terminated, and the caller's to free. NULL: it is not to be followed, and `why`
 * completes the sentence that began with `from`. */
char *redirect_target(const struct http_settings *settings, const char *from, const char *location,
                      char why[REDIRECT_WHY_ROOM]);

#endif
