/* redis/slots: slots of keys, maps from valid and invalid replies, and redirections. */
#include "redis/slots.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

#include "unit.h"

static struct redis_slots *slots;

static int set_up(void **state)
{
    (void)state;
    slots = calloc(1, sizeof *slots);
    return slots ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(slots);
    return 0;
}

/* --- slots of keys --- */

static void test_slot_of(void **state)
{
    static const struct {
        struct slice key;
        unsigned slot;
    } cases[] = {
        {SLICE_INIT(""), 0},
        {SLICE_INIT("123456789"), 0x31c3},
        {SLICE_INIT("a"), 15495},
        {SLICE_INIT("foo"), 12182},
        {SLICE_INIT("bar"), 5061},
        {SLICE_INIT("\0"), 0},
        {SLICE_INIT("\xff\xfe\x80\0\x01"), 3267},
        {SLICE_INIT("{user1000}.following"), 3443},
        {SLICE_INIT("user1000"), 3443},
        {SLICE_INIT("foo{}{bar}"), 8363},
        {SLICE_INIT("foo{{bar}}zap"), 4015},
        {SLICE_INIT("{bar"), 4015},
        {SLICE_INIT("foo{bar}{zap}"), 5061},
        {SLICE_INIT("{"), 4092},
        {SLICE_INIT("}"), 12090},
        {SLICE_INIT("{}"), 15257},
        {SLICE_INIT("foo{bar"), 15278},
        {SLICE_INIT("}foo{"), 8453},
        {SLICE_INIT("}{bar}"), 5061},
    };
    (void)state;
    assert_int_equal(redis_slot_of((struct slice){0}), 0);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice key = unit_exact(cases[i].key);
        unsigned slot = redis_slot_of(key);
        unit_drop(key);
        if (slot != cases[i].slot)
            fail_msg("row %zu: slot %u, not %u", i, slot, cases[i].slot);
    }
}

/* A value and its lease are on one node. */
static void test_slot_of_leases(void **state)
{
    static const char *const keys[] = {"worker:a", "worker:", "w:user/7?x=1&y=%7B", "w:a:b:c"};
    (void)state;
    for (size_t i = 0; i < LENGTH(keys); i++) {
        char lease[64];
        snprintf(lease, sizeof lease, "lease:{%s}", keys[i]);
        assert_row(i, redis_slot_of(slice_of(keys[i])) == redis_slot_of(slice_of(lease)));
    }
}

/* --- replies --- */

/* Reads RESP with hiredis' own reader; NULL if it is not one valid reply. */
static redisReply *reply_of(struct slice resp)
{
    void *reply = NULL;
    redisReader *reader = redisReaderCreate();
    assert_non_null(reader);
    if (redisReaderFeed(reader, resp.data, resp.len) == REDIS_OK)
        redisReaderGetReply(reader, &reply);
    redisReaderFree(reader);
    return reply;
}

/* In the tables replies are short: numbers are integers, 'x' strings, ~ nil, +x a status, -x an
 * error, [ and ] arrays. */
