/* What the libcurl that is loaded can do. */
#ifndef WORKERLESS_SOURCE_HTTP_FEATURES_H
#define WORKERLESS_SOURCE_HTTP_FEATURES_H

#include <stdbool.h>
#include <stdio.h>

bool http_features_has_http2(void);

/* Whether it has HTTP/2, but fails if it uses a connection again on which HTTP/2 was not negotiated
 * (libcurl 7.88). */
bool http_features_breaks_http2(void);

/* Whether a handle remembers the last header of its previous response, which has been freed, and
 * appends to that what should not be there: a first line that begins with a blank (libcurl before
 * 8.1.1). */
bool http_features_remembers_header(void);

/* Whether it sends a request target as it is, also one with blanks and line ends. That is what its
 * manual says, and what its versions up to 8.22 do. Nobody knows of later ones, or of one built with
 * Hyper, which refuses such targets. */
bool http_features_keeps_targets(void);

/* The same of a version, as a number of libcurl's: 0x081600 is 8.22.0. */
bool http_features_version_keeps_targets(unsigned version);

#define HTTP_ENCODINGS_ROOM 64

/* Writes the content codings that it decodes, for Accept-Encoding; empty if there are none. */
void http_features_encodings(char out[HTTP_ENCODINGS_ROOM]);

/* Writes a line for -V: its version, and which of our options and content codings it has. */
void http_features_print(FILE *out);

#endif
