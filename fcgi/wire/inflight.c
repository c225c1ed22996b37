/* A sorted array of requests, with binary search. Appending is the common case. */
#include "wire/inflight.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "wire/request.h"

/* An idle connection keeps no more than this for its next request. */
#define IDLE_CAPACITY 4

/* The index of the id, or where it would be inserted. */
static uint32_t slot_of(const struct inflight *inflight, uint16_t id)
{
    uint32_t low = 0, high = inflight->count;
    if (high > 0 && inflight->requests[high - 1]->id < id)
        return high;
    if (high > 0 && inflight->requests[0]->id >= id) /* the oldest request often ends first */
        return 0;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (inflight->requests[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct request *inflight_find(const struct inflight *inflight, uint16_t id)
{
    if (inflight->recent && inflight->recent->id == id)
        return inflight->recent;
    uint32_t slot = slot_of(inflight, id);
    if (slot < inflight->count && inflight->requests[slot]->id == id)
        return inflight->requests[slot];
    return NULL;
}

static bool grow(struct inflight *inflight)
{
    uint32_t capacity = inflight->capacity ? inflight->capacity * 2 : 1;
    struct request **requests =
        alloc_resized(inflight->requests, capacity * sizeof(struct request *));
    if (!requests)
        return false;
    inflight->requests = requests;
    inflight->capacity = capacity;
    return true;
}

bool inflight_insert(struct inflight *inflight, struct request *request)
{
    if (inflight->count == inflight->capacity && !grow(inflight))
        return false;
    uint32_t slot = slot_of(inflight, request->id);
    struct request **at = inflight->requests + slot;
    memmove(at + 1, at, (inflight->count - slot) * sizeof *at);
    *at = request;
    inflight->recent = request;
    inflight->count++;
    return true;
}

void inflight_remove(struct inflight *inflight, const struct request *request)
{
    uint32_t slot = slot_of(inflight, request->id);
    struct request **at = inflight->requests + slot;
    if (inflight->recent == request)
        inflight->recent = NULL;
    inflight->count--;
    memmove(at, at + 1, (inflight->count - slot) * sizeof *at);
    if (inflight->count == 0 && inflight->capacity > IDLE_CAPACITY)
        inflight_free(inflight);
}

void inflight_free(struct inflight *inflight)
{
    free(inflight->requests);
    *inflight = (struct inflight){0};
}