static const char *append_resp(struct buffer *out, const char *text)
{
    char head[64];
    while (*text == ' ')
        text++;
    if (*text == '[') {
        struct buffer inner = {0};
        size_t count = 0;
        for (text++; *text && *text != ']'; count++)
            text = append_resp(&inner, text);
        unit_append(out, head, (size_t)snprintf(head, sizeof head, "*%zu\r\n", count));
        if (inner.len > 0)
            unit_append(out, inner.data, inner.len);
        buffer_free(&inner);
        text += *text == ']';
    } else if (*text == '\'') {
        size_t len = strcspn(++text, "'");
        unit_append(out, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", len));
        unit_append(out, text, len);
        unit_append(out, "\r\n", 2);
        text += len + (text[len] != '\0');
    } else if (*text == '~') {
        unit_append(out, "$-1\r\n", 5);
        text++;
    } else {
        bool number = *text == '\0' || !strchr("-+", *text) || strspn(text + 1, "0123456789") > 0;
        size_t len = strcspn(text, number ? " ]" : "]");
        unit_append(out, ":", number);
        unit_append(out, text, len);
        unit_append(out, "\r\n", 2);
        text += len;
    }
    while (*text == ' ')
        text++;
    return text;
}

static redisReply *reply_of_short(const char *text)
{
    struct buffer resp = {0};
    append_resp(&resp, text);
    redisReply *reply = reply_of((struct slice){resp.data, resp.len});
    buffer_free(&resp);
    if (!reply)
        fail_msg("not a reply: %s", text);
    return reply;
}

/* NULL: no node serves it. */
static const struct redis_node *node_of(unsigned slot)
{
    uint16_t index = slots->of_slot[slot];
    return index == REDIS_SLOT_NOBODYS ? NULL : &slots->nodes[index];
}

/* The index of the first node at that place, or -1. */
static int find(const char *host, uint16_t port)
{
    for (unsigned i = 0; i < slots->node_count; i++)
        if (slots->nodes[i].port == port && strcmp(slots->nodes[i].host, host) == 0)
            return (int)i;
    return -1;
}

/* What holds for every map, after success or failure. */
static void assert_sound(void)
{
    bool serves[REDIS_NODES_MAX] = {false};
    unsigned served = 0;
    assert_true(slots->node_count <= REDIS_NODES_MAX);
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++) {
        uint16_t index = slots->of_slot[slot];
        if (index == REDIS_SLOT_NOBODYS) {
            assert_null(node_of(slot));
            continue;
        }
        assert_true(index < slots->node_count);
        assert_ptr_equal(node_of(slot), &slots->nodes[index]);
        serves[index] = true;
        served++;
    }
    assert_int_equal(slots->served, served);
    for (unsigned i = 0; i < slots->node_count; i++) {
        const struct redis_node *node = &slots->nodes[i];
        assert_true(serves[i]);
        assert_true(node->port > 0 && node->host_len > 0);
        assert_int_equal(strlen(node->host), node->host_len);
        assert_int_equal(find(node->host, node->port), i); /* none twice */
    }
}

static void fill(void)
{
    redis_slots_clear(slots);
    assert_int_equal(redis_slots_set(slots, 7, "before", 1), 0);
}

static void assert_cleared(size_t row)
{
    assert_row(row, slots->node_count == 0 && slots->served == 0);
    assert_sound();
}

static void test_read(void **state)
{
    static const struct {
        const char *reply;
        unsigned served;
        const char *nodes[4]; /* host port */
        struct {
            unsigned slot;
            const char *host; /* NULL: no node's */
        } looks[5];
    } cases[] = {
        /* Redis 3: host and port */
        {"[[0 5460 ['127.0.0.1' 7000] ['127.0.0.1' 7003]] [5461 10922 ['127.0.0.1' 7001]] "
         "[10923 16383 ['127.0.0.1' 7002] ['127.0.0.1' 7004] ['127.0.0.1' 7005]]]",
         16384,
         {"127.0.0.1 7000", "127.0.0.1 7001", "127.0.0.1 7002"},
         {{0, "127.0.0.1"}, {16383, "127.0.0.1"}}},
        /* Redis 4: and an id */
        {"[[10923 16383 ['c' 7002 'id'] ['d' 1 'id']] [0 5460 ['a' 7000 'id']]]",
         10922,
         {"c 7002", "a 7000"},
         {{0, "a"}, {5460, "a"}, {5461, NULL}, {10922, NULL}, {10923, "c"}}},
        /* Redis 7: and more about it */
        {"[[0 0 ['a.example' 7000 'id' ['ip' '10.0.0.1']] ['b' 1 'id' []]] "
         "[1 1 [~ 7001 'id' ['hostname' 'c']]] [2 2 ['?' 7002 'id' []]] "
         "[16383 16383 ['' 7000 'id' []]]]",
         3,
         {"a.example 7000", "asked 7001", "asked 7000"},
         {{0, "a.example"}, {1, "asked"}, {2, NULL}, {16383, "asked"}}},
        /* one node, many ranges; the same host on two ports; an IPv6 address */
        {"[[0 1 ['a' 1]] [5 5 ['::1' 1]] [3 3 ['a' 1]] [4 4 ['a' 2]]]",
         5,
         {"a 1", "::1 1", "a 2"},
         {{1, "a"}, {2, NULL}, {3, "a"}, {4, "a"}, {5, "::1"}}},
        /* a replica may be anything */
        {"[[0 16383 ['a' 65535] 'x' 7 ~ [] [~ 0] ['' 99999]]]", 16384, {"a 65535"}, {{9, "a"}}},
        /* a node that is unknown needs no port that is one */
        {"[[0 9 ['?' 0]]]", 0, {NULL}, {{0, NULL}}},
        /* no slots yet */
        {"[]", 0, {NULL}, {{0, NULL}}},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        redisReply *reply = reply_of_short(cases[i].reply);
        unsigned count = 0;
        fill();
        const char *wrong = redis_slots_read(slots, reply, "asked");
        freeReplyObject(reply);
        if (wrong)
            fail_msg("row %zu: %s", i, wrong);
        assert_sound();
        assert_row(i, slots->served == cases[i].served);
        for (; count < LENGTH(cases[i].nodes) && cases[i].nodes[count]; count++) {
            char text[300];
            assert_row(i, count < slots->node_count);
            snprintf(text, sizeof text, "%s %d", slots->nodes[count].host,
                     slots->nodes[count].port);
            assert_slice(i, slice_of(text), slice_of(cases[i].nodes[count]));
        }
        assert_row(i, slots->node_count == count);
        for (size_t j = 0; j < LENGTH(cases[i].looks) && (j == 0 || cases[i].looks[j].slot); j++) {
            const struct redis_node *node = node_of(cases[i].looks[j].slot);
            assert_row(i, !node == !cases[i].looks[j].host);
            if (node)
                assert_slice(i, slice_of(node->host), slice_of(cases[i].looks[j].host));
        }
    }
}

