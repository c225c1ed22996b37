/* conf/: good files, missing files, and damaged files and lack of memory. */
#include "conf_bench.h"

#include "base/alloc.h"
#include "conf/options.h"
#include "render/templates.h"
#include "source/http_settings.h"
#include "source/queue_settings.h"
#include "source/simulated.h"
#include "web/access_format.h"

static const struct simulated_settings *simulated(const struct conf *conf, size_t source)
{
    assert_string_equal(conf->sources[source]->type->name, "simulated");
    return (const struct simulated_settings *)conf->sources[source];
}

static const struct http_settings *http(const struct conf *conf, size_t source)
{
    assert_string_equal(conf->sources[source]->type->name, "http");
    return (const struct http_settings *)conf->sources[source];
}

static void test_sample(void **state)
{
    struct conf *conf = load_good(sample);
    (void)state;
    assert_int_equal(conf->listen.count, 1);
    assert_string_equal(conf->listen.addresses[0], "unix:/run/workerless/workerless.sock");
    assert_string_equal(conf->cache.redis.address, "unix:/run/redis/redis-server.sock");
    assert_string_equal(conf->cache.name_space, "worker");
    assert_int_equal(conf->cache.memory_bytes, 64 << 20);
    assert_int_equal(conf->cache.max_value, 16 << 20);
    assert_int_equal(conf->cache.redis.max_pending, 64 << 20);
    assert_int_equal(conf->source_count, 2);
    assert_string_equal(conf->sources[0]->name, "slow");
    assert_true(simulated(conf, 0)->delay_min == 0 && simulated(conf, 0)->delay_max == 3);
    assert_string_equal(conf->sources[1]->name, "api");
    assert_string_equal(http(conf, 1)->url, "http://127.0.0.1:9000/{name}");
    assert_true(http(conf, 1)->timeout == 10);
    assert_int_equal(http(conf, 1)->max_body, 1 << 20);
    assert_int_equal(http(conf, 1)->settings.limits.connections, 100);
    assert_int_equal(http(conf, 1)->redirect_count, 0); /* none */
    assert_int_equal(http(conf, 1)->http2, HTTP2_NEGOTIATED);
    assert_string_equal(http(conf, 1)->socket, "");
    assert_string_equal(http(conf, 1)->tls_ca, "");
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

static void test_queue(void **state)
{
    struct conf *conf =
        load_good("source s { type = queue visibility = 10s attempts = 5 queue = 7 }\n"
                  "source t { type = queue jobs = 'slow-jobs' timeout = 30s }\n" REDIS FRAGMENT);
    const struct queue_settings *first = (const struct queue_settings *)conf->sources[0];
    const struct queue_settings *second = (const struct queue_settings *)conf->sources[1];
    (void)state;
    assert_string_equal(first->jobs, "jobs");
    assert_true(first->timeout == 120 && first->visibility == 10 && first->attempts == 5);
    assert_int_equal(first->settings.limits.queue, 7);
    assert_string_equal(second->jobs, "slow-jobs");
    assert_true(second->timeout == 30 && second->visibility == 30 && second->attempts == 3);
    conf_free(conf);
}

static void test_defaults(void **state)
{
    struct conf *conf = load_good(SIMULATED FRAGMENT);
    (void)state;
    assert_int_equal(conf->listen.count, 1);
    assert_string_equal(conf->listen.addresses[0], "unix:/run/workerless/workerless.sock");
    assert_int_equal(conf->listen.socket_mode, 0660);
    assert_int_equal(conf->workers, 1);
    assert_string_equal(conf->user, "");
    assert_string_equal(conf->group, "");
    assert_string_equal(conf->log, "stderr");
    assert_null(conf_log_file(conf));
    assert_int_equal(conf->log_format, LOG_FORMAT_TEXT);
    assert_true(conf->slow == 0);
    assert_string_equal(conf->access_log.place, "off");
    assert_null(conf_access_log_file(conf));
    assert_string_equal(conf->access_log.format, ACCESS_FORMAT_PRESET);
    assert_true(conf->access_log.share == 1);
    assert_int_equal(conf->flights.max_parked, 100000);
    assert_int_equal(conf->flights.max_flights, 100000);
    assert_int_equal(conf->connections.max_connections, 0);
    assert_int_equal(conf->connections.max_connection_requests, 1024);
    assert_int_equal(conf->connections.max_params, 65536);
    assert_int_equal(conf->connections.max_request_body, 1 << 20);
    assert_int_equal(conf->max_unfinished, 64 << 20);
    assert_int_equal(conf->max_unsent, 64 << 20);
    assert_int_equal(conf->max_inputs, 64 << 20);
    assert_string_equal(conf->templates, "");
    assert_null(conf->template_set);
    assert_int_equal(conf->max_json, 256 << 10);
    assert_int_equal(conf->max_rendered, 8 << 20);
    assert_int_equal(conf->max_render_steps, 250000);
    const struct render_rule *rule = &conf->routes[0].recipe.rendering;
    assert_false(rule->raw);
    assert_null(rule->template);
    assert_true(rule->digest == 0 && rule->required_count == 0);
    assert_int_equal(rule->html_max, 8 << 20);
    assert_true(conf->connections.idle_timeout == 300);
    assert_true(conf->connections.receive_timeout == 60);
    assert_true(conf->connections.send_timeout == 60);
    assert_true(conf->shutdown_timeout == 1 && conf->drain_timeout == 30);
    assert_false(conf->connections.tcp_half_close);
    assert_false(conf->sandbox);
    assert_string_equal(conf->cache.redis.address, "");
    assert_string_equal(conf->cache.name_space, "worker");
    assert_int_equal(conf->cache.memory_bytes, 64 << 20);
    assert_true(conf->cache.redis.timeout == .25);
    assert_true(conf->cache.lease == 5);
    assert_int_equal(conf->purge.count, 0); /* nobody may */
    assert_int_equal(conf->status.count, 0);
    assert_true(simulated(conf, 0)->delay_min == 0 && simulated(conf, 0)->delay_max == 3);
    const struct source_limits *limits = &conf->sources[0]->limits;
    assert_true(limits->connections == 0 && limits->queue == 10000);
    assert_true(limits->queue_timeout == 0 && limits->breaker.count == 0);
    assert_true(limits->breaker_cooldown == 5 && limits->max_retry_after == 300);
    const struct freshness *freshness = &conf->routes[0].recipe.freshness;
    assert_true(freshness->ttl == 60 && conf->routes[0].recipe.hold == 25);
    assert_true(freshness->jitter == 0 && freshness->stale == 0 && freshness->stale_error == 0);
    assert_true(freshness->negative == 0 && !freshness->early);
    assert_true(conf->routes[0].recipe.uncacheable == 120);
    assert_true(conf->routes[0].recipe.stale_wait == 0);
    assert_false(conf->routes[0].recipe.rules.solo_calls);
    assert_false(conf->routes[0].stream);
    assert_int_equal(conf->routes[0].recipe.rules.vary.count, 0);
    assert_int_equal(conf->routes[0].vary.len, 0);
    assert_false(conf->routes[0].recipe.rules.is_private);
    conf_free(conf);
}

static void test_templates(void **state)
{
    struct conf *conf = load_good(
        "templates = templates max_json = 1KiB max_rendered = 2KiB max_render_steps = "
        "300\n" SIMULATED "fragment a { source = s template = card.html required = {city, a.b} }\n"
        "fragment b { source = s template = card }\n"
        "fragment c { source = s render = raw }\n"
        "fragment d { source = s render = html template = \"\" }\n");
    const struct render_rule *a = &conf->routes[0].recipe.rendering;
    const struct render_rule *b = &conf->routes[1].recipe.rendering;
    const struct render_rule *c = &conf->routes[2].recipe.rendering;
    const struct render_rule *d = &conf->routes[3].recipe.rendering;
    (void)state;
    assert_true(strncmp(conf->templates, directory, strlen(directory)) == 0);
    assert_non_null(a->template);
    assert_ptr_equal(a->template, b->template);
    assert_non_null(templates_get(a->templates, SLICE("row")));
    assert_true(a->json_max == 1024 && a->html_max == 2048 && a->steps_max == 300);
    assert_int_equal(a->required_count, 2);
    assert_string_equal(a->required[1], "a.b");
    assert_true(a->digest != b->digest); /* what is required differs */
    assert_true(c->raw && !c->template && c->digest != 0);
    assert_true(conf->routes[2].recipe.rules.any_type);
    assert_true(!d->raw && !d->template && d->digest == 0);
    conf_free(conf);
}

static void test_written_otherwise(void **state)
{
    static const char text[] =
        "\xEF\xBB\xBF/* a byte order mark, CRLF, both kinds\r\n of comment, any quotes */\r\n"
        "fragment 'b' { source = web ttl = \"0\" fallback = \"empty.html\" }// sources come "
        "later\r\n"
        "fragment \"x#y/*\" { source = s }\n"
        "fragment \"*\" {\n    hold = 1.5s\n    source = s uncacheable = 0 share = no\n}\n"
        "listen = {\n    \"unix:/tmp/a\", # one\n    'tcp:[::1]:9000',\n}\n"
        "listen += {fd:0}\n"
        "cache { memory = 0 redis_timeout = 1s }\n"
        "cache { namespace = \"a\\\"b:c\" }\n"
        "source web { type = http url = http://127.0.0.1/a//b connections = 7 queue = 0\n"
        "  breaker = '5 in 10s' breaker_cooldown = 1m queue_timeout = 2s max_retry_after = 0\n"
        "  redirects = { 'https://[::1]:8443' } redirects += { cdn.test } }\n" SIMULATED
        "tcp_half_close = yes sandbox = yes log = syslog socket_mode = 0600 "
        "max_connection_requests = 65535\n"
        "max_request_body = 0 drain_timeout = 0 workers = auto user = root group = root\n"
        "log_format = json slow = 1.5s\n"
        "access_log = file:/x access_log_format = '{time} {key}' access_log_sample = 1/4";
    struct conf *conf = load_good(text);
    (void)state;
    assert_int_equal(conf->route_count, 3);
    assert_true(conf->routes[0].recipe.freshness.ttl == 0);
    assert_non_null(conf->routes[0].fallback.data);
    assert_int_equal(conf->routes[0].fallback.len, 0);
    assert_string_equal(conf->routes[1].pattern, "x#y/*");
    assert_string_equal(conf->routes[2].pattern, "*");
    assert_true(conf->routes[2].recipe.hold == 1.5);
    assert_true(conf->routes[2].recipe.uncacheable == 0 && conf->routes[2].recipe.rules.solo_calls);
    assert_int_equal(conf->listen.count, 3);
    assert_string_equal(conf->listen.addresses[1], "tcp:[::1]:9000");
    assert_string_equal(conf->listen.addresses[2], "fd:0");
    assert_int_equal(conf->cache.memory_bytes, 0);
    assert_true(conf->cache.redis.timeout == 1);
    assert_string_equal(conf->cache.name_space, "a\"b:c");
    assert_string_equal(http(conf, 0)->url, "http://127.0.0.1/a//b");
    const struct source_limits *limits = &conf->sources[0]->limits;
    assert_true(limits->connections == 7 && limits->queue == 0 && limits->queue_timeout == 2);
    assert_true(limits->breaker.count == 5 && limits->breaker.seconds == 10);
    assert_true(limits->breaker_cooldown == 60 && limits->max_retry_after == 0);
    assert_int_equal(http(conf, 0)->redirect_count, 2);
    assert_string_equal(http(conf, 0)->redirects[0], "https://[::1]:8443");
    assert_string_equal(http(conf, 0)->redirects[1], "cdn.test");
    assert_true(conf->connections.tcp_half_close);
    assert_int_equal(conf->workers, 0);
    assert_string_equal(conf->user, "root");
    assert_string_equal(conf->group, "root");
    assert_true(conf->sandbox);
    assert_string_equal(conf->log, "syslog");
    assert_null(conf_log_file(conf));
    assert_true(conf->drain_timeout == 0);
    assert_int_equal(conf->log_format, LOG_FORMAT_JSON);
    assert_true(conf->slow == 1.5);
    assert_string_equal(conf->access_log.place, "file:/x");
    assert_string_equal(conf_access_log_file(conf), "/x");
    assert_string_equal(conf->access_log.format, "{time} {key}");
    assert_true(conf->access_log.share == .25);
    assert_int_equal(conf->listen.socket_mode, 0600);
    assert_int_equal(conf->connections.max_connection_requests, 65535);
    assert_int_equal(conf->connections.max_request_body, 0);
    conf_free(conf);
}

static void test_freshness(void **state)
{
    static const char text[] =
        "purge = {'::1'}\npurge += {192.0.2.7}\nstatus = {\"::2\"}\n"
        "cache { lease = 1500ms }\n" SIMULATED
        "fragment \"a\" { source = \"s\" ttl = 1m jitter = 5s stale = 10m stale_error = 1h\n"
        "  stale_wait = 200ms\n"
        "  early = yes negative = \"2s\" stream = yes origin = respect }\n";
    struct conf *conf = load_good(text);
    (void)state;
    assert_int_equal(conf->purge.count, 2);
    assert_string_equal(conf->purge.addresses[1], "192.0.2.7");
    assert_int_equal(conf->status.count, 1);
    assert_string_equal(conf->status.addresses[0], "::2");
    assert_true(conf->cache.lease == 1.5);
    const struct freshness *a = &conf->routes[0].recipe.freshness;
    assert_true(a->ttl == 60 && a->jitter == 5 && a->stale == 600 && a->stale_error == 3600);
    assert_true(conf->routes[0].recipe.stale_wait == 0.2);
    assert_true(a->negative == 2 && a->early);
    assert_true(!a->ttl_by_source && !a->stale_by_source && !a->error_by_source);
    assert_true(!a->browser_ttl_is_set);
    assert_true(conf->routes[0].stream && !conf->routes[0].recipe.rules.ignores_origin);
    conf_free(conf);
}

/* What the config leaves to the source. */
static void test_source_freshness(void **state)
{
    static const char text[] =
        SIMULATED "fragment a { source = s }\n"
                  "fragment b { source = s default_ttl = 5s ttl_min = 1s ttl_max = 1h stale = 0 "
                  "browser_ttl = 0 }\n"
                  "fragment c { source = s stale_error = 1m browser_ttl = 90s revalidate = 0 "
                  "keep = {link, 'Content-Language'} }\n";
    struct conf *conf = load_good(text);
    (void)state;
    const struct freshness *a = &conf->routes[0].recipe.freshness;
    assert_true(a->ttl_by_source && a->stale_by_source && a->error_by_source);
    assert_true(a->ttl == 60 && a->ttl_min == 0 && a->ttl_max == 31536000);
    assert_true(a->stale == 0 && a->stale_error == 0 && !a->browser_ttl_is_set);
    const struct freshness *b = &conf->routes[1].recipe.freshness;
    assert_true(b->ttl_by_source && !b->stale_by_source && b->error_by_source);
    assert_true(b->ttl == 5 && b->ttl_min == 1 && b->ttl_max == 3600);
    assert_true(b->browser_ttl_is_set && b->browser_ttl == 0);
    const struct freshness *c = &conf->routes[2].recipe.freshness;
    assert_true(c->stale_by_source && !c->error_by_source);
    assert_true(c->browser_ttl_is_set && c->browser_ttl == 90);
    assert_true(a->revalidate == 3600 && c->revalidate == 0);
    const struct source_rules *rules = &conf->routes[2].recipe.rules;
    assert_int_equal(rules->keep_count, 2);
    assert_string_equal(rules->keep[1], "Content-Language");
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
    assert_string_equal(conf->cache.redis.address, "redis://:p{#\"w@localhost");
    assert_string_equal(conf->cache.name_space, "ns");
    assert_int_equal(conf->flights.max_parked, 5);
    assert_string_equal(conf->routes[0].pattern, "${TEST_CONF_NONE}");
    assert_string_equal(conf->routes[1].pattern, "${TEST_CONF_NONE}x");
    assert_string_equal(conf->routes[2].pattern, "b");
    conf_free(conf);
    unsetenv("TEST_CONF_PASSWORD");
    unsetenv("TEST_CONF_NS");
}

/* Of values that stand in files: the end of the last line is not part of them. */
static void test_files_of_values(void **state)
{
    static const char text[] =
        "cache { redis = \"redis://:${file:t.value}@localhost\" namespace = \"${file:t.value}\" }\n"
        "purge = {\"${file:t.value}0.0.1\", \"::1\"}\n"
        "source \"a$b\" { type = \"simulated\" }\n"
        "fragment \"${file:t.value}${file:t.value}\" { source = \"a$b\" }\n"
        "fragment '${file:t.value}' { source = \"a$b\" }\n"
        "fragment \"\\${file:t.value}x\" { source = \"a$b\" }\n";
    static const struct {
        const char *file, *value;
    } cases[] = {{"127.\n", "127."}, {"127.\r\n", "127."}, {"127.", "127."}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char twice[20];
        write_text("t.value", cases[i].file);
        struct conf *conf = load_good(text);
        snprintf(twice, sizeof twice, "%s%s", cases[i].value, cases[i].value);
        assert_string_equal(conf->cache.redis.address, "redis://:127.@localhost");
        assert_string_equal(conf->cache.name_space, "127.");
        assert_string_equal(conf->purge.addresses[0], "127.0.0.1");
        assert_string_equal(conf->routes[0].pattern, twice);
        assert_string_equal(conf->routes[1].pattern, "${file:t.value}");
        assert_string_equal(conf->routes[2].pattern, "${file:t.value}x");
        conf_free(conf);
    }

    bool enough = false;
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

static void test_files(void **state)
{
    static const char *const names[][2] = {
        {"none.conf", "DIR/none.conf: No such file or directory\n"},
        {".", "DIR/.: Is a directory\n"},
        {"fifo", "DIR/fifo: not a regular file\n"},
        {"too-large.html", "DIR/too-large.html: larger than 1 MiB\n"},
    };
    char path[PATH_MAX], *messages;
    (void)state;
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
    static const char *const texts[] =
        {sample, "foo = 1\nlog = x\n" SIMULATED FRAGMENT "bar = 2",
         SIMULATED "fragment a { source = s vary = {cookie:a, header:b, query:c} }\n",
         "templates = templates\n" SIMULATED
         "fragment a { source = s template = card required = {city, a.b} }\n"};
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

/* Damaged samples: each loads, or has an error in a line that exists in the file. */
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
        size_t errors = 0;
        for (char *m = messages; *m; m = strchr(m, '\n') + 1) {
            char *end;
            assert_int_equal(strncmp(m, prefix, strlen(prefix)), 0);
            assert_in_range(strtol(m + strlen(prefix), &end, 10), 1, lines);
            errors += strncmp(end, ": warning: ", strlen(": warning: ")) != 0;
        }
        assert_true(!conf == (errors > 0));
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
    for (size_t i = 0; i < options_count(); i++) {
        struct option_row row = option_row(i);
        const struct option *o = row.option;
        char line[100];
        /* libconfuse reads a value before the type of its source may be known. */
        struct option_row first = option_row(option_find(row.section, NULL, o->name));
        assert_int_equal(first.option->kind == OPTION_LIST, o->kind == OPTION_LIST);
        snprintf(line, sizeof line, "\n%s%s ", row.section == SECTION_TOP ? "" : "    ", o->name);
        const char *printed = i > 0 ? strstr(text, line) : text;
        if (!printed)
            fail_msg("%s is not printed", o->name);
        const char *mark = strstr(printed + 1, "(restart)"), *end = strchr(printed + 1, '\n');
        bool restart = mark && mark < end;
        if (row.section <= SECTION_CACHE && restart == option_is_reloadable(&row))
            fail_msg("%s: the mark (restart) is wrong", o->name);
        assert_true(o->help[strlen(o->help) - 1] == '.');
    }
    assert_non_null(
        strstr(text, "listen = {\"unix:/run/workerless/workerless.sock\"}  (list)  (restart)\n"));
    assert_non_null(strstr(text, "\n    fallback  (file)\n"));
    assert_non_null(strstr(text, "\n    headers  (list)  (type http)\n"));
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
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_written_otherwise),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_freshness),
        cmocka_unit_test(test_source_freshness),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_files_of_values),
        cmocka_unit_test(test_working_directory),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_print_options),
    };
    return cmocka_run_group_tests_name("conf", tests, make_directory, remove_directory);
}
