/* Reads Retry-After, and computes the pauses between retries. */
#include "source/retry.h"

#include "source/date.h"

#define RETRY_FIRST_S     0.1
#define RETRY_DOUBLED_MAX 5

double retry_backoff(unsigned times, double random)
{
    return RETRY_FIRST_S * (1u << (times < RETRY_DOUBLED_MAX ? times : RETRY_DOUBLED_MAX)) *
           (1 - random / 2);
}

unsigned retry_after_read(struct slice value, int64_t now_s)
{
    int64_t seconds = 0, date;
    value = slice_trim(value);
    size_t digits = 0;
    for (; digits < value.len && value.data[digits] >= '0' && value.data[digits] <= '9'; digits++)
        if (seconds <= RETRY_AFTER_MAX_S)
            seconds = seconds * 10 + (value.data[digits] - '0');
    if (digits < value.len) {
        if (!date_read(value, now_s, &date))
            return 0;
        seconds = date > now_s ? date - now_s : 0;
    }
    return seconds < RETRY_AFTER_MAX_S ? (unsigned)seconds : RETRY_AFTER_MAX_S;
}
