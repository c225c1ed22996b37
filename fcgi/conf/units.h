/* Durations, sizes and other values as people write them. Pure.
 *
 * Each function returns NULL and sets its result; or it returns an error message for the user, and
 * does not change the result.
 */
#ifndef WORKERLESS_CONF_UNITS_H
#define WORKERLESS_CONF_UNITS_H

#include <stddef.h>

/* "250ms", "1.5s", "5m"; the units are us, ms, s, m, h, d. "0" needs none. In seconds. */
const char *units_parse_duration(const char *text, double *seconds);

/* "0-3s", "100ms-2s", or one duration, which is both ends. In seconds. */
const char *units_parse_range(const char *text, double *low, double *high);

/* "512B", "64KiB", "1MiB", "2GiB": integers with a unit. "0" needs none. In bytes. */
const char *units_parse_size(const char *text, size_t *bytes);

/* A plain number. */
const char *units_parse_count(const char *text, size_t *count);

/* "5 in 10s": a number of at least 1, and a time of more than 0, in seconds. "" sets both to 0. */
const char *units_parse_rate(const char *text, size_t *count, double *seconds);

/* A part of all: "1", "0.01", "1/100". From 0 to 1. */
const char *units_parse_share(const char *text, double *share);

/* An octal file mode, up to 0777. */
const char *units_parse_mode(const char *text, unsigned *mode);

#endif
