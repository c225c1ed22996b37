/* cache/store and cache/purge: purges of all keys with a prefix, on servers that answer when the
 * test says so. The functions here stand in for redis/topology.c and redis/server.c. */
#include <ev.h>
#include <hiredis/hiredis.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "cache/cache.h"
#include "cache/purge.h"
#include "cache/store.h"
#include "redis/events.h"
#include "redis/needs.h"
#include "redis/topology.h"
#include "resp.h"
#include "unit.h"

#define SERVERS 3

struct redis_server {
    bool usable;
};

struct command {
    redis_reply_fn *answered;
    void *caller;
    size_t server;
    char name[16], key[40]; /* of SCAN the pattern */
};

struct redis_topology {
    struct redis_server servers[SERVERS];
    size_t count;
    unsigned version;
    bool closing;
    const struct redis_needs *needs;
    struct redis_events events;
    struct command commands[3000]; /* unanswered, the oldest first */
    size_t pending;
    unsigned scans; /* since the beginning */
};

static struct redis_topology topology;
static struct store *store;
static struct ev_loop *loop;
static unsigned answers;
static enum store_outcome last;
static unsigned changes;
static bool changed_lease;
static char changed[40];

/* --- the servers --- */

struct redis_topology *redis_topology_new(struct ev_loop *of, const struct redis_settings *settings,
                                          const struct redis_needs *needs,
                                          const struct redis_events *events)
{
    (void)of, (void)settings;
    topology.needs = needs;
    topology.events = *events;
    return &topology;
}

static void reply_with(redisReply *reply)
{
    assert_true(topology.pending > 0);
    struct command command = topology.commands[0];
    topology.pending--;
    for (size_t i = 0; i < topology.pending; i++)
        topology.commands[i] = topology.commands[i + 1];
    command.answered(command.caller, reply);
}

void redis_topology_free(struct redis_topology *of)
{
    of->closing = true;
    while (of->pending > 0)
        reply_with(NULL);
}

struct redis_server *redis_topology_server(const struct redis_topology *of, struct slice prefix,
                                           struct slice key)
{
    (void)prefix, (void)key;
    return of->closing ? NULL : &topology.servers[0];
}

struct redis_server *redis_topology_at(const struct redis_topology *of, size_t index)
{
    return of->closing || index >= of->count ? NULL : &topology.servers[index];
}

struct redis_server *redis_topology_timekeeper(const struct redis_topology *of)
{
    return redis_topology_at(of, 0);
}

const char *redis_server_name(const struct redis_server *server)
{
    (void)server;
    return "a server";
}

bool redis_server_send_words(struct redis_server *server, redis_reply_fn *answered, void *caller,
                             int count, const char **words)
{
    (void)server, (void)answered, (void)caller, (void)count, (void)words;
    return false; /* the time, which is not requested here */
}

unsigned redis_topology_version(const struct redis_topology *of)
{
    return of->version;
}

enum redis_trouble redis_topology_trouble(const struct redis_topology *of)
{
    (void)of;
    return REDIS_WELL;
}

bool redis_topology_busy(const struct redis_topology *of)
{
    return of->pending > 0;
}

enum redis_redirection_kind redis_topology_redirect(struct redis_topology *of,
                                                    const struct redis_server *server,
                                                    const char *error, struct redis_server **to)
{
    (void)of, (void)server, (void)error;
    *to = NULL;
    return REDIS_NOT_REDIRECTED;
}

void redis_server_doubt(struct redis_server *server)
{
    (void)server;
}

bool redis_server_usable(const struct redis_server *server)
{
    return server->usable;
}

bool redis_server_tracking(const struct redis_server *server)
{
    return server->usable;
}

bool redis_server_send(struct redis_server *server, int argc, const char **argv, const size_t *lens,
                       redis_reply_fn *answered, void *caller)
{
    assert_true(topology.pending < LENGTH(topology.commands));
    if (!server->usable)
        return false;
    struct command *command = &topology.commands[topology.pending++];
    int key = strcmp(argv[0], "SCAN") == 0 ? 3 : argc - 1;
    *command = (struct command){.answered = answered,
                                .caller = caller,
                                .server = (size_t)(server - topology.servers)};
    snprintf(command->name, sizeof command->name, "%s", argv[0]);
    snprintf(command->key, sizeof command->key, "%.*s", (int)lens[key], argv[key]);
    topology.scans += strcmp(argv[0], "SCAN") == 0;
    return true;
}

/* --- what they answer --- */

/* Answers the oldest command with this, in RESP. NULL: the connection broke. */
static void reply(const char *resp)
{
    redisReply *parsed = resp_parse(resp);
    reply_with(parsed);
    freeReplyObject(parsed);
}

