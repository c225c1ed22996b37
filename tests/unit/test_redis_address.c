/* redis/address: the `redis` setting taken apart, and every way to get it wrong. */
#include "redis/address.h"

#include <stdio.h>

#include "unit.h"

static void test_sound(void **state)
{
    static const struct {
        const char *text;
        const char *host; /* NULL: a unix socket */
        int port;
        struct redis_address is;
    } cases[] = {
        {"unix:/run/redis/redis-server.sock", .is.unix_path = "/run/redis/redis-server.sock"},
        {"unix:relative", .is.unix_path = "relative"},
        {"unix:///run/redis.sock", .is.unix_path = "/run/redis.sock"},
        {"unix://:secret@/run/r", .is.unix_path = "/run/r", .is.password = "secret"},
        {"unix://me:se%40cret@/run/r?db=7", .is.unix_path = "/run/r", .is.user = "me",
         .is.password = "se@cret", .is.db = 7},
        {"unix:/with:colon@and%20percent", .is.unix_path = "/with:colon@and%20percent"},
        {"redis://localhost", "localhost", 6379, {0}},
        {"redis://127.0.0.1:6380", "127.0.0.1", 6380, {0}},
        {"redis://h:1", "h", 1, {0}},
        {"redis://h:65535", "h", 65535, {0}},
        {"redis://h:06379", "h", 6379, {0}},
        {"redis://h/", "h", 6379, {0}},
        {"redis://h/0", "h", 6379, {0}},
        {"redis://h/15", "h", 6379, {.db = 15}},
        {"redis://h:6380/65535", "h", 6380, {.db = 65535}},
        {"redis://[::1]", "::1", 6379, {0}},
        {"redis://[::1]:6380", "::1", 6380, {0}},
        {"redis://[fe80::1%eth0]:6380/2", "fe80::1%eth0", 6380, {.db = 2}},
        {"redis://:secret@h", "h", 6379, {.password = "secret"}},
        {"redis://user:secret@h:1/2", "h", 1, {.db = 2, .user = "user", .password = "secret"}},
        {"redis://user:@h", "h", 6379, {.user = "user"}},
        {"redis://:@h", "h", 6379, {0}},
        {"redis://u:a:b@h", "h", 6379, {.user = "u", .password = "a:b"}},
        {"redis://u:a@b@h", "h", 6379, {.user = "u", .password = "a@b"}},
        {"redis://u:a/b@h", "h", 6379, {.user = "u", .password = "a/b"}},
        {"redis://u%3a:%40%2f%25%7E%ff@[::1]:1/3",
         "::1",
         1,
         {.db = 3, .user = "u:", .password = "@/%~\xff"}},
        {"redis://:se%63ret@h", "h", 6379, {.password = "secret"}},
        {"redis://:pw+x y@h", "h", 6379, {.password = "pw+x y"}},
        {"sentinel://h/mymaster", "h", 26379, {.primary = "mymaster"}},
        {"sentinel://h:1/m/", "h", 1, {.primary = "m"}},
        {"sentinel://h:1/m/7", "h", 1, {.primary = "m", .db = 7}},
        {"sentinel://[::1]/m", "::1", 26379, {.primary = "m"}},
        {"sentinel://u:a,b/c@h:1/a%2fb%20c/7",
         "h",
         1,
         {.primary = "a/b c", .db = 7, .user = "u", .password = "a,b/c"}},
        {"cluster://h", "h", 6379, {0}},
        {"cluster://h/", "h", 6379, {0}},
        {"cluster://h:7000", "h", 7000, {0}},
        {"cluster://h:7000/", "h", 7000, {0}},
        {"cluster://[::1]", "::1", 6379, {0}},
        {"cluster://[::1]:7000/", "::1", 7000, {0}},
        {"cluster://:secret@h", "h", 6379, {.password = "secret"}},
        {"cluster://u:a,b/c@h:1", "h", 1, {.user = "u", .password = "a,b/c"}},
        {"cluster://u%3a:%40%2c@h", "h", 6379, {.user = "u:", .password = "@,"}},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct redis_address address;
        bool by_cluster = slice_starts(slice_of(cases[i].text), SLICE("cluster"));
        enum redis_kind kind = !cases[i].host           ? REDIS_BY_PATH
                               : cases[i].is.primary[0] ? REDIS_BY_SENTINEL
                               : by_cluster             ? REDIS_BY_CLUSTER
                                                        : REDIS_BY_HOST;
        memset(&address, 0x55, sizeof address);
        assert_row(i, redis_address_parse(cases[i].text, &address) == NULL);
        assert_row(i, address.kind == kind);
        assert_slice(i, slice_of(address.unix_path), slice_of(cases[i].is.unix_path));
        assert_slice(i, slice_of(address.primary), slice_of(cases[i].is.primary));
        assert_slice(i, slice_of(address.user), slice_of(cases[i].is.user));
        assert_slice(i, slice_of(address.password), slice_of(cases[i].is.password));
        assert_row(i, address.db == cases[i].is.db);
        assert_row(i, address.host_count == (cases[i].host ? 1 : 0));
        if (!cases[i].host)
            continue;
        assert_slice(i, slice_of(redis_address_host(&address, 0)), slice_of(cases[i].host));
        assert_row(i, address.ports[0] == cases[i].port);
    }
}

