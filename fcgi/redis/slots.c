/* Slots, their map, and redirections. */
#include "redis/slots.h"

#include <hiredis/hiredis.h>
#include <string.h>

#define NODE_FIELDS 2 /* host and port; since Redis 4 an id follows, since 7 more */

/* --- slots of keys --- */

/* CRC-16/XMODEM, by half bytes: polynomial 0x1021. It begins with 0. */
static unsigned crc16(unsigned crc, struct slice bytes)
{
    static const uint16_t of_nibble[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                           0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                           0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned byte = (unsigned char)bytes.data[i];
        crc = (crc << 4 ^ of_nibble[(crc >> 12 ^ byte >> 4) & 15]) & 0xffff;
        crc = (crc << 4 ^ of_nibble[(crc >> 12 ^ byte) & 15]) & 0xffff;
    }
    return crc;
}

unsigned redis_slot_of(struct slice key)
{
    const char *open = key.len > 0 ? memchr(key.data, '{', key.len) : NULL;
    if (open) {
        struct slice tag = slice_from(key, (size_t)(open - key.data) + 1);
        const char *close = tag.len > 0 ? memchr(tag.data, '}', tag.len) : NULL;
        if (close && close > tag.data)
            key = (struct slice){.data = tag.data, .len = (size_t)(close - tag.data)};
    }
    return crc16(0, key) % REDIS_SLOTS;
}

unsigned redis_slot_of_parts(struct slice prefix, struct slice key)
{
    return crc16(crc16(0, prefix), key) % REDIS_SLOTS;
}

/* --- nodes --- */

/* Accepts only what can be a name or an address, since it goes to the resolver and into the log. */
static bool node_set(struct redis_node *node, struct slice host, long long port)
{
    if (host.len == 0 || host.len > REDIS_HOST_MAX || port < 1 || port > 65535)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (host.data[i] <= ' ' || host.data[i] >= 0x7f)
            return false;
    }
    node->port = (uint16_t)port;
    node->host_len = (uint8_t)host.len;
    memcpy(node->host, host.data, host.len);
    node->host[host.len] = '\0';
    return true;
}

static int find(const struct redis_slots *slots, const struct redis_node *wanted)
{
    for (unsigned i = 0; i < slots->node_count; i++) {
        const struct redis_node *node = &slots->nodes[i];
        if (node->port == wanted->port && node->host_len == wanted->host_len &&
            memcmp(node->host, wanted->host, wanted->host_len) == 0)
            return (int)i;
    }
    return -1;
}

/* Returns the index of the node, which is added if it is new; -1: there is no room. */
static int find_or_add(struct redis_slots *slots, const struct redis_node *wanted)
{
    int index = find(slots, wanted);
    if (index >= 0 || slots->node_count == REDIS_NODES_MAX)
        return index;
    slots->nodes[slots->node_count] = *wanted;
    return (int)slots->node_count++;
}

int redis_slots_set(struct redis_slots *slots, unsigned slot, const char *host, uint16_t port)
{
    struct redis_node node;
    if (slot >= REDIS_SLOTS || !node_set(&node, slice_of(host), port))
        return -1;
    int index = find_or_add(slots, &node);
    if (index < 0)
        return -1;
    slots->served += slots->of_slot[slot] == REDIS_SLOT_NOBODYS;
    slots->of_slot[slot] = (uint16_t)index;
    return index;
}

void redis_slots_clear(struct redis_slots *slots)
{
    slots->node_count = 0;
    slots->served = 0;
    memset(slots->of_slot, 0xff, sizeof slots->of_slot);
}

/* --- the map --- */

static bool is_array(const redisReply *reply, size_t least)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements >= least;
}

/* Reads [host, port, ...]. `known` is false if the node does not know its own name. */
static const char *read_node(const redisReply *reply, const char *asked, struct redis_node *node,
                             bool *known)
{
    if (!is_array(reply, NODE_FIELDS))
        return "a node lacks host or port";
    const redisReply *host = reply->element[0], *port = reply->element[1];
    struct slice name = slice_of(asked);
    if (host->type == REDIS_REPLY_STRING && host->len > 0)
        name = (struct slice){.data = host->str, .len = (size_t)host->len};
    else if (host->type != REDIS_REPLY_STRING && host->type != REDIS_REPLY_NIL)
        return "a host is not a string";
    *known = !slice_equal(name, SLICE("?"));
    if (port->type != REDIS_REPLY_INTEGER)
        return "a port is not a number";
    if (*known && !node_set(node, name, port->integer))
        return "a node has an invalid host or port";
    return NULL;
}

