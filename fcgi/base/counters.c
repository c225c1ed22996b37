/* The counters of this process and their table. */
#include "base/counters.h"

#define ROW(constant, name, type, family, label, help)                                             \
    {name, help, family, label, COUNTER_TYPE_##type},
const struct counter_row counter_rows[COUNTERS] = {COUNTER_TABLE(ROW)};

uint64_t counter_values[COUNTERS];