/* The oldest command, which is a SCAN, finds so many keys. */
static void reply_found(const char *cursor, unsigned count)
{
    struct buffer resp = {0};
    char text[100];
    assert_string_equal(topology.commands[0].name, "SCAN");
    bool leases = strncmp(topology.commands[0].key, "lease:{", 7) == 0;
    int len =
        snprintf(text, sizeof text, "*2\r\n$%zu\r\n%s\r\n*%u\r\n", strlen(cursor), cursor, count);
    unit_append(&resp, text, (size_t)len);
    for (unsigned i = 0; i < count; i++) {
        len = snprintf(text, sizeof text,
                       leases ? "$20\r\nlease:{worker:u%04u}\r\n" : "$12\r\nworker:u%04u\r\n", i);
        unit_append(&resp, text, (size_t)len);
    }
    unit_append(&resp, "", 1);
    reply(buffer_slice(&resp).data);
    buffer_free(&resp);
}

static void on_answer(void *caller, const struct store_answer *answer)
{
    assert_ptr_equal(caller, &answers);
    answers++;
    last = answer->outcome;
}

static bool purge(void)
{
    unsigned before = answers;
    bool begun = purge_prefix(store, SLICE("u"), false, on_answer, &answers);
    assert_int_equal(answers, before); /* never before it returns */
    return begun;
}

static void on_changed(void *context, struct slice key, bool lease_only)
{
    (void)context;
    changes++;
    changed_lease = lease_only;
    snprintf(changed, sizeof changed, "%.*s", key.data ? (int)key.len : 3,
             key.data ? key.data : "any");
}

static void begin(void)
{
    static const struct cache_settings settings = {.redis = {.address = "redis://h"},
                                                   .name_space = "worker"};
    static const struct store_events events = {.changed = on_changed};
    topology.count = 1;
    topology.version = topology.scans = answers = 0;
    topology.closing = false;
    for (size_t i = 0; i < SERVERS; i++)
        topology.servers[i].usable = true;
    store = store_new(loop, &settings, &events);
    assert_non_null(store);
}

static void end(void)
{
    store_free(store);
    store = NULL;
    assert_int_equal(topology.pending, 0);
}

/* --- the tests --- */

/* The client reports names, and the store reports keys. */
static void test_told(void **state)
{
    static const struct {
        const char *name, *key; /* key NULL: nothing is reported */
        bool lease_only;
    } cases[] = {
        {"worker:a", "a", false},
        {"worker:", "", false},
        {"lease:{worker:a}", "a", true},
        {"lease:{worker:}", "", true},
        {"worker:a:b", "a:b", false},
        {NULL, "any", false},
        {"lease:{worker:a", NULL, false},
        {"lease:{worker:", NULL, false},
        {"lease:{workers:a}", NULL, false},
        {"workers:a", NULL, false},
        {"worker", NULL, false},
        {"", NULL, false},
    };
    (void)state;
    begin();
    const struct redis_events *events = &topology.events;
    assert_string_equal(topology.needs->prefixes[0], "worker:");
    assert_string_equal(topology.needs->prefixes[1], "lease:{worker:");
    assert_null(topology.needs->prefixes[2]);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        changes = 0;
        events->changed(events->context,
                        cases[i].name ? slice_of(cases[i].name) : (struct slice){0});
        assert_row(i, changes == (cases[i].key ? 1 : 0));
        assert_row(i, !cases[i].key || strcmp(changed, cases[i].key) == 0);
        assert_row(i, !cases[i].key || changed_lease == cases[i].lease_only);
    }
    changes = 0;
    events->tracking(events->context); /* what changed before that was not reported */
    assert_int_equal(changes, 1);
    assert_string_equal(changed, "any");
    events->moved(events->context);
    assert_int_equal(changes, 2);
    assert_string_equal(changed, "any");
    end();
}

/* It is over when the scan is, and the last purge. */
static void test_done(void **state)
{
    (void)state;
    begin();
    purge();
    assert_string_equal(topology.commands[0].key, "worker:u*");
    reply_found("7", 2);
    assert_string_equal(topology.commands[0].key, "worker:u0000");
    reply(":1\r\n");
    assert_string_equal(topology.commands[0].key, "worker:u0001");
    reply(":0\r\n"); /* gone meanwhile */
    reply_found("0", 0);
    assert_string_equal(topology.commands[0].key, "lease:{worker:u*");
    reply_found("0", 1);
    assert_string_equal(topology.commands[0].key, "worker:u0000");
    assert_int_equal(answers, 0);
    reply(":0\r\n");
    assert_int_equal(answers, 1);
    assert_int_equal(last, STORE_DONE);

    purge(); /* nothing is there */
    reply_found("0", 0);
    reply_found("0", 0);
    assert_int_equal(answers, 2);
    assert_int_equal(last, STORE_DONE);
    end();
    assert_int_equal(answers, 2);
}

