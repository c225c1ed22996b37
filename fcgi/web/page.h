/* Pages: a GET for the path of a `page` section gets its skeleton, in which fragments that are in
 * memory replace their placeholders, and then the other fragments as they get ready. */
#ifndef WORKERLESS_WEB_PAGE_H
#define WORKERLESS_WEB_PAGE_H

#include "web/endpoint.h"

/* The first page of the site whose path matches, or NULL. */
const struct page *page_find(const struct site *site, struct slice path);

/* There is a page for the path. */
endpoint_start_fn page_start;

#endif
