/* The parser of the `redis` setting. Pure. */
#include "redis/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/byte.h"
#include "base/slice.h"

#define PORT_DEFAULT          6379
#define SENTINEL_PORT_DEFAULT 26379
#define DB_MAX                65535

static bool copy(char *out, size_t size, struct slice text)
{
    if (text.len >= size)
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

/* The byte that the text, beginning with %, encodes; -1 if it is not a valid code, or is '\0'. */
static int decoded(struct slice text)
{
    int high = text.len >= 3 ? byte_hex_value(text.data[1]) : -1;
    int low = text.len >= 3 ? byte_hex_value(text.data[2]) : -1;
    return high < 0 || low < 0 || (high == 0 && low == 0) ? -1 : high << 4 | low;
}

/* Whether each % begins a code. */
static bool decodable(struct slice text)
{
    for (; text.len > 0; text = slice_from(text, 1))
        if (text.data[0] == '%' && decoded(text) < 0)
            return false;
    return true;
}

/* Copies the text, percent-decoded. */
static bool copy_decoded(char *out, size_t size, struct slice text)
{
    size_t len = 0;
    while (text.len > 0 && len + 1 < size) {
        if (text.data[0] != '%') {
            out[len++] = text.data[0];
            text = slice_from(text, 1);
            continue;
        }
        int byte = decoded(text);
        if (byte < 0)
            return false;
        out[len++] = (char)byte;
        text = slice_from(text, 3);
    }
    out[len] = '\0';
    return text.len == 0;
}

static bool number(struct slice text, int most, int *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *out = *out * 10 + (text.data[i] - '0');
        if (*out > most)
            return false;
    }
    return text.len > 0;
}

/* Splits the text at the first (or last) `mark`. Returns false, and changes nothing, if there is
 * none. */
static bool cut(struct slice text, char mark, bool last, struct slice *before, struct slice *after)
{
    const char *at = text.len == 0 ? NULL
                     : last        ? memrchr(text.data, mark, text.len)
                                   : memchr(text.data, mark, text.len);
    if (!at)
        return false;
    size_t len = (size_t)(at - text.data);
    *before = (struct slice){.data = text.data, .len = len};
    *after = slice_from(text, len + 1);
    return true;
}

/* host[:port], appended to the hosts. */
static const char *parse_host(struct slice text, int port, struct redis_address *address)
{
    struct slice host = text, port_text = {0};
    if (slice_starts(text, SLICE("["))) {
        struct slice rest;
        if (!cut(slice_from(text, 1), ']', false, &host, &rest) ||
            (rest.len > 0 && rest.data[0] != ':'))
            return "write IPv6 addresses in brackets, such as [::1]:6379";
        if (rest.len > 0)
            port_text = slice_from(rest, 1);
    } else {
        cut(text, ':', false, &host, &port_text);
    }
    if (host.len == 0 || host.len > REDIS_HOST_MAX)
        return "a host is missing or too long";
    if (port_text.data && (!number(port_text, 65535, &port) || port == 0))
        return "the port must be a number from 1 to 65535";

    const char *end = address->hosts; /* after the last host */
    for (unsigned i = 0; i < address->host_count; i++)
        end += strlen(end) + 1;
    size_t used = (size_t)(end - address->hosts);
    if (address->host_count == REDIS_HOSTS_MAX ||
        !copy(address->hosts + used, sizeof address->hosts - used, host))
        return "the limit is 16 hosts, with 1,000 bytes in total";
    address->ports[address->host_count++] = (uint16_t)port;
    return NULL;
}

static const char *parse_login(struct slice login, struct redis_address *address)
{
    struct slice user, password;
    if (!cut(login, ':', false, &user, &password))
        return "write user:password or :password before the @";
    if (!decodable(user) || !decodable(password))
        return "in user and password, % begins a code such as %40 for @; write %25 for a % "
               "itself";
    if (!copy_decoded(address->user, sizeof address->user, user) ||
        !copy_decoded(address->password, sizeof address->password, password))
        return "the limit is 127 bytes for a user and 255 for a password";
    return NULL;
}

/* host[:port][,host[:port]...] */
static const char *parse_hosts(struct slice hosts, int port, struct redis_address *address)
{
    struct slice host;
    while (cut(hosts, ',', false, &host, &hosts)) {
        const char *wrong = parse_host(host, port, address);
        if (wrong)
            return wrong;
    }
    return parse_host(hosts, port, address);
}

