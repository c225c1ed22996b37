/* The options of each section, and all options together: find, print, guess what was meant. */
#include "conf/options.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/option_value.h"
#include "redis/check.h"
#include "source/source.h"

static const char *check_namespace(const char *text)
{
    if (!*text)
        return "a namespace can't be empty";
    if (strlen(text) > 100)
        return "a namespace has at most 100 bytes";
    if (strcmp(text, "lease") == 0)
        return "this namespace is that of the leases";
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f || strchr("*?[]{}\\", *text))
            return "a namespace has no spaces, control characters, braces or any of *?[]\\";
    return NULL;
}

static const char *check_address(const char *text)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1)
        return NULL;
    return "write an address, such as 127.0.0.1 or ::1";
}

#define AT OPTION_AT

/* clang-format off */
static const struct option top_options[] = {
    {"listen", OPTION_LIST, AT(struct conf, listen.addresses),
     .preset = "unix:/run/workerless/workerless.sock", .check = listener_check_address,
     .help = "Where front servers connect: unix:PATH, tcp:HOST:PORT, tcp:[V6]:PORT or fd:N. "
             "A socket inherited from spawn-fcgi, lighttpd or systemd is used instead."},
    {"socket_mode", OPTION_MODE, AT(struct conf, listen.socket_mode),
     .preset = "0660", .help = "File mode of the unix sockets, octal."},
    {"log", OPTION_CHOICE, AT(struct conf, log_to_syslog), .preset = "stderr",
     .words = "stderr syslog", .help = "Where log messages go."},
    {"max_parked", OPTION_COUNT, AT(struct conf, flights.max_parked),
     .preset = "100000", .min = "1", .max = "100000000",
     .help = "Requests that wait for a result, at most; beyond it the answer is 503."},
    {"max_flights", OPTION_COUNT, AT(struct conf, flights.max_flights),
     .preset = "100000", .min = "1", .max = "100000000",
     .help = "Fragments being made at the same time, at most; beyond it the answer is 503."},
    {"max_connections", OPTION_COUNT, AT(struct conf, connections.max_connections),
     .preset = "0", .min = "0", .max = "10000000",
     .help = "Connections of front servers, at most; 0: what the descriptor limit allows."},
    {"max_connection_requests", OPTION_COUNT,
     AT(struct conf, connections.max_connection_requests),
     .preset = "1024", .min = "1", .max = "65535",
     .help = "Requests in flight on one connection, at most; beyond it the answer is 503."},
    {"max_params", OPTION_SIZE, AT(struct conf, connections.max_params),
     .preset = "64KiB", .min = "1B", .max = "1GiB",
     .help = "FastCGI variables of one request, at most; beyond it the answer is 431."},
    {"max_request_body", OPTION_SIZE, AT(struct conf, connections.max_request_body),
     .preset = "1MiB", .min = "0", .max = "1GiB",
     .help = "Body of one request, at most; beyond it the answer is 413."},
    {"max_unfinished", OPTION_SIZE, AT(struct conf, max_unfinished),
     .preset = "64MiB", .min = "64KiB", .max = "1024GiB",
     .help = "Limit on the memory of all requests that have not arrived completely; over it new "
             "ones get 503."},
    {"max_unsent", OPTION_SIZE, AT(struct conf, max_unsent),
     .preset = "64MiB", .min = "1MiB", .max = "1024GiB",
     .help = "Limit on the memory of answers that front servers have not read yet, beyond what the "
             "memory cache holds anyway; over it fragments get 503, and the connection is closed "
             "that does not keep up with reading and costs the most memory over time."},
    {"idle_timeout", OPTION_DURATION, AT(struct conf, connections.idle_timeout),
     .preset = "5m", .min = "1ms", .max = "365d",
     .help = "A connection without requests is closed after this time; keep it above the front "
             "server's own."},
    {"receive_timeout", OPTION_DURATION, AT(struct conf, connections.receive_timeout),
     .preset = "60s", .min = "1ms", .max = "365d",
     .help = "Time for a request to arrive whole."},
    {"send_timeout", OPTION_DURATION, AT(struct conf, connections.send_timeout),
     .preset = "60s", .min = "1ms", .max = "365d",
     .help = "A front server that takes no byte for this time loses its connection."},
    {"shutdown_timeout", OPTION_DURATION, AT(struct conf, shutdown_timeout),
     .preset = "30s", .min = "0", .max = "365d",
     .help = "Time that requests in flight get to finish when the daemon is told to stop."},
    {"max_stream", OPTION_COUNT, AT(struct conf, max_stream), .preset = "64",
     .min = "1", .max = "1000",
     .help = "Fragments of one request for /fragments, at most; beyond it the answer is 400."},
    {"heartbeat", OPTION_DURATION, AT(struct conf, connections.heartbeat),
     .preset = "15s", .min = "10ms", .max = "1d",
     .help = "A stream that has nothing to send says so after this time at most, and after half of "
             "it at least, so that no proxy takes it for dead."},
    {"tcp_half_close", OPTION_CHOICE, AT(struct conf, connections.tcp_half_close),
     .preset = "no", .words = "no yes",
     .help = "Whether a front server that has shut down its sending side on TCP still wants its "
             "answers."},
    {"purge", OPTION_LIST, AT(struct conf, purge.addresses), .check = check_address,
     .help = "Addresses of clients that may PURGE; without it nobody may."},
    {"status", OPTION_LIST, AT(struct conf, status.addresses), .check = check_address,
     .help = "Addresses of clients that may read /workerless/counters; without it nobody may."},
};

