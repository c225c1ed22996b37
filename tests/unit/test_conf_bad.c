/* conf/: bad files, with their exact messages. What is only dubious is in test_conf_warnings.c. */
#include "conf_bench.h"

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
        {SIMULATED FRAGMENT "log = 'file:log'",
         "3: log = \"file:log\": the path of a log file must begin with /"},
        {SIMULATED FRAGMENT "log = 'file:'",
         "3: log = \"file:\": the path of a log file must begin with /"},
        {SIMULATED FRAGMENT "drain_timeout = 2",
         "3: drain_timeout = \"2\": a bare number; write it with a unit: 60s, 5m, 250ms"},
        {SIMULATED FRAGMENT "log = file", "3: log = \"file\": must be stderr, syslog or file:PATH"},
        {SIMULATED FRAGMENT "workers = 0", "3: workers = \"0\": must be auto, or from 1 to 256"},
        {SIMULATED FRAGMENT "workers = 257",
         "3: workers = \"257\": must be auto, or from 1 to 256"},
        {SIMULATED FRAGMENT "workers = many",
         "3: workers = \"many\": must be auto, or from 1 to 256"},
        {SIMULATED FRAGMENT "user = no-such-user",
         "3: user = \"no-such-user\": there is no such user"},
        {SIMULATED FRAGMENT "group = no-such-group",
         "3: group = \"no-such-group\": there is no such group"},
        {SIMULATED FRAGMENT "sandbox = on", "3: sandbox = \"on\": must be no or yes"},
        {SIMULATED FRAGMENT "log_format = xml",
         "3: log_format = \"xml\": must be text, logfmt or json"},
        {SIMULATED FRAGMENT "slow = 2",
         "3: slow = \"2\": a bare number; write it with a unit: 60s, 5m, 250ms"},
        {SIMULATED FRAGMENT "access_log = '{time}'",
         "3: access_log = \"{time}\": must be off, stderr, syslog or file:PATH; the format is "
         "access_log_format"},
        {SIMULATED FRAGMENT "access_log = 'file:a'",
         "3: access_log = \"file:a\": the path of a log file must begin with /"},
        {SIMULATED FRAGMENT "access_log_format = '{tim}'",
         "3: access_log_format = \"{tim}\": there is no field {tim}; did you mean {time}?"},
        {SIMULATED FRAGMENT "access_log_sample = 2",
         "3: access_log_sample = \"2\": must be from 0 to 1"},
        {SIMULATED FRAGMENT "tcp_half_close = true",
         "3: tcp_half_close = \"true\": must be no or yes"},
        {SIMULATED "fragment a { source = s hold = 0 }", "2: hold = \"0\": must be from 1ms to 1d"},
        {SIMULATED FRAGMENT "cache {\n namespace = \"\"\n}\n",
         "4: namespace = \"\": a namespace must not be empty"},
        {SIMULATED FRAGMENT "cache {\n namespace = \"a b\" }\n",
         "4: namespace = \"a b\": a namespace must not have spaces, control characters, braces or "
         "any of "
         "*?[]\\"},
        {SIMULATED FRAGMENT "cache { namespace = 'a{b}' }\n",
         "3: namespace = \"a{b}\": a namespace must not have spaces, control characters, braces or "
         "any of "
         "*?[]\\"},
        {SIMULATED FRAGMENT "cache { memory = \"64\" redis_timeout = 2m }\n",
         "3: memory = \"64\": a bare number; write it with a unit: 512B, 64KiB, 1MiB\n"
         "3: redis_timeout = \"2m\": must be from 1ms to 60s"},
        {SIMULATED FRAGMENT "cache { lease = 99ms }\n",
         "3: lease = \"99ms\": must be from 100ms to 1h"},
        {SIMULATED FRAGMENT "purge = {\n127.0.0.1,\nlocalhost,\n'127.0.0.0/33' }\n",
         "5: purge = \"localhost\": write an address, such as 127.0.0.1 or ::1, or a network, such "
         "as 10.0.0.0/8\n"
         "6: purge = \"127.0.0.0/33\": after the / of an IPv4 network, write a number from 0 to "
         "32"},
        {SIMULATED FRAGMENT "status = {\"*\"}\n",
         "3: status = \"*\": write an address, such as 127.0.0.1 or ::1, or a network, such as "
         "10.0.0.0/8"},
        {SIMULATED FRAGMENT "status = {\"2001:db8::/129\", \"10.0.0.1/8\"}\n",
         "3: status = \"2001:db8::/129\": after the / of an IPv6 network, write a number from 0 to "
         "128\n"
         "3: status = \"10.0.0.1/8\": before the /, write the first address of the network, such "
         "as "
         "10.0.0.0/8"},
        {SIMULATED "fragment a {\n source = s\n stale = 5\n stale_error = 366d\n jitter = -1s\n"
                   " negative = 25h\n early = maybe\n}\n",
         "4: stale = \"5\": a bare number; write it with a unit: 60s, 5m, 250ms\n"
         "5: stale_error = \"366d\": must be from 0 to 365d\n"
         "6: jitter = \"-1s\": not a duration; write it like 60s, 5m or 250ms\n"
         "7: negative = \"25h\": must be from 0 to 1d\n"
         "8: early = \"maybe\": must be no or yes"},
        {SIMULATED "fragment a {\n source = s\n uncacheable = 25h\n share = false\n}\n",
         "4: uncacheable = \"25h\": must be from 0 to 1d\n"
         "5: share = \"false\": must be yes or no"},
        {SIMULATED FRAGMENT "cache { redis = \"http://:secret@h\" }\n", "3: redis: *"},
        {SIMULATED FRAGMENT "listen = {\n\"unix:/tmp/x\",\n\"pigeon:1\",\n'',\"fd:0\" }\n",
         "5: listen = \"pigeon:1\": *\n6: listen = \"\": *"},
        {"source s { type = http url = 'http://h/' redirects = {\n'*.test',\ncdn.test,\n"
         "'http://cdn.test/' } }\n" FRAGMENT,
         "2: redirects = \"*.test\": write HOST, HOST:PORT, http://HOST[:PORT] or "
         "https://HOST[:PORT], such as cdn.example.com or https://[2001:db8::1]:8443\n"
         "4: redirects = \"http://cdn.test/\": write HOST, HOST:PORT, http://HOST[:PORT] or "
         "https://HOST[:PORT], such as cdn.example.com or https://[2001:db8::1]:8443"},
        {"source s { type = fastcgi\n socket = '/run/php.sock'\n script = 'a.php'\n"
         " params = {'A=1',\n 'HTTP_PROXY=x', B } }\n" FRAGMENT,
         "2: socket = \"/run/php.sock\": write unix:PATH or tcp:HOST:PORT\n"
         "3: script = \"a.php\": write an absolute path, such as /srv/app/{name}.php\n"
         "5: params: this variable can't be set: workerless sets it itself if it is needed\n"
         "5: params: write NAME=VALUE, such as APP_ENV=production"},
        {"source s { type = fastcgi }\n" FRAGMENT,
         "1: source \"s\": socket is missing\n1: source \"s\": script is missing"},
        {FASTCGI "\n params = {'A=1', 'A=2'}\n keep_connections = 6 }\n" FRAGMENT,
         "2: source \"s\": two of its params have the same name"},
        {FASTCGI "\n keep_connections = 6 }\n" FRAGMENT,
         "2: source \"s\": keep_connections must not be more than connections"},
        {"source s { type = fastcgi socket = 'unix:app.sock' script = '/srv/a' }\n" FRAGMENT,
         "1: socket = \"unix:app.sock\": write an absolute path, such as "
         "unix:/run/php/php-fpm.sock"},
        {"source s { type = fastcgi socket = 'tcp:*:9000' script = '/srv/a' }\n" FRAGMENT,
         "1: socket = \"tcp:*:9000\": write the address of the server, such as tcp:127.0.0.1:9000"},
        {"source s { type = simulated\n redirects = { cdn.test } }\n" FRAGMENT,
         "2: redirects is for sources of type http"},
        {"source s { type = http url = 'http://h/'\n socket = 'app.sock' }\n" FRAGMENT,
         "2: socket = \"app.sock\": write an absolute path, such as /run/app.sock"},
        {"source s { type = http url = 'http://h/'\n socket = "
         "'/234567890123456789012345678901234567"
         "89012345678901234567890123456789012345678901234567890123456789012345678' }\n" FRAGMENT,
         "2: socket = *"},
        {"source s { type = http url = 'http://h/'\n socket = '/s'\n redirects = cdn.test "
         "}\n" FRAGMENT,
         "3: source \"s\": redirects can't be listed with socket, since no other host is reached "
         "through it"},
        {"source s { type = http url = 'http://h/'\n headers = {\"Accept: x\",\n\"Host: secret\",\n"
         "'secret',\n\"X: secret\\nsecret\" } }\n" FRAGMENT,
         "3: headers: this header can't be set: workerless sets it itself if it is needed\n"
         "4: headers: write NAME: VALUE, such as Accept: application/json\n"
         "5: headers: the value of a header must not have line ends or other control characters"},
        {"source s { type = http url = 'http://h/'\n headers = {\"X: a\", \"x: b\"} }\n" FRAGMENT,
         "2: source \"s\": two of its headers have the same name"},
        {"source s { type = http url = 'http://h/'\n body = 'x' }\n" FRAGMENT,
         "2: source \"s\": body requires method = \"POST\""},
        {"source s { type = http url = 'http://h/' method = POST\n body = '{name}' }\n" FRAGMENT,
         "2: source \"s\": {name} in body must be within quotes, since it is JSON"},
        {"source s { type = http url = 'http://h/' method = POST\n body = '\"{query:a}\"' "
         "}\n" FRAGMENT,
         "3: fragment \"a\" uses source \"s\", whose body has {query:a}; add \"query:a\" to its "
         "vary"},
        {"source s { type = http url = 'http://h/' method = POST\n body = '<a>{name}</a>'\n"
         "headers = {\"content-type: text/xml\"} }\n" FRAGMENT,
         "2: source \"s\": {name} in body requires a Content-Type *"},
        {"source s { type = http url = 'http://h/' method = post }\n" FRAGMENT,
         "1: method = \"post\": must be GET or POST"},
        {"source s { type = http url = 'http://h/'\n http2 = h2c }\n" FRAGMENT,
         "2: http2 = \"h2c\": must be no, yes or prior-knowledge"},
        {"source s { type = http url = 'HTTPS://h/'\n http2 = prior-knowledge }\n" FRAGMENT,
         "2: source \"s\": http2 = \"prior-knowledge\" is for http; over https write \"yes\""},
        {"source s { type = http url = 'https://h/'\n tls_ca = none.pem }\n" FRAGMENT,
         "2: source \"s\": tls_ca: DIR/none.pem: No such file or directory"},
        {"source s { type = http url = 'https://h/'\n tls_ca = unavailable.html }\n" FRAGMENT,
         "2: source \"s\": tls_ca: DIR/unavailable.html: there is no certificate in it (in PEM)"},
        {"source s { type = http url = 'https://h/'\n tls_certificate = fifo }\n" FRAGMENT,
         "2: source \"s\": tls_certificate: DIR/fifo: not a regular file"},
        {"source s { type = http url = 'https://h/'\n tls_key = unavailable.html }\n" FRAGMENT,
         "2: source \"s\": tls_key: *"},
        {"source s { type = simulated delay = 3s-1s }\n" FRAGMENT,
         "1: delay = \"3s-1s\": the start of the range is above its end"},
        {"source s { type = simulated delay = 0-25h }\n" FRAGMENT,
         "1: delay = \"0-25h\": must be from 0 to 1d"},
        /* A value may hold anything: it can't add lines to the log, nor fill it. */
        {SIMULATED FRAGMENT "log = \"a\\nb\\e[0m\\\"\"",
         "3: log = \"a\\x0Ab\\x1B[0m\"\": must be stderr, syslog or file:PATH"},
        {SIMULATED FRAGMENT
         "log = 1234567890123456789012345678901234567890123456789012345678901234567890",
         "3: log = \"123456789012345678901234567890123456789012345678901234567890123456...\": must "
         "be stderr, syslog or file:PATH"},
        /* All of them, in the order of lines, though the sections are checked in another order. */
        {"fragment a { source = s ttl = 1 }\ncache { memory = 1 }\nlog = x\nmax_flights = -1\n"
         "source s { type = simulated delay = 1 }\nhold = 1s\nmax_parked = y\n",
         "1: ttl = \"1\": a bare number; write it with a unit: 60s, 5m, 250ms\n"
         "2: memory = \"1\": a bare number; write it with a unit: 512B, 64KiB, 1MiB\n"
         "3: log = \"x\": must be stderr, syslog or file:PATH\n"
         "4: max_flights = \"-1\": must be from 1 to 100000000\n"
         "5: delay = \"1\": a bare number; write it with a unit: 60s, 5m, 250ms\n"
         "6: no option \"hold\" at the top level; it belongs in a fragment section\n"
         "7: max_parked = \"y\": must be from 1 to 100000000"},
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
        {SIMULATED FRAGMENT "cache { pocket = x }\n", "3: no option \"pocket\" in a cache section"},
        {SIMULATED FRAGMENT "redis = \"\"\n",
         "3: no option \"redis\" at the top level; it belongs in a cache section"},
        {SIMULATED FRAGMENT "include(\"/etc/passwd\")\n",
         "3: missing equal sign after option 'include'"},
        {"include /etc/passwd\n" SIMULATED FRAGMENT,
         "1: missing equal sign after option 'include'"},
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
         "7: log = \"5\": must be stderr, syslog or file:PATH"},
        {"log = x\nfragment a {\n source = s\n fragment b {\n }\n}\n",
         "1: log = \"x\": must be stderr, syslog or file:PATH\n"
         "4: no option \"fragment\" in a fragment section; is the } missing that closes the "
         "section above?"},
        /* The braces of the file are even, but two sections share them. */
        {SIMULATED "fragment a {\n source = s\nsource t { type = simulated }\n}\n",
         "4: missing equal sign after option 'source', or the } that closes the section above it"},
        {SIMULATED "cache {\n memory = 0\nfragment a { source = s }\n}\n",
         "4: no option \"fragment\" in a cache section; is the } missing that closes the section "
         "above?"},
        {SIMULATED "fragment a {\n ttl = 1s\n source = s\n ttl = 2s }\n",
         "5: ttl is set twice; first in line 3"},
        {"listen = {\"fd:0\", \"fd:1\"}\n" SIMULATED FRAGMENT "listen = \"fd:2\"\n",
         "4: listen is set twice; first in line 1"},
        {SIMULATED FRAGMENT "cache { memory = 0 }\ncache { memory = 0 }\n",
         "4: memory is set twice; first in line 3"},
        {"source s { type = http url = \"http://h/{name}\"\n connections = 0\n queue = 1KiB\n"
         " queue_timeout = 5\n breaker = 5\n breaker_cooldown = 0\n max_retry_after = 2d "
         "}\n" FRAGMENT,
         "2: connections = \"0\": must be from 1 to 65535\n"
         "3: queue = \"1KiB\": not a plain number; this is a count and has no unit\n"
         "4: queue_timeout = \"5\": a bare number; write it with a unit: 60s, 5m, 250ms\n"
         "5: breaker = \"5\": write it like \"5 in 10s\"\n"
         "6: breaker_cooldown = \"0\": must be from 10ms to 1d\n"
         "7: max_retry_after = \"2d\": must be from 0 to 1d"},
        {"source s { type = simulated\n breaker = '1001 in 1s'\n }\n" FRAGMENT,
         "2: breaker = \"1001 in 1s\": must be from 1 in 1ms to 1000 in 1d"},
        {"source s { type = simulated\n breaker = '5 in 2d'\n }\n" FRAGMENT,
         "2: breaker = \"5 in 2d\": must be from 1 in 1ms to 1000 in 1d"},
        {"source s { type = http url = \"http://h/\"\n delay = 1s }\n" FRAGMENT,
         "2: delay is for sources of type simulated"},
        {"source s {\n timeout = 1s\n url = x\n connections = 0\n max_body = \"1MiB\"\n"
         " type = simulated }\n" FRAGMENT,
         "2: timeout is for sources of type http, fastcgi, queue or module\n"
         "3: url is for sources of type http\n"
         "5: max_body is for sources of type http, fastcgi or module"},
        {"source s { type = module\n file = none.so\n }\n" FRAGMENT,
         "2: source \"s\": " MODULE_DIRECTORY "/none.so: No such file or directory"},
        {"source s { type = module\n file = /dev/null\n }\n" FRAGMENT,
         "2: source \"s\": /dev/null: not a regular file"},
        {"source s { type = module\n file = '/etc/passwd'\n }\n" FRAGMENT,
         "2: source \"s\": /etc/passwd: *"},
        {"source s { type = module file = a.so\n settings = { 'a = b',\n 'secret' } }\n" FRAGMENT,
         "1: *\n3: settings: write KEY = VALUE"},
        {"source s { type = module file = a.so\n settings = { 'a = b', 'a = c' } }\n" FRAGMENT,
         "2: source \"s\": two of its settings have the same key"},
        {"source s {\n type = queue }\n" FRAGMENT,
         "2: source \"s\": type = \"queue\" needs a Redis: set redis in the cache section"},
        {REDIS "source s { type = queue\n jobs = 'a b' }\n" FRAGMENT,
         "3: jobs = \"a b\": the name may have letters, digits, and - . _ ~"},
        {REDIS "source s { type = queue\n jobs = '' }\n" FRAGMENT,
         "3: jobs = \"\": the name must have 1 to 100 characters"},
        {REDIS "source s { type = queue\n queue = 0 }\n" FRAGMENT,
         "3: source \"s\": a source of type queue needs a queue of at least 1"},
        {REDIS "source s { type = queue }\nfragment a { source = s share = no }\n",
         "3: fragment \"a\" uses source \"s\", whose jobs are always shared: remove share = "
         "\"no\""},
        {REDIS "source s { type = queue }\nfragment a {\n source = s\n template = 'a.html' }\n",
         "3: fragment \"a\" uses source \"s\", whose workers write the fragment as it is sent: "
         "remove "
         "template\n"
         "5: fragment \"a\" has a template, but the option templates is not set: add "
         "templates = \"DIRECTORY\" at the top level"},
        {REDIS
         "source s { type = queue\n visibility = 1ms\n attempts = 0\n timeout = 0 }\n" FRAGMENT,
         "3: visibility = \"1ms\": must be from 100ms to 1d\n"
         "4: attempts = \"0\": must be from 1 to 1000\n"
         "5: timeout = \"0\": must be from 1ms to 1d"},
    };
    (void)state;
    assert_bad(cases, COUNT(cases));
}

