/* TLS to http sources: the certificates that are trusted, and our own. */
#ifndef WORKERLESS_SOURCE_HTTP_TLS_H
#define WORKERLESS_SOURCE_HTTP_TLS_H

#include <stdbool.h>
#include <curl/curl.h>

struct http_settings;

/* Reads the files of tls_ca, tls_certificate and tls_key. Returns NULL, or an error message for the
 * user, which is valid until the next call, and sets *option to the name of the option at fault. */
const char *http_tls_check(const struct http_settings *settings, const char **option);

/* Sets the certificates that an easy handle trusts. */
CURLcode http_tls_trust(CURL *easy, const struct http_settings *settings);

/* Sets the client certificate; or none, if `show` is false. */
CURLcode http_tls_show(CURL *easy, const struct http_settings *settings, bool show);

#endif
