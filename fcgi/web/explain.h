/* GET /workerless/explain/NAME: everything that this process knows of one fragment, and what Redis
 * holds of it. */
#ifndef WORKERLESS_WEB_EXPLAIN_H
#define WORKERLESS_WEB_EXPLAIN_H

#include "web/answer.h"

struct service;
struct settlement;
struct visit;
struct waiter_address;

#define EXPLAIN_URL_PREFIX "/workerless/explain/" /* the path is this plus the fragment's name */

/* endpoint_start_fn. Query, cookies and headers are those of the variant. Answers with text; with
 * JSON (RFC 8259), if the query has "json", or the client accepts only that. 403 for clients that
 * the config does not list, 404 if no route matches the name. */
enum answer_kind explain_start(struct service *service, const struct visit *visit,
                               const struct waiter_address *who, union answer *answer);

/* endpoint_finish_fn. */
void explain_finish(const struct wait *wait, const struct settlement *settlement,
                    struct response *response);

#endif
