/* The parsed `redis` setting: the address of a Redis server, or of servers that know it. Pure. */
#ifndef WORKERLESS_REDIS_ADDRESS_H
#define WORKERLESS_REDIS_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#define REDIS_HOSTS_MAX 16
#define REDIS_HOST_MAX  255 /* bytes of a host's name or address */

enum redis_kind {
    REDIS_BY_PATH,     /* a unix socket */
    REDIS_BY_HOST,     /* TCP: the one host */
    REDIS_BY_SENTINEL, /* TCP: the hosts are Sentinels, which know the primary by its name */
    REDIS_BY_CLUSTER,  /* TCP: the hosts are nodes of a Redis Cluster, which know all others */
};

struct redis_address {
    enum redis_kind kind;
    bool tls; /* for every server and every Sentinel */
    unsigned host_count;
    uint16_t ports[REDIS_HOSTS_MAX];
    /* Names or literal addresses, without brackets, one after the other, each ended by '\0'. */
    char hosts[1024];
    char unix_path[108];
    char primary[128];  /* its name */
    char user[128];     /* of the servers, never of Sentinels; empty: the default user */
    char password[256]; /* empty: no AUTH */
    int db;
};

/* Reads "unix:PATH", "unix://[[user]:password@]PATH[?db=N]",
 * "redis://[[user]:password@]host[:port][/db]",
 * "sentinel://[[user]:password@]host[:port][,host[:port]...]/primary[/db]" or
 * "cluster://[[user]:password@]host[:port][,host[:port]...][/]"; with an "s" before the colon
 * ("rediss://", "sentinels://", "clusters://") by TLS. User, password and the primary's name may be
 * percent-encoded. User and password are those of the Redis servers, and the same of all nodes of a
 * Cluster; Sentinels that require a password are not supported. Returns NULL, or an error message
 * for the user. */
const char *redis_address_parse(const char *text, struct redis_address *address);

/* The host whose port is ports[index]; index is less than host_count. */
const char *redis_address_host(const struct redis_address *address, unsigned index);

/* Whether the host is an address already, so that there is nothing to look up. */
bool redis_address_is_literal(const char *host);

#endif
