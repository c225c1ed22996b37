/* The header fields by which inputs reach an http source: those that the url does not name. Pure.
 *
 *     cookie:NAME    all in one   Cookie: NAME=VALUE; NAME=VALUE
 *     header:NAME                 NAME: VALUE
 *     language:TAGS               Accept-Language: VALUE
 *     host                        X-Forwarded-Host: VALUE
 *
 * An input that is absent is not sent. Query inputs are part of the url (see url.h).
 */
#ifndef WORKERLESS_SOURCE_FORWARD_H
#define WORKERLESS_SOURCE_FORWARD_H

#include <stdbool.h>

#include "base/buffer.h"
#include "source/source.h"

enum forward_result {
    FORWARD_NOTHING, /* there are none */
    FORWARD_FIELDS,
    FORWARD_REFUSED, /* a value would end its field, or add a cookie */
    FORWARD_NO_MEMORY,
};

/* On FORWARD_FIELDS sets *fields to a terminated string that the caller frees: lines that end in
 * '\n', each as CURLOPT_HTTPHEADER takes it: "NAME: VALUE", or "NAME;" if the value is empty. On
 * FORWARD_REFUSED sets *why, for the log. */
enum forward_result forward_fields(const char *url_template, const struct source_request *request,
                                   char **fields, const char **why);

/* The same one by one, for sources that do not take lines. Returns the next input that is there, and
 * not named by the template, nor part of a url's query; NULL at the end. */
const struct input *forward_next(const char *url_template, struct inputs_reader *reader,
                                 struct slice *value);

/* Why one of these can't be sent, for the log; NULL: all can. */
const char *forward_refuse(const char *url_template, struct inputs inputs);

/* Appends the value of the Cookie field, which has all cookies; nothing if there are none. Returns
 * false when out of memory. */
bool forward_append_cookies(struct buffer *out, const char *url_template, struct inputs inputs);

/* Whether a source with that url can get the inputs of a route: its vary has what the url names,
 * and no two inputs become the same field. If not, writes `why`, which completes a sentence that
 * begins with the route and the source. */
bool forward_check(const char *url_template, const struct source_rules *rules,
                   char why[SOURCE_WHY_ROOM]);

/* Whether vary has every input that the template names, which is the value of the option. If not,
 * writes `why` as well. */
bool forward_check_named(const char *option, const char *template, const struct vary *vary,
                         char why[SOURCE_WHY_ROOM]);

/* Whether an input of the route is sent in the header field of that name. */
bool forward_uses_field(const char *url_template, const struct source_rules *rules,
                        struct slice name);

#endif
