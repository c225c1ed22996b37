/* The settings of the http source. */
#ifndef WORKERLESS_SOURCE_HTTP_H
#define WORKERLESS_SOURCE_HTTP_H

#include "source/source.h"

struct http_settings {
    struct source_settings settings;
    const char *url; /* with {name} where the fragment's name goes */
    double timeout;  /* seconds for the complete call, redirects included */
    size_t max_body; /* bytes, after content decoding */

    const char *const *redirects; /* see redirect.h */
    size_t redirect_count;
};

#endif
