/* Dates of HTTP header fields (RFC 9110 5.6.7). Pure. */
#ifndef WORKERLESS_SOURCE_DATE_H
#define WORKERLESS_SOURCE_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Reads a date in any of the three formats: IMF-fixdate, that of RFC 850, and that of asctime().
 * Sets *seconds since 1970, at least 0. `now_s` decides the century of a year with two digits.
 * Returns false if the text is not such a date. */
bool date_read(struct slice text, int64_t now_s, int64_t *seconds);

#endif
