/* When a source may be called again after a failure. Pure. */
#ifndef WORKERLESS_SOURCE_RETRY_H
#define WORKERLESS_SOURCE_RETRY_H

#include <stdint.h>

#include "base/slice.h"

#define RETRY_AFTER_MAX_S 3600 /* a source that says more is still asked after this time */

/* The seconds that a Retry-After field demands, in either format (RFC 9110 10.2.3), at most
 * RETRY_AFTER_MAX_S; 0 if it is malformed or past. `now_s` is the time in seconds since 1970. */
unsigned retry_after_read(struct slice value, int64_t now_s);

/* The seconds to wait before a call is made again that has been made again `times` times: at first
 * up to 0.1, doubled each time, and shortened by up to half. `random` is from 0 to 1. */
double retry_backoff(unsigned times, double random);

#endif
