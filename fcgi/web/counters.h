/* GET /workerless/counters: the counters of this process. */
#ifndef WORKERLESS_WEB_COUNTERS_H
#define WORKERLESS_WEB_COUNTERS_H

#include "web/answer.h"

struct service;
struct visit;
struct waiter_address;

/* endpoint_start_fn. Answers with a line "NAME VALUE" for each counter, in the order of the table
 * in base/counters.h; 403 for clients that the config does not list. */
enum answer_kind counters_start(struct service *service, const struct visit *visit,
                                const struct waiter_address *who, union answer *answer);

#endif
