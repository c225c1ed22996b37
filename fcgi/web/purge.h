/* PURGE /fragment/NAME, or /fragment/BEGINNING*: purges cached fragments. */
#ifndef WORKERLESS_WEB_PURGE_H
#define WORKERLESS_WEB_PURGE_H

#include "web/answer.h"

struct service;
struct settlement;
struct visit;
struct waiter_address;

/* endpoint_start_fn, for any path: clients that may not purge learn nothing about paths. */
enum answer_kind purge_start(struct service *service, const struct visit *visit,
                             const struct waiter_address *who, union answer *answer);

/* endpoint_finish_fn: 204, or 503 if Redis could not be asked. */
void purge_finish(const struct wait *wait, const struct settlement *settlement,
                  struct response *response);

#endif
