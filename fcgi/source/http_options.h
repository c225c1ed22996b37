/* The options of the http source, and what can be said of their values at start. */
#ifndef WORKERLESS_SOURCE_HTTP_OPTIONS_H
#define WORKERLESS_SOURCE_HTTP_OPTIONS_H

#include "base/option.h"
#include "source/source.h"

#define HTTP_OPTIONS 11
extern const struct option http_options[HTTP_OPTIONS];

/* These are members of source_type_http, where source.h explains them. */
const char *http_check(const struct source_settings *settings, const char **option);
const char *http_lacks_name(const struct source_settings *settings);
size_t http_descriptors(const struct source_settings *settings);
double http_timeout(const struct source_settings *settings);

#endif
