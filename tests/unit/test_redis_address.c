/* cache/redis_address: the `redis` setting taken apart, and every way to get it wrong. */
#include "cache/redis_address.h"

#include <stdio.h>

#include "unit.h"

static void test_sound(void **state)
{
    static const struct {
        const char *text;
        struct redis_address is;
    } cases[] = {
        {"unix:/run/redis/redis-server.sock", {.unix_path = "/run/redis/redis-server.sock"}},
        {"unix:relative", {.unix_path = "relative"}},
        {"unix:/with:colon@and%20percent", {.unix_path = "/with:colon@and%20percent"}},
        {"redis://localhost", {.host = "localhost"}},
        {"redis://127.0.0.1:6380", {.host = "127.0.0.1", .port = 6380}},
        {"redis://h:1", {.host = "h", .port = 1}},
        {"redis://h:65535", {.host = "h", .port = 65535}},
        {"redis://h:06379", {.host = "h", .port = 6379}},
        {"redis://h/", {.host = "h"}},
        {"redis://h/0", {.host = "h"}},
        {"redis://h/15", {.host = "h", .db = 15}},
        {"redis://h:6380/65535", {.host = "h", .port = 6380, .db = 65535}},
        {"redis://[::1]", {.host = "::1"}},
        {"redis://[::1]:6380", {.host = "::1", .port = 6380}},
        {"redis://[fe80::1%eth0]:6380/2", {.host = "fe80::1%eth0", .port = 6380, .db = 2}},
        {"redis://:secret@h", {.host = "h", .password = "secret"}},
        {"redis://user:secret@h:1/2",
         {.host = "h", .port = 1, .db = 2, .user = "user", .password = "secret"}},
        {"redis://user:@h", {.host = "h", .user = "user"}},
        {"redis://:@h", {.host = "h"}},
        {"redis://u:a:b@h", {.host = "h", .user = "u", .password = "a:b"}},
        {"redis://u:a@b@h", {.host = "h", .user = "u", .password = "a@b"}},
        {"redis://u:a/b@h", {.host = "h", .user = "u", .password = "a/b"}},
        {"redis://u%3a:%40%2f%25%7E%ff@[::1]:1/3",
         {.host = "::1", .port = 1, .db = 3, .user = "u:", .password = "@/%~\xff"}},
        {"redis://:se%63ret@h", {.host = "h", .password = "secret"}},
        {"redis://:pw+x y@h", {.host = "h", .password = "pw+x y"}},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct redis_address address;
        int port = cases[i].is.port ? cases[i].is.port : 6379;
        memset(&address, 0x55, sizeof address);
        assert_row(i, redis_address_parse(cases[i].text, &address) == NULL);
        assert_slice(i, slice_of(address.unix_path), slice_of(cases[i].is.unix_path));
        assert_slice(i, slice_of(address.host), slice_of(cases[i].is.host));
        assert_slice(i, slice_of(address.user), slice_of(cases[i].is.user));
        assert_slice(i, slice_of(address.password), slice_of(cases[i].is.password));
        assert_row(i, address.port == port);
        assert_row(i, address.db == cases[i].is.db);
    }
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
        "unix",
        "UNIX:/x",
        "rediss://h",
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
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct redis_address address;
        const char *wrong = redis_address_parse(cases[i], &address);
        if (!wrong || strlen(wrong) < 10) /* it is a sentence */
            fail_msg("\"%s\": %s", cases[i], wrong ? wrong : "nothing wrong");
    }
}

/* Each member at, below and above its room. */
static void test_lengths(void **state)
{
    static const struct {
        const char *before, *after;
        size_t most, offset;
    } cases[] = {
        {"unix:", "", sizeof(((struct redis_address *)0)->unix_path) - 1,
         offsetof(struct redis_address, unix_path)},
        {"redis://", "", sizeof(((struct redis_address *)0)->host) - 1,
         offsetof(struct redis_address, host)},
        {"redis://", ":1/2", sizeof(((struct redis_address *)0)->host) - 1,
         offsetof(struct redis_address, host)},
        {"redis://[", "]", sizeof(((struct redis_address *)0)->host) - 1,
         offsetof(struct redis_address, host)},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_encoded_lengths),
    };
    return cmocka_run_group_tests_name("redis_address", tests, NULL, NULL);
}
