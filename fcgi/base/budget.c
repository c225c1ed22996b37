/* The budgets of this process. */
#include "base/budget.h"

#include <stdint.h>

#include "base/check.h"
#include "base/counters.h"
#include "base/log.h"

struct budget budgets[BUDGETS] = {
    [BUDGET_UNFINISHED] = {.limit = SIZE_MAX},
    [BUDGET_UNSENT] = {.limit = SIZE_MAX},
    [BUDGET_INPUTS] = {.limit = SIZE_MAX},
};

const struct budget_row budget_rows[BUDGETS] = {
    [BUDGET_UNFINISHED] = {"unfinished", "max_unfinished",
                           "Memory for requests that have not arrived completely."},
    [BUDGET_UNSENT] = {"unsent", "max_unsent",
                       "Memory for responses that front servers have not read yet."},
    [BUDGET_INPUTS] = {"inputs", "max_inputs",
                       "Memory for the inputs of fragments that are being made."},
};

void budget_log_refusal(enum budget_name name)
{
    static const enum counter counters[] = {
        [BUDGET_UNFINISHED] = COUNTER_REFUSED_MAX_UNFINISHED,
        [BUDGET_UNSENT] = COUNTER_REFUSED_MAX_UNSENT,
        [BUDGET_INPUTS] = COUNTER_REFUSED_MAX_INPUTS,
    };
    static struct log_limit limits[BUDGETS];
    check(budgets[name].used <= SIZE_MAX / 2); /* no more was subtracted than added */
    counter_add(counters[name], 1);
    log_limited(&limits[name], LOG_LEVEL_WARNING, "budget",
                "%s is reached: requests are rejected with 503", budget_rows[name].option);
}
