/* Lists of calls by number, and the list of those lists that are not empty. */
#include "source/lanes.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/check.h"

struct lane {
    struct lane_call *calls; /* oldest first */
    size_t count;
    struct lane *prev, *next; /* in lanes->turns, as long as it has calls */
};

bool lanes_need(struct lanes *lanes, unsigned number)
{
    if (number >= lanes->lane_count) {
        size_t count = (size_t)number + 1;
        struct lane **longer = alloc_resized(lanes->lanes, count * sizeof *longer);
        if (!longer)
            return false;
        memset(longer + lanes->lane_count, 0, (count - lanes->lane_count) * sizeof *longer);
        lanes->lanes = longer;
        lanes->lane_count = count;
    }
    if (!lanes->lanes[number])
        lanes->lanes[number] = alloc_zeroed(sizeof *lanes->lanes[number]);
    return lanes->lanes[number] != NULL;
}

void lanes_add(struct lanes *lanes, unsigned number, struct lane_call *call)
{
    struct lane *lane = lanes->lanes[number];
    if (!lane->calls)
        DL_APPEND(lanes->turns, lane);
    DL_APPEND(lane->calls, call);
    call->lane = lane;
    lane->count++;
    lanes->count++;
}

void lanes_remove(struct lanes *lanes, struct lane_call *call)
{
    struct lane *lane = call->lane;
    DL_DELETE(lane->calls, call);
    if (!lane->calls)
        DL_DELETE(lanes->turns, lane);
    *call = (struct lane_call){0};
    lane->count--;
    lanes->count--;
}

struct lane_call *lanes_take(struct lanes *lanes)
{
    struct lane *lane = lanes->turns;
    if (!lane)
        return NULL;
    struct lane_call *call = lane->calls;
    DL_DELETE(lanes->turns, lane);
    DL_APPEND(lanes->turns, lane);
    lanes_remove(lanes, call);
    return call;
}

struct lane_call *lanes_crowding(const struct lanes *lanes, unsigned number)
{
    struct lane *longest = lanes->lanes[number];
    size_t most = longest->count + 1;
    for (struct lane *lane = lanes->turns; lane; lane = lane->next) {
        if (lane->count <= most)
            continue;
        longest = lane;
        most = lane->count;
    }
    return longest->count == most ? longest->calls->prev : NULL; /* the head's prev is the tail */
}

void lanes_end(struct lanes *lanes)
{
    check(lanes->count == 0);
    for (size_t i = 0; i < lanes->lane_count; i++)
        free(lanes->lanes[i]);
    free(lanes->lanes);
    *lanes = (struct lanes){0};
}
