/* Config files from text, and the messages about them. */
#ifndef WORKERLESS_TESTS_CONF_BENCH_H
#define WORKERLESS_TESTS_CONF_BENCH_H

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "conf/conf.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SIMULATED    "source \"s\" { type = \"simulated\" }\n"
#define FASTCGI      "source s { type = fastcgi socket = 'unix:/s' script = '/srv/{name}'"
#define REDIS        "cache { redis = \"unix:/run/redis.sock\" }\n"
#define FRAGMENT     "fragment \"a\" { source = \"s\" }\n"

/* The documented syntax. */
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
    "max_unfinished          = \"64MiB\"\n"
    "max_unsent              = \"64MiB\"\n"
    "fragment \"a\"      { source = \"slow\"  ttl = \"60s\" }\n"
    "fragment \"user/*\" { source = \"api\"   ttl = \"60s\"  hold = \"25s\"  "
    "fallback = \"unavailable.html\" }\n";

static char directory[PATH_MAX - 64], config[PATH_MAX];

static inline void write_file(const char *name, const void *bytes, size_t len)
{
    char path[PATH_MAX];
    assert_true(snprintf(path, sizeof path, "%s/%s", directory, name) < PATH_MAX);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static inline int make_directory(void **state)
{
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(directory, sizeof directory, "%s/test_conf.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(directory))
        return -1;
    snprintf(config, sizeof config, "%s/t.conf", directory);
    write_text("unavailable.html", "<p>Not now.</p>\n");
    write_text("empty.html", "");
    write_text("page.html", "<?marker name=\"a\">");
    char templates[PATH_MAX];
    snprintf(templates, sizeof templates, "%s/templates", directory);
    if (mkdir(templates, 0700) != 0)
        return -1;
    write_text("templates/card.html", "<b>{{city}}</b>{{>row}}\n");
    write_text("templates/row.html", "<i>{{x}}</i>");
    write_text("templates/bad.html", "a\n {{#b}}");
    write_text("templates/includes-bad.html", "{{>bad}}");
    write_text("templates/includes-none.html", "a\n  {{>none}}");
    char *large = calloc(1, (1 << 20) + 1), fifo[PATH_MAX];
    assert_non_null(large);
    write_file("largest.html", large, 1 << 20);
    write_file("too-large.html", large, (1 << 20) + 1);
    free(large);
    snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    return mkfifo(fifo, 0600);
}

static inline int remove_one(const char *path, const struct stat *status, int type,
                             struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

static inline int remove_directory(void **state)
{
    (void)state;
    return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Replaces `directory` by "DIR" in place. */
static inline void hide_directory(char *text)
{
    size_t len = strlen(directory);
    for (char *at = text; (at = strstr(at, directory));) {
        memcpy(at, "DIR", 3);
        memmove(at + 3, at + len, strlen(at + len) + 1);
    }
}

/* Loads the file. `*messages` is what it wrote, with DIR for the directory; the caller frees it. */
static inline struct conf *load_file(const char *file, char **messages)
{
    size_t len;
    FILE *errors = open_memstream(messages, &len);
    assert_non_null(errors);
    struct conf *conf = conf_load(file, errors);
    assert_int_equal(fclose(errors), 0);
    hide_directory(*messages);
    return conf;
}

static inline struct conf *load_bytes(const void *bytes, size_t len, char **messages)
{
    write_file("t.conf", bytes, len);
    return load_file(config, messages);
}

/* Fails the test if the text is rejected. */
static inline struct conf *load_good(const char *text)
{
    char *messages;
    struct conf *conf = load_bytes(text, strlen(text), &messages);
    if (!conf || *messages)
        fail_msg("refused: %s", messages);
    free(messages);
    return conf;
}

/* `expected` is the messages, each as "LINE: what is wrong"; a line that ends in "*" needs only
 * begin like that. */
static inline void assert_messages(const char *text, const char *messages, const char *expected)
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

#endif
