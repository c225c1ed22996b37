/* web/client_list: what may be in a list, and which clients it has. */
#include "web/client_list.h"

#include "unit.h"

#define WRITE "write an address, such as 127.0.0.1 or ::1, or a network, such as 10.0.0.0/8"
#define MASK4 "after the / of an IPv4 network, write a number from 0 to 32"
#define MASK6 "after the / of an IPv6 network, write a number from 0 to 128"
#define FIRST "before the /, write the first address of the network, such as 10.0.0.0/8"

static void test_check(void **state)
{
    static const struct {
        const char *text, *wrong;
    } cases[] = {
        {"127.0.0.1", NULL},
        {"::1", NULL},
        {"2001:db8::1", NULL},
        {"10.0.0.0/8", NULL},
        {"0.0.0.0/0", NULL},
        {"192.0.2.1/32", NULL},
        {"192.0.2.128/25", NULL},
        {"::/0", NULL},
        {"2001:db8::/32", NULL},
        {"::1/128", NULL},
        {"2001:db8:8000::/33", NULL},
        {"::ffff:10.0.0.0/104", NULL},
        {"", WRITE},
        {"*", WRITE},
        {"localhost", WRITE},
        {"/8", WRITE},
        {"10/8", WRITE},
        {"10.0.0/8", WRITE},
        {"10.0.0.256", WRITE},
        {"10.0.0.1 ", WRITE},
        {"10.0.0.1:80", WRITE},
        {"[::1]", WRITE},
        {"::g/8", WRITE},
        {"2001:db8:::/32", WRITE},
        {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8", WRITE},
        {"10.0.0.0/", MASK4},
        {"10.0.0.0/33", MASK4},
        {"10.0.0.0/-1", MASK4},
        {"10.0.0.0/+8", MASK4},
        {"10.0.0.0/08", MASK4},
        {"10.0.0.0/8/8", MASK4},
        {"10.0.0.0/ 8", MASK4},
        {"10.0.0.0/4294967304", MASK4},
        {"10.0.0.0/255.0.0.0", MASK4},
        {"2001:db8::/", MASK6},
        {"2001:db8::/129", MASK6},
        {"2001:db8::/x", MASK6},
        {"10.0.0.1/8", FIRST},
        {"192.0.2.129/25", FIRST},
        {"0.0.0.1/0", FIRST},
        {"2001:db8::1/32", FIRST},
        {"::ffff:10.0.0.1/104", FIRST},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_slice(i, slice_of(client_list_check(cases[i].text)), slice_of(cases[i].wrong));
}

static void test_has(void **state)
{
    static const struct {
        const char *list[3], *client;
        bool has;
    } cases[] = {
        {{"127.0.0.1"}, "127.0.0.1", true},
        {{"127.0.0.1"}, "127.0.0.2", false},
        {{"127.0.0.1"}, "::1", false},
        {{NULL}, "127.0.0.1", false},
        {{"192.0.2.1", "::1"}, "::1", true},
        {{"192.0.2.1", "::1", "10.0.0.0/8"}, "10.255.255.255", true},
        {{"10.0.0.0/8"}, "10.0.0.0", true},
        {{"10.0.0.0/8"}, "11.0.0.0", false},
        {{"10.0.0.0/8"}, "9.255.255.255", false},
        /* masks within a byte */
        {{"192.0.2.128/25"}, "192.0.2.128", true},
        {{"192.0.2.128/25"}, "192.0.2.127", false},
        {{"192.0.2.4/31"}, "192.0.2.5", true},
        {{"192.0.2.4/31"}, "192.0.2.6", false},
        {{"192.0.2.5/32"}, "192.0.2.4", false},
        {{"2001:db8:8000::/33"}, "2001:db8:ffff::1", true},
        {{"2001:db8:8000::/33"}, "2001:db8:7fff::1", false},
        {{"2001:db8::/32"}, "2001:db8::", true},
        {{"2001:db8::/32"}, "2001:db9::", false},
        /* the same address in another form: RFC 5952 */
        {{"2001:db8::1"}, "2001:0DB8:0:0:0:0:0:1", true},
        {{"2001:0DB8:0:0:0:0:0:1"}, "2001:db8::1", true},
        /* everybody, of one family */
        {{"0.0.0.0/0"}, "203.0.113.7", true},
        {{"0.0.0.0/0"}, "2001:db8::1", false},
        {{"::/0"}, "2001:db8::1", true},
        {{"::/0"}, "203.0.113.7", false},
        /* IPv4 clients of an IPv6 socket: RFC 4291 2.5.5.2 */
        {{"10.0.0.0/8"}, "::ffff:10.1.2.3", true},
        {{"10.0.0.0/8"}, "::ffff:11.1.2.3", false},
        {{"::ffff:10.0.0.0/104"}, "10.1.2.3", true},
        {{"::/0"}, "::ffff:10.1.2.3", false},
        {{"10.0.0.0/8"}, "::10.1.2.3", false},
        /* what is no address is nobody's */
        {{"0.0.0.0/0", "::/0"}, "", false},
        {{"0.0.0.0/0", "::/0"}, NULL, false},
        {{"0.0.0.0/0", "::/0"}, "unix:", false},
        {{"0.0.0.0/0", "::/0"}, "127.0.0.1, ::1", false},
        {{"0.0.0.0/0", "::/0"}, " 127.0.0.1", false},
        {{"10.0.0.0/8"}, "10.0.0.0/8", false},
        {{"10.0.0.0/8"}, "10.0.0.0/32", true}, /* one address */
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct client_list list = {.addresses = cases[i].list};
        while (list.count < LENGTH(cases[i].list) && cases[i].list[list.count])
            list.count++;
        struct slice client = unit_exact(slice_of(cases[i].client));
        assert_row(i, client_list_has(&list, client) == cases[i].has);
        unit_drop(client);
    }

    static const char *const all[] = {"0.0.0.0/0"};
    struct client_list list = {.addresses = all, .count = 1};
    assert_false(client_list_has(&list, SLICE("127.0.0.1\0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_has),
    };
    return cmocka_run_group_tests_name("client_list", tests, NULL, NULL);
}
