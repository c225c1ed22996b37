/* base/byte.h: the classes of bytes; and their digits, by base/put.h. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/byte.h"
#include "base/put.h"
#include "unit.h"

/* Each class, against the list of its bytes, for all bytes. */
static void test_byte_classes(void **state)
{
    static const char digits[] = "0123456789", lower[] = "abcdefghijklmnopqrstuvwxyz",
                      upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    (void)state;
    for (int value = CHAR_MIN; value <= CHAR_MAX; value++) {
        char byte = (char)value;
        bool is_digit = memchr(digits, byte, 10), is_lower = memchr(lower, byte, 26);
        bool is_upper = memchr(upper, byte, 26), alnum = is_digit || is_lower || is_upper;
        bool control = (value >= 0 && value < 32) || value == 127;
        assert_int_equal(byte_is_digit(byte), is_digit);
        assert_int_equal(byte_is_letter(byte), is_lower || is_upper);
        assert_int_equal(byte_is_alnum(byte), alnum);
        assert_int_equal(byte_is_control(byte), control);
        assert_int_equal(byte_is_of_field(byte), !control || byte == '\t');
        assert_int_equal(byte_is_of_token(byte), alnum || memchr("!#$%&'*+-.^_`|~", byte, 15));
        assert_int_equal(byte_is_unreserved(byte), alnum || memchr("-._~", byte, 4));
        assert_int_equal(byte_to_lower(byte), is_upper ? byte + 32 : byte);
        assert_int_equal(byte_to_upper(byte), is_lower ? byte - 32 : byte);
    }
}

static void test_byte_hex(void **state)
{
    (void)state;
    for (int value = 0; value < 256; value++) {
        unsigned char byte = (unsigned char)value;
        char lower[2], percent[PUT_PERCENT_LEN], digits[3];
        put_hex_bytes(lower, &byte, 1);
        put_percent(percent, (char)byte);
        snprintf(digits, sizeof digits, "%02x", value);
        assert_memory_equal(lower, digits, 2);
        snprintf(digits, sizeof digits, "%02X", value);
        assert_memory_equal(percent + 1, digits, 2);
        assert_int_equal(percent[0], '%');
        assert_int_equal(byte_hex_value(lower[0]) * 16 + byte_hex_value(percent[2]), value);
        if (!strchr("0123456789abcdefABCDEF", value) || value == 0)
            assert_int_equal(byte_hex_value((char)value), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_classes),
        cmocka_unit_test(test_byte_hex),
    };
    return cmocka_run_group_tests_name("byte", tests, NULL, NULL);
}
