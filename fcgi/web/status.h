/* GET /workerless/status: what this process does at the moment. */
#ifndef WORKERLESS_WEB_STATUS_H
#define WORKERLESS_WEB_STATUS_H

#include "web/answer.h"

struct service;
struct visit;
struct waiter_address;

/* With ?full, at most this many flights are listed; with ?full=N, at most N. */
#define STATUS_ROWS_MAX 1000

/* endpoint_start_fn. Answers with text; with JSON (RFC 8259), if the query has "json". With "full",
 * the flights in progress are listed too. 403 for clients that the config does not list. */
enum answer_kind status_start(struct service *service, const struct visit *visit,
                              const struct waiter_address *who, union answer *answer);

#endif
