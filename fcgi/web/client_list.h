/* The clients that may do what others may not, as the config lists them: addresses and networks.
 * Pure. */
#ifndef WORKERLESS_WEB_CLIENT_LIST_H
#define WORKERLESS_WEB_CLIENT_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct client_list { /* all zero: nobody */
    const char *const *addresses;
    size_t count;
};

/* Checks one text of a list: an address, or a network as RFC 4632 3.1 and RFC 4291 2.3 write it.
 * Returns NULL; or how to write it, static. */
const char *client_list_check(const char *text);

/* Whether the list has the address, the REMOTE_ADDR of a request. An IPv4 client of an IPv6 socket
 * (::ffff:192.0.2.1) is the same as the IPv4 address. */
bool client_list_has(const struct client_list *list, struct slice remote_addr);

#endif
