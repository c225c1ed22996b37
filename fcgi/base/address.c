/* Reads addresses of sockets. */
#include "base/address.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define UNIX "unix:"
#define TCP  "tcp:"

const char *address_path(const char *address)
{
    return strncmp(address, UNIX, strlen(UNIX)) == 0 ? address + strlen(UNIX) : NULL;
}

const char *address_check_path(const char *path)
{
    size_t len = strlen(path);
    return len > 0 && len < sizeof((struct sockaddr_un *)0)->sun_path
               ? NULL
               : "the path of a unix socket must have 1 to 107 bytes";
}

static bool is_port(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= 5 && strspn(text, "0123456789") == len && atoi(text) <= 65535;
}

bool address_split_tcp(const char *address, char host[ADDRESS_HOST_ROOM], const char **port)
{
    const char *text = address + strlen(TCP), *colon = strrchr(text, ':');
    if (!colon || !is_port(colon + 1))
        return false;
    *port = colon + 1;
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return false; /* an IPv6 address needs brackets */
    }
    if (len == 0 || len >= ADDRESS_HOST_ROOM)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    return true;
}

const char *address_check(const char *address)
{
    char host[ADDRESS_HOST_ROOM];
    const char *port, *path = address_path(address);
    if (path)
        return address_check_path(path);
    if (strncmp(address, TCP, strlen(TCP)) != 0)
        return "write unix:PATH or tcp:HOST:PORT";
    return address_split_tcp(address, host, &port)
               ? NULL
               : "write tcp:HOST:PORT, or tcp:[ADDRESS]:PORT for IPv6";
}
