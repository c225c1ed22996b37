/* Limits on the bytes that the process holds for peers.
 *
 * Budgets are global, as memory is. Code that holds bytes for a peer adds them here, and subtracts
 * them when they are freed. Where a request can be rejected, check for room first; where not, the
 * bytes are added anyway, and may exceed the budget.
 */
#ifndef WORKERLESS_BASE_BUDGET_H
#define WORKERLESS_BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

enum budget_name {
    BUDGET_UNFINISHED, /* requests that have not arrived completely */
    BUDGET_UNSENT,     /* responses that front servers have not read yet */
    BUDGET_INPUTS,     /* inputs of fragments that are being made */
    BUDGETS
};

struct budget {
    size_t limit, used; /* bytes; without a config there is no limit */
};

/* Counts and logs that a request was rejected because the budget has no room. Logging is
 * rate-limited. Checks that no more bytes were subtracted than added. */
void budget_log_refusal(enum budget_name name);

extern struct budget budgets[BUDGETS];

/* What reports say of a budget. */
struct budget_row {
    const char *name;   /* one word */
    const char *option; /* that sets its limit */
    const char *help;   /* one sentence */
};

extern const struct budget_row budget_rows[BUDGETS];

static inline void budget_add(enum budget_name name, size_t bytes)
{
    budgets[name].used += bytes;
}

/* `bytes` were added before. This is not checked here, in the path of every hit: if more was
 * subtracted, the budget has no room, and budget_log_refusal detects it. */
static inline void budget_sub(enum budget_name name, size_t bytes)
{
    budgets[name].used -= bytes;
}

/* Whether that many more bytes are within the limit. */
static inline bool budget_has_room(enum budget_name name, size_t bytes)
{
    const struct budget *budget = &budgets[name];
    return budget->used <= budget->limit && bytes <= budget->limit - budget->used;
}

/* Whether the limit is exceeded. */
static inline bool budget_exceeded(enum budget_name name)
{
    return budgets[name].used > budgets[name].limit;
}

#endif
