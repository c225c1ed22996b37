/* Parked requests. A waiter ends exactly once: it is settled, or it leaves. */
#include "park/waiter.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/counters.h"

static void park(struct parking *parking, struct waiter **list, struct waiter *waiter)
{
    waiter->parking = parking;
    waiter->list = list;
    DL_APPEND(*list, waiter);
    parking->parked++;
    counter_add(COUNTER_PARKED, 1);
}

struct waiter *waiter_new(struct parking *parking, struct waiter **list, struct waiter_address who)
{
    struct held_waiter *held = alloc_zeroed(sizeof *held);
    if (!held)
        return NULL;
    held->waiter.who = who;
    park(parking, list, &held->waiter);
    return &held->waiter;
}

void waiter_add(struct parking *parking, struct waiter **list, struct waiter *waiter,
                waiter_embedded_fn *settled)
{
    waiter->settled = settled;
    park(parking, list, waiter);
}

void waiter_move(struct waiter *waiter, struct waiter **list)
{
    DL_DELETE(*waiter->list, waiter);
    waiter->list = list;
    waiter->solo = true;
    waiter->collapsed = false;
    DL_APPEND(*list, waiter);
}

void waiter_leave(struct waiter *waiter)
{
    struct parking *parking = waiter->parking;
    struct waiter **solo_on = waiter->solo ? waiter->list : NULL;
    DL_DELETE(*waiter->list, waiter);
    parking->parked--;
    counter_sub(COUNTER_PARKED, 1);
    if (!waiter->settled) {
        timeout_stop(waiter_hold(waiter));
        free(waiter);
    }
    if (solo_on)
        parking->gone(solo_on);
}

void waiter_settle(struct waiter *waiter, struct settlement settlement)
{
    struct parking *parking = waiter->parking;
    struct waiter_address who = waiter->who;
    waiter_embedded_fn *settled = waiter->settled;
    settlement.collapsed = waiter->collapsed;
    if (settlement.hit)
        counter_add(settlement.detail == FROM_MEMORY ? COUNTER_HITS_MEMORY : COUNTER_HITS_REDIS, 1);
    waiter_leave(waiter);
    if (settled)
        settled(waiter, &settlement);
    else
        parking->settled(parking->context, &who, &settlement);
}
