/* Finds a row by its path, and gives the short answers of all endpoints. */
#include "web/endpoint.h"

const struct endpoint *endpoint_find(const struct endpoint *rows, size_t count, struct slice path)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].is_prefix ? slice_starts(path, rows[i].path) : slice_equal(path, rows[i].path))
            return &rows[i];
    return NULL;
}

struct response endpoint_response(const struct visit *visit, int status)
{
    struct response response = response_of_status(status);
    response.head_only = visit->method == METHOD_HEAD;
    if (status == 405)
        response.allow = visit->endpoint->methods;
    return response;
}

enum answer_kind endpoint_answer(const struct visit *visit, int status, union answer *answer)
{
    answer->response = endpoint_response(visit, status);
    return ANSWER_RESPONSE;
}

enum answer_kind endpoint_fail(struct service *service, const struct visit *visit, int status,
                               union answer *answer)
{
    const struct web_request *request = visit->request;
    if (visit->path.len == 0 && request->document_uri.len + request->script_name.len == 0)
        log_limited(&service->pathless, LOG_LEVEL_WARNING, "service",
                    "a request has neither DOCUMENT_URI nor SCRIPT_NAME: the front server must "
                    "pass one of them");
    log_debug("service", "%d: %.*s %.*s of %.*s", status, SLICE_ARGS(request->method),
              SLICE_ARGS(visit->path), SLICE_ARGS(request->remote_addr));
    return endpoint_answer(visit, status, answer);
}

enum answer_kind endpoint_refuse(struct service *service, const struct visit *visit,
                                 enum join_refusal refusal, union answer *answer)
{
    static const char *const reasons[] = {
        [JOIN_TOO_MANY_PARKED] = "max_parked is reached: requests are rejected with 503",
        [JOIN_TOO_MANY_FLIGHTS] = "max_flights is reached: requests are rejected with 503",
        [JOIN_TOO_MANY_INPUTS] = NULL, /* logged already */
        [JOIN_NO_MEMORY] = "out of memory: requests are rejected with 503",
    };
    if (reasons[refusal])
        log_limited(&service->refusals[refusal], LOG_LEVEL_WARNING, "service", "%s",
                    reasons[refusal]);
    return endpoint_answer(visit, 503, answer);
}
