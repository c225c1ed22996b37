/* redis/trouble: the errors of Redis and hiredis, and what they mean. */
#include "redis/trouble.h"

#include <string.h>

#include "unit.h"

/* In the words of Redis 5 to 8. */
static void test_reasons(void **state)
{
    static const struct {
        const char *reason;
        enum redis_trouble trouble;
    } cases[] = {
        {"WRONGPASS invalid username-password pair or user is disabled.", REDIS_REJECTS_PASSWORD},
        {"ERR invalid password", REDIS_REJECTS_PASSWORD},
        {"ERR Client sent AUTH, but no password is set", REDIS_REJECTS_PASSWORD},
        {"ERR AUTH <password> called without any password configured for the default user. Are you "
         "sure your configuration is correct?",
         REDIS_REJECTS_PASSWORD},
        {"NOAUTH Authentication required.", REDIS_WANTS_PASSWORD},
        {"Sentinel h:26379: NOAUTH Authentication required.", REDIS_WANTS_PASSWORD},
        {"NOPERM this user has no permissions to run the 'ping' command", REDIS_DENIES},
        {"NOPERM User me has no permissions to run the 'role' command", REDIS_DENIES},
        {"ERR DB index is out of range", REDIS_LACKS_DATABASE},
        {"ERR invalid DB index", REDIS_LACKS_DATABASE},
        {"TLS: the server's certificate is refused: hostname mismatch", REDIS_FAILS_TLS},
        {"Sentinel h:26379: TLS: wrong version number", REDIS_FAILS_TLS},
        {"TLS: the connection was closed", REDIS_AWAY},
        {"Connection refused", REDIS_AWAY},
        {"Server closed the connection", REDIS_AWAY},
        {"LOADING Redis is loading the dataset in memory", REDIS_AWAY},
        {"ERR max number of clients reached", REDIS_AWAY},
        {"no answer within 250 ms", REDIS_AWAY},
        {"", REDIS_AWAY},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, redis_trouble_of(cases[i].reason) == cases[i].trouble);
}

static void test_denials(void **state)
{
    static const struct {
        const char *error;
        bool denied;
    } cases[] = {
        {"NOPERM this user has no permissions to access one of the keys used as arguments", true},
        {"NOPERM ACL failure in script: User me has no permissions to run the 'set' command "
         "script: f00, on @user_script:1.",
         true},
        {"ERR Error running script: @user_script:1: -NOPERM The user executing the script can't "
         "run this command or subcommand",
         true},
        {"ERR The user executing the script can't run this command or subcommand script: f00, on "
         "@user_script:1.",
         true},
        {"READONLY You can't write against a read only replica.", false},
        {"MOVED 1 127.0.0.1:7000", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, redis_trouble_is_denial(cases[i].error) == cases[i].denied);
}

/* Each has a message, and advice unless waiting helps. */
static void test_texts(void **state)
{
    (void)state;
    assert_null(redis_trouble_text(REDIS_WELL));
    assert_null(redis_trouble_line(REDIS_WELL));
    for (enum redis_trouble each = REDIS_AWAY; each <= REDIS_CLOSES; each++) {
        const char *text = redis_trouble_text(each), *line = redis_trouble_line(each);
        assert_row(each, strncmp(line, text, strlen(text)) == 0);
        assert_row(each, strcmp(line + strlen(text), "\n") == 0);
        assert_row(each, !redis_trouble_cure(each) == (each == REDIS_AWAY));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_denials),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
