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

/* The slot of a key: that of its hash tag, which is what stands between the first { and the next },
 * if there is anything. So NAMESPACE:KEY and lease:{NAMESPACE:KEY} have the same, as long as KEY is
 * without braces. Less than REDIS_SLOTS. */
unsigned redis_slot_of(struct slice key);

/* That of a key in two parts, one after the other, without braces. */
unsigned redis_slot_of_parts(struct slice prefix, struct slice key);

struct redis_node {
    uint16_t port;
    uint8_t host_len;
    char host[REDIS_HOST_MAX + 1]; /* a name or a literal address, without brackets */
};

/* About 290 KB, of which the nodes that are not there are never touched: to be taken by
 * alloc_zeroed, as one to look up in, and one to read the next into. All zeros are no valid map:
 * redis_slots_clear or redis_slots_read comes first. */
struct redis_slots {
    unsigned node_count;
    unsigned served;               /* how many slots have a node */
    uint16_t of_slot[REDIS_SLOTS]; /* an index of nodes, or REDIS_SLOT_NOBODYS */
    struct redis_node nodes[REDIS_NODES_MAX];
};

/* To a map without nodes, in which every slot is nobody's. */
void redis_slots_clear(struct redis_slots *slots);

/* Reads the reply to CLUSTER SLOTS of Redis 3 to 7 and replaces the map by it. A node without a
 * host is at `asked`: the host that gave the reply, which should be the literal address of the
 * connection, so that it is the same however the node was found. Slots of a node that does not know
 * its name ("?") are nobody's. Nodes are in the order in which they are first named; each serves at
 * least one slot.
 *
 * Returns NULL, or what is wrong with the reply, which lives as long as the reply does: for an
 * error reply its own text. The map is then cleared. A cluster in which no slot is served yet is
 * not wrong: look at `served`. */
const char *redis_slots_read(struct redis_slots *slots, const struct redisReply *reply,
                             const char *asked);

/* After MOVED: that slot is served by the node at that place from now on, which is added if it is
 * new; the node that served it stays in the map, be it without a slot, until the next
 * redis_slots_read. Returns the node's index; -1: there is no room for it, or the host is empty or
 * too long, and nothing is changed. `host` may be that of a node of this map. */
int redis_slots_set(struct redis_slots *slots, unsigned slot, const char *host, uint16_t port);

enum redis_redirection_kind {
    REDIS_NOT_REDIRECTED, /* any other error */
    REDIS_MOVED,          /* the slot is served by that node from now on */
    REDIS_ASK,            /* this once: send ASKING and the command to that node; keep the map */
    REDIS_TRY_AGAIN,      /* the slot moves, and this node has not all of the command's keys */
    REDIS_CLUSTER_DOWN,   /* the slot or the whole cluster is not served now */
};

/* Slot and node are set for MOVED and ASK only. */
struct redis_redirection {
    enum redis_redirection_kind kind;
    unsigned slot; /* less than REDIS_SLOTS */
    struct redis_node node;
};

/* Reads the text of an error reply. `asked` is as above. Whatever is not exactly as Redis writes it
 * is no redirection. A script is redirected as any command, by the keys that it is given, before it
 * runs: no redirection is wrapped in a script's error.
 *
 * While a slot moves, a command of several keys is only taken by a node that has all of them: its
 * old node says ASK if it has none, and TRYAGAIN if it has some; its new node, even after ASKING,
 * says TRYAGAIN if any is missing. So a script that takes the lease of a missing key finds no node
 * at all before the move is over, while commands of one key, after ASKING, do. */
struct redis_redirection redis_redirection_read(struct slice error, const char *asked);

#endif
