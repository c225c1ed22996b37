/* Whether the settings for Redis are right, before anything uses them. */
#ifndef WORKERLESS_REDIS_CHECK_H
#define WORKERLESS_REDIS_CHECK_H

#include <stdbool.h>

struct redis_problem;
struct redis_settings;

/* Returns NULL, or what is wrong with the address, in the user's words. "" is right: no Redis. */
const char *redis_check_address(const char *text);

/* Checks the TLS settings, which means reading their files. The address has been checked before.
 * False: the problem says why. */
bool redis_check_tls(const struct redis_settings *settings, struct redis_problem *problem);

#endif
