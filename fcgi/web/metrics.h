/* GET /workerless/metrics: everything that this process counts, for Prometheus and the like. */
#ifndef WORKERLESS_WEB_METRICS_H
#define WORKERLESS_WEB_METRICS_H

#include "web/answer.h"

struct service;
struct visit;
struct waiter_address;

/* endpoint_start_fn. Answers in the format of OpenMetrics 1.0; for a client that accepts text/plain
 * and not that (RFC 9110 12.5.1), in Prometheus' older text format. 403 for clients that the config
 * does not list. */
enum answer_kind metrics_start(struct service *service, const struct visit *visit,
                               const struct waiter_address *who, union answer *answer);

#endif