/* What a file says is not shown, as it may be secret. */
static void test_bad_files_of_values(void **state)
{
    static const struct bad cases[] = {
        {SIMULATED FRAGMENT "cache {\n namespace = \"${file:none}\" }\n",
         "4: ${file:none}: DIR/none: No such file or directory"},
        {SIMULATED FRAGMENT "cache {\n namespace = \"${file:fifo}${file:/none}\" }\n",
         "4: ${file:fifo}: DIR/fifo: not a regular file\n"
         "4: ${file:/none}: /none: No such file or directory"},
        {SIMULATED FRAGMENT "cache { namespace = \"${file:largest.html}\" }\n",
         "3: ${file:largest.html}: DIR/largest.html: has a NUL byte: not a text"},
        {SIMULATED FRAGMENT "max_parked = \"${file:unavailable.html}\"\n",
         "3: max_parked: must be from 1 to 100000000"},
        {SIMULATED FRAGMENT "max_parked = ${file:unavailable.html}\n",
         "3: a ${file:...} outside of double quotes"},
        {SIMULATED FRAGMENT "max_parked = \"${file:unavailable.html\"\n",
         "3: a ${ that is not closed by } on its line"},
        {SIMULATED "fragment \"${file:none}\" { source = s }\n",
         "2: ${file:none}: DIR/none: No such file or directory"},
        {SIMULATED "fragment a { source = \"${file:none}\" }\n",
         "2: ${file:none}: DIR/none: No such file or directory\n"
         "2: fragment \"a\": no source named \"${file:none}\" (there are: s)"},
    };
    (void)state;
    assert_bad(cases, COUNT(cases));
    setenv("TEST_CONF_ODD", "\x01{file:unavailable.html}", 1);
    char *messages;
    static const char odd[] = SIMULATED FRAGMENT "cache { namespace = \"${TEST_CONF_ODD:-}\" }\n";
    assert_null(load_bytes(odd, strlen(odd), &messages));
    assert_string_equal(messages, "DIR/t.conf:3: the variable \"TEST_CONF_ODD\" has a control "
                                  "character (0x01)\n");
    free(messages);
    unsetenv("TEST_CONF_ODD");
}

