/* The counters as text, for clients that may see them. */
#include "web/counters.h"

#include <inttypes.h>

#include "base/counters.h"
#include "web/endpoint.h"
#include "web/report.h"
#include "web/totals.h"

enum answer_kind counters_start(struct service *service, const struct visit *visit,
                                const struct waiter_address *who, union answer *answer)
{
    struct report report = {0};
    struct totals totals;
    (void)who;
    if (!report_is_open(service, visit))
        return endpoint_fail(service, visit, 403, answer);
    totals_look(service, &totals);
    for (size_t i = 0; i < COUNTERS; i++)
        report_text(&report, "%s %" PRIu64 "\n", counter_rows[i].name, totals.counters[i]);
    return report_answer(service, visit, SLICE("text/plain; charset=utf-8"), &report, answer);
}
