/* The options of the http source, and the checks of their values at start. */
#ifndef WORKERLESS_SOURCE_HTTP_OPTIONS_H
#define WORKERLESS_SOURCE_HTTP_OPTIONS_H

#include "base/option.h"
#include "source/source.h"

struct http_settings;

#define HTTP_OPTIONS 14
extern const struct option http_options[HTTP_OPTIONS];

/* The media type of the body of a POST. */
struct slice http_body_type(const struct http_settings *settings);

/* These are members of source_type_http, where source.h explains them. */
const char *http_check(const struct source_settings *common, const char **option);
const char *http_lacks_name(const struct source_settings *settings);
const char *http_uses_rest(const struct source_settings *settings);
bool http_check_rules(const struct source_settings *settings, const struct source_rules *rules,
                      char why[SOURCE_WHY_ROOM]);
size_t http_descriptors(const struct source_settings *settings);
double http_timeout(const struct source_settings *settings);

#endif
