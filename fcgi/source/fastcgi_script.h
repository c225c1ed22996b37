/* The path of the script that a FastCGI server runs: the config's template (see template.h) with the
 * values of a request. Only {name}, {rest} and {language} have a place in it: the first two are
 * checked names, the last is one of the config's own tags. Pure. */
#ifndef WORKERLESS_SOURCE_FASTCGI_SCRIPT_H
#define WORKERLESS_SOURCE_FASTCGI_SCRIPT_H

#include "base/slice.h"

struct source_request;

/* Returns NULL, or what is wrong with the template, which is valid until the next call. */
const char *fastcgi_script_check(const char *template);

/* The directory that the template begins with: all before the last slash that comes before any
 * placeholder. */
struct slice fastcgi_script_root(const char *template);

/* Returns the path, terminated, which the caller frees. NULL: out of memory; or the path must not be
 * used, and *refusal says why, for the log. */
char *fastcgi_script_expand(const char *template, const struct source_request *request,
                            const char **refusal);

#endif
