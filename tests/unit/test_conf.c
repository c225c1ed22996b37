/* conf/: good files, and bad ones with the exact messages that they get. */
#include "conf/conf.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "conf/options.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SIMULATED    "source \"s\" { type = \"simulated\" }\n"
#define FRAGMENT     "fragment \"a\" { source = \"s\" }\n"

static char directory[PATH_MAX - 64], config[PATH_MAX];

static void write_file(const char *name, const void *bytes, size_t len)
{
    char path[PATH_MAX];
    assert_true(snprintf(path, sizeof path, "%s/%s", directory, name) < PATH_MAX);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static int make_directory(void **state)
{
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(directory, sizeof directory, "%s/test_conf.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(directory))
        return -1;
    snprintf(config, sizeof config, "%s/t.conf", directory);
    write_text("unavailable.html", "<p>Not now.</p>\n");
    write_text("empty.html", "");
    return 0;
}

static int remove_directory(void **state)
{
    static const char *const names[] = {"t.conf", "unavailable.html", "empty.html", "large.html",
                                        "fifo"};
    char path[PATH_MAX];
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    return rmdir(directory);
}

/* Replaces `directory` by "DIR" in place. */
static void hide_directory(char *text)
{
    size_t len = strlen(directory);
    for (char *at = text; (at = strstr(at, directory));) {
        memcpy(at, "DIR", 3);
        memmove(at + 3, at + len, strlen(at + len) + 1);
    }
}

/* Loads the file. `*messages` is what it wrote, with DIR for the directory; the caller's to free. */
static struct conf *load_file(const char *file, char **messages)
{
    size_t len;
    FILE *errors = open_memstream(messages, &len);
    assert_non_null(errors);
    struct conf *conf = conf_load(file, errors);
    assert_int_equal(fclose(errors), 0);
    hide_directory(*messages);
    return conf;
}

static struct conf *load_bytes(const void *bytes, size_t len, char **messages)
{
    write_file("t.conf", bytes, len);
    return load_file(config, messages);
}

/* Fails the test if the text is refused. */
static struct conf *load_good(const char *text)
{
    char *messages;
    struct conf *conf = load_bytes(text, strlen(text), &messages);
    if (!conf || *messages)
        fail_msg("refused: %s", messages);
    free(messages);
    return conf;
}

/* `expected` is the messages, each as "LINE: what is wrong"; a line that ends in "*" needs only
 * begin so. */
static void assert_messages(const char *text, const char *messages, const char *expected)
{
    static const char file[] = "DIR/t.conf:";
    const char *m = messages, *e = expected;
    bool same = true;
    while (same && *m && *e) {
        size_t m_len = strcspn(m, "\n"), e_len = strcspn(e, "\n");
        same = strncmp(m, file, strlen(file)) == 0;
        const char *rest = m + (same ? strlen(file) : 0);
        size_t rest_len = m_len - (size_t)(rest - m);
        if (e[e_len - 1] == '*')
            same = same && rest_len >= e_len - 1 && memcmp(rest, e, e_len - 1) == 0;
        else
            same = same && rest_len == e_len && memcmp(rest, e, e_len) == 0;
        m += m_len + (m[m_len] == '\n');
        e += e_len + (e[e_len] == '\n');
    }
    if (!same || *m || *e)
        fail_msg("of\n%s\n--- expected\n%s\n--- got\n%s", text, expected, messages);
}

/* ---- good files */

/* The promised syntax, as it was promised. */
static const char sample[] =
    "listen = {\"unix:/run/workerless/workerless.sock\"}   # also tcp:127.0.0.1:9000, "
    "tcp:[::1]:9000, fd:0\n"
    "cache {\n"
    "    redis     = \"unix:/run/redis/redis-server.sock\" # or "
    "redis://[user:password@]host:port/db"
    "; \"\" = memory only\n"
    "    namespace = \"worker\"\n"
    "    memory    = \"64MiB\"\n"
    "}\n"
    "source \"slow\" { type = \"simulated\"  delay = \"0-3s\" }\n"
    "source \"api\"  { type = \"http\"  url = \"http://127.0.0.1:9000/{name}\"  timeout = \"10s\"  "
    "max_body = \"1MiB\" }\n"
    "max_parked              = 100000   # the bounds; beyond each a defined answer\n"
    "max_flights             = 100000\n"
    "max_connections         = 0        # 0: what the descriptor limit allows\n"
    "max_connection_requests = 1024     # in flight on one connection\n"
    "max_params              = \"64KiB\"\n"
    "max_request_body        = \"1MiB\"\n"
    "fragment \"a\"      { source = \"slow\"  ttl = \"60s\" }\n"
    "fragment \"user/*\" { source = \"api\"   ttl = \"60s\"  hold = \"25s\"  "
    "fallback = \"unavailable.html\" }\n";

static void test_sample(void **state)
{
    struct conf *conf = load_good(sample);
    (void)state;
    assert_int_equal(conf->listen.count, 1);
    assert_string_equal(conf->listen.addresses[0], "unix:/run/workerless/workerless.sock");
    assert_string_equal(conf->cache.redis, "unix:/run/redis/redis-server.sock");
    assert_string_equal(conf->cache.name_space, "worker");
    assert_int_equal(conf->cache.memory_bytes, 64 << 20);
    assert_int_equal(conf->source_count, 2);
    assert_string_equal(conf->sources[0].name, "slow");
    assert_int_equal(conf->sources[0].kind, SOURCE_SIMULATED);
    assert_true(conf->sources[0].delay_min == 0 && conf->sources[0].delay_max == 3);
    assert_string_equal(conf->sources[1].name, "api");
    assert_int_equal(conf->sources[1].kind, SOURCE_HTTP);
    assert_string_equal(conf->sources[1].url, "http://127.0.0.1:9000/{name}");
    assert_true(conf->sources[1].timeout == 10);
    assert_int_equal(conf->sources[1].max_body, 1 << 20);
    assert_int_equal(conf->sources[1].connections, 100);
    assert_int_equal(conf->route_count, 2);
    assert_string_equal(conf->routes[0].pattern, "a");
    assert_int_equal(conf->routes[0].recipe.source, 0);
    assert_int_equal(conf->routes[0].recipe.number, 0);
    assert_null(conf->routes[0].fallback.data);
    assert_string_equal(conf->routes[1].pattern, "user/*");
    assert_int_equal(conf->routes[1].recipe.source, 1);
    assert_int_equal(conf->routes[1].recipe.number, 1);
    assert_true(conf->routes[1].recipe.freshness.ttl == 60 && conf->routes[1].recipe.hold == 25);
    assert_true(slice_equal(conf->routes[1].fallback, SLICE("<p>Not now.</p>\n")));
    conf_free(conf);
}

static void test_defaults(void **state)
{
    struct conf *conf = load_good(SIMULATED FRAGMENT);
    (void)state;
    assert_int_equal(conf->listen.count, 1);
    assert_string_equal(conf->listen.addresses[0], "unix:/run/workerless/workerless.sock");
    assert_int_equal(conf->listen.socket_mode, 0660);
    assert_false(conf->log_to_syslog);
    assert_int_equal(conf->flights.max_parked, 100000);
    assert_int_equal(conf->flights.max_flights, 100000);
    assert_int_equal(conf->connections.max_connections, 0);
    assert_int_equal(conf->connections.max_connection_requests, 1024);
    assert_int_equal(conf->connections.max_params, 65536);
    assert_int_equal(conf->connections.max_request_body, 1 << 20);
    assert_true(conf->connections.idle_timeout == 300);
    assert_true(conf->connections.receive_timeout == 60);
    assert_true(conf->connections.send_timeout == 60);
    assert_true(conf->shutdown_timeout == 30);
    assert_false(conf->connections.tcp_half_close);
    assert_string_equal(conf->cache.redis, "");
    assert_string_equal(conf->cache.name_space, "worker");
    assert_int_equal(conf->cache.memory_bytes, 64 << 20);
    assert_true(conf->cache.redis_timeout == .25);
    assert_true(conf->cache.lease == 5);
    assert_int_equal(conf->purge.count, 0); /* nobody may */
    assert_true(conf->sources[0].delay_min == 0 && conf->sources[0].delay_max == 3);
    const struct freshness *freshness = &conf->routes[0].recipe.freshness;
    assert_true(freshness->ttl == 60 && conf->routes[0].recipe.hold == 25);
    assert_true(freshness->jitter == 0 && freshness->stale == 0 && freshness->stale_error == 0);
    assert_true(freshness->negative == 0 && !freshness->early);
    conf_free(conf);
}

static void test_written_otherwise(void **state)
{
    static const char text[] =
        "\xEF\xBB\xBF/* a byte order mark, CRLF, both kinds\r\n of comment, any quotes */\r\n"
        "fragment 'b' { source = web ttl = \"0\" fallback = \"empty.html\" }// sources come "
        "later\r\n"
        "fragment \"x#y/*\" { source = web }\n"
        "fragment \"*\" {\n    hold = 1.5s\n    source = web\n}\n"
        "listen = {\n    \"unix:/tmp/a\", # one\n    'tcp:[::1]:9000',\n}\n"
        "listen += {fd:0}\n"
        "cache { memory = 0 redis_timeout = 1s }\n"
        "cache { namespace = \"a\\\"b:c\" }\n"
        "source web { type = http url = http://127.0.0.1/a//b connections = 7 }\n"
        "tcp_half_close = yes log = syslog socket_mode = 0600 max_connection_requests = 65535\n"
        "max_request_body = 0";
    struct conf *conf = load_good(text);
    (void)state;
    assert_int_equal(conf->route_count, 3);
    assert_true(conf->routes[0].recipe.freshness.ttl == 0);
    assert_non_null(conf->routes[0].fallback.data);
    assert_int_equal(conf->routes[0].fallback.len, 0);
    assert_string_equal(conf->routes[1].pattern, "x#y/*");
    assert_string_equal(conf->routes[2].pattern, "*");
    assert_true(conf->routes[2].recipe.hold == 1.5);
    assert_int_equal(conf->listen.count, 3);
    assert_string_equal(conf->listen.addresses[1], "tcp:[::1]:9000");
    assert_string_equal(conf->listen.addresses[2], "fd:0");
    assert_int_equal(conf->cache.memory_bytes, 0);
    assert_true(conf->cache.redis_timeout == 1);
    assert_string_equal(conf->cache.name_space, "a\"b:c");
    assert_string_equal(conf->sources[0].url, "http://127.0.0.1/a//b");
    assert_int_equal(conf->sources[0].connections, 7);
    assert_true(conf->connections.tcp_half_close);
    assert_true(conf->log_to_syslog);
    assert_int_equal(conf->listen.socket_mode, 0600);
    assert_int_equal(conf->connections.max_connection_requests, 65535);
    assert_int_equal(conf->connections.max_request_body, 0);
    conf_free(conf);
}

static void test_freshness(void **state)
{
    static const char text[] =
        "purge = {'::1'}\npurge += {192.0.2.7}\ncache { lease = 1500ms }\n" SIMULATED
        "fragment \"a\" { source = \"s\" ttl = 1m jitter = 5s stale = 10m stale_error = 1h\n"
        "  early = yes negative = \"2s\" }\n";
    struct conf *conf = load_good(text);
    (void)state;
    assert_int_equal(conf->purge.count, 2);
    assert_string_equal(conf->purge.addresses[1], "192.0.2.7");
    assert_true(conf->cache.lease == 1.5);
    const struct freshness *a = &conf->routes[0].recipe.freshness;
    assert_true(a->ttl == 60 && a->jitter == 5 && a->stale == 600 && a->stale_error == 3600);
    assert_true(a->negative == 2 && a->early);
    conf_free(conf);
}

static void test_environment(void **state)
{
    static const char text[] = "cache { redis = \"redis://:${TEST_CONF_PASSWORD}@localhost\" "
                               "namespace = ${TEST_CONF_NS} }\n"
                               "max_parked = \"${TEST_CONF_NONE:-5}\"\n"
                               "source \"a$b\" { type = \"simulated\" }\n"
                               "fragment '${TEST_CONF_NONE}' { source = \"a$b\" }\n"
                               "fragment \"\\${TEST_CONF_NONE}x\" { source = \"a\\$b\" }\n"
                               "fragment \"${TEST_CONF_NONE:-}b\" { source = \"a$b\" }\n";
    (void)state;
    setenv("TEST_CONF_PASSWORD", "p{#\"w", 1);
    setenv("TEST_CONF_NS", "ns", 1);
    struct conf *conf = load_good(text);
    assert_string_equal(conf->cache.redis, "redis://:p{#\"w@localhost");
    assert_string_equal(conf->cache.name_space, "ns");
    assert_int_equal(conf->flights.max_parked, 5);
    assert_string_equal(conf->routes[0].pattern, "${TEST_CONF_NONE}");
    assert_string_equal(conf->routes[1].pattern, "${TEST_CONF_NONE}x");
    assert_string_equal(conf->routes[2].pattern, "b");
    conf_free(conf);
    unsetenv("TEST_CONF_PASSWORD");
    unsetenv("TEST_CONF_NS");
}

/* ---- bad files */

struct bad {
    const char *text;
    const char *messages; /* see assert_messages */
};

static void assert_bad(const struct bad *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *messages;
        struct conf *conf = load_bytes(cases[i].text, strlen(cases[i].text), &messages);
        assert_messages(cases[i].text, messages, cases[i].messages);
        assert_null(conf);
        free(messages);
        conf_free(load_good(sample)); /* libconfuse's lexer is global: nothing of it is stuck */
    }
}

static void test_bad_values(void **state)
{
    static const struct bad cases[] = {
        {SIMULATED "fragment \"a\" {\n  source = \"s\"\n  # how long\n  ttl = \"60\"\n}\n",
         "5: ttl = \"60\": a bare number; write it with a unit: 60s, 5m, 250ms"},
        {"# one\n// two\n/* three\n * four */\nmax_params = 64\n" SIMULATED FRAGMENT,
         "5: max_params = \"64\": a bare number; write it with a unit: 512B, 64KiB, 1MiB"},
        {"max_params = \"64KB\"\n" SIMULATED FRAGMENT,
         "1: max_params = \"64KB\": no such unit; a size is in B, KiB, MiB or GiB (1KiB is 1024B)"},
        {SIMULATED FRAGMENT "max_connection_requests = 0\n",
         "3: max_connection_requests = \"0\": must be from 1 to 65535"},
        {SIMULATED FRAGMENT "max_connection_requests = 65536",
         "3: max_connection_requests = \"65536\": must be from 1 to 65535"},
        {SIMULATED FRAGMENT "max_parked = 99999999999999999999999",
         "3: max_parked = \"99999999999999999999999\": too large"},
        {SIMULATED FRAGMENT "max_parked = \"10k\"",
         "3: max_parked = \"10k\": not a plain number; this is a count and has no unit"},
        {SIMULATED FRAGMENT "max_params = 0", "3: max_params = \"0\": must be from 1B to 1GiB"},
        {SIMULATED FRAGMENT "max_params = \"1025MiB\"",
         "3: max_params = \"1025MiB\": must be from 1B to 1GiB"},
        {SIMULATED FRAGMENT "idle_timeout = 0",
         "3: idle_timeout = \"0\": must be from 1ms to 365d"},
        {SIMULATED FRAGMENT "idle_timeout = 366d",
         "3: idle_timeout = \"366d\": must be from 1ms to 365d"},
        {SIMULATED FRAGMENT "socket_mode = 0668",
         "3: socket_mode = \"0668\": not an octal file mode; write it like 0660"},
        {SIMULATED FRAGMENT "log = file", "3: log = \"file\": must be stderr or syslog"},
        {SIMULATED FRAGMENT "tcp_half_close = true",
         "3: tcp_half_close = \"true\": must be no or yes"},
        {SIMULATED "fragment a { source = s hold = 0 }", "2: hold = \"0\": must be from 1ms to 1d"},
        {SIMULATED FRAGMENT "cache {\n namespace = \"\"\n}\n",
         "4: namespace = \"\": a namespace can't be empty"},
        {SIMULATED FRAGMENT "cache {\n namespace = \"a b\" }\n",
         "4: namespace = \"a b\": a namespace has no spaces, control characters, braces or any of "
         "*?[]\\"},
        {SIMULATED FRAGMENT "cache { namespace = 'a{b}' }\n",
         "3: namespace = \"a{b}\": a namespace has no spaces, control characters, braces or any of "
         "*?[]\\"},
        {SIMULATED FRAGMENT "cache { memory = \"64\" redis_timeout = 2m }\n",
         "3: memory = \"64\": a bare number; write it with a unit: 512B, 64KiB, 1MiB\n"
         "3: redis_timeout = \"2m\": must be from 1ms to 60s"},
        {SIMULATED FRAGMENT "cache { lease = 99ms }\n",
         "3: lease = \"99ms\": must be from 100ms to 1h"},
        {SIMULATED FRAGMENT "purge = {\n127.0.0.1,\nlocalhost,\n'127.0.0.0/8' }\n",
         "5: purge = \"localhost\": write an address, such as 127.0.0.1 or ::1\n"
         "6: purge = \"127.0.0.0/8\": write an address, such as 127.0.0.1 or ::1"},
        {SIMULATED "fragment a {\n source = s\n stale = 5\n stale_error = 366d\n jitter = -1s\n"
                   " negative = 25h\n early = maybe\n}\n",
         "4: stale = \"5\": a bare number; write it with a unit: 60s, 5m, 250ms\n"
         "5: stale_error = \"366d\": must be from 0 to 365d\n"
         "6: jitter = \"-1s\": not a duration; write it like 60s, 5m or 250ms\n"
         "7: negative = \"25h\": must be from 0 to 1d\n"
         "8: early = \"maybe\": must be no or yes"},
        {SIMULATED FRAGMENT "cache { redis = \"http://:secret@h\" }\n", "3: redis: *"},
        {SIMULATED FRAGMENT "listen = {\n\"unix:/tmp/x\",\n\"pigeon:1\",\n'',\"fd:0\" }\n",
         "5: listen = \"pigeon:1\": *\n6: listen = \"\": *"},
        {"source s { type = simulated delay = 3s-1s }\n" FRAGMENT,
         "1: delay = \"3s-1s\": the range begins above its end"},
        {"source s { type = simulated delay = 0-25h }\n" FRAGMENT,
         "1: delay = \"0-25h\": must be from 0 to 1d"},
        /* A value may hold anything: it can't break out of its line, nor fill the log. */
        {SIMULATED FRAGMENT "log = \"a\\nb\\e[0m\\\"\"",
         "3: log = \"a\\x0Ab\\x1B[0m\"\": must be stderr or syslog"},
        {SIMULATED FRAGMENT
         "log = 1234567890123456789012345678901234567890123456789012345678901234567890",
         "3: log = \"123456789012345678901234567890123456789012345678901234567890123456...\": must "
         "be stderr or syslog"},
        /* All of them, in order, though the sections come to be checked in another one. */
        {"fragment a { source = s ttl = 1 }\ncache { memory = 1 }\nlog = x\nmax_flights = -1\n"
         "source s { type = simulated delay = 1 }\nhold = 1s\nmax_parked = y\n",
         "1: ttl = \"1\": a bare number; write it with a unit: 60s, 5m, 250ms\n"
         "2: memory = \"1\": a bare number; write it with a unit: 512B, 64KiB, 1MiB\n"
         "3: log = \"x\": must be stderr or syslog\n"
         "4: max_flights = \"-1\": not a number\n"
         "5: delay = \"1\": a bare number; write it with a unit: 60s, 5m, 250ms\n"
         "6: no option \"hold\" at the top level; it belongs in a fragment section\n"
         "7: max_parked = \"y\": not a number"},
    };
    (void)state;
    assert_bad(cases, COUNT(cases));
}

static void test_bad_options(void **state)
{
    static const struct bad cases[] = {
        {SIMULATED "fragment a {\n source = s\n hodl = \"25s\"\n}\n",
         "4: no option \"hodl\" in a fragment section; did you mean \"hold\"?"},
        {"lisen = {\"unix:/tmp/x\"}\n" SIMULATED FRAGMENT,
         "1: no option \"lisen\" at the top level; did you mean \"listen\"?"},
        {SIMULATED "framgent a { source = s }\n",
         "2: no option \"framgent\" at the top level; did you mean \"fragment\"?"},
        {SIMULATED FRAGMENT "cache { socket = x }\n", "3: no option \"socket\" in a cache section"},
        {SIMULATED FRAGMENT "redis = \"\"\n",
         "3: no option \"redis\" at the top level; it belongs in a cache section"},
        {SIMULATED FRAGMENT "include(\"/etc/passwd\")\n",
         "3: no option \"include\" at the top level"},
        {"include /etc/passwd\n" SIMULATED FRAGMENT, "1: no option \"include\" at the top level"},
        {SIMULATED FRAGMENT "lease = 1s\ncache { purge = {'::1'} }\n",
         "3: no option \"lease\" at the top level; it belongs in a cache section\n"
         "4: no option \"purge\" in a cache section; it belongs at the top level"},
        {SIMULATED FRAGMENT "cache|redis = \"\"\n",
         "3: no option \"redis\" at the top level; it belongs in a cache section"},
        {SIMULATED FRAGMENT "\"source=s|type\" = http\n",
         "3: no option \"type\" at the top level; it belongs in a source section"},
        {SIMULATED FRAGMENT "\"source=s|\" = http\n", "3: no option \"\" at the top level"},
        {SIMULATED FRAGMENT "\"source=t|type\" = http\n", "3: no sub-section 't' in 'source'"},
        {SIMULATED FRAGMENT "cache {\n redis = \"\"\n '' = 1\n}\n", "5: an option without a name"},
        {SIMULATED FRAGMENT "\"\" { }\n", "3: syntax error"},
        {SIMULATED FRAGMENT "foo = 1\nfoo = 2\nbar = 3\ncache { foo = 4 }\nlog = 5\n",
         "3: no option \"foo\" at the top level\n"
         "5: no option \"bar\" at the top level\n"
         "6: no option \"foo\" in a cache section\n"
         "7: log = \"5\": must be stderr or syslog"},
        {"log = x\nfragment a {\n source = s\n fragment b {\n }\n}\n",
         "1: log = \"x\": must be stderr or syslog\n"
         "4: no option \"fragment\" in a fragment section"},
        {SIMULATED "fragment a {\n ttl = 1s\n source = s\n ttl = 2s }\n",
         "5: ttl is set twice; first in line 3"},
        {"listen = {\"fd:0\", \"fd:1\"}\n" SIMULATED FRAGMENT "listen = \"fd:2\"\n",
         "4: listen is set twice; first in line 1"},
        {SIMULATED FRAGMENT "cache { memory = 0 }\ncache { memory = 0 }\n",
         "4: memory is set twice; first in line 3"},
        {"source s { type = http url = \"http://h/\"\n delay = 1s }\n" FRAGMENT,
         "2: delay is for sources of type simulated"},
        {"source s {\n timeout = 1s\n url = x\n connections = 0\n max_body = \"1MiB\"\n"
         " type = simulated }\n" FRAGMENT,
         "2: timeout is for sources of type http\n"
         "3: url is for sources of type http\n"
         "4: connections = \"0\": must be from 1 to 65535\n"
         "4: connections is for sources of type http\n"
         "5: max_body is for sources of type http"},
    };
    (void)state;
    assert_bad(cases, COUNT(cases));
}

static void test_bad_sections(void **state)
{
    static const struct bad cases[] = {
        {"", "1: no fragment section: nothing to serve"},
        {"\n", "1: no fragment section: nothing to serve"},
        {"# nothing\n\n" SIMULATED, "3: no fragment section: nothing to serve"},
        {SIMULATED "\nfragment a\n{\n ttl = 1s\n}\n", "4: fragment \"a\": source is missing"},
        {"source slow { type = simulated }\nsource api { type = http url = 'http://h/' }\n"
         "fragment \"a\" {\n source = \"slwo\"\n}\n",
         "4: fragment \"a\": no source named \"slwo\" (there are: slow, api)"},
        {FRAGMENT, "1: fragment \"a\": no source named \"s\" (there is none)"},
        {"source s {\n}\n" FRAGMENT, "1: source \"s\": type is missing"},
        {"source s {\n delay = 1s\n type = htpp\n}\n" FRAGMENT,
         "3: type = \"htpp\": must be simulated or http"},
        {"\nsource s {\n type = http\n}\n" FRAGMENT, "2: source \"s\": url is missing"},
        {"source s {\n type = http\n url = \"gopher://h/\"\n}\n" FRAGMENT, "3: source \"s\": *"},
        {"source \"\" { type = simulated }\nfragment a { source = \"\" }\n",
         "1: a source needs a name"},
        {"source s { type = simulated }\nsource t { type = simulated }\n"
         "source s { type = http url = 'http://h/' }\n" FRAGMENT,
         "3: source \"s\" is there twice; first in line 1"},
        {SIMULATED FRAGMENT "fragment \"a*\" { source = s }\nfragment \"a*\" {\n source = s }\n",
         "4: fragment \"a*\" is there twice; first in line 3"},
        {SIMULATED "fragment \"u*\" { source = s }\nfragment user { source = s }\n"
                   "fragment \"user/*\" { source = s }\nfragment \"v*\" { source = s }\n",
         "3: fragment \"user\" is never used: \"u*\" in line 2 comes before it and takes all of "
         "it\n"
         "4: fragment \"user/*\" is never used: \"u*\" in line 2 comes before it and takes all of "
         "it"},
        {SIMULATED "fragment \"*\" { source = s }\nfragment a { source = s }\n",
         "3: fragment \"a\" is never used: \"*\" in line 2 comes before it and takes all of it"},
        {SIMULATED "fragment \"a*b\" { source = s }\n",
         "2: fragment \"a*b\": '*' can only be the last character"},
        {SIMULATED "fragment \"a**\" { source = s }\n",
         "2: fragment \"a**\": '*' can only be the last character"},
        {SIMULATED "fragment \"\" { source = s }\nfragment \"/*\" { source = s }\n"
                   "fragment \"../*\" { source = s }\nfragment \"a\\n\" { source = s }\n"
                   "fragment \"a/\" { source = s }\n",
         "2: fragment \"\": not a name: *\n3: fragment \"/*\": not a name: *\n"
         "4: fragment \"../*\": not a name: *\n5: fragment \"a\\x0A\": not a name: *\n"
         "6: fragment \"a/\": not a name: *"},
        {SIMULATED "fragment a {\n source = s\n fallback = \"none.html\"\n}\n",
         "4: fallback = \"none.html\": DIR/none.html: No such file or directory"},
        {SIMULATED "fragment a { source = s fallback = \".\" }\n",
         "2: fallback = \".\": DIR/.: Is a directory"},
        {SIMULATED "fragment a { source = s fallback = \"\" }\n",
         "2: fallback = \"\": DIR/: Is a directory"},
        {SIMULATED "fragment a { source = s fallback = \"/dev/null\" }\n",
         "2: fallback = \"/dev/null\": /dev/null: not a regular file"},
        {SIMULATED "fragment a { source = s fallback = \"fifo\" }\n",
         "2: fallback = \"fifo\": DIR/fifo: not a regular file"},
        {SIMULATED "fragment a { source = s fallback = \"large.html\" }\n",
         "2: fallback = \"large.html\": DIR/large.html: larger than 1 MiB"},
    };
    char *large = calloc(1, (1 << 20) + 1), fifo[PATH_MAX];
    (void)state;
    assert_non_null(large);
    write_file("large.html", large, (1 << 20) + 1);
    snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_bad(cases, COUNT(cases));
    write_file("large.html", large, 1 << 20);
    conf_free(load_good(SIMULATED "fragment a { source = s fallback = \"large.html\" }\n"));
    free(large);
}

static void test_bad_syntax(void **state)
{
    static const struct bad cases[] = {
        {"listen = {\"a\n" SIMULATED FRAGMENT "log = \"x\"\n",
         "1: a string that is not closed on its line"},
        {SIMULATED FRAGMENT "log = 'x", "3: a string that is not closed on its line"},
        {SIMULATED FRAGMENT "log = \"x\\", "3: a string that is not closed on its line"},
        {SIMULATED "fragment a { source = \"\\\ns\"\n ttl = 1 }\n",
         "4: ttl = \"1\": a bare number; write it with a unit: 60s, 5m, 250ms"},
        {SIMULATED FRAGMENT "/* no end\n\n", "3: a comment begins here that is not closed by */"},
        {SIMULATED "\nfragment a {\n source = s\n\nfragment b { source = s }\n",
         "3: a { that is not closed by }"},
        {SIMULATED FRAGMENT "listen = {\"fd:0\"\nlog = stderr\n", "3: a { that is not closed by }"},
        {SIMULATED FRAGMENT "}\n", "3: unexpected closing brace"},
        {SIMULATED FRAGMENT "log =\n", "3: premature end of file"},
        {SIMULATED FRAGMENT "log", "3: premature end of file"},
        {SIMULATED FRAGMENT "log stderr\n", "3: missing equal sign after option 'log'"},
        {SIMULATED FRAGMENT "log = =\n", "3: unexpected token '='"},
        {SIMULATED FRAGMENT "log += stderr\n", "3: attempt to append to non-list option 'log'"},
        {SIMULATED FRAGMENT "log = {stderr}\n", "3: unexpected token '{'"},
        {SIMULATED FRAGMENT "fragment { source = s }\n", "3: missing title for section 'fragment'"},
        {SIMULATED FRAGMENT "cache = 1\n", "3: missing opening brace for section 'cache'"},
        {SIMULATED FRAGMENT "listen = { }\n", "3: an empty list"},
        {SIMULATED FRAGMENT "listen = {\"fd:0\" \"fd:1\"}\n", "3: unexpected token 'fd:1'"},
        {SIMULATED FRAGMENT "fragment user/* { source = s }\n",
         "3: a * outside of quotes; put the whole name or value in double quotes"},
        {SIMULATED FRAGMENT "log + stderr\n",
         "3: a + outside of quotes; put the whole name or value in double quotes"},
        {SIMULATED FRAGMENT "log = \"\\x41\"\n", "3: a numeric escape; write the character itself"},
        {SIMULATED FRAGMENT "log = \"\\0\"\n", "3: a numeric escape; write the character itself"},
        {SIMULATED FRAGMENT "log = \"${TEST_CONF_NONE}\"\nlog = ${TEST_CONF_NONE:x}\n",
         "3: the environment has no variable \"TEST_CONF_NONE\"; write ${NAME:-} if it may be "
         "missing\n"
         "4: the environment has no variable \"TEST_CONF_NONE:x\"; write ${NAME:-} if it may be "
         "missing"},
        {SIMULATED FRAGMENT "log = \"${TEST\"\nmax_params = \"}\"",
         "3: a ${ that is not closed by } on its line"},
        {SIMULATED FRAGMENT "log = ${TEST\n}", "3: a ${ that is not closed by } on its line"},
        {SIMULATED FRAGMENT "log = \x01\n", "3: a control character (0x01): not a config file?"},
        {"{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{", "1: a { that is not closed by }"},
        {"{{{{{{{{{{{{{{{{{}}}}}}}}}}}}}}}}}", "1: unexpected token '{'"},
        {"a{a{a{a{a{a{a{}}}}}}}", "1: no option \"a\" at the top level"},
        /* What was understood before is checked, but nothing is missed that may follow. */
        {"log = x\nsource s {\n delay = 1\n = }\n",
         "1: log = \"x\": must be stderr or syslog\n"
         "3: delay = \"1\": a bare number; write it with a unit: 60s, 5m, 250ms\n"
         "4: unexpected token '='"},
    };
    (void)state;
    assert_bad(cases, COUNT(cases));
}

static void test_bytes(void **state)
{
    static const char binary[] = "log = stderr\n\x7f"
                                 "ELF\0\0\1";
    static const char zero[] = "log = std\0err\n";
    char *messages;
    (void)state;
    assert_null(load_bytes(binary, sizeof binary, &messages));
    assert_string_equal(messages, "DIR/t.conf:2: a control character (0x7F): not a config file?\n");
    free(messages);
    assert_null(load_bytes(zero, sizeof zero - 1, &messages));
    assert_string_equal(messages, "DIR/t.conf:1: a control character (0x00): not a config file?\n");
    free(messages);
}

#define TOO_LONG "a name or value of more than 4096 bytes"

/* Files of nearly 1 MiB that are all one thing. */
static void test_huge(void **state)
{
    static const struct {
        const char *before, *again, *after, *messages; /* NULL: it is good */
    } cases[] = {
        {SIMULATED FRAGMENT "# ", "x", "\n", NULL},
        {SIMULATED FRAGMENT "/*", "*", "*/\n", NULL},
        {SIMULATED FRAGMENT, "\n", "", NULL},
        {SIMULATED FRAGMENT, "# x\n", "log = stderr", NULL},
        {SIMULATED FRAGMENT "log = \"", "x", "\"\n", "3: " TOO_LONG},
        {SIMULATED FRAGMENT "log = '", "x", "'\n", "3: " TOO_LONG},
        {SIMULATED FRAGMENT "log = ", "x", "\n", "3: " TOO_LONG},
        {SIMULATED FRAGMENT, "x", " = 1\n", "3: " TOO_LONG},
        {SIMULATED FRAGMENT "max_parked = ", "9", "\n", "3: " TOO_LONG},
        {SIMULATED FRAGMENT "idle_timeout = ", "9", "s\n", "3: " TOO_LONG},
        {SIMULATED FRAGMENT "idle_timeout = 0.", "9", "s\n", "3: " TOO_LONG},
        {SIMULATED "fragment \"", "x", "\" { source = s }\n", "2: " TOO_LONG},
        {SIMULATED "fragment a { source = \"", "x", "\" }\n", "2: " TOO_LONG},
        {SIMULATED "fragment a { source = s fallback = \"", "x", "\" }\n", "2: " TOO_LONG},
        {"", "{", "", "1: a { that is not closed by }"},
        {"", "fragment a {\n", "", "1: a { that is not closed by }"},
        {"listen = {fd:0", ",fd:0", "}\n" SIMULATED FRAGMENT, "1: more than 64 values of listen"},
        {"zap = {fd:0", ",fd:0", "}\n" SIMULATED FRAGMENT, "1: no option \"zap\" at the top level"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t room = 1 << 20, len = strlen(cases[i].before), again = strlen(cases[i].again);
        size_t after = strlen(cases[i].after);
        char *text = malloc(room + 1), *messages;
        assert_non_null(text);
        memcpy(text, cases[i].before, len);
        for (; len + again + after <= room; len += again)
            memcpy(text + len, cases[i].again, again);
        memcpy(text + len, cases[i].after, after);
        text[len + after] = '\0';
        struct conf *conf = load_bytes(text, len + after, &messages);
        assert_messages(cases[i].before, messages, cases[i].messages ? cases[i].messages : "");
        assert_true(!conf == !!cases[i].messages);
        conf_free(conf);
        free(messages);
        free(text);
    }
}

/* A value of 4096 bytes, its quotes included, and one of 4097. */
static void test_longest(void **state)
{
    char text[5000], *messages;
    (void)state;
    for (int len = 4094; len <= 4095; len++) {
        sprintf(text, SIMULATED FRAGMENT "log = \"%0*d\"\n", len, 0);
        assert_null(load_bytes(text, strlen(text), &messages));
        assert_messages("log", messages, len == 4094 ? "3: log = \"000*" : "3: " TOO_LONG);
        free(messages);
    }
}

static void test_many_problems(void **state)
{
    char text[4000] = "", *messages;
    (void)state;
    for (int i = 0; i < 150; i++)
        strcat(text, "cache { memory = 1 }\n");
    assert_null(load_bytes(text, strlen(text), &messages));
    assert_non_null(strstr(messages, "DIR/t.conf:100: "));
    assert_non_null(strstr(messages, "\nDIR/t.conf: 51 more problems\n"));
    free(messages);
    text[0] = '\0';
    for (int letter = 'a'; letter <= 'z'; letter++)
        sprintf(text + strlen(text), "zzzz%c = 1\n", letter);
    assert_null(load_bytes(text, strlen(text), &messages));
    assert_non_null(strstr(messages, "DIR/t.conf:17: no option \"zzzzq\" at the top level\n"));
    free(messages);
}

static void test_files(void **state)
{
    static const char *const names[][2] = {
        {"none.conf", "DIR/none.conf: No such file or directory\n"},
        {".", "DIR/.: Is a directory\n"},
        {"fifo", "DIR/fifo: not a regular file\n"},
        {"large.html", "DIR/large.html: larger than 1 MiB\n"},
    };
    char path[PATH_MAX], *large = calloc(1, (1 << 20) + 1), *messages;
    (void)state;
    assert_non_null(large);
    write_file("large.html", large, (1 << 20) + 1);
    free(large);
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i][0]);
        assert_null(load_file(path, &messages));
        assert_string_equal(messages, names[i][1]);
        free(messages);
    }
    if (geteuid() != 0) { /* who may read all */
        write_text("t.conf", sample);
        assert_int_equal(chmod(config, 0), 0);
        assert_null(load_file(config, &messages));
        assert_string_equal(messages, "DIR/t.conf: Permission denied\n");
        free(messages);
        assert_int_equal(chmod(config, 0600), 0);
    }
}