/* An s requests TLS, and changes nothing else. */
static void test_tls(void **state)
{
    static const struct {
        const char *text, *with;
    } cases[] = {
        {"redis://u:p@h:6380/1", "rediss://u:p@h:6380/1"},
        {"redis://h", "rediss://h"},
        {"sentinel://:p@h1,h2:1/m/2", "sentinels://:p@h1,h2:1/m/2"},
        {"cluster://h1:7000,[::1]", "clusters://h1:7000,[::1]"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct redis_address plain, tls;
        assert_row(i, redis_address_parse(cases[i].text, &plain) == NULL);
        assert_row(i, redis_address_parse(cases[i].with, &tls) == NULL);
        assert_row(i, tls.tls && !plain.tls);
        assert_row(i, tls.kind == plain.kind && tls.db == plain.db);
        assert_row(i, tls.host_count == plain.host_count);
        for (unsigned host = 0; host < tls.host_count; host++) {
            assert_slice(i, slice_of(redis_address_host(&tls, host)),
                         slice_of(redis_address_host(&plain, host)));
            assert_row(i, tls.ports[host] == plain.ports[host]);
        }
        assert_slice(i, slice_of(tls.primary), slice_of(plain.primary));
        assert_slice(i, slice_of(tls.user), slice_of(plain.user));
        assert_slice(i, slice_of(tls.password), slice_of(plain.password));
    }
}

/* Several Sentinels or nodes, in their order. */
static void test_hosts(void **state)
{
    static const struct {
        const char *text;
        struct {
            const char *host;
            int port;
        } are[REDIS_HOSTS_MAX];
    } cases[] = {
        {"sentinel://h1:1,h2:2/m", {{"h1", 1}, {"h2", 2}}},
        {"sentinel://:p,w@h1,[::1],10.0.0.3:3,[::2]:4/m/1",
         {{"h1", 26379}, {"::1", 26379}, {"10.0.0.3", 3}, {"::2", 4}}},
        {"sentinel://h,h/m", {{"h", 26379}, {"h", 26379}}},
        {"sentinel://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p:16/m",
         {{"a", 26379},
          {"b", 26379},
          {"c", 26379},
          {"d", 26379},
          {"e", 26379},
          {"f", 26379},
          {"g", 26379},
          {"h", 26379},
          {"i", 26379},
          {"j", 26379},
          {"k", 26379},
          {"l", 26379},
          {"m", 26379},
          {"n", 26379},
          {"o", 26379},
          {"p", 16}}},
        {"cluster://h1:7000,h2:7000", {{"h1", 7000}, {"h2", 7000}}},
        {"cluster://h1,h2/", {{"h1", 6379}, {"h2", 6379}}},
        {"cluster://u:p,w@[::1],10.0.0.3:3,h/", {{"::1", 6379}, {"10.0.0.3", 3}, {"h", 6379}}},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct redis_address address;
        unsigned count = 0;
        assert_row(i, redis_address_parse(cases[i].text, &address) == NULL);
        for (; count < REDIS_HOSTS_MAX && cases[i].are[count].host; count++) {
            assert_slice(i, slice_of(redis_address_host(&address, count)),
                         slice_of(cases[i].are[count].host));
            assert_row(i, address.ports[count] == cases[i].are[count].port);
        }
        assert_row(i, address.host_count == count);
    }
}

/* The hosts have room for 1,023 bytes, of which each but the last takes one more. */
static void test_room_of_hosts(void **state)
{
    (void)state;
    for (size_t last = 240; last <= 255; last++) {
        struct redis_address address;
        struct buffer text = {0};
        char host[256];
        memset(host, 'x', sizeof host);
        unit_append(&text, "sentinel://", 11);
        for (size_t i = 0; i < 3; i++) {
            unit_append(&text, host, 255);
            unit_append(&text, ",", 1);
        }
        unit_append(&text, host, last);
        unit_append(&text, ",a/m", 5);
        bool fits = 3 * 256 + last + 1 + 1 < sizeof address.hosts;
        const char *wrong = redis_address_parse(text.data, &address);
        assert_row(last, (wrong == NULL) == fits);
        if (fits) {
            assert_row(last, strlen(redis_address_host(&address, 3)) == last);
            assert_slice(last, slice_of(redis_address_host(&address, 4)), SLICE("a"));
        }
        buffer_free(&text);
    }
}

static void test_literal(void **state)
{
    static const struct {
        const char *host;
        bool literal;
    } cases[] = {{"127.0.0.1", true}, {"::1", true},  {"2001:db8::7", true},   {"localhost", false},
                 {"1.2.3", false},    {"", false},    {"127.0.0.1 ", false},   {"1.2.3.4.5", false},
                 {"[::1]", false},    {"::g", false}, {"redis.example", false}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, redis_address_is_literal(cases[i].host) == cases[i].literal);
}

static void test_wrong(void **state)
{
    static const char *const cases[] = {
        "",
        "localhost",
        "localhost:6379",
        "/run/redis.sock",
        "tcp:127.0.0.1:6379",
        "redis:",
        "redis:/h",
        "redis:h",
        "Redis://h",
        " redis://h",
        "unix:",
        "unix::secret@/run/r", /* with // it is valid; a path would be logged */
        "unix:me:secret@/run/r",
        "unix://",
        "unix://relative",
        "unix://me:secret@relative",
        "unix:///run/r?db=x",
        "unix:///run/r?db=99999999999",
        "unix:///run/r?name=x",
        "unix",
        "UNIX:/x",
        "rediss:",
        "rediss://",
        "redisss://h",
        "rediss://h:99999",
        "redis://",
        "redis:///0",
        "redis://:6379",
        "redis://h:",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:99999999999999999999",
        "redis://h:-1",
        "redis://h:+1",
        "redis://h:6379x",
        "redis://h: 6379",
        "redis://h:1:2",
        "redis://::1",
        "redis://::1:6379",
        "redis://[::1",
        "redis://[]",
        "redis://[]:6379",
        "redis://[::1]6379",
        "redis://[::1]:",
        "redis://[::1]x:6379",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/65536",
        "redis://h/4294967296",
        "redis://h/1/2",
        "redis://h/1 ",
        "redis://user@h",
        "redis://@h",
        "redis://:pw@",
        "redis://u:%@h",
        "redis://u:%4@h",
        "redis://u:%4g@h",
        "redis://u:%g4@h",
        "redis://u:%00@h",
        "redis://%:p@h",
        "redis://u:abc%4",
        "sentinel:",
        "sentinel:h/m",
        "Sentinel://h/m",
        "sentinels://h",
        "sentinelss://h/m",
        "sentinel://",
        "sentinel:///m",
        "sentinel://h",
        "sentinel://h/",
        "sentinel://h//0",
        "sentinel://h:26379",
        "sentinel://h/m/x",
        "sentinel://h/m/65536",
        "sentinel://h/m/1/2",
        "sentinel://h/%4",
        "sentinel://h/%00",
        "sentinel://,h/m",
        "sentinel://h,/m",
        "sentinel://h,,h/m",
        "sentinel://h1:1,:2/m",
        "sentinel://h1:1,h2:0/m",
        "sentinel://h1:x,h2:1/m",
        "sentinel://h1,::1/m",
        "sentinel://[::1],[::1/m",
        "sentinel://user@h/m",
        "sentinel://h/m@n",
        "sentinel://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q/m",
        "cluster:",
        "cluster:h",
        "cluster:/h",
        "Cluster://h",
        "clusters://h/1",
        "clusterss://h",
        "cluster://",
        "cluster:///",
        "cluster://:7000",
        "cluster://h/0",
        "cluster://h/1",
        "cluster://h/name",
        "cluster://h//",
        "cluster://h/ ",
        "cluster://,h",
        "cluster://h,",
        "cluster://h,/",
        "cluster://h,,h",
        "cluster://h/,h",
        "cluster://h1:1,:2",
        "cluster://h1:1,h2:0",
        "cluster://h1:x,h2:1",
        "cluster://h1,::1",
        "cluster://[::1],[::1",
        "cluster://user@h",
        "cluster://u:p@",
        "cluster://u:%@h",
        "cluster://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct redis_address address;
        const char *wrong = redis_address_parse(cases[i], &address);
        if (!wrong || strlen(wrong) < 10) /* it is a sentence */
            fail_msg("\"%s\": %s", cases[i], wrong ? wrong : "nothing wrong");
    }
}

/* Each member at, below and above its maximum length. */
static void test_lengths(void **state)
{
    static const struct {
        const char *before, *after;
        size_t most, offset;
    } cases[] = {
        {"unix:", "", sizeof(((struct redis_address *)0)->unix_path) - 1,
         offsetof(struct redis_address, unix_path)},
        {"redis://", "", 255, offsetof(struct redis_address, hosts)},
        {"redis://", ":1/2", 255, offsetof(struct redis_address, hosts)},
        {"redis://[", "]", 255, offsetof(struct redis_address, hosts)},
        {"sentinel://", ",h2/m", 255, offsetof(struct redis_address, hosts)},
        {"cluster://", ":7000,h2/", 255, offsetof(struct redis_address, hosts)},
        {"sentinel://h/", "", sizeof(((struct redis_address *)0)->primary) - 1,
         offsetof(struct redis_address, primary)},
        {"sentinel://h/", "/1", sizeof(((struct redis_address *)0)->primary) - 1,
         offsetof(struct redis_address, primary)},
        {"redis://", ":p@h", sizeof(((struct redis_address *)0)->user) - 1,
         offsetof(struct redis_address, user)},
        {"redis://:", "@h", sizeof(((struct redis_address *)0)->password) - 1,
         offsetof(struct redis_address, password)},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        for (size_t len = cases[i].most - 2; len < cases[i].most + 40; len++) {
            char text[512], member[400];
            struct redis_address address;
            memset(member, 'x', len);
            member[len] = '\0';
            snprintf(text, sizeof text, "%s%s%s", cases[i].before, member, cases[i].after);
            const char *wrong = redis_address_parse(text, &address);
            assert_row(i, (wrong == NULL) == (len <= cases[i].most));
            if (!wrong)
                assert_slice(i, slice_of((const char *)&address + cases[i].offset),
                             slice_of(member));
        }
    }
}

/* An encoded byte counts once, also as the last one that fits. */
static void test_encoded_lengths(void **state)
{
    (void)state;
    for (size_t count = 250; count < 260; count++) {
        struct redis_address address;
        struct buffer text = {0};
        unit_append(&text, "redis://:", 9);
        for (size_t i = 0; i < count; i++)
            unit_append(&text, "%41", 3);
        unit_append(&text, "@h", 3);
        const char *wrong = redis_address_parse(text.data, &address);
        assert_row(count, (wrong == NULL) == (count < sizeof address.password));
        if (!wrong)
            assert_row(count, strspn(address.password, "A") == count);
        buffer_free(&text);
    }
}

/* Unsupported settings are reported, with what to do. */
static void test_unsupported(void **state)
{
    static const struct {
        const char *text, *told, *instead;
    } cases[] = {
        {"cluster://h1:7000,h2:7000/0", "only database 0", "nothing may follow the hosts"},
        {"cluster://h/1", "only database 0", "nothing may follow the hosts"},
        {"sentinel://h", "/NAME", "/mymaster"},
        {"tcp://h", "write ", "sentinel://"},
        {"tcp://h", "write ", "cluster://"},
        {"rediss-sentinel://h/m", "write ", "sentinels://"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct redis_address address;
        const char *wrong = redis_address_parse(cases[i].text, &address);
        assert_row(i, wrong && strstr(wrong, cases[i].told) && strstr(wrong, cases[i].instead));
    }
}

/* For a password in a variable, the message says how to write it, and what is wrong with this one.
 * */
static void test_wrong_login(void **state)
{
    static const char percent[] = "in user and password, % begins a code such as %40 for @; write "
                                  "%25 for a % itself";
    static const char room[] = "the limit is 127 bytes for a user and 255 for a password";
    static const struct {
        const char *user, *password, *wrong;
    } cases[] = {
        {"", "50%", percent},
        {"", "50% off", percent},
        {"", "%zz", percent},
        {"", "%00", percent},
        {"100%", "x", percent},
        {"", "50%25", NULL},
        {"", "p@s/s:w?#,{}\"\\'$ ", NULL},
    };
    char text[700];
    struct redis_address address;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        snprintf(text, sizeof text, "redis://%s:%s@h", cases[i].user, cases[i].password);
        const char *wrong = redis_address_parse(text, &address);
        assert_slice(i, slice_of(wrong ? wrong : ""),
                     slice_of(cases[i].wrong ? cases[i].wrong : ""));
        assert_row(i, wrong || strcmp(address.hosts, "h") == 0);
    }
    snprintf(text, sizeof text, "redis://:%0255d@h", 0);
    assert_null(redis_address_parse(text, &address));
    snprintf(text, sizeof text, "redis://:%0256d@h", 0);
    assert_string_equal(redis_address_parse(text, &address), room);
    snprintf(text, sizeof text, "redis://%0127d:@h", 0);
    assert_null(redis_address_parse(text, &address));
    snprintf(text, sizeof text, "redis://%0128d:@h", 0);
    assert_string_equal(redis_address_parse(text, &address), room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),           cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_room_of_hosts),   cmocka_unit_test(test_literal),
        cmocka_unit_test(test_wrong),           cmocka_unit_test(test_wrong_login),
        cmocka_unit_test(test_unsupported),     cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_encoded_lengths), cmocka_unit_test(test_tls),
    };
    return cmocka_run_group_tests_name("redis_address", tests, NULL, NULL);
}
