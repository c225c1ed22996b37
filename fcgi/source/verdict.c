/* Judges responses. */
#include "source/verdict.h"

#include <stdio.h>

#include "base/clock.h"
#include "render/text.h"
#include "source/retry.h"

/* The value of Retry-After in seconds. */
static unsigned retry_after_of(const struct http_head *head)
{
    return retry_after_read(http_head_find(head, SLICE("Retry-After")), clock_fleet_ms() / 1000);
}

/* A response of status 200 or 203. */
static void judge_content(const struct verdict_response *response, struct source_result *result,
                          char why[VERDICT_WHY_ROOM])
{
    struct slice type = http_head_find(response->head, SLICE("Content-Type"));
    if (!text_is_text(type) && !response->any_type) {
        snprintf(why, VERDICT_WHY_ROOM,
                 "answered with %.100s, which is neither HTML nor text (render = \"raw\" passes "
                 "any type)",
                 type.data);
        return;
    }
    result->status = SOURCE_OK;
    result->type = type;
    result->body = response->body;
}

void verdict_judge(const struct verdict_response *response, struct source_result *result,
                   char why[VERDICT_WHY_ROOM])
{
    switch (response->status) {
    case 200:
    case 203:
        judge_content(response, result, why);
        return;
    case 204: /* an empty fragment, without an element around it */
        result->status = SOURCE_OK;
        result->type = SLICE("text/html");
        return;
    case 304:
        if (!response->is_conditional) {
            snprintf(why, VERDICT_WHY_ROOM,
                     "answered 304, but was not asked whether the result has changed");
            return;
        }
        result->status = SOURCE_NOT_MODIFIED;
        break;
    case 404:
    case 410:
        result->status = SOURCE_NOT_FOUND;
        break;
    case 429:
    case 503:
        result->retry_after_s = retry_after_of(response->head);
        break;
    default:
        break;
    }
    snprintf(why, VERDICT_WHY_ROOM, "answered %d", response->status);
}

struct verdict_asker verdict_asker_of(const struct source_request *request)
{
    return (struct verdict_asker){.rules = request->rules,
                                  .authorized = terms_authorized(request),
                                  .has_user = terms_has_user(request)};
}

struct source_terms verdict_terms(const struct verdict_response *response,
                                  const struct verdict_asker *asker, struct terms_reader *reader)
{
    size_t at = 0;
    struct slice name, value;
    terms_begin(reader, asker->rules, asker->authorized, response->status, clock_fleet_ms() / 1000);
    if (!asker->has_user)
        terms_of_nobody(reader);
    while (http_head_next(response->head, &at, &name, &value))
        terms_field(reader, name, value);
    return terms_end(reader);
}

bool verdict_may_pass(int status)
{
    return status >= 502 && status <= 504;
}

double verdict_pause(const struct http_head *head, unsigned times, double random)
{
    double pause = retry_backoff(times, random), demanded = retry_after_of(head);
    return pause < demanded ? demanded : pause;
}