static const struct option cache_options[] = {
    {"redis", OPTION_STRING, AT(struct conf, cache.redis.address), .preset = "",
     .check = redis_check_address, .secret = true,
     .help = "unix:PATH, unix://[user:password@]PATH[?db=N], redis://[user:password@]host[:port][/db], the primary that Sentinels "
             "name: sentinel://[user:password@]host[:port],.../primary[/db], or some servers of a "
             "Redis Cluster: cluster://[user:password@]host[:port],...; user and password are the "
             "servers' (Sentinels with a password are not supported); with TLS rediss://, "
             "sentinels:// and clusters://; \"\": memory only."},
    {"namespace", OPTION_STRING, AT(struct conf, cache.name_space),
     .preset = "worker", .check = check_namespace,
     .help = "Keys in Redis begin with this and a colon."},
    {"memory", OPTION_SIZE, AT(struct conf, cache.memory_bytes),
     .preset = "64MiB", .help = "Bound of the memory cache; 0: off."},
    {"max_value", OPTION_SIZE, AT(struct conf, cache.max_value),
     .preset = "16MiB", .min = "1KiB", .max = "32MiB",
     .help = "The largest value in Redis: a larger result is not stored, and a larger value that "
             "somebody else has written counts as missing."},
    {"max_pending", OPTION_SIZE, AT(struct conf, cache.redis.max_pending),
     .preset = "64MiB", .min = "1MiB", .max = "1024GiB",
     .help = "Limit on the commands, results to be stored among them, that each server of Redis has "
             "not answered yet; over it fragments are served without Redis."},
    {"redis_timeout", OPTION_DURATION, AT(struct conf, cache.redis.timeout),
     .preset = "250ms", .min = "1ms", .max = "60s",
     .help = "Redis is taken for gone when it leaves a command unanswered for this time."},
    {"lease", OPTION_DURATION, AT(struct conf, cache.lease),
     .preset = "5s", .min = "100ms", .max = "1h",
     .help = "A process that makes a result and dies is replaced after this time."},
    {"tls_ca", OPTION_STRING, AT(struct conf, cache.redis.tls_ca), .preset = "",
     .help = "PEM file of the certificates that a Redis with TLS is checked against; its path is "
             "relative to this file's; \"\": the system's."},
    {"tls_certificate", OPTION_STRING, AT(struct conf, cache.redis.tls_certificate),
     .preset = "",
     .help = "PEM file of the certificate to show to Redis, and its chain; \"\": none."},
    {"tls_key", OPTION_STRING, AT(struct conf, cache.redis.tls_key), .preset = "",
     .help = "PEM file of that certificate's key, without a passphrase."},
    {"tls_name", OPTION_STRING, AT(struct conf, cache.redis.tls_name), .preset = "",
     .help = "The name that the certificates of Redis must have; \"\": of each server its host, as "
             "the redis option, the Sentinels or the Cluster say it."},
};

/* The others are those of its type. */
static const struct option source_options[] = {
    {"type", OPTION_TYPE, .required = true, .help = "How the source makes a fragment."},
};