static void test_bad_sections(void **state)
{
    static const struct bad cases[] = {
        {"", "1: no fragment section: nothing to serve"},
        {"\n", "1: no fragment section: nothing to serve"},
        {"# nothing\n\n" SIMULATED, "3: no fragment section: nothing to serve"},
        {SIMULATED "fragment a {\n source = s\n keep = {link,\n set-cookie} }\n",
         "5: keep = \"set-cookie\": this header field can't be kept: *"},
        {SIMULATED "fragment a {\n source = s\n keep = 'a b' }\n",
         "4: keep = \"a b\": this is not the name of a header field"},
        {SIMULATED "\nfragment a\n{\n ttl = 1s\n}\n", "4: fragment \"a\": source is missing"},
        {"source slow { type = simulated }\nsource api { type = http url = 'http://h/' }\n"
         "fragment \"a\" {\n source = \"slwo\"\n}\n",
         "4: fragment \"a\": no source named \"slwo\" (there are: slow, api)"},
        {FRAGMENT, "1: fragment \"a\": no source named \"s\" (there is none)"},
        {"source s {\n}\n" FRAGMENT, "1: source \"s\": type is missing"},
        {"source s {\n delay = 1s\n type = htpp\n}\n" FRAGMENT,
         "3: type = \"htpp\": must be simulated, http, fastcgi, queue or module"},
        {"\nsource s {\n type = http\n}\n" FRAGMENT, "2: source \"s\": url is missing"},
        {"source s {\n type = http\n url = \"gopher://h/\"\n}\n" FRAGMENT, "3: source \"s\": *"},
        {"source \"\" { type = simulated }\nfragment a { source = \"\" }\n",
         "1: a source needs a name"},
        {"source s { type = simulated }\nsource t { type = simulated }\n"
         "source s { type = http url = 'http://h/' }\n" FRAGMENT,
         "3: source \"s\" is defined twice; first in line 1"},
        {SIMULATED FRAGMENT "fragment \"a*\" { source = s }\nfragment \"a*\" {\n source = s }\n",
         "4: fragment \"a*\" is defined twice; first in line 3"},
        {SIMULATED "fragment \"u*\" { source = s }\nfragment user { source = s }\n"
                   "fragment \"user/*\" { source = s }\nfragment \"v*\" { source = s }\n",
         "3: fragment \"user\" is never used: \"u*\" in line 2 comes first and matches all of "
         "it\n"
         "4: fragment \"user/*\" is never used: \"u*\" in line 2 comes first and matches all of "
         "it"},
        {SIMULATED "fragment \"*\" { source = s }\nfragment a { source = s }\n",
         "3: fragment \"a\" is never used: \"*\" in line 2 comes first and matches all of it"},
        {SIMULATED "fragment \"a*b\" { source = s }\n",
         "2: fragment \"a*b\": '*' can only be the last character"},
        {SIMULATED "fragment \"a**\" { source = s }\n",
         "2: fragment \"a**\": '*' can only be the last character"},
        {SIMULATED "fragment \"\" { source = s }\nfragment \"/*\" { source = s }\n"
                   "fragment \"../*\" { source = s }\nfragment \"a\\n\" { source = s }\n"
                   "fragment \"a/\" { source = s }\n",
         "2: fragment \"\": not a name: *\n"
         "3: fragment \"/*\": the name must not begin with a slash: write \"*\"\n"
         "4: fragment \"../*\": not a name: *\n5: fragment \"a\\x0A\": not a name: *\n"
         "6: fragment \"a/\": not a name: *"},
        {SIMULATED "fragment \"/fragment/news\" { source = s }\n"
                   "fragment \"/fragment/user/*\" { source = s }\n"
                   "fragment \"/fragment/\" { source = s }\nfragment \"/news\" { source = s }\n"
                   "fragment \"//news\" { source = s }\n",
         "2: fragment \"/fragment/news\": the name must not include the URL prefix: write "
         "\"news\"\n"
         "3: fragment \"/fragment/user/*\": the name must not include the URL prefix: write "
         "\"user/*\"\n"
         "4: fragment \"/fragment/\": not a name: *\n"
         "5: fragment \"/news\": the name must not begin with a slash: write \"news\"\n"
         "6: fragment \"//news\": not a name: *"},
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
        {SIMULATED "fragment a { source = s fallback = \"too-large.html\" }\n",
         "2: fallback = \"too-large.html\": DIR/too-large.html: larger than 1 MiB"},
        {SIMULATED "fragment a { source = s fallback = \"open.html\" }\n",
         "2: fallback = \"open.html\": DIR/open.html has an unclosed comment that begins at line "
         "2, "
         "column 5: that would break the rest of a page"},
    };
    (void)state;
    write_text("open.html", "<p>\n</p><!-- later\n");
    assert_bad(cases, COUNT(cases));
    conf_free(load_good(SIMULATED "fragment a { source = s fallback = \"largest.html\" }\n"));
}

