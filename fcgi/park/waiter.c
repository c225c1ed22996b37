/* Parked requests. A waiter ends once: it is settled, or it leaves. */
#include "park/waiter.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/alloc.h"

struct waiter *waiter_new(struct parking *parking, struct waiter **list, struct waiter_address who)
{
    struct held_waiter *held = alloc_zeroed(sizeof *held);
    if (!held)
        return NULL;
    held->waiter.who = who;
    waiter_add(parking, list, &held->waiter);
    held->waiter.embedded = false;
    return &held->waiter;
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
    DL_DELETE(*waiter->list, waiter);
    waiter->parking->parked--;
    if (waiter->embedded)
        return;
    timeout_stop(waiter_hold(waiter));
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
