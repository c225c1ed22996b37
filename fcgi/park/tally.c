/* The tallies of this process, by pattern. */
#include "park/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define NAME(constant, name) name,
const char *const route_outcome_names[ROUTE_OUTCOMES] = {ROUTE_OUTCOME_TABLE(NAME)};

/* Those of a purge have no route; they are never counted. */
const enum route_outcome route_outcomes_of_kinds[] = {
    [SETTLED_ENTRY] = ROUTE_MISS,          [SETTLED_NOT_FOUND] = ROUTE_NOT_FOUND,
    [SETTLED_FAILED] = ROUTE_FAILED,       [SETTLED_TIMED_OUT] = ROUTE_TIMED_OUT,
    [SETTLED_NOT_READY] = ROUTE_NOT_READY, [SETTLED_BUSY] = ROUTE_BUSY,
    [SETTLED_DECLINED] = ROUTE_NOT_READY,  [SETTLED_SHUTDOWN] = ROUTE_SHUTDOWN,
    [SETTLED_PURGED] = ROUTE_MISS,         [SETTLED_NOT_PURGED] = ROUTE_FAILED,
    [SETTLED_REFUSED] = ROUTE_REFUSED,
};

struct named_tally {
    struct named_tally *next;
    struct route_tally tally;
    char pattern[];
};

static struct named_tally *all;

struct route_tally *route_tally_of(const char *pattern)
{
    struct named_tally *named;
    size_t size = strlen(pattern) + 1;
    for (named = all; named; named = named->next)
        if (strcmp(named->pattern, pattern) == 0)
            return &named->tally;
    named = alloc_zeroed(sizeof *named + size);
    if (!named)
        return NULL;
    memcpy(named->pattern, pattern, size);
    named->next = all;
    all = named;
    return &named->tally;
}
