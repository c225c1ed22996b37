/* Addresses of stream sockets as the config writes them: "unix:PATH", "tcp:HOST:PORT" and, for IPv6,
 * "tcp:[ADDRESS]:PORT". Pure. */
#ifndef WORKERLESS_BASE_ADDRESS_H
#define WORKERLESS_BASE_ADDRESS_H

#include <stdbool.h>

#define ADDRESS_HOST_ROOM 256

/* The path of a unix socket; NULL for any other address. */
const char *address_path(const char *address);

/* Checks such a path. Returns NULL, or an error message for the user. */
const char *address_check_path(const char *path);

/* Splits an address that begins with "tcp:". Writes the host, without brackets, and sets *port to a
 * number of up to five digits, which points into the address. Returns false if it is malformed. */
bool address_split_tcp(const char *address, char host[ADDRESS_HOST_ROOM], const char **port);

/* Checks an address of either form. Returns NULL, or an error message for the user. */
const char *address_check(const char *address);

#endif
