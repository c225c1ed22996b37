/* GET /fragments?name=A&name=B…: many fragments, streamed in one response. */
#ifndef WORKERLESS_WEB_FRAGMENTS_H
#define WORKERLESS_WEB_FRAGMENTS_H

#include "web/answer.h"

struct service;
struct visit;
struct waiter_address;

/* endpoint_start_fn. Answers with a feed; or with 400 if the query has no names, an invalid one, or
 * too many, or if an input of one of the fragments is malformed. */
enum answer_kind fragments_start(struct service *service, const struct visit *visit,
                                 const struct waiter_address *who, union answer *answer);

#endif
