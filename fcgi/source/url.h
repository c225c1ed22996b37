/* The url of a call: the config's template (see template.h) with the values of a request. */
#ifndef WORKERLESS_SOURCE_URL_H
#define WORKERLESS_SOURCE_URL_H

#include <stdbool.h>

#include "base/slice.h"

struct source_request;

/* Returns NULL, or an error message for the user, which is valid until the next call: the scheme is
 * not http or https, there is no host, a placeholder is unknown or not allowed where it is, a
 * segment is "." or "..", or curl can't parse the url. */
const char *url_check(const char *template);

/* Whether its scheme is https. */
bool url_is_https(const char *url);

/* The url for the request. Values are percent-encoded: unreserved bytes (RFC 3986 section 2.3)
 * stay, and '/' in {name} and {rest}; all others become %XX.
 *
 * In the query, a pair (what is between two &) disappears with its ? or & if it is {query} and
 * there is no query input for it, or if it is KEY={...} and that input is absent. In any other
 * place an absent input is empty. If the template has no {query}, the query inputs that it does
 * not name are appended: NAME=VALUE with & between, in the order of `vary`, without those that are
 * absent.
 *
 * Returns a terminated string that the caller frees, or NULL when out of memory. */
char *url_expand(const char *template, const struct source_request *request);

/* Whether a segment of the url's path is "." or "..", as it is or when it is decoded. A value of
 * the request could then lead to any path of the server. */
bool url_has_dot_segment(const char *url);

/* Formats the url for the log: without user and password, and with "?..." for a query, since both
 * may be secret. A long url is cut, and ends in "...". */
#define URL_SHOWN_ROOM 400
void url_show(const char *url, char out[URL_SHOWN_ROOM]);

#endif
