/* Parked requests. A waiter ends once: it is settled, or it leaves. */
#include "park/waiter.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/alloc.h"

struct waiter *waiter_new(struct parking *parking, struct waiter **list, struct waiter_address who)
{
    struct waiter *waiter = alloc_zeroed(sizeof *waiter);
    if (!waiter)
        return NULL;
    waiter->who = who;
    waiter_add(parking, list, waiter);
    waiter->embedded = false;
    return waiter;
}

void waiter_add(struct parking *parking, struct waiter **list, struct waiter *waiter)
{
    waiter->parking = parking;
    waiter->list = list;
    waiter->embedded = true;
    DL_APPEND(*list, waiter);
    parking->parked++;
}

void waiter_leave(struct waiter *waiter)
{
    timeout_stop(&waiter->hold);
    DL_DELETE(*waiter->list, waiter);
    waiter->parking->parked--;
    if (!waiter->embedded)
        free(waiter);
}

void waiter_settle(struct waiter *waiter, struct settlement settlement)
{
    struct parking *parking = waiter->parking;
    struct waiter_address who = waiter->who;
    settlement.collapsed = waiter->collapsed;
    waiter_leave(waiter);
    parking->settled(parking->context, &who, &settlement);
}
