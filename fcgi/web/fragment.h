/* GET /fragment/NAME: one fragment. */
#ifndef WORKERLESS_WEB_FRAGMENT_H
#define WORKERLESS_WEB_FRAGMENT_H

#include "web/answer.h"

struct service;
struct settlement;
struct visit;
struct waiter_address;

/* endpoint_precheck_fn: 400 if no fragment can have the name, 404 if no route matches it. */
int fragment_precheck(const struct service *service, const struct visit *visit);

/* endpoint_start_fn. An entry in memory is served immediately; else the request is parked. */
enum answer_kind fragment_start(struct service *service, const struct visit *visit,
                                const struct waiter_address *who, union answer *answer);

/* endpoint_finish_fn. */
void fragment_finish(const struct wait *wait, const struct settlement *settlement,
                     struct response *response);

#endif
