/* Reads addresses. */
#include "source/fastcgi_address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/check.h"

#define LIFE_S 60 /* of a lookup */

/* Returns false, and leaves it unknown, if the text is not numeric. */
static bool set_numeric(struct fastcgi_address *address, const char *text)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&address->socket;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address->socket;
    memset(&address->socket, 0, sizeof address->socket);
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(address->port);
        address->len = sizeof *four;
    } else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(address->port);
        address->len = sizeof *six;
    } else {
        address->len = 0;
    }
    return address->len > 0;
}

void fastcgi_address_init(struct fastcgi_address *address, const char *text)
{
    const char *path = address_path(text), *port;
    *address = (struct fastcgi_address){0};
    if (path) {
        struct sockaddr_un *local = (struct sockaddr_un *)&address->socket;
        local->sun_family = AF_UNIX;
        snprintf(local->sun_path, sizeof local->sun_path, "%s", path);
        address->len = sizeof *local;
        return;
    }
    if (!address_split_tcp(text, address->host, &port))
        check_never("an address that was not checked");
    address->port = (uint16_t)atoi(port);
    address->is_name = !set_numeric(address, address->host);
}

bool fastcgi_address_is_known(const struct fastcgi_address *address, double now)
{
    return address->len > 0 && (!address->is_name || now < address->known_until);
}

bool fastcgi_address_learn(struct fastcgi_address *address, const char *numeric, double now)
{
    if (!set_numeric(address, numeric))
        return false;
    snprintf(address->numeric, sizeof address->numeric, "%s", numeric);
    address->known_until = now + LIFE_S;
    return true;
}
