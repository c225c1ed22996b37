/* The url of a fragment: the config's template with the fragment's name. */
#ifndef WORKERLESS_SOURCE_URL_H
#define WORKERLESS_SOURCE_URL_H

#include <stdbool.h>

#include "base/slice.h"

/* Returns NULL, or an error message for the user: the scheme is not http or https, there is no
 * host, {name} is not allowed where it is, or curl can't parse the url. */
const char *url_check(const char *template);

/* Whether its scheme is https. */
bool url_is_https(const char *url);

/* Whether the url depends on the fragment's name. */
bool url_has_name(const char *template);

/* The template with every {name} replaced by the percent-encoded name: unreserved bytes (RFC 3986
 * section 2.3) and '/' stay, all others become %XX. Returns a terminated string that the caller
 * frees, or NULL when out of memory. */
char *url_expand(const char *template, struct slice name);

/* Formats the url for the log: without user and password, and with "?..." for a query, since both
 * may be secret. A long url is cut, and ends in "...". */
#define URL_SHOWN_ROOM 400
void url_show(const char *url, char out[URL_SHOWN_ROOM]);

#endif
