/* The counters of this process and their table. */
#include "base/counters.h"

#include <string.h>

#include "base/figures.h"

#define ROW(constant, name, type, family, label, help)                                             \
    {name, help, family, label, COUNTER_TYPE_##type},
const struct counter_row counter_rows[COUNTERS] = {COUNTER_TABLE(ROW)};

static uint64_t ordinary[COUNTERS];
uint64_t *counter_values = ordinary;

/* There is always a row: with it begins the part of a worker. */
void counters_join(void)
{
    uint64_t *row = figures_row(FIGURES_COUNTERS, "", sizeof ordinary);
    if (row)
        counter_values = row;
}

const uint64_t *counters_of(unsigned part)
{
    return figures_are_shared() ? figures_of(part, FIGURES_COUNTERS, "") : counter_values;
}

void counters_end(unsigned worker)
{
    uint64_t *row = (uint64_t *)figures_of(worker, FIGURES_COUNTERS, "");
    for (size_t i = 0; row && i < COUNTERS; i++)
        if (counter_rows[i].type == COUNTER_TYPE_GAUGE)
            row[i] = 0;
}
