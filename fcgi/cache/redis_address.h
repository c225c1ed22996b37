/* Where a Redis server is: the config's `redis` setting taken apart. Pure. */
#ifndef WORKERLESS_CACHE_REDIS_ADDRESS_H
#define WORKERLESS_CACHE_REDIS_ADDRESS_H

#include <stdbool.h>

struct redis_address {
    char unix_path[108]; /* empty: TCP */
    char host[256];      /* a name or a literal address, without brackets */
    int port;
    char user[128];     /* empty: the default user */
    char password[256]; /* empty: no AUTH */
    int db;
};

/* Reads "unix:PATH" or "redis://[[user]:password@]host[:port][/db]"; user and password may be
 * percent-encoded. Returns NULL, or what is wrong, in the user's words. */
const char *redis_address_parse(const char *text, struct redis_address *address);

#endif
