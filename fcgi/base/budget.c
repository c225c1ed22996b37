/* The budgets of this process. */
#include "base/budget.h"

#include <stdint.h>

struct budget budgets[BUDGETS] = {
    [BUDGET_UNFINISHED] = {.limit = SIZE_MAX},
    [BUDGET_UNSENT] = {.limit = SIZE_MAX},
};
