/* The options of the fastcgi source, and the checks of their values at start. */
#ifndef WORKERLESS_SOURCE_FASTCGI_OPTIONS_H
#define WORKERLESS_SOURCE_FASTCGI_OPTIONS_H

#include "base/option.h"
#include "source/source.h"

#define FASTCGI_OPTIONS 9
extern const struct option fastcgi_options[FASTCGI_OPTIONS];

/* These are members of source_type_fastcgi, where source.h explains them. */
const char *fastcgi_check(const struct source_settings *common, const char **option);
const char *fastcgi_uses_rest(const struct source_settings *settings);
bool fastcgi_check_rules(const struct source_settings *common, const struct source_rules *rules,
                         char why[SOURCE_WHY_ROOM]);
size_t fastcgi_descriptors(const struct source_settings *settings);
double fastcgi_timeout(const struct source_settings *settings);

#endif