#define TEMPLATES "templates = templates\n" SIMULATED

static void test_bad_templates(void **state)
{
    static const struct bad cases[] = {
        {SIMULATED "fragment a {\n source = s\n template = \"card.html\"\n}\n",
         "4: fragment \"a\" has a template, but the option templates is not set: add "
         "templates = \"DIRECTORY\" at the top level"},
        {TEMPLATES "fragment a { source = s\n template = card.html render = raw }\n",
         "4: fragment \"a\" has a template, but render = \"raw\" uses none: remove one of them"},
        {TEMPLATES "fragment a { source = s required = {x} }\n",
         "3: fragment \"a\": required is for fragments with a template"},
        {TEMPLATES "fragment a { source = s template = card required = {x., \"\"} }\n",
         "3: required = \"x.\": must be a name, or names with a dot between them\n"
         "3: required = \"\": must be a name, or names with a dot between them"},
        {TEMPLATES "fragment a { source = s template = \"../t.conf\" }\n",
         "3: template = \"../t.conf\": must be a path within the directory templates, of which no "
         "part begins with a dot"},
        {TEMPLATES "fragment a { source = s template = none }\n",
         "3: template = \"none\": there is no template \"none\" in DIR/templates"},
        {TEMPLATES "fragment a { source = s\n template = bad.html }\n",
         "4: template = \"bad.html\": DIR/templates/bad.html:2:2: *"},
        {TEMPLATES "fragment a { source = s template = includes-bad }\n",
         "1: DIR/templates/bad.html:2:2: *"},
        {TEMPLATES "fragment a { source = s template = includes-none }\n",
         "1: DIR/templates/includes-none.html:2:3: there is no template \"none\" in DIR/templates"},
        {"templates = none\n" SIMULATED FRAGMENT,
         "1: templates: DIR/none: No such file or directory"},
        {"templates = t.conf\n" SIMULATED FRAGMENT, "1: templates: DIR/t.conf: Not a directory"},
    };
    (void)state;
    assert_bad(cases, COUNT(cases));
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
        {SIMULATED FRAGMENT "\ncache {\n memory = 0\n\n\n", "4: a { that is not closed by }"},
        {SIMULATED "\nfragment a {\n source = s\n\nfragment b { source = s }\n",
         "3: a { that is not closed by }; the } seems to be missing before line 6"},
        {SIMULATED
         "fragment a { source = s }\nfragment b {\n source = s\nfragment c\n{\n source = s\n"
         "}\nfragment d {\n source = s\n}\n",
         "3: a { that is not closed by }; the } seems to be missing before line 5"},
        {"cache {\n memory = 0\n" SIMULATED "fragment a { source = s\n",
         "1: a { that is not closed by }; the } seems to be missing before line 3"},
        {SIMULATED FRAGMENT "listen = {\"fd:0\"\nlog = stderr\n",
         "3: a { that is not closed by }; the } seems to be missing before line 4"},
        {SIMULATED FRAGMENT "listen = {\n\"fd:0\",\n\nfragment b { source = s }\n",
         "3: a { that is not closed by }; the } seems to be missing before line 6"},
        /* The list takes the } of its section. */
        {SIMULATED FRAGMENT "cache {\n memory = {0,\n lease = 1s\n}\nfragment b { source = s }\n",
         "4: a { that is not closed by }; the } seems to be missing before line 5"},
        /* A ; after an option, a section, a value. */
        {SIMULATED
         "fragment a {\n source = s\n ttl = \"60s\";\n};\nlog = stderr;\nlog = 'x' ; # x\n",
         "4: no ; at the end of a line: remove it\n"
         "5: no ; at the end of a line: remove it\n"
         "6: no ; at the end of a line: remove it\n"
         "7: no ; at the end of a line: remove it"},
        {"source s { type = simulated; delay = \"1s\";}\n" FRAGMENT "purge = {\"::1\"; \"::2\"}\n",
         "1: no ; between options: remove it\n"
         "1: no ; between options: remove it\n"
         "3: no ; between the values of a list: write a comma"},
        {SIMULATED "fragment a { source = \"s\";hold = \"1s\";;ttl = 1s }\n",
         "2: no ; between options: remove it\n"
         "2: no ; between options: remove it"},
        {"; a comment\n" SIMULATED FRAGMENT, "1: a comment begins with #, not with ;"},
        {SIMULATED FRAGMENT "}\n", "3: unexpected closing brace"},
        {SIMULATED FRAGMENT "log =\n", "3: premature end of file"},
        {SIMULATED FRAGMENT "log", "3: premature end of file"},
        {SIMULATED FRAGMENT "log stderr\n", "3: missing equal sign after option 'log'"},
        {SIMULATED FRAGMENT "log = =\n",
         "3: unexpected token '=': a comma, a quote or a = may be missing before it"},
        {SIMULATED FRAGMENT "log += stderr\n", "3: attempt to append to non-list option 'log'"},
        {SIMULATED FRAGMENT "log = {stderr}\n",
         "3: unexpected token '{': only sections and options that take a list have braces"},
        {SIMULATED FRAGMENT "fragment { source = s }\n",
         "3: missing title for section 'fragment': write its name in quotes before the {"},
        {SIMULATED FRAGMENT "cache = 1\n", "3: missing opening brace for section 'cache'"},
        {SIMULATED FRAGMENT "listen = { }\n",
         "3: an empty list: give it a value, or remove the option"},
        {SIMULATED FRAGMENT "listen = {\"fd:0\" \"fd:1\"}\n",
         "3: unexpected token 'fd:1': a comma, a quote or a = may be missing before it"},
        {SIMULATED FRAGMENT "purge = [\"127.0.0.1\"]\n",
         "3: a list is written in braces: { }, not in brackets"},
        {SIMULATED FRAGMENT "fragment user/* { source = s }\n",
         "3: a * outside of quotes; put the name or value in double quotes"},
        {SIMULATED FRAGMENT "log + stderr\n",
         "3: a + outside of quotes; put the name or value in double quotes"},
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
        {"{{{{{{{{{{{{{{{{{}}}}}}}}}}}}}}}}}",
         "1: unexpected token '{': only sections and options that take a list have braces"},
        {"a{a{a{a{a{a{a{}}}}}}}", "1: no option \"a\" at the top level"},
        /* What was parsed before is checked, but nothing that may follow is reported as missing. */
        {"log = x\nsource s {\n delay = 1\n = }\n",
         "1: log = \"x\": must be stderr, syslog or file:PATH\n"
         "3: delay = \"1\": a bare number; write it with a unit: 60s, 5m, 250ms\n"
         "4: unexpected token '=': a comma, a quote or a = may be missing before it"},
    };
    (void)state;
    assert_bad(cases, COUNT(cases));
}

