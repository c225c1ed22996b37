/* The counters of this process and their table. */
#include "base/counters.h"

#define ROW(constant, name, type, help) {name, help, COUNTER_TYPE_##type},
const struct counter_row counter_rows[COUNTERS] = {COUNTER_TABLE(ROW)};

uint64_t counter_values[COUNTERS];
