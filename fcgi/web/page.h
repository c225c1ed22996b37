/* A whole page in one response: its skeleton, with what memory holds in the place of the placeholders,
 * and then the other fragments as they get ready. */
#ifndef WORKERLESS_WEB_PAGE_H
#define WORKERLESS_WEB_PAGE_H

#include "web/endpoint.h"

/* The first page of the site that has the path, or NULL. */
const struct page *page_find(const struct site *site, struct slice path);

endpoint_start_fn page_start;

#endif
