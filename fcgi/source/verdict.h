/* What a source's response means for its call: its status, its header fields and its body. For all
 * types of source whose responses are those of HTTP. */
#ifndef WORKERLESS_SOURCE_VERDICT_H
#define WORKERLESS_SOURCE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "source/http_head.h"
#include "source/source.h"
#include "source/terms.h"

struct verdict_response {
    int status;
    const struct http_head *head;
    struct slice body;
    bool is_conditional; /* it was asked whether the result has changed */
    bool any_type;       /* the body need not be text */
};

/* Sets what the response says of the result, except its terms. Writes `why` if it is a failure; it
 * completes a sentence that begins with who has answered. 200 and 203 are results, 204 an empty one,
 * 404 and 410 mean that there is none. All others are failures: other successes (201, 202, 206, ...)
 * do not have the fragment, or not all of it. */
#define VERDICT_WHY_ROOM 200
void verdict_judge(const struct verdict_response *response, struct source_result *result,
                   char why[VERDICT_WHY_ROOM]);

/* What decides on terms besides the response. */
struct verdict_asker {
    const struct source_rules *rules;
    bool authorized, has_user; /* see terms.h */
};

/* Of the request, whose rules belong to the config. */
struct verdict_asker verdict_asker_of(const struct source_request *request);

/* The response's terms, which point into the reader. */
struct source_terms verdict_terms(const struct verdict_response *response,
                                  const struct verdict_asker *asker, struct terms_reader *reader);

/* Whether a failure with that status may be a passing one, so that a retry makes sense. */
bool verdict_may_pass(int status);

/* The seconds to wait before the next retry of a call that has been retried `times` times; not less
 * than what Retry-After demands. `random` is from 0 to 1. */
double verdict_pause(const struct http_head *head, unsigned times, double random);

#endif
