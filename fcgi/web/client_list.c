/* Addresses are compared by their bits, so it does not matter how a front server writes them. */
#include "web/client_list.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#define TEXT_MAX 64 /* bytes: more than the longest address with its mask, and a zero byte */

#define MAPPED_BITS 96 /* of ::ffff:0:0/96, the IPv4 addresses within IPv6: RFC 4291 2.5.5.2 */

struct network {
    int family;
    unsigned bits; /* of the address that have to be the same */
    unsigned char address[sizeof(struct in6_addr)];
};

enum network_error { NETWORK_OK, NETWORK_BAD_ADDRESS, NETWORK_BAD_MASK, NETWORK_HAS_HOST };

static unsigned family_bits(int family)
{
    return family == AF_INET ? 32 : 128;
}

/* Whether the first bits are the same. */
static bool bits_equal(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

/* Whether all bits after the first ones are zero. */
static bool has_host_bits(const struct network *network)
{
    for (unsigned bit = network->bits; bit < family_bits(network->family); bit++)
        if (network->address[bit / 8] & 0x80 >> bit % 8)
            return true;
    return false;
}

/* Reads digits without a sign or a zero in front, up to the limit. */
static bool read_mask(const char *text, unsigned limit, unsigned *bits)
{
    *bits = 0;
    if (!*text || (text[0] == '0' && text[1]))
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        *bits = *bits * 10 + (unsigned)(*text - '0');
        if (*bits > limit)
            return false;
    }
    return true;
}

static void unmap(struct network *network)
{
    static const unsigned char mapped[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};
    if (network->family != AF_INET6 || network->bits < MAPPED_BITS ||
        !bits_equal(network->address, mapped, MAPPED_BITS))
        return;
    network->family = AF_INET;
    network->bits -= MAPPED_BITS;
    memmove(network->address, network->address + sizeof mapped, sizeof(struct in_addr));
}

/* Reads an address, and a mask if there is one. */
static enum network_error read_network(struct network *network, struct slice text)
{
    char copy[TEXT_MAX];
    if (text.len >= sizeof copy || memchr(text.data ? text.data : "", '\0', text.len))
        return NETWORK_BAD_ADDRESS;
    memcpy(copy, text.data ? text.data : "", text.len);
    copy[text.len] = '\0';
    char *mask = strchr(copy, '/');
    if (mask)
        *mask++ = '\0';
    network->family = strchr(copy, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(network->family, copy, network->address) != 1)
        return NETWORK_BAD_ADDRESS;
    network->bits = family_bits(network->family);
    if (mask && !read_mask(mask, network->bits, &network->bits))
        return NETWORK_BAD_MASK;
    if (has_host_bits(network))
        return NETWORK_HAS_HOST;
    unmap(network);
    return NETWORK_OK;
}

const char *client_list_check(const char *text)
{
    struct network network;
    switch (read_network(&network, slice_of(text))) {
    case NETWORK_OK:
        return NULL;
    case NETWORK_BAD_MASK:
        return network.family == AF_INET
                   ? "after the / of an IPv4 network, write a number from 0 to 32"
                   : "after the / of an IPv6 network, write a number from 0 to 128";
    case NETWORK_HAS_HOST:
        return "before the /, write the first address of the network, such as 10.0.0.0/8";
    case NETWORK_BAD_ADDRESS:
        break;
    }
    return "write an address, such as 127.0.0.1 or ::1, or a network, such as 10.0.0.0/8";
}

bool client_list_has(const struct client_list *list, struct slice remote_addr)
{
    struct network client, network;
    if (list->count == 0 || read_network(&client, remote_addr) != NETWORK_OK ||
        client.bits != family_bits(client.family))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (read_network(&network, slice_of(list->addresses[i])) == NETWORK_OK &&
            network.family == client.family &&
            bits_equal(network.address, client.address, network.bits))
            return true;
    return false;
}
