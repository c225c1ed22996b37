/* Answers with one line of plain text. */
#include "web/health.h"

#include "park/flights.h"
#include "web/endpoint.h"

static enum answer_kind answer_line(const struct visit *visit, int status, const char *line,
                                    union answer *answer)
{
    endpoint_answer(visit, status, answer);
    answer->response.body = slice_of(line);
    answer->response.type = BODY_PLAIN;
    return ANSWER_RESPONSE;
}

enum answer_kind health_start(struct service *service, const struct visit *visit,
                              const struct waiter_address *who, union answer *answer)
{
    (void)service, (void)who;
    return answer_line(visit, 200, "ok\n", answer);
}

enum answer_kind health_start_ready(struct service *service, const struct visit *visit,
                                    const struct waiter_address *who, union answer *answer)
{
    const char *why = service->draining ? "shutting down\n" : flights_trouble(service->flights);
    (void)who;
    return why ? answer_line(visit, 503, why, answer) : answer_line(visit, 200, "ready\n", answer);
}