static const struct option fragment_options[] = {
    {"source", OPTION_SOURCE, .required = true,
     .help = "The name of the source that makes the fragment."},
    {"ttl", OPTION_DURATION, AT(struct route, recipe.freshness.ttl),
     .preset = "60s", .min = "0", .max = "365d",
     .help = "How long a result stays fresh in the cache; 0: it is not cached."},
    {"jitter", OPTION_DURATION, AT(struct route, recipe.freshness.jitter),
     .preset = "0", .min = "0", .max = "365d",
     .help = "A result's own ttl is shorter by up to this, at random, so that not all end at once."},
    {"stale", OPTION_DURATION, AT(struct route, recipe.freshness.stale),
     .preset = "0", .min = "0", .max = "365d",
     .help = "After its ttl a result is served for this time while it is made anew."},
    {"stale_error", OPTION_DURATION,
     AT(struct route, recipe.freshness.stale_error), .preset = "0", .min = "0", .max = "365d",
     .help = "After its ttl a result is served for this time if making it anew fails."},
    {"early", OPTION_CHOICE, AT(struct route, recipe.freshness.early),
     .preset = "no", .words = "no yes",
     .help = "Whether a result that is asked for is made anew by chance already before the end of "
             "its ttl, the likelier the more it cost."},
    {"negative", OPTION_DURATION, AT(struct route, recipe.freshness.negative),
     .preset = "0", .min = "0", .max = "1d",
     .help = "A failure is remembered for this time: the source is asked once in it."},
    {"max_negative", OPTION_COUNT, AT(struct route, recipe.max_negative),
     .preset = "1000", .min = "1", .max = "1000000",
     .help = "The most failures that each process remembers in Redis at the same time; it "
             "remembers further ones in its own memory."},
    {"hold", OPTION_DURATION, AT(struct route, recipe.hold),
     .preset = "25s", .min = "1ms", .max = "1d",
     .help = "How long a request is parked, at most; keep it below the front server's timeout."},
    {"stream", OPTION_CHOICE, AT(struct route, stream), .preset = "no",
     .words = "no yes",
     .help = "Whether /fragments may serve it. The front server's access rules for "
             "/fragment/NAME do not apply there."},
    {"fallback", OPTION_FILE,
     .help = "HTML file shown when the source failed; its path is relative to this file's."},
};
/* clang-format on */

_Static_assert(offsetof(struct client_list, count) ==
                   offsetof(struct client_list, addresses) + sizeof(char **),
               "a list is followed by its count");
_Static_assert(offsetof(struct listener_settings, count) ==
                   offsetof(struct listener_settings, addresses) + sizeof(char **),
               "a list is followed by its count");

static const struct {
    const char *name, *place, *head;
    const struct option *options;
    size_t count;
} sections[SECTION_KINDS] = {
#define ROWS(options) options, sizeof(options) / sizeof *(options)
    {"", "at the top level", NULL, ROWS(top_options)},
    {"cache", "in a cache section", "cache {", ROWS(cache_options)},
    {"source", "in a source section", "source \"NAME\" {", ROWS(source_options)},
    {"fragment", "in a fragment section", "fragment \"NAME\" or \"BEGINNING*\" {",
     ROWS(fragment_options)},
};

const char *section_place(enum option_section section)
{
    return sections[section].place;
}

size_t options_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < SECTION_KINDS; i++)
        count += sections[i].count;
    for (const struct source_type *const *type = source_types; *type; type++)
        count += (*type)->option_count;
    return count;
}

struct option_row option_row(size_t number)
{
    const struct source_type *const *type = source_types;
    for (size_t i = 0; i < SECTION_KINDS; i++) {
        if (number < sections[i].count)
            return (struct option_row){&sections[i].options[number], (enum option_section)i, NULL};
        number -= sections[i].count;
    }
    for (; number >= (*type)->option_count; type++)
        number -= (*type)->option_count;
    return (struct option_row){&(*type)->options[number], SECTION_SOURCE, *type};
}

size_t option_find(enum option_section section, const struct source_type *type, const char *name)
{
    size_t count = options_count(), found = count;
    for (size_t i = 0; i < count; i++) {
        struct option_row row = option_row(i);
        if (row.section != section || strcmp(row.option->name, name) != 0)
            continue;
        if (!row.only || row.only == type)
            return i;
        if (found == count)
            found = i;
    }
    return found;
}

