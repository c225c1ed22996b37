/* The tallies of this process, by pattern. */
#include "park/tally.h"

#include "base/figures.h"

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

struct route_tally *route_tally_of(const char *pattern)
{
    return figures_row(FIGURES_ROUTE, pattern, sizeof(struct route_tally));
}
