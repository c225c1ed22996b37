/* Bounds on the bytes that peers make the process hold.
 *
 * Memory is the process's, so its budgets are too. Whoever holds bytes for a peer counts them here
 * and takes them off when they are freed. Where more may be refused, look for room first; what
 * can't be refused is counted all the same, and the budget is then exceeded.
 */
#ifndef WORKERLESS_BASE_BUDGET_H
#define WORKERLESS_BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

enum budget_name {
    BUDGET_UNFINISHED, /* requests that have not arrived completely */
    BUDGET_UNSENT,     /* answers that front servers have not taken yet */
    BUDGETS
};

struct budget {
    size_t limit, used; /* bytes; without a config there is no limit */
};

/* Counts that something was refused because the budget has no room, and logs it now and then. */
void budget_log_refusal(enum budget_name name);

extern struct budget budgets[BUDGETS];

static inline void budget_add(enum budget_name name, size_t bytes)
{
    budgets[name].used += bytes;
}

static inline void budget_sub(enum budget_name name, size_t bytes)
{
    budgets[name].used -= bytes;
}

/* Whether so many more bytes keep within the limit. */
static inline bool budget_has_room(enum budget_name name, size_t bytes)
{
    const struct budget *budget = &budgets[name];
    return budget->used <= budget->limit && bytes <= budget->limit - budget->used;
}

/* Whether more is held than the limit allows. */
static inline bool budget_exceeded(enum budget_name name)
{
    return budgets[name].used > budgets[name].limit;
}

#endif
