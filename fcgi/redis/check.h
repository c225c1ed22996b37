/* Validates the settings for Redis before anything uses them. */
#ifndef WORKERLESS_REDIS_CHECK_H
#define WORKERLESS_REDIS_CHECK_H

#include <stdbool.h>

struct redis_problem;
struct redis_settings;

/* Returns NULL, or an error message for the user. "" is valid and means no Redis. */
const char *redis_check_address(const char *text);

/* Checks the TLS settings and reads their files. The address must have been checked before. Returns
 * false with the problem. */
bool redis_check_tls(const struct redis_settings *settings, struct redis_problem *problem);

#endif
