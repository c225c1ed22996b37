/* What the config says about requests: where they go, and who may do what. */
#ifndef WORKERLESS_WEB_SITE_H
#define WORKERLESS_WEB_SITE_H

#include <stddef.h>

struct client_list;
struct route;
struct skeleton;
struct users;

#define PAGE_PATH_MAX   255            /* bytes of a page's path */
#define SITE_OWN_PREFIX "/workerless/" /* no page is below it, whatever its path matches */

/* One `page` section of the config. Belongs to the config. */
struct page {
    const char *path; /* begins with '/'; with a '*' at its end, it is the beginning of paths */
    const char *file; /* of the skeleton */
    struct skeleton *skeleton;
    double hold;         /* seconds that it waits for late fragments if the browser can't patch */
    struct users *users; /* of the config; NULL: nobody counts them */
};

/* All of it belongs to the config. */
struct site {
    const struct route *routes;
    size_t route_count;
    const struct page *pages;
    size_t page_count;
    const struct client_list *purge;  /* who may purge */
    const struct client_list *status; /* who may read reports */
    size_t max_stream;                /* maximum number of fragments in a stream or page */
};

#endif