static void test_read_nonsense(void **state)
{
    static const char *const cases[] =
        {"~", "7", "'x'", "+OK", "-ERR This instance has cluster support disabled", "-",
         /* ranges */
         "[7]", "[~]", "['x']", "[[]]", "[[0]]", "[[0 1]]", "[+x]",
         /* slots */
         "[[0 16384 ['a' 1]]]", "[[-1 1 ['a' 1]]]", "[[2 1 ['a' 1]]]", "[[16384 16384 ['a' 1]]]",
         "[['0' 1 ['a' 1]]]", "[[0 '1' ['a' 1]]]", "[[~ 1 ['a' 1]]]", "[[0 ~ ['a' 1]]]",
         "[[0 [] ['a' 1]]]", "[[-9223372036854775808 9223372036854775807 ['a' 1]]]",
         "[[0 4294967296 ['a' 1]]]", "[[4294967296 4294967297 ['a' 1]]]",
         "[[0 5 ['a' 1]] [5 6 ['b' 1]]]", "[[0 5 ['a' 1]] [0 5 ['a' 1]]]",
         /* nodes */
         "[[0 1 ~]]", "[[0 1 'a']]", "[[0 1 7]]", "[[0 1 []]]", "[[0 1 ['a']]]", "[[0 1 [[] 1]]]",
         "[[0 1 [7 1]]]", "[[0 1 [+a 1]]]", "[[0 1 ['a' '1']]]", "[[0 1 ['a' ~]]]",
         "[[0 1 ['a' []]]]", "[[0 1 ['a' 0]]]", "[[0 1 ['a' 65536]]]", "[[0 1 ['a' -1]]]",
         "[[0 1 ['a' 4294967297]]]", "[[0 1 [~ 0]]]", "[[0 1 ['a b' 1]]]", "[[0 1 ['a\n' 1]]]",
         "[[0 1 ['\x7f' 1]]]", "[[0 1 ['\xc3\xa4' 1]]]", "[[0 1 ['?' '1']]]",
         /* valid up to there */
         "[[0 1 ['a' 1]] [2 3 ['b' 0]]]", "[[0 1 ['a' 1]] 7]", "[[0 1 ['a' 1]] [2 3]]"};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        redisReply *reply = reply_of_short(cases[i]);
        fill();
        const char *wrong = redis_slots_read(slots, reply, "asked");
        if (!wrong)
            fail_msg("nothing is wrong with %s", cases[i]);
        if (reply->type == REDIS_REPLY_ERROR)
            assert_ptr_equal(wrong, reply->str);
        freeReplyObject(reply);
        assert_cleared(i);
    }
}