/* Reads [first slot, last slot, primary, replica...]. No slot may be listed twice, so the time that
 * a reply costs is bounded by the number of slots. */
static const char *read_range(struct redis_slots *slots, const redisReply *reply, const char *asked)
{
    if (!is_array(reply, 3))
        return "a slot range lacks its start, its end or a node";
    const redisReply *first = reply->element[0], *last = reply->element[1];
    if (first->type != REDIS_REPLY_INTEGER || last->type != REDIS_REPLY_INTEGER ||
        first->integer < 0 || first->integer > last->integer || last->integer >= REDIS_SLOTS)
        return "a slot range is invalid";

    struct redis_node node;
    bool known;
    const char *wrong = read_node(reply->element[2], asked, &node, &known);
    if (wrong || !known)
        return wrong;
    int index = find_or_add(slots, &node);
    if (index < 0)
        return "there are more than 1,000 nodes";
    for (long long slot = first->integer; slot <= last->integer; slot++) {
        if (slots->of_slot[slot] != REDIS_SLOT_NOBODYS)
            return "a slot is listed twice";
        slots->of_slot[slot] = (uint16_t)index;
        slots->served++;
    }
    return NULL;
}

const char *redis_slots_read(struct redis_slots *slots, const redisReply *reply, const char *asked)
{
    const char *wrong = NULL;
    redis_slots_clear(slots);
    if (reply->type == REDIS_REPLY_ERROR)
        return reply->str;
    if (!is_array(reply, 0))
        return "the reply is not an array of slot ranges";
    if (reply->elements > REDIS_SLOTS)
        return "there are more ranges than slots";
    for (size_t i = 0; i < reply->elements && !wrong; i++)
        wrong = read_range(slots, reply->element[i], asked);
    if (wrong)
        redis_slots_clear(slots);
    return wrong;
}

/* --- redirections --- */

/* Reads a decimal number of at most five digits, up to `most`; -1 if it is not one. */
static long number(struct slice text, long most)
{
    long value = 0;
    if (text.len == 0 || text.len > 5)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        value = value * 10 + (text.data[i] - '0');
    }
    return value <= most ? value : -1;
}

/* Splits HOST:PORT at the last colon: Redis sends IPv6 addresses bare, others send brackets. */
static bool read_place(struct slice place, const char *asked, struct redis_node *node)
{
    const char *colon = place.len > 0 ? memrchr(place.data, ':', place.len) : NULL;
    if (!colon)
        return false;
    struct slice host = {.data = place.data, .len = (size_t)(colon - place.data)};
    long port = number(slice_from(place, host.len + 1), 65535);
    if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        host = (struct slice){.data = host.data + 1, .len = host.len - 2};
    else if (host.len == 0)
        host = slice_of(asked);
    return !slice_equal(host, SLICE("?")) && node_set(node, host, port);
}

/* Removes a word and the space after it from the text; false if the text begins differently. */
static bool skip_word(struct slice *text, struct slice word)
{
    if (!slice_starts(*text, word) || (text->len > word.len && text->data[word.len] != ' '))
        return false;
    *text = slice_from(*text, text->len > word.len ? word.len + 1 : word.len);
    return true;
}

struct redis_redirection redis_redirection_read(struct slice error, const char *asked)
{
    struct redis_redirection redirection = {.kind = REDIS_NOT_REDIRECTED};
    enum redis_redirection_kind kind = REDIS_NOT_REDIRECTED;
    if (skip_word(&error, SLICE("TRYAGAIN")))
        redirection.kind = REDIS_TRY_AGAIN;
    else if (skip_word(&error, SLICE("CLUSTERDOWN")))
        redirection.kind = REDIS_CLUSTER_DOWN;
    else if (skip_word(&error, SLICE("MOVED")))
        kind = REDIS_MOVED;
    else if (skip_word(&error, SLICE("ASK")))
        kind = REDIS_ASK;
    if (kind == REDIS_NOT_REDIRECTED)
        return redirection;

    const char *blank = error.len > 0 ? memchr(error.data, ' ', error.len) : NULL;
    if (!blank)
        return redirection;
    struct slice slot_text = {.data = error.data, .len = (size_t)(blank - error.data)};
    long slot = number(slot_text, REDIS_SLOTS - 1);
    if (slot < 0 || !read_place(slice_from(error, slot_text.len + 1), asked, &redirection.node))
        return redirection;
    redirection.slot = (unsigned)slot;
    redirection.kind = kind;
    return redirection;
}
