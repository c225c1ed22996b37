/* GET /workerless/health and GET /workerless/ready: for monitoring and load balancers. */
#ifndef WORKERLESS_WEB_HEALTH_H
#define WORKERLESS_WEB_HEALTH_H

#include "web/answer.h"

struct service;
struct visit;
struct waiter_address;

/* endpoint_start_fn. The process is alive: always 200. */
enum answer_kind health_start(struct service *service, const struct visit *visit,
                              const struct waiter_address *who, union answer *answer);

/* endpoint_start_fn. 200 if the process can serve; else 503, and one line that says why not. */
enum answer_kind health_start_ready(struct service *service, const struct visit *visit,
                                    const struct waiter_address *who, union answer *answer);

#endif