/* A host with a zero byte in it, which the short form can't say. */
static void test_read_zero_byte(void **state)
{
    redisReply *reply = reply_of(SLICE("*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$3\r\na\0b\r\n:1\r\n"));
    (void)state;
    assert_non_null(reply);
    assert_non_null(redis_slots_read(slots, reply, "asked"));
    freeReplyObject(reply);
    assert_cleared(0);
}

/* The host that was asked may itself be invalid. */
static void test_read_asked(void **state)
{
    char longest[REDIS_HOST_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[REDIS_HOST_MAX + 1] = '\0';
    const struct {
        const char *asked;
        bool ok;
    } cases[] = {{NULL, false}, {"", false}, {"a b", false}, {longest, false}, {longest + 1, true}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        redisReply *reply = reply_of_short("[[0 1 [~ 7000]]]");
        assert_row(i, !redis_slots_read(slots, reply, cases[i].asked) == cases[i].ok);
        freeReplyObject(reply);
        assert_sound();
        assert_row(i, slots->node_count == cases[i].ok);
        struct redis_redirection moved =
            redis_redirection_read(SLICE("MOVED 1 :7"), cases[i].asked);
        assert_row(i, (moved.kind == REDIS_MOVED) == cases[i].ok);
    }
}

static void test_read_long_hosts(void **state)
{
    (void)state;
    for (size_t len = REDIS_HOST_MAX - 2; len < REDIS_HOST_MAX + 40; len++) {
        char host[400], text[500];
        memset(host, 'h', len);
        host[len] = '\0';
        snprintf(text, sizeof text, "[[0 1 ['%s' 7000]]]", host);
        redisReply *reply = reply_of_short(text);
        assert_row(len, !redis_slots_read(slots, reply, "asked") == (len <= REDIS_HOST_MAX));
        freeReplyObject(reply);
        assert_sound();
        assert_row(len, (find(host, 7000) == 0) == (len <= REDIS_HOST_MAX));

        snprintf(text, sizeof text, "ASK 1 %s:7000", host);
        struct redis_redirection ask = redis_redirection_read(slice_of(text), "asked");
        assert_row(len, (ask.kind == REDIS_ASK) == (len <= REDIS_HOST_MAX));
        redis_slots_clear(slots);
        assert_row(len, (redis_slots_set(slots, 1, host, 7000) == 0) == (len <= REDIS_HOST_MAX));
    }
}

/* `count` ranges of one slot, on so many nodes in turn. */
static redisReply *many(size_t count, size_t nodes)
{
    struct buffer resp = {0};
    char text[100];
    unit_append(&resp, text, (size_t)snprintf(text, sizeof text, "*%zu\r\n", count));
    for (size_t i = 0; i < count; i++)
        unit_append(&resp, text,
                    (size_t)snprintf(text, sizeof text,
                                     "*3\r\n:%zu\r\n:%zu\r\n*2\r\n$1\r\na\r\n:%zu\r\n", i, i,
                                     1 + i % nodes));
    redisReply *reply = reply_of((struct slice){resp.data, resp.len});
    buffer_free(&resp);
    assert_non_null(reply);
    return reply;
}

static void test_read_many(void **state)
{
    static const struct {
        size_t count, nodes;
        bool ok;
    } cases[] = {{REDIS_SLOTS, REDIS_NODES_MAX, true},
                 {REDIS_SLOTS, 1, true},
                 {REDIS_NODES_MAX, REDIS_NODES_MAX, true},
                 {REDIS_SLOTS, REDIS_NODES_MAX + 1, false},
                 {REDIS_SLOTS + 1, 1, false},
                 {REDIS_SLOTS + 1, REDIS_NODES_MAX + 1, false}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        redisReply *reply = many(cases[i].count, cases[i].nodes);
        assert_row(i, !redis_slots_read(slots, reply, "asked") == cases[i].ok);
        freeReplyObject(reply);
        assert_row(i, slots->node_count == (cases[i].ok ? cases[i].nodes : 0));
        assert_row(i, slots->served == (cases[i].ok ? cases[i].count : 0));
        assert_sound();
    }
}

/* Valid replies with one or a few elements replaced, anywhere and by anything. */
static void test_read_damaged(void **state)
{
    static const char sound[] = "[[0 5460 ['127.0.0.1' 7000 'id' ['ip' '::1']] ['b' 7003 'id' []]] "
                                "[5461 10922 [~ 7001 'id' []]] [10923 16383 ['?' 7002 'id' []]]]";
    static const char *const pieces[] = {"[",         "]",  "~",     "'x'",   "''", "'?'",
                                         "0",         "-1", "16383", "65536", " ",  "[]",
                                         "[['a' 1]]", "+s", "-e",    "'"};
    size_t accepted = 0, refused = 0;
    (void)state;
    for (size_t round = 0; round < 20000; round++) {
        struct buffer text = {0}, resp = {0};
        size_t at = 0;
        for (size_t cuts = 1 + unit_random(3); cuts > 0 && at < sizeof sound - 1; cuts--) {
            size_t next = at + unit_random(sizeof sound - at);
            const char *piece = pieces[unit_random(LENGTH(pieces))];
            unit_append(&text, sound + at, next - at);
            unit_append(&text, piece, strlen(piece));
            at = next + unit_random(4);
        }
        if (at < sizeof sound - 1)
            unit_append(&text, sound + at, sizeof sound - 1 - at);
        unit_append(&text, "", 1);
        append_resp(&resp, text.data);
        redisReply *reply = reply_of((struct slice){resp.data, resp.len});
        if (reply) {
            fill();
            bool ok = redis_slots_read(slots, reply, "asked") == NULL;
            freeReplyObject(reply);
            accepted += ok;
            refused += !ok;
            if (!ok)
                assert_cleared(round);
            else if (round % 16 == 0)
                assert_sound();
        }
        buffer_free(&text);
        buffer_free(&resp);
    }
    assert_true(accepted > 1000 && refused > 1000);
}

/* --- changing and comparing --- */

static void test_set(void **state)
{
    (void)state;
    redis_slots_clear(slots);
    assert_cleared(0);
    assert_int_equal(redis_slots_set(slots, 0, "a", 1), 0);
    assert_int_equal(redis_slots_set(slots, 16383, "b", 1), 1);
    assert_int_equal(redis_slots_set(slots, 1, "a", 1), 0);
    assert_int_equal(redis_slots_set(slots, 0, slots->nodes[1].host, 1), 1);
    assert_sound();
    assert_int_equal(slots->served, 3);
    assert_int_equal(redis_slots_set(slots, 1, "c", 1), 2); /* now "a" serves none */
    assert_int_equal(slots->node_count, 3);
    assert_int_equal(slots->served, 3);
    assert_int_equal(find("a", 1), 0);

    assert_int_equal(redis_slots_set(slots, REDIS_SLOTS, "a", 1), -1);
    assert_int_equal(redis_slots_set(slots, 5, "", 1), -1);
    assert_int_equal(redis_slots_set(slots, 5, "a", 0), -1);
    assert_null(node_of(5));
}

static void test_set_full(void **state)
{
    (void)state;
    redis_slots_clear(slots);
    for (int i = 0; i < REDIS_NODES_MAX; i++)
        assert_int_equal(redis_slots_set(slots, (unsigned)i, "a", (uint16_t)(i + 1)), i);
    assert_int_equal(redis_slots_set(slots, 0, "b", 1), -1);
    assert_string_equal(node_of(0)->host, "a");
    assert_int_equal(redis_slots_set(slots, 5000, "a", REDIS_NODES_MAX), REDIS_NODES_MAX - 1);
    assert_sound();
}

/* --- redirections --- */

static void test_redirections(void **state)
{
    static const struct {
        struct slice error;
        enum redis_redirection_kind kind;
        unsigned slot;
        const char *host;
        int port;
    } cases[] = {
        {SLICE_INIT("MOVED 3999 127.0.0.1:6381"), REDIS_MOVED, 3999, "127.0.0.1", 6381},
        {SLICE_INIT("MOVED 0 h:1"), REDIS_MOVED, 0, "h", 1},
        {SLICE_INIT("MOVED 16383 h.example:65535"), REDIS_MOVED, 16383, "h.example", 65535},
        {SLICE_INIT("MOVED 3999 :6381"), REDIS_MOVED, 3999, "asked", 6381},
        {SLICE_INIT("ASK 3999 127.0.0.1:6381"), REDIS_ASK, 3999, "127.0.0.1", 6381},
        {SLICE_INIT("ASK 3999 [::1]:6381"), REDIS_ASK, 3999, "::1", 6381},
        {SLICE_INIT("ASK 3999 ::1:6381"), REDIS_ASK, 3999, "::1", 6381},
        {SLICE_INIT("ASK 3999 2001:db8::7:6381"), REDIS_ASK, 3999, "2001:db8::7", 6381},
        {SLICE_INIT("ASK 3999 :6381"), REDIS_ASK, 3999, "asked", 6381},
        {SLICE_INIT("TRYAGAIN Multiple keys request during rehashing of slot"), REDIS_TRY_AGAIN, 0,
         NULL, 0},
        {SLICE_INIT("TRYAGAIN"), REDIS_TRY_AGAIN, 0, NULL, 0},
        {SLICE_INIT("CLUSTERDOWN The cluster is down"), REDIS_CLUSTER_DOWN, 0, NULL, 0},
        {SLICE_INIT("CLUSTERDOWN Hash slot not served"), REDIS_CLUSTER_DOWN, 0, NULL, 0},
        /* and all else */
        {SLICE_INIT(""), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("ERR unknown command"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("CROSSSLOT Keys in request don't hash to the same slot"), REDIS_NOT_REDIRECTED,
         0, NULL, 0},
        {SLICE_INIT("ERR Error running script: MOVED 3999 h:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("TRYAGAINX"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("CLUSTERDOWNED x"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("moved 3999 h:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT(" MOVED 3999 h:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED "), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED3999 h:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 "), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED  3999 h:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999  h:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED h:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED x h:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED -1 h:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 16384 h:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 4294967296 h:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 h"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 h:"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 :"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 h:0"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 h:65536"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 h:4294967297"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 h:-1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 h:6x"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 h:1 "), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 h:1 x"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 a b:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 a\0b:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
        {SLICE_INIT("MOVED 3999 ?:1"), REDIS_NOT_REDIRECTED, 0, NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice error = unit_exact(cases[i].error);
        struct redis_redirection is = redis_redirection_read(error, "asked");
        unit_drop(error);
        if (is.kind != cases[i].kind)
            fail_msg("row %zu: \"%.*s\" is of kind %d", i, SLICE_ARGS(cases[i].error), is.kind);
        if (!cases[i].host)
            continue;
        assert_row(i, is.slot == cases[i].slot && is.node.port == cases[i].port);
        assert_slice(i, slice_of(is.node.host), slice_of(cases[i].host));
    }
}

/* Every prefix of a valid one, and every byte of it damaged. */
static void test_redirections_damaged(void **state)
{
    static const struct slice whole = SLICE_INIT("MOVED 16383 [2001:db8::7]:65535");
    (void)state;
    for (size_t len = 0; len < whole.len; len++) {
        struct slice part = unit_exact((struct slice){whole.data, len});
        struct redis_redirection is = redis_redirection_read(part, "asked");
        unit_drop(part);
        if (is.kind != REDIS_NOT_REDIRECTED) /* from the last colon on: shorter ports */
            assert_row(len, is.kind == REDIS_MOVED && len >= whole.len - 16);
    }
    for (size_t round = 0; round < 20000; round++) {
        struct slice part = unit_exact(whole);
        ((char *)(uintptr_t)part.data)[unit_random(part.len)] = (char)unit_random(256);
        ((char *)(uintptr_t)part.data)[unit_random(part.len)] = (char)unit_random(256);
        struct redis_redirection is = redis_redirection_read(part, "asked");
        unit_drop(part);
        if (is.kind == REDIS_MOVED)
            assert_row(round, is.slot < REDIS_SLOTS && is.node.port > 0 &&
                                  strlen(is.node.host) == is.node.host_len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_of),
        cmocka_unit_test(test_slot_of_leases),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_nonsense),
        cmocka_unit_test(test_read_zero_byte),
        cmocka_unit_test(test_read_asked),
        cmocka_unit_test(test_read_long_hosts),
        cmocka_unit_test(test_read_many),
        cmocka_unit_test(test_read_damaged),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_full),
        cmocka_unit_test(test_redirections),
        cmocka_unit_test(test_redirections_damaged),
    };
    return cmocka_run_group_tests_name("redis_slots", tests, set_up, tear_down);
}
