/* When a source may be called again after a failure. Pure. */
#ifndef WORKERLESS_SOURCE_RETRY_H
#define WORKERLESS_SOURCE_RETRY_H

#include <stdint.h>

#include "base/slice.h"

#define RETRY_AFTER_MAX_S 3600 /* a larger Retry-After counts as this */

/* The seconds in a Retry-After field, in either format (RFC 9110 10.2.3), at most
 * RETRY_AFTER_MAX_S; 0 if it is malformed or in the past. `now_s` is the time in seconds since
 * 1970. */
unsigned retry_after_read(struct slice value, int64_t now_s);

/* The seconds to wait before the next retry of a call that has been retried `times` times: 0.1 at
 * first, doubled each time, and shortened by up to half at random. `random` is from 0 to 1. */
double retry_backoff(unsigned times, double random);

#endif