static const char *parse_db(struct slice text, struct redis_address *address)
{
    if (text.len > 0 && !number(text, DB_MAX, &address->db))
        return "the database must be a number";
    return NULL;
}

static bool skip(struct slice *text, struct slice start)
{
    if (!slice_starts(*text, start))
        return false;
    *text = slice_from(*text, start.len);
    return true;
}

/* The parsers of what follows the login. */

static const char *parse_path(struct slice rest, struct redis_address *address)
{
    struct slice query = {0};
    if (cut(rest, '?', false, &rest, &query) && !skip(&query, SLICE("db=")))
        return "only ?db=NUMBER may follow the path of the socket";
    if (rest.len == 0 || rest.data[0] != '/' ||
        !copy(address->unix_path, sizeof address->unix_path, rest))
        return "the absolute path of the socket, 1 to 107 bytes, must follow unix:// and the login";
    return parse_db(query, address);
}

static const char *parse_server(struct slice rest, struct redis_address *address)
{
    struct slice db = {0};
    cut(rest, '/', false, &rest, &db);
    const char *wrong = parse_db(db, address);
    return wrong ? wrong : parse_host(rest, PORT_DEFAULT, address);
}

static const char *parse_sentinels(struct slice rest, struct redis_address *address)
{
    struct slice primary = {0}, db = {0};
    if (cut(rest, '/', false, &rest, &primary))
        cut(primary, '/', false, &primary, &db);
    const char *wrong = parse_db(db, address);
    if (wrong)
        return wrong;
    if (primary.len == 0 || !copy_decoded(address->primary, sizeof address->primary, primary))
        return "/NAME must follow the Sentinels: the name by which they know the primary (such as "
               "/mymaster), 1 to 127 bytes";
    return parse_hosts(rest, SENTINEL_PORT_DEFAULT, address);
}

static const char *parse_cluster(struct slice rest, struct redis_address *address)
{
    struct slice behind = {0};
    cut(rest, '/', false, &rest, &behind);
    if (behind.len > 0)
        return "a Redis Cluster has only database 0: nothing may follow the hosts";
    return parse_hosts(rest, PORT_DEFAULT, address);
}

static const struct {
    struct slice scheme;
    enum redis_kind kind;
    bool tls;
    const char *(*parse)(struct slice rest, struct redis_address *address);
} schemes[] = {
    {SLICE_INIT("unix://"), REDIS_BY_PATH, false, parse_path},
    {SLICE_INIT("redis://"), REDIS_BY_HOST, false, parse_server},
    {SLICE_INIT("rediss://"), REDIS_BY_HOST, true, parse_server},
    {SLICE_INIT("sentinel://"), REDIS_BY_SENTINEL, false, parse_sentinels},
    {SLICE_INIT("sentinels://"), REDIS_BY_SENTINEL, true, parse_sentinels},
    {SLICE_INIT("cluster://"), REDIS_BY_CLUSTER, false, parse_cluster},
    {SLICE_INIT("clusters://"), REDIS_BY_CLUSTER, true, parse_cluster},
};

const char *redis_address_parse(const char *text, struct redis_address *address)
{
    struct slice rest = slice_of(text), login;
    *address = (struct redis_address){0};

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (!skip(&rest, schemes[i].scheme))
            continue;
        address->kind = schemes[i].kind;
        address->tls = schemes[i].tls;
        const char *wrong = NULL;
        if (cut(rest, '@', true, &login, &rest))
            wrong = parse_login(login, address);
        return wrong ? wrong : schemes[i].parse(rest, address);
    }
    if (skip(&rest, SLICE("unix:"))) {
        address->kind = REDIS_BY_PATH;
        if (rest.len > 0 && rest.data[0] != '/' && strstr(rest.data, "@/"))
            return "user and password require unix://, with two slashes";
        return rest.len > 0 && copy(address->unix_path, sizeof address->unix_path, rest)
                   ? NULL
                   : "the path of a unix socket must have 1 to 107 bytes";
    }
    return "write unix:PATH, unix://[user:password@]PATH[?db=N], "
           "redis://[user:password@]host[:port][/db], "
           "sentinel://[user:password@]host[:port],.../primary[/db] or "
           "cluster://[user:password@]host[:port],...; with TLS rediss://, sentinels://, "
           "clusters://";
}

const char *redis_address_host(const struct redis_address *address, unsigned index)
{
    const char *host = address->hosts;
    while (index-- > 0)
        host += strlen(host) + 1;
    return host;
}

bool redis_address_is_literal(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}
