/* The pending requests of one connection, by id. */
#ifndef WORKERLESS_WIRE_INFLIGHT_H
#define WORKERLESS_WIRE_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

struct request;

/* An array sorted by id: front servers count upwards or use only id 1, so a request is nearly
 * always appended, and costs eight bytes. */
struct inflight { /* all zero: empty, holds no memory */
    struct request **requests;
    uint32_t count, capacity;
    struct request *recent; /* the last inserted: most records are for it; NULL: removed */
};

/* NULL if there is none. */
struct request *inflight_find(const struct inflight *inflight, uint16_t id);

/* Adds the request, whose id must not be there. False when out of memory. */
bool inflight_insert(struct inflight *inflight, struct request *request);

/* Removes the request, which the caller owns again. */
void inflight_remove(struct inflight *inflight, const struct request *request);

/* Frees the array; no request may be left in it. May be called twice. */
void inflight_free(struct inflight *inflight);

#endif
