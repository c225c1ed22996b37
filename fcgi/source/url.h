/* The url of a fragment: the template of the config with the name in it. */
#ifndef WORKERLESS_SOURCE_URL_H
#define WORKERLESS_SOURCE_URL_H

#include <stdbool.h>

#include "base/slice.h"

/* Returns NULL, or what is wrong, in the user's words: the scheme is not http or https, there is no
 * host, {name} stands where it can't, or curl does not take it for a url. */
const char *url_check(const char *template);

/* Whether the url depends on the fragment's name. */
bool url_has_name(const char *template);

/* The template with every {name} replaced by the percent-encoded name: unreserved bytes (RFC 3986
 * section 2.3) and '/' stay, all others become %XX. Terminated, and the caller's to free; NULL when
 * out of memory. */
char *url_expand(const char *template, struct slice name);

/* The url as the log shows it: without user and password, and with "?..." for a query, as either
 * may be secret. What is too long is cut, and ends in "...". */
#define URL_SHOWN_ROOM 400
void url_show(const char *url, char out[URL_SHOWN_ROOM]);

#endif