/* Placeholders of a url, and the routes that use it. */
static void test_urls(void **state)
{
    static const struct bad cases[] = {
        {"source api {\n type = http\n url = \"http://h/{nmae}\"\n}\nfragment a { source = api }",
         "3: source \"api\": url has {nmae}, which is no placeholder (did you mean {name}?); "
         "there are {name}, {rest}, {query}, {query:NAME}, {language}, {host} and {header:NAME}"},
        {"source api { type = http url = \"http://h/{name\" }\nfragment a { source = api }",
         "1: source \"api\": url has a { without its }; if you mean the character itself, write "
         "%7B"},
        {"source api { type = http url = \"http://h/{cookie:sid}\" }\nfragment a { source = api }",
         "1: source \"api\": url must not have {cookie:sid}, since urls are logged; if it is in "
         "vary and not in the url, it is sent as a header"},
        {"source api { type = http url = \"http://h/{name}?c={query:city}\" }\n"
         "fragment \"weather\" {\n source = api\n}\nfragment \"news/*\" { source = api }\n",
         "2: fragment \"weather\" uses source \"api\", whose url has {query:city}; add "
         "\"query:city\" to its vary\n"
         "5: fragment \"news/*\" uses source \"api\", whose url has {query:city}; add "
         "\"query:city\" to its vary"},
        {"fragment a { source = api }\n"
         "source api { type = http url = \"http://h/{language}?{query}\" }\n",
         "1: fragment \"a\" uses source \"api\", whose url has {language}; add "
         "\"language:TAGS\" to its vary"},
        {"source api { type = http url = \"http://h/{language}/{rest}?c={query:city}\" headers = "
         "{\"Authorization: Bearer x\"} }\n"
         "fragment \"a/*\" {\n source = api\n vary = {\"query:city\", \"language:en,de\"}\n}\n"
         "fragment \"b/*\" {\n source = api\n vary = {\"query:city\", \"header:X-Cur\"}\n}\n"
         "fragment \"c/*\" {\n source = api\n vary = {\"query:city\", \"language:en\", "
         "\"header:authorization\"}\n}\n",
         "6: fragment \"b/*\" uses source \"api\", whose url has {language}; add \"language:TAGS\" "
         "to its vary\n"
         "10: fragment \"c/*\" uses source \"api\", whose headers include Authorization, which "
         "is also sent for an input; remove one of them"},
        {"source api { type = http url = \"http://h/{name}\" }\n"
         "fragment a {\n source = api\n vary = {host, \"header:X-Forwarded-Host\"}\n}\n",
         "2: fragment \"a\" uses source \"api\", to which two inputs would be sent as the header "
         "\"x-forwarded-host\"; remove one from its vary"},
    };
    (void)state;
    assert_bad(cases, COUNT(cases));
}

