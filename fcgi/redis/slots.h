/* Which node of a Redis Cluster serves a key: hash slots, the map from slots to nodes, and the
 * errors by which a node says that the map is out of date. Pure.
 *
 * A primary is known by its host and port; its replicas are left out. See the "Redis cluster
 * specification" on redis.io.
 */
#ifndef WORKERLESS_REDIS_SLOTS_H
#define WORKERLESS_REDIS_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "redis/address.h"

struct redisReply;

#define REDIS_SLOTS        16384
#define REDIS_NODES_MAX    1000
#define REDIS_SLOT_NOBODYS UINT16_MAX

/* The slot of a key, less than REDIS_SLOTS. If the key has a hash tag (the bytes between the first
 * { and the next }, if any), it is the slot of the tag. So NAMESPACE:KEY and lease:{NAMESPACE:KEY}
 * have the same slot, as long as KEY has no braces. */
unsigned redis_slot_of(struct slice key);

/* The slot of a key without braces that is given in two parts. */
unsigned redis_slot_of_parts(struct slice prefix, struct slice key);

struct redis_node {
    uint16_t port;
    uint8_t host_len;
    char host[REDIS_HOST_MAX + 1]; /* a name or a literal address, without brackets */
};

/* A map takes about 290 KB; allocate it with alloc_zeroed, so that unused nodes are never touched.
 * All zeros are not a valid map: call redis_slots_clear or redis_slots_read first. */
struct redis_slots {
    unsigned node_count;
    unsigned served;               /* number of slots that have a node */
    uint16_t of_slot[REDIS_SLOTS]; /* an index of nodes, or REDIS_SLOT_NOBODYS */
    struct redis_node nodes[REDIS_NODES_MAX];
};

/* Makes it a map without nodes, in which no slot is served. */
void redis_slots_clear(struct redis_slots *slots);

/* Reads the reply to CLUSTER SLOTS of Redis 3 to 7 and replaces the map with it. A node without a
 * host has the host `asked`, which gave the reply; pass the literal address of the connection, so
 * that a node has the same host however it was found. Slots of a node that does not know its name
 * ("?") are not served. Nodes are in the order in which they are first named; each serves at least
 * one slot.
 *
 * Returns NULL, or an error message that is valid as long as the reply (for an error reply, its own
 * text); then the map is cleared. A cluster that does not serve any slot yet is no error: look at
 * `served`. */
const char *redis_slots_read(struct redis_slots *slots, const struct redisReply *reply,
                             const char *asked);

/* After MOVED: assigns the slot to the node at that host and port, which is added if it is new. The
 * slot's previous node stays in the map until the next redis_slots_read, even if it has no slot
 * left. Returns the node's index; -1 if there is no room for it, or the host is empty or too long;
 * then nothing is changed. `host` may point into this map. */
int redis_slots_set(struct redis_slots *slots, unsigned slot, const char *host, uint16_t port);

enum redis_redirection_kind {
    REDIS_NOT_REDIRECTED, /* any other error */
    REDIS_MOVED,          /* that node serves the slot from now on */
    REDIS_ASK,            /* send ASKING and this one command to that node; keep the map */
    REDIS_TRY_AGAIN,      /* the slot is moving, and this node lacks some of the command's keys */
    REDIS_CLUSTER_DOWN,   /* the slot, or the cluster, is not served now */
};

/* `slot` and `node` are set only for MOVED and ASK. */
struct redis_redirection {
    enum redis_redirection_kind kind;
    unsigned slot; /* less than REDIS_SLOTS */
    struct redis_node node;
};

/* Reads the text of an error reply. `asked` is as above. Text that is not exactly as Redis writes
 * it is not a redirection. A script is redirected like any command, by its declared keys and before
 * it runs, so a redirection is never wrapped in a script's error.
 *
 * While a slot is moving, only a node that has all keys of a command accepts it: the old node
 * answers ASK if it has none of them and TRYAGAIN if it has some; the new node, even after ASKING,
 * answers TRYAGAIN if it lacks any. So until the move is complete, no node accepts a script that
 * takes the lease of a missing key, while commands with one key are accepted after ASKING. */
struct redis_redirection redis_redirection_read(struct slice error, const char *asked);

#endif
