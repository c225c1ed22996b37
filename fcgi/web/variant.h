/* From a request to a variant of a fragment: the values of the inputs that its route names in
 * `vary`, and what they add to its key. Pure.
 *
 *     query, variables --> values --> packed, for the source
 *                             '-----> suffix of the key
 *
 * How a value is found:
 *     query      the first parameter of that name, decoded; "x=" and "x" are present and empty
 *     cookie     the first cookie of that name, as it is (RFC 6265 4.2.1)
 *     header     without blanks at its ends; several are joined by ", " (RFC 9110 5.3); an empty
 *                one is absent
 *     language   one of the tags, by language_lookup; never absent
 *     host       the Host header in lower case, with its port if it has one (RFC 9110 7.2)
 */
#ifndef WORKERLESS_WEB_VARIANT_H
#define WORKERLESS_WEB_VARIANT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "source/inputs.h"

struct web_request;

#define VARIANT_KEY_MAX    1024 /* bytes of a key: name and inputs */
#define VARIANT_VALUE_MAX  256  /* bytes of a value */
#define VARIANT_SECRET_MAX 4096 /* bytes of a cookie or an Authorization header */
#define VARIANT_ACCEPT_MAX 1024 /* bytes of an Accept-Language header */

struct variant {
    const struct vary *vary;
    size_t packed_len, suffix_len;
    char suffix[VARIANT_KEY_MAX + 2]; /* the last byte may be percent-encoded in it */
    char packed[INPUTS_PACKED_MAX];
};

/* Reads the values. Returns false if one of them is malformed or too long, or if all together are
 * too long. */
bool variant_read(struct variant *variant, const struct vary *vary,
                  const struct web_request *request);

/* The values, for the source. Valid as long as the variant. */
static inline struct inputs variant_inputs(const struct variant *variant)
{
    return (struct inputs){.vary = variant->vary,
                           .packed = {.data = variant->packed, .len = variant->packed_len}};
}

/* Appends the suffix to the key of the name, which has *len bytes and room for VARIANT_KEY_MAX.
 * Returns false if it does not fit.
 *
 * The suffix is "?" and the inputs that are present, in the order of `vary`, with "&" between:
 * NAME=value of the query, cookie:NAME=DIGEST, header:NAME=value, language=TAG and host=VALUE; a
 * query's NAME that could be one of the others is query:NAME. An authorization header is a digest
 * too. All bytes other than letters, digits and some marks are percent-encoded, so a key is one
 * word in redis-cli, and two different sets of values never have the same key. */
bool variant_append(const struct variant *variant, char *key, size_t *len);

#endif