/* If any of the single purges fails, that is reported, and all others are still sent. */
static void test_failed(void **state)
{
    static const char *const errors[] = {NULL, "-OOM command not allowed\r\n", "+OK\r\n"};
    (void)state;
    for (unsigned i = 0; i < 5 * LENGTH(errors); i++) {
        unsigned failing = i / LENGTH(errors), purged = 0;
        begin();
        purge();
        for (unsigned step = 0; topology.pending > 0;) {
            if (strcmp(topology.commands[0].name, "SCAN") != 0)
                reply(purged++ == failing ? errors[i % LENGTH(errors)] : ":1\r\n");
            else if (step++ == 0)
                reply_found("9", 2);
            else
                reply_found("0", step == 2 ? 1 : 2);
        }
        assert_row(i, purged == 5 && answers == 1 && last == STORE_GONE);
        end();
    }
}

/* The scan waits while many purges are in progress. */
static void test_many(void **state)
{
    (void)state;
    begin();
    purge();
    reply_found("7", 1200);
    assert_int_equal(topology.pending, 1200);
    while (topology.pending > 1000)
        reply(":1\r\n");
    assert_int_equal(topology.scans, 1);
    reply(":1\r\n");
    assert_int_equal(topology.scans, 2);
    assert_int_equal(topology.pending, 1000);
    while (topology.pending > 1)
        reply(":1\r\n");
    assert_int_equal(topology.scans, 2);
    reply_found("0", 0);
    reply_found("0", 0);
    assert_int_equal(answers, 1);
    assert_int_equal(last, STORE_DONE);
    end();
}

/* The server fails while the scan waits, or everything ends. */
static void test_lost(void **state)
{
    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        begin();
        purge();
        reply_found("7", 1500);
        assert_int_equal(answers, 0);
        topology.servers[0].usable = !lost;
        while (lost && topology.pending > 0)
            reply(NULL);
        assert_int_equal(answers, lost);
        end();
        assert_int_equal(answers, 1);
        assert_int_equal(last, STORE_GONE);
    }
}

/* If slots move, the scan starts again, up to a limit; after that, some keys may have been missed.
 * */
static void test_moved(void **state)
{
    static const struct {
        unsigned moves;
        enum store_outcome outcome;
    } cases[] = {{0, STORE_DONE}, {1, STORE_DONE},  {5, STORE_DONE},
                 {9, STORE_DONE}, {10, STORE_GONE}, {1000, STORE_GONE}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        begin();
        topology.count = SERVERS;
        purge();
        bool seen[SERVERS] = {false};
        for (unsigned moves = 0; topology.pending > 0;) {
            assert_row(i, topology.scans < 100);
            seen[topology.commands[0].server] = true;
            topology.version += moves++ < cases[i].moves;
            reply_found("0", 0);
        }
        assert_row(i, answers == 1 && last == cases[i].outcome);
        assert_row(i, seen[0] && seen[1] && seen[2]);
        end();
    }
}

/* For the purge itself, and each of two keys. */
static void test_no_memory(void **state)
{
    static const char found[] = "*2\r\n$1\r\n0\r\n*2\r\n$8\r\nworker:a\r\n$8\r\nworker:b\r\n";
    (void)state;
    for (long successes = 0; successes <= 3; successes++) {
        begin();
        alloc_fail_after(successes);
        assert_row(successes, purge() == (successes > 0));
        while (topology.pending > 0)
            reply(strcmp(topology.commands[0].name, "SCAN") != 0 ? ":1\r\n"
                  : topology.scans == 1                          ? found
                                                                 : "*2\r\n$1\r\n0\r\n*0\r\n");
        alloc_fail_after(-1);
        assert_row(successes, answers == (successes > 0));
        assert_row(successes, successes == 0 || last == (successes < 3 ? STORE_GONE : STORE_DONE));
        end();
    }
}

static int setup(void **state)
{
    (void)state;
    loop = ev_loop_new(0);
    return loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    ev_loop_destroy(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told),      cmocka_unit_test(test_done),
        cmocka_unit_test(test_failed),    cmocka_unit_test(test_many),
        cmocka_unit_test(test_lost),      cmocka_unit_test(test_moved),
        cmocka_unit_test(test_no_memory),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("store_purge", tests, setup, teardown);
}
