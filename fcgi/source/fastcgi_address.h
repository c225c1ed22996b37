/* Where a FastCGI server is: the option `socket` as an address to connect to. The addresses of a
 * host's name are looked up by the connections; the one that works is remembered for a minute. Pure. */
#ifndef WORKERLESS_SOURCE_FASTCGI_ADDRESS_H
#define WORKERLESS_SOURCE_FASTCGI_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/address.h"

struct fastcgi_address {
    bool is_name;                 /* of a host, which has to be looked up */
    char host[ADDRESS_HOST_ROOM]; /* that name */
    uint16_t port;
    double known_until;             /* by clock_monotonic, if it is a name */
    unsigned attempt;               /* which of the name's addresses to look up first */
    char numeric[INET6_ADDRSTRLEN]; /* the one that is known */
    struct sockaddr_storage socket; /* to connect to... */
    socklen_t len;                  /* ...and its length; 0: it is not known */
};

/* `text` has been checked by address_check. */
void fastcgi_address_init(struct fastcgi_address *address, const char *text);

/* Whether it can be connected to now. */
bool fastcgi_address_is_known(const struct fastcgi_address *address, double now);

/* The name has this address, which is numeric; it is remembered from now on. Returns false if it is
 * malformed. */
bool fastcgi_address_learn(struct fastcgi_address *address, const char *numeric, double now);

#endif
