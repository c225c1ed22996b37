/* One SCAN after the other: of the values on a server, of the leases there, since a key that is
 * being made for the first time has nothing else, and then on the next server.
 *
 * When slots have moved meanwhile keys may have been missed, so all is done again. */
#include "cache/purge.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cache/names.h"
#include "redis/server.h"
#include "redis/topology.h"

#define STEP      "500" /* keys looked at in one step */
#define TIMES_MAX 10

struct redis_scan {
    struct redis_topology *topology;
    const struct scan_events *owner;
    void *caller;
    size_t node; /* which of them, of that version */
    unsigned version;
    unsigned times; /* that all was begun, as slots had moved: TIMES_MAX */
    bool leases;    /* not the values */
    char cursor[24];
    const struct names *names;
    char pattern[]; /* of a lease: that of a value stands behind its first letters */
};

static void scan_end(struct redis_scan *scan, bool whole)
{
    scan->owner->done(scan->caller, whole);
    free(scan);
}

static void scan_begin(struct redis_scan *scan)
{
    scan->node = 0;
    scan->leases = false;
    scan->version = redis_topology_version(scan->topology);
    scan->times++;
}

/* A cursor is through: on to the next. */
static void scan_turn(struct redis_scan *scan)
{
    scan->leases = !scan->leases;
    if (!scan->leases)
        scan->node++;
    bool moved = scan->version != redis_topology_version(scan->topology);
    if (moved && scan->times < TIMES_MAX)
        scan_begin(scan);
    if (scan->node > 0 && !redis_topology_at(scan->topology, scan->node))
        scan_end(scan, !moved);
    else
        scan->owner->stepped(scan->caller, scan);
}

static void tell(const struct redis_scan *scan, const redisReply *name)
{
    struct slice key;
    bool is_lease;
    if (names_read(scan->names, (struct slice){name->str, name->len}, &key, &is_lease) &&
        is_lease == scan->leases && key.len > 0)
        scan->owner->found(scan->caller, key);
}

/* [cursor, [name, ...]] */
static void on_step(void *caller, redisReply *reply)
{
    struct redis_scan *scan = caller;
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        scan_end(scan, false);
        return;
    }
    const redisReply *names = reply->element[1];
    for (size_t i = 0; i < names->elements; i++)
        if (names->element[i]->type == REDIS_REPLY_STRING)
            tell(scan, names->element[i]);
    bool stuck = strcmp(scan->cursor, reply->element[0]->str) == 0;
    snprintf(scan->cursor, sizeof scan->cursor, "%s", reply->element[0]->str);
    if (strcmp(scan->cursor, "0") == 0)
        scan_turn(scan);
    else if (stuck)
        scan_end(scan, false); /* it would go on for ever */
    else
        scan->owner->stepped(scan->caller, scan);
}

void redis_scan_go_on(struct redis_scan *scan)
{
    struct redis_server *server = redis_topology_at(scan->topology, scan->node);
    const char *pattern =
        scan->pattern + (scan->leases ? 0 : scan->names->value_start - scan->names->lease_start);
    const char *words[] = {"SCAN", scan->cursor, "MATCH", pattern, "COUNT", STEP};
    const size_t lens[] = {4, strlen(scan->cursor), 5, strlen(pattern), 5, sizeof STEP - 1};
    if (!server || !redis_server_send(server, 6, words, lens, on_step, scan))
        scan_end(scan, false);
}

void redis_scan_start(struct redis_topology *topology, const struct names *names,
                      struct slice prefix, const struct scan_events *owner, void *caller)
{
    size_t start_len = strlen(names->lease_start);
    struct redis_scan *scan = alloc_zeroed(sizeof *scan + start_len + 2 * prefix.len + 2);
    if (!scan) {
        owner->done(caller, false);
        return;
    }
    scan->topology = topology;
    scan->owner = owner;
    scan->caller = caller;
    scan->names = names;
    strcpy(scan->cursor, "0");
    memcpy(scan->pattern, names->lease_start, start_len);
    char *end = scan->pattern + start_len;
    for (size_t i = 0; i < prefix.len; i++) { /* its own wildcards are escaped */
        if (strchr("*?[]\\", prefix.data[i]))
            *end++ = '\\';
        *end++ = prefix.data[i];
    }
    *end = '*';
    scan_begin(scan);
    redis_scan_go_on(scan);
}
