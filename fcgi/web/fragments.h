/* GET /fragments?name=A&name=B…: many fragments, streamed in one response. */
#ifndef WORKERLESS_WEB_FRAGMENTS_H
#define WORKERLESS_WEB_FRAGMENTS_H

#include "web/answer.h"

struct service;
struct visit;
struct waiter_address;

/* endpoint_start_fn. A feed; or 400 for a query without names, with a bad one, or with too many. */
enum answer_kind fragments_start(struct service *service, const struct visit *visit,
                                 const struct waiter_address *who, union answer *answer);

#endif
