/* The types of sources: one row each. A name here is that of the struct source_type_NAME. */
#include "source/source.h"

#define TYPES(row) row(simulated) row(http) row(fastcgi) row(queue) row(module)

#define DECLARATION(name) extern const struct source_type source_type_##name;
#define ELEMENT(name)     &source_type_##name,

TYPES(DECLARATION)

const struct source_type *const source_types[] = {TYPES(ELEMENT) NULL};