/* Warnings are shown with the errors, in the order of the lines. */
static void test_warnings_and_errors(void **state)
{
    static const struct bad cases[] = {
        {SIMULATED
         "fragment a {\n source = s\n hold = 2m\n ttl = 1\n stale = 1m\n stale_error = 2\n}\n"
         "fragment \"fragment/b\" { source = none }\n",
         "4: warning: hold = \"2m\": *\n"
         "5: ttl = \"1\": a bare number; *\n"
         "7: stale_error = \"2\": a bare number; *\n"
         "9: fragment \"fragment/b\": no source named *\n"
         "9: warning: the URL of *"},
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

/* Files of nearly 1 MiB that repeat one thing. */
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
        {"", "fragment a {\n", "",
         "1: a { that is not closed by }; the } seems to be missing before line 2"},
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
    char text[8000] = "", *messages;
    (void)state;
    for (int i = 0; i < 150; i++)
        strcat(text, "cache { memory = 1 }\n");
    assert_null(load_bytes(text, strlen(text), &messages));
    assert_non_null(strstr(messages, "DIR/t.conf:100: "));
    assert_non_null(strstr(messages, "\nDIR/t.conf: 51 more problems\n"));
    free(messages);
    /* Warnings are counted separately: they never replace an error. */
    strcpy(text, SIMULATED);
    for (int i = 0; i < 150; i++)
        sprintf(text + strlen(text), "fragment n%d { source = s hold = 1h }\n", i);
    conf_free(load_bytes(text, strlen(text), &messages));
    assert_non_null(strstr(messages, "DIR/t.conf:101: warning: "));
    assert_null(strstr(messages, "DIR/t.conf:102: "));
    assert_non_null(strstr(messages, "\nDIR/t.conf: warning: 50 more warnings\n"));
    free(messages);
    strcat(text, "cache { memory = 1 }\n");
    assert_null(load_bytes(text, strlen(text), &messages));
    assert_non_null(strstr(messages, "DIR/t.conf:152: memory = "));
    free(messages);
    text[0] = '\0';
    for (int letter = 'a'; letter <= 'z'; letter++)
        sprintf(text + strlen(text), "zzzz%c = 1\n", letter);
    assert_null(load_bytes(text, strlen(text), &messages));
    assert_non_null(strstr(messages, "DIR/t.conf:17: no option \"zzzzq\" at the top level\n"));
    free(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_files_of_values),
        cmocka_unit_test(test_bad_sections),
        cmocka_unit_test(test_bad_templates),
        cmocka_unit_test(test_bad_syntax),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_warnings_and_errors),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_many_problems),
    };
    return cmocka_run_group_tests_name("conf_bad", tests, make_directory, remove_directory);
}