void options_free(enum option_section section, const struct source_type *type, void *target)
{
    for (size_t i = 0; i < sections[section].count; i++)
        option_free(&sections[section].options[i], target);
    for (size_t i = 0; type && i < type->option_count; i++)
        option_free(&type->options[i], target);
}

/* How many letters must be changed, left out, put in or swapped with their neighbour. */
static unsigned distance(const char *a, const char *b)
{
    enum { LETTERS = 32 };
    unsigned d[LETTERS + 1][LETTERS + 1];
    size_t m = strlen(a), n = strlen(b);
    if (m > LETTERS || n > LETTERS)
        return LETTERS;
    for (size_t i = 0; i <= m; i++) {
        for (size_t j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (unsigned)(i + j);
                continue;
            }
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[m][n];
}

void option_hint(enum option_section section, const char *name, char hint[OPTION_HINT_ROOM])
{
    unsigned nearest = strlen(name) < 4 ? 2 : 3; /* a near one is nearer than that */
    size_t count = options_count();
    hint[0] = '\0';
    for (size_t i = SECTION_CACHE; section != SECTION_TOP && i < SECTION_KINDS; i++) {
        if (strcmp(sections[i].name, name) == 0) {
            snprintf(hint, OPTION_HINT_ROOM,
                     "; is the } missing that closes the section above it?");
            return;
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct option_row row = option_row(i);
        if (strcmp(row.option->name, name) == 0) {
            snprintf(hint, OPTION_HINT_ROOM, "; it belongs %s", section_place(row.section));
            return;
        }
    }
    for (size_t i = 0; i < count + SECTION_KINDS; i++) {
        struct option_row row = i < count ? option_row(i) : (struct option_row){0};
        const char *candidate = i < count ? row.option->name : sections[i - count].name;
        if (section != (i < count ? row.section : SECTION_TOP))
            continue;
        if (*candidate && distance(name, candidate) < nearest) {
            nearest = distance(name, candidate);
            snprintf(hint, OPTION_HINT_ROOM, "; did you mean \"%s\"?", candidate);
        }
    }
}

/* Words of the text in lines of at most 80 columns. */
static void print_wrapped(FILE *out, const char *text, int indent)
{
    int column = 0;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (column > 0 && column + 1 + word > 80) {
            fputc('\n', out);
            column = 0;
        }
        column += fprintf(out, "%*s%.*s", column > 0 ? 1 : indent, "", word, text);
        text += word + (text[word] == ' ');
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const struct option_row *row, int indent)
{
    const struct option *o = row->option;
    char room[OPTION_TYPES_ROOM];
    const char *words = option_choices(o, room);
    fprintf(out, "%*s%s", indent, "", o->name);
    if (o->kind == OPTION_LIST && o->preset)
        fprintf(out, " = {\"%s\"}", o->preset);
    else if (o->kind == OPTION_COUNT)
        fprintf(out, " = %s", o->preset);
    else if (o->preset)
        fprintf(out, " = \"%s\"", o->preset);
    if (o->required)
        fputs("  (required)", out);
    if (o->min)
        fprintf(out, "  (%s to %s)", o->min, o->max);
    if (words)
        fprintf(out, "  (%s)", words);
    if (row->only)
        fprintf(out, "  (type %s)", row->only->name);
    fputc('\n', out);
    print_wrapped(out, o->help, indent + 4);
}

void options_print(FILE *out)
{
    for (size_t section = 0; section < SECTION_KINDS; section++) {
        const char *head = sections[section].head;
        if (head)
            fprintf(out, "\n%s\n", head);
        for (size_t i = 0, count = options_count(); i < count; i++) {
            struct option_row row = option_row(i);
            if (row.section == (enum option_section)section)
                print_option(out, &row, head ? 4 : 0);
        }
        if (head)
            fputs("}\n", out);
    }
    fputc('\n', out);
    print_wrapped(out,
                  "A duration is a number with us, ms, s, m, h or d (\"1.5s\"), a size one with B, "
                  "KiB, MiB or GiB. The first fragment section that matches wins. ${NAME} in a "
                  "value is the environment variable NAME, and ${NAME:-text} is the text if there "
                  "is no such variable.",
                  0);
}
