/* redis/topology: which server of a Cluster is asked for the slots, and what follows from its
 * answer. The functions here stand in for redis/server.c. */
#include "redis/topology.h"

#include <ev.h>
#include <stdio.h>

#include "base/log.h"
#include "redis/address.h"
#include "redis/events.h"
#include "redis/needs.h"
#include "redis/settings.h"
#include "resp.h"
#include "unit.h"

#define SERVERS 4

/* Each is known by its port, from 1. */
struct redis_server {
    uint16_t port;
    unsigned asked; /* how often, for the slots */
    redis_reply_fn *answered;
    void *caller; /* of the pending command; NULL: none */
};

static struct redis_server servers[SERVERS + 1];
static struct redis_servers common;
static struct ev_loop *loop;
static struct redis_topology *topology;
static unsigned moves;

/* --- the servers --- */

struct redis_server *redis_server_new(const struct redis_servers *of,
                                      const struct redis_address *address, bool quiet)
{
    struct redis_server *server = &servers[address->ports[0]];
    (void)quiet;
    assert_true(address->ports[0] <= SERVERS);
    assert_int_equal(server->port, 0); /* there is only one at a port */
    common = *of;
    server->port = address->ports[0];
    return server;
}

static void reply_with(struct redis_server *server, const char *resp)
{
    redisReply *reply = resp_parse(resp);
    void *caller = server->caller;
    assert_non_null(caller);
    server->caller = NULL;
    server->answered(caller, reply);
    if (reply)
        freeReplyObject(reply);
}

void redis_server_free(struct redis_server *server)
{
    if (!server)
        return;
    if (server->caller)
        reply_with(server, NULL);
    server->port = 0;
}

bool redis_server_send_words(struct redis_server *server, redis_reply_fn *answered, void *caller,
                             int count, const char **words)
{
    assert_int_equal(count, 2);
    assert_string_equal(words[0], "CLUSTER");
    assert_string_equal(words[1], "SLOTS");
    assert_null(server->caller);
    server->asked++;
    server->answered = answered;
    server->caller = caller;
    return true;
}

bool redis_server_usable(const struct redis_server *server)
{
    (void)server;
    return true;
}

enum redis_trouble redis_server_trouble(const struct redis_server *server)
{
    (void)server;
    return REDIS_WELL;
}

bool redis_server_busy(const struct redis_server *server)
{
    return server->caller != NULL;
}

const char *redis_server_name(const struct redis_server *server)
{
    (void)server;
    return "a server";
}

const char *redis_server_literal(const struct redis_server *server)
{
    (void)server;
    return "127.0.0.1";
}

/* --- the topology --- */

static void on_moved(void *context)
{
    (void)context;
    moves++;
}

static int set_up(void **state)
{
    static const struct redis_settings settings = {
        .address = "cluster://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3",
    };
    static const struct redis_needs needs;
    static const struct redis_events events = {.moved = on_moved};
    (void)state;
    log_configure(LOG_LEVEL_ERROR, false);
    memset(servers, 0, sizeof servers);
    moves = 0;
    loop = ev_loop_new(EVFLAG_AUTO);
    topology = loop ? redis_topology_new(loop, &settings, &needs, &events) : NULL;
    return topology ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    redis_topology_free(topology);
    ev_loop_destroy(loop);
    return 0;
}

/* Waits until the slots are asked for, and returns the port of the server. Servers that are lost
 * bring the next look forward. */
static uint16_t next_asked(void)
{
    for (unsigned turns = 0;; turns++) {
        assert_true(turns < 500); /* of 10 ms, about */
        for (unsigned port = 1; port <= SERVERS; port++)
            if (servers[port].caller)
                return servers[port].port;
        for (int i = 0; i < 100; i++)
            common.lost(common.context);
        ev_run(loop, EVRUN_ONCE);
    }
}

/* The answer of a server that knows all slots. From `first` on there are `count` primaries, at
 * ports one after the other. */
static const char *slots_of(unsigned first, unsigned count)
{
    static char text[1000];
    int len = snprintf(text, sizeof text, "*%u\r\n", count);
    for (unsigned i = 0; i < count; i++)
        len += snprintf(text + len, sizeof text - (size_t)len,
                        "*3\r\n:%u\r\n:%u\r\n*3\r\n$9\r\n127.0.0.1\r\n:%u\r\n$2\r\nid\r\n",
                        REDIS_SLOTS * i / count, REDIS_SLOTS * (i + 1) / count - 1, first + i);
    return text;
}

static uint16_t port_of_key(const char *key)
{
    struct redis_server *server = redis_topology_server(topology, slice_of(""), slice_of(key));
    return server ? server->port : 0;
}

/* --- tests --- */

static void test_each_in_turn(void **state)
{
    (void)state;
    assert_int_equal(next_asked(), 1);
    reply_with(&servers[1], slots_of(1, 3));
    assert_int_equal(moves, 1);
    servers[1].asked = 0;
    for (unsigned i = 0; i < 9; i++)
        reply_with(&servers[next_asked()], slots_of(1, 3));
    for (unsigned port = 1; port <= 3; port++)
        assert_int_equal(servers[port].asked, 3);
    assert_int_equal(moves, 1); /* all stay where they are */
}

static const char *const bad[] = {
    NULL,
    "-ERR This instance has cluster support disabled\r\n",
    "-CLUSTERDOWN The cluster is down\r\n",
    "+OK\r\n",
    "*0\r\n", /* it has left the Cluster */
    "*1\r\n*3\r\n:0\r\n:16383\r\n*0\r\n",
    "*1\r\n*3\r\n:0\r\n:16384\r\n*3\r\n$9\r\n127.0.0.1\r\n:1\r\n$2\r\nid\r\n",
};

/* One server of the map never answers, or badly: the others are asked, and a new map is found. */
static void test_bad_answers(void **state)
{
    (void)state;
    for (size_t row = 0; row < LENGTH(bad); row++) {
        for (unsigned port = 1; port <= 3; port++) {
            unsigned looks = 0;
            uint16_t asked;
            assert_int_equal(set_up(NULL), 0);
            reply_with(&servers[next_asked()], slots_of(1, 3));
            while ((asked = next_asked()) == port || servers[port].asked < 2) {
                reply_with(&servers[asked], asked == port ? bad[row] : slots_of(1, 3));
                assert_row(row, looks++ < 6);
            }
            assert_row(row, port_of_key("a") == 3);
            reply_with(&servers[asked], slots_of(4, 1));
            assert_row(row, port_of_key("a") == 4 && moves == 2);
            tear_down(NULL);
        }
    }
}

/* Of the seeds, only one knows the Cluster. */
static void test_bad_seeds(void **state)
{
    (void)state;
    for (size_t row = 0; row < LENGTH(bad); row++) {
        for (unsigned port = 1; port <= 3; port++) {
            uint16_t asked;
            assert_int_equal(set_up(NULL), 0);
            for (unsigned looks = 0; (asked = next_asked()) != port; looks++) {
                assert_row(row, looks < 6);
                reply_with(&servers[asked], bad[row]);
            }
            assert_row(row, moves == 0);
            reply_with(&servers[asked], slots_of(4, 1));
            assert_row(row, port_of_key("a") == 4 && moves == 1);
            tear_down(NULL);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_in_turn, set_up, tear_down),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_bad_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
