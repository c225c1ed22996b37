/* GET /workerless/health and GET /workerless/ready: for those who watch the process, or send it
 * requests. */
#ifndef WORKERLESS_WEB_HEALTH_H
#define WORKERLESS_WEB_HEALTH_H

#include "web/answer.h"

struct service;
struct visit;
struct waiter_address;

/* endpoint_start_fn. The process lives: 200, always. */
enum answer_kind health_start(struct service *service, const struct visit *visit,
                              const struct waiter_address *who, union answer *answer);

/* endpoint_start_fn. The process can serve: 200; or 503, and one line that says why it can't. */
enum answer_kind health_start_ready(struct service *service, const struct visit *visit,
                                    const struct waiter_address *who, union answer *answer);

#endif