/* A path without a slash: the fallback is looked for in the working directory. */
static void test_working_directory(void **state)
{
    char before[PATH_MAX], *messages;
    (void)state;
    write_text("t.conf", sample);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(directory), 0);
    struct conf *conf = load_file("t.conf", &messages);
    assert_int_equal(chdir(before), 0);
    assert_non_null(conf);
    conf_free(conf);
    free(messages);
}

/* ---- robustness */

static void test_no_memory(void **state)
{
    static const char *const texts[] = {sample, "foo = 1\nlog = x\n" SIMULATED FRAGMENT "bar = 2"};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        bool enough = false;
        write_text("t.conf", texts[i]);
        for (long successes = 0; !enough && successes < 1000; successes++) {
            char *messages;
            alloc_fail_after(successes);
            struct conf *conf = load_file(config, &messages);
            alloc_fail_after(-1);
            assert_true(!conf == (*messages != '\0'));
            enough = conf || !strstr(messages, "memory");
            conf_free(conf);
            free(messages);
        }
        assert_true(enough);
    }
}

/* Damaged samples: they load, or there is a message for each, in a line that the file has. */
static void test_damage(void **state)
{
    static const char bytes[] = "{}\"'=,+*#/\\${:-|\n\0 \x80"
                                "a0";
    char text[sizeof sample], prefix[] = "DIR/t.conf:";
    uint32_t random = 2463534242;
    (void)state;
    for (int round = 0; round < 500; round++) {
        char *messages;
        int lines = 1;
        memcpy(text, sample, sizeof text);
        for (int i = 0; i < 1 + round % 4; i++) {
            random ^= random << 13, random ^= random >> 17, random ^= random << 5; /* xorshift32 */
            text[random % (sizeof text - 1)] = bytes[(random >> 16) % (sizeof bytes - 1)];
        }
        struct conf *conf = load_bytes(text, sizeof text - 1, &messages);
        for (size_t i = 0; i < sizeof text - 1; i++)
            lines += text[i] == '\n';
        assert_true(!conf == (*messages != '\0'));
        for (char *m = messages; *m; m = strchr(m, '\n') + 1) {
            assert_int_equal(strncmp(m, prefix, strlen(prefix)), 0);
            assert_in_range(atoi(m + strlen(prefix)), 1, lines);
        }
        conf_free(conf);
        free(messages);
    }
}

static void test_print_options(void **state)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    (void)state;
    assert_non_null(out);
    conf_print_options(out);
    assert_int_equal(fclose(out), 0);
    for (const struct option *o = option_table; o < option_table + option_count; o++) {
        char line[100];
        snprintf(line, sizeof line, "\n%s%s ", o->section == SECTION_TOP ? "" : "    ", o->name);
        if (o->kind == OPTION_FILE || (o->kind == OPTION_LIST && !o->preset))
            line[strlen(line) - 1] = '\n';
        if (o != option_table && !strstr(text, line))
            fail_msg("%s is not printed", o->name);
        assert_true(o->help[strlen(o->help) - 1] == '.');
    }
    assert_non_null(strstr(text, "listen = {\"unix:/run/workerless/workerless.sock\"}\n"));
    assert_non_null(strstr(text, "max_connection_requests = 1024  (1 to 65535)\n"));
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        assert_true(strcspn(line, "\n") <= 80);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_written_otherwise),
        cmocka_unit_test(test_freshness),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_sections),
        cmocka_unit_test(test_bad_syntax),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_many_problems),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_working_directory),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_print_options),
    };
    return cmocka_run_group_tests_name("conf", tests, make_directory, remove_directory);
}
