/* base/address: addresses of sockets, as the config writes them. */
#include "base/address.h"

#include "unit.h"

#define NAME_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_check(void **state)
{
    static const struct {
        const char *address;
        bool ok;
    } cases[] = {
        {"unix:/run/php/php-fpm.sock", true},
        {"unix:relative", true},
        {"unix:", false},
        {"unix:/" NAME_64 "0123456789abcdef0123456789abcdef0123456789", true}, /* 107 bytes */
        {"unix:/" NAME_64 "0123456789abcdef0123456789abcdef0123456789a", false},
        {"/run/php-fpm.sock", false},
        {"tcp:127.0.0.1:9000", true},
        {"tcp:app.internal:65535", true},
        {"tcp:*:9000", true},
        {"tcp:[::1]:9000", true},
        {"tcp:::1:9000", false},
        {"tcp:[::1]", false},
        {"tcp:[]:9000", false},
        {"tcp::9000", false},
        {"tcp:host", false},
        {"tcp:host:", false},
        {"tcp:host:65536", false},
        {"tcp:host:000001", false},
        {"tcp:host:-1", false},
        {"tcp:host:9 ", false},
        {"tcp:" NAME_64 NAME_64 NAME_64 NAME_64 ":9000", false}, /* a host of 256 bytes */
        {"127.0.0.1:9000", false},
        {"http://127.0.0.1:9000", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, (address_check(cases[i].address) == NULL) == cases[i].ok);
}

static void test_split(void **state)
{
    static const struct {
        const char *address, *host, *port;
    } cases[] = {
        {"tcp:127.0.0.1:9000", "127.0.0.1", "9000"},
        {"tcp:[::1]:0", "::1", "0"},
        {"tcp:*:80", "*", "80"},
    };
    char host[ADDRESS_HOST_ROOM];
    const char *port;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_row(i, address_split_tcp(cases[i].address, host, &port));
        assert_string_equal(host, cases[i].host);
        assert_string_equal(port, cases[i].port);
        assert_row(i, !address_path(cases[i].address));
    }
    assert_string_equal(address_path("unix:/run/s"), "/run/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
