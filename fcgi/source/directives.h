/* What a source says about the caching of a response: the directives of Cache-Control (RFC 9111
 * 5.2.2, RFC 5861), of CDN-Cache-Control (RFC 9213) and of Surrogate-Control. Pure. */
#ifndef WORKERLESS_SOURCE_DIRECTIVES_H
#define WORKERLESS_SOURCE_DIRECTIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define DIRECTIVE_NOT_SAID (-1)
#define DIRECTIVE_MOST_S   ((int64_t)1 << 31) /* larger numbers count as this (RFC 9111 1.2.2) */

/* Of all header fields of one name. Times are seconds; an invalid one is 0, so that it makes the
 * response stale (RFC 9111 4.2.1). */
struct directives {
    bool no_store, no_cache, is_private; /* with or without a list of fields */
    bool is_public, must_revalidate;     /* proxy-revalidate is must_revalidate to us */
    int64_t max_age_s, s_maxage_s;       /* these four: or DIRECTIVE_NOT_SAID */
    int64_t stale_s, stale_error_s;
};

#define DIRECTIVES_NONE                                                                            \
    {                                                                                              \
        .max_age_s = DIRECTIVE_NOT_SAID, .s_maxage_s = DIRECTIVE_NOT_SAID,                         \
        .stale_s = DIRECTIVE_NOT_SAID, .stale_error_s = DIRECTIVE_NOT_SAID                         \
    }

/* Adds a header field's value in the syntax of Cache-Control. Of a directive that is repeated, the
 * first number counts. Whatever is not in that syntax is skipped, and can't hide what follows. */
void directives_add(struct directives *directives, struct slice value);

/* The same for Surrogate-Control, where max-age=N+M allows M more seconds of stale use. */
void directives_add_surrogate(struct directives *directives, struct slice value);

/* The same for a dictionary of structured fields (RFC 9213 2.1); of a directive that is repeated,
 * the last one counts. Returns false if it is not one (then the directives are of no use), and adds
 * the number of its members to *members. */
bool directives_add_dictionary(struct directives *directives, struct slice value, size_t *members);

/* Reads a delta-seconds: all of the text must be digits. Returns false if it is not. */
bool directives_read_seconds(struct slice text, int64_t *seconds);

/* Removes the first element of a list of tokens, such as that of Vary, from *list. Returns it, or
 * an empty slice if there is none left. */
struct slice directives_next_token(struct slice *list);

#endif
