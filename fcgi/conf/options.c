/* The table of options, and what is done with its rows: parse, check, store, free, print. */
#include "conf/options.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "conf/conf.h"
#include "conf/units.h"
#include "redis/check.h"
#include "source/redirect.h"

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

#define AT(type, member) .offset = offsetof(type, member), .width = sizeof(((type *)0)->member)
#define TOP(option)      .section = SECTION_TOP, .name = option
#define CACHE(option)    .section = SECTION_CACHE, .name = option
#define SOURCE(option)   .section = SECTION_SOURCE, .name = option
#define FRAGMENT(option) .section = SECTION_FRAGMENT, .name = option

/* clang-format off */
const struct option option_table[] = {
    {TOP("listen"), .kind = OPTION_LIST, AT(struct conf, listen.addresses),
     .preset = "unix:/run/workerless/workerless.sock", .check = listener_check_address,
     .help = "Where front servers connect: unix:PATH, tcp:HOST:PORT, tcp:[V6]:PORT or fd:N. "
             "A socket inherited from spawn-fcgi, lighttpd or systemd is used instead."},
    {TOP("socket_mode"), .kind = OPTION_MODE, AT(struct conf, listen.socket_mode),
     .preset = "0660", .help = "File mode of the unix sockets, octal."},
    {TOP("log"), .kind = OPTION_CHOICE, AT(struct conf, log_to_syslog), .preset = "stderr",
     .words = "stderr syslog", .help = "Where log messages go."},
    {TOP("max_parked"), .kind = OPTION_COUNT, AT(struct conf, flights.max_parked),
     .preset = "100000", .min = "1", .max = "100000000",
     .help = "Requests that wait for a result, at most; beyond it the answer is 503."},
    {TOP("max_flights"), .kind = OPTION_COUNT, AT(struct conf, flights.max_flights),
     .preset = "100000", .min = "1", .max = "100000000",
     .help = "Fragments being made at the same time, at most; beyond it the answer is 503."},
    {TOP("max_connections"), .kind = OPTION_COUNT, AT(struct conf, connections.max_connections),
     .preset = "0", .min = "0", .max = "10000000",
     .help = "Connections of front servers, at most; 0: what the descriptor limit allows."},
    {TOP("max_connection_requests"), .kind = OPTION_COUNT,
     AT(struct conf, connections.max_connection_requests),
     .preset = "1024", .min = "1", .max = "65535",
     .help = "Requests in flight on one connection, at most; beyond it the answer is 503."},
    {TOP("max_params"), .kind = OPTION_SIZE, AT(struct conf, connections.max_params),
     .preset = "64KiB", .min = "1B", .max = "1GiB",
     .help = "FastCGI variables of one request, at most; beyond it the answer is 431."},
    {TOP("max_request_body"), .kind = OPTION_SIZE, AT(struct conf, connections.max_request_body),
     .preset = "1MiB", .min = "0", .max = "1GiB",
     .help = "Body of one request, at most; beyond it the answer is 413."},
    {TOP("max_unfinished"), .kind = OPTION_SIZE, AT(struct conf, max_unfinished),
     .preset = "64MiB", .min = "64KiB", .max = "1024GiB",
     .help = "Limit on the memory of all requests that have not arrived completely; over it new "
             "ones get 503."},
    {TOP("max_unsent"), .kind = OPTION_SIZE, AT(struct conf, max_unsent),
     .preset = "64MiB", .min = "1MiB", .max = "1024GiB",
     .help = "Limit on the memory of answers that front servers have not read yet, beyond what the "
             "memory cache holds anyway; over it fragments get 503, and the connection that has "
             "been stuck longest is closed."},
    {TOP("idle_timeout"), .kind = OPTION_DURATION, AT(struct conf, connections.idle_timeout),
     .preset = "5m", .min = "1ms", .max = "365d",
     .help = "A connection without requests is closed after this time; keep it above the front "
             "server's own."},
    {TOP("receive_timeout"), .kind = OPTION_DURATION, AT(struct conf, connections.receive_timeout),
     .preset = "60s", .min = "1ms", .max = "365d",
     .help = "Time for a request to arrive whole."},
    {TOP("send_timeout"), .kind = OPTION_DURATION, AT(struct conf, connections.send_timeout),
     .preset = "60s", .min = "1ms", .max = "365d",
     .help = "A front server that takes no byte for this time loses its connection."},
    {TOP("shutdown_timeout"), .kind = OPTION_DURATION, AT(struct conf, shutdown_timeout),
     .preset = "30s", .min = "0", .max = "365d",
     .help = "Time that requests in flight get to finish when the daemon is told to stop."},
    {TOP("max_stream"), .kind = OPTION_COUNT, AT(struct conf, max_stream), .preset = "64",
     .min = "1", .max = "1000",
     .help = "Fragments of one request for /fragments, at most; beyond it the answer is 400."},
    {TOP("heartbeat"), .kind = OPTION_DURATION, AT(struct conf, connections.heartbeat),
     .preset = "15s", .min = "10ms", .max = "1d",
     .help = "A stream that has nothing to send says so after this time at most, and after half of "
             "it at least, so that no proxy takes it for dead."},
    {TOP("tcp_half_close"), .kind = OPTION_CHOICE, AT(struct conf, connections.tcp_half_close),
     .preset = "no", .words = "no yes",
     .help = "Whether a front server that has shut down its sending side on TCP still wants its "
             "answers."},
    {TOP("purge"), .kind = OPTION_LIST, AT(struct conf, purge.addresses), .check = check_address,
     .help = "Addresses of clients that may PURGE; without it nobody may."},

    {CACHE("redis"), .kind = OPTION_STRING, AT(struct conf, cache.redis.address), .preset = "",
     .check = redis_check_address, .secret = true,
     .help = "unix:PATH, unix://[user:password@]PATH[?db=N], redis://[user:password@]host[:port][/db], the primary that Sentinels "
             "name: sentinel://[user:password@]host[:port],.../primary[/db], or some servers of a "
             "Redis Cluster: cluster://[user:password@]host[:port],...; user and password are the "
             "servers' (Sentinels with a password are not supported); with TLS rediss://, "
             "sentinels:// and clusters://; \"\": memory only."},
    {CACHE("namespace"), .kind = OPTION_STRING, AT(struct conf, cache.name_space),
     .preset = "worker", .check = check_namespace,
     .help = "Keys in Redis begin with this and a colon."},
    {CACHE("memory"), .kind = OPTION_SIZE, AT(struct conf, cache.memory_bytes),
     .preset = "64MiB", .help = "Bound of the memory cache; 0: off."},
    {CACHE("max_value"), .kind = OPTION_SIZE, AT(struct conf, cache.max_value),
     .preset = "16MiB", .min = "1KiB", .max = "32MiB",
     .help = "The largest value in Redis: a larger result is not stored, and a larger value that "
             "somebody else has written counts as missing."},
    {CACHE("redis_timeout"), .kind = OPTION_DURATION, AT(struct conf, cache.redis.timeout),
     .preset = "250ms", .min = "1ms", .max = "60s",
     .help = "Redis is taken for gone when it leaves a command unanswered for this time."},
    {CACHE("lease"), .kind = OPTION_DURATION, AT(struct conf, cache.lease),
     .preset = "5s", .min = "100ms", .max = "1h",
     .help = "A process that makes a result and dies is replaced after this time."},
    {CACHE("tls_ca"), .kind = OPTION_STRING, AT(struct conf, cache.redis.tls_ca), .preset = "",
     .help = "PEM file of the certificates that a Redis with TLS is checked against; its path is "
             "relative to this file's; \"\": the system's."},
    {CACHE("tls_certificate"), .kind = OPTION_STRING, AT(struct conf, cache.redis.tls_certificate),
     .preset = "",
     .help = "PEM file of the certificate to show to Redis, and its chain; \"\": none."},
    {CACHE("tls_key"), .kind = OPTION_STRING, AT(struct conf, cache.redis.tls_key), .preset = "",
     .help = "PEM file of that certificate's key, without a passphrase."},
    {CACHE("tls_name"), .kind = OPTION_STRING, AT(struct conf, cache.redis.tls_name), .preset = "",
     .help = "The name that the certificates of Redis must have; \"\": of each server its host, as "
             "the redis option, the Sentinels or the Cluster say it."},

    {SOURCE("type"), .kind = OPTION_CHOICE, AT(struct source_settings, kind), .required = true,
     .words = "simulated http", .help = "How the source makes a fragment."},
    {SOURCE("delay"), .kind = OPTION_RANGE, AT(struct source_settings, delay_min),
     .preset = "0-3s", .min = "0", .max = "1d", .only = FOR_SOURCE(SOURCE_SIMULATED),
     .help = "How long the simulated slow call takes: a random time in the range, or a fixed one."},
    {SOURCE("url"), .kind = OPTION_STRING, AT(struct source_settings, url), .required = true,
     .only = FOR_SOURCE(SOURCE_HTTP),
     .help = "What is called, http or https; {name} stands for the fragment's name."},
    {SOURCE("timeout"), .kind = OPTION_DURATION, AT(struct source_settings, timeout),
     .preset = "10s", .min = "1ms", .max = "1d", .only = FOR_SOURCE(SOURCE_HTTP),
     .help = "Time for a whole call; beyond it the answer is 504."},
    {SOURCE("max_body"), .kind = OPTION_SIZE, AT(struct source_settings, max_body),
     .preset = "1MiB", .min = "1B", .max = "1GiB", .only = FOR_SOURCE(SOURCE_HTTP),
     .help = "What a call may bring, at most; beyond it the answer is 502."},
    {SOURCE("connections"), .kind = OPTION_COUNT, AT(struct source_settings, connections),
     .preset = "100", .min = "1", .max = "65535", .only = FOR_SOURCE(SOURCE_HTTP),
     .help = "Calls under way at the same time, at most; further ones queue."},
    {SOURCE("redirects"), .kind = OPTION_LIST, AT(struct source_settings, redirects),
     .check = redirect_check, .only = FOR_SOURCE(SOURCE_HTTP),
     .help = "Where redirects may lead besides the scheme, host and port of the url: HOST, "
             "HOST:PORT or SCHEME://HOST[:PORT]; the scheme defaults to the url's, the port to the "
             "scheme's own."},

    {FRAGMENT("source"), .kind = OPTION_SOURCE, .required = true,
     .help = "The name of the source that makes the fragment."},
    {FRAGMENT("ttl"), .kind = OPTION_DURATION, AT(struct route, recipe.freshness.ttl),
     .preset = "60s", .min = "0", .max = "365d",
     .help = "How long a result stays fresh in the cache; 0: it is not cached."},
    {FRAGMENT("jitter"), .kind = OPTION_DURATION, AT(struct route, recipe.freshness.jitter),
     .preset = "0", .min = "0", .max = "365d",
     .help = "A result's own ttl is shorter by up to this, at random, so that not all end at once."},
    {FRAGMENT("stale"), .kind = OPTION_DURATION, AT(struct route, recipe.freshness.stale),
     .preset = "0", .min = "0", .max = "365d",
     .help = "After its ttl a result is served for this time while it is made anew."},
    {FRAGMENT("stale_error"), .kind = OPTION_DURATION,
     AT(struct route, recipe.freshness.stale_error), .preset = "0", .min = "0", .max = "365d",
     .help = "After its ttl a result is served for this time if making it anew fails."},
    {FRAGMENT("early"), .kind = OPTION_CHOICE, AT(struct route, recipe.freshness.early),
     .preset = "no", .words = "no yes",
     .help = "Whether a result that is asked for is made anew by chance already before the end of "
             "its ttl, the likelier the more it cost."},
    {FRAGMENT("negative"), .kind = OPTION_DURATION, AT(struct route, recipe.freshness.negative),
     .preset = "0", .min = "0", .max = "1d",
     .help = "A failure is remembered for this time: the source is asked once in it."},
    {FRAGMENT("max_negative"), .kind = OPTION_COUNT, AT(struct route, recipe.max_negative),
     .preset = "1000", .min = "1", .max = "1000000",
     .help = "The most failures that each process remembers in Redis at the same time; it "
             "remembers further ones in its own memory."},
    {FRAGMENT("hold"), .kind = OPTION_DURATION, AT(struct route, recipe.hold),
     .preset = "25s", .min = "1ms", .max = "1d",
     .help = "How long a request is parked, at most; keep it below the front server's timeout."},
    {FRAGMENT("stream"), .kind = OPTION_CHOICE, AT(struct route, stream), .preset = "no",
     .words = "no yes",
     .help = "Whether /fragments may serve it. The front server's access rules for "
             "/fragment/NAME do not apply there."},
    {FRAGMENT("fallback"), .kind = OPTION_FILE,
     .help = "HTML file shown when the source failed; its path is relative to this file's."},
};
/* clang-format on */

const size_t option_count = sizeof(option_table) / sizeof(*option_table);

_Static_assert(sizeof(option_table) / sizeof(*option_table) <= OPTIONS_MAX, "");
_Static_assert(offsetof(struct source_settings, delay_max) ==
                   offsetof(struct source_settings, delay_min) + sizeof(double),
               "a range is stored in two members");
_Static_assert(offsetof(struct purge_settings, count) ==
                   offsetof(struct purge_settings, addresses) + sizeof(char **),
               "a list is followed by its count");
_Static_assert(offsetof(struct source_settings, redirect_count) ==
                   offsetof(struct source_settings, redirects) + sizeof(char **),
               "a list is followed by its count");
_Static_assert(offsetof(struct listener_settings, count) ==
                   offsetof(struct listener_settings, addresses) + sizeof(char **),
               "a list is followed by its count");

static const char *const section_names[SECTION_KINDS] = {"", "cache", "source", "fragment"};

const char *section_place(enum option_section section)
{
    static const char *const places[SECTION_KINDS] = {"at the top level", "in a cache section",
                                                      "in a source section",
                                                      "in a fragment section"};
    return places[section];
}

const struct option *option_find(enum option_section section, const char *name)
{
    for (size_t i = 0; i < option_count; i++)
        if (option_table[i].section == section && strcmp(option_table[i].name, name) == 0)
            return &option_table[i];
    return NULL;
}

const char *option_only(const struct option *option)
{
    return option->only == FOR_SOURCE(SOURCE_HTTP) ? "http" : "simulated";
}

/* A value between text and member. */
struct parsed {
    double seconds[2];
    size_t number;
    unsigned mode;
};

/* Sets the number of the word. False if it is none of them. */
static bool parse_choice(const char *words, const char *text, size_t *number)
{
    size_t len = strlen(text), count = 0;
    for (const char *word = words; *word; count++) {
        size_t word_len = strcspn(word, " ");
        if (word_len == len && memcmp(word, text, len) == 0) {
            *number = count;
            return true;
        }
        word += word_len + (word[word_len] == ' ');
    }
    return false;
}

static const char *parse(const struct option *option, const char *text, struct parsed *parsed)
{
    switch (option->kind) {
    case OPTION_DURATION:
        return units_parse_duration(text, &parsed->seconds[0]);
    case OPTION_RANGE:
        return units_parse_range(text, &parsed->seconds[0], &parsed->seconds[1]);
    case OPTION_SIZE:
        return units_parse_size(text, &parsed->number);
    case OPTION_COUNT:
        return units_parse_count(text, &parsed->number);
    case OPTION_MODE:
        return units_parse_mode(text, &parsed->mode);
    case OPTION_CHOICE:
        return parse_choice(option->words, text, &parsed->number) ? NULL : "";
    default:
        return option->check ? option->check(text) : NULL;
    }
}

/* The end of a range counts against a maximum, the beginning against a minimum. */
static bool less(const struct option *option, const struct parsed *a, const struct parsed *b)
{
    switch (option->kind) {
    case OPTION_DURATION:
        return a->seconds[0] < b->seconds[0];
    case OPTION_RANGE:
        return a->seconds[0] < b->seconds[0] || a->seconds[1] < b->seconds[1];
    default:
        return a->number < b->number;
    }
}

static bool within_limits(const struct option *option, const struct parsed *parsed)
{
    struct parsed limit;
    if (option->min && !parse(option, option->min, &limit) && less(option, parsed, &limit))
        return false;
    return !(option->max && !parse(option, option->max, &limit) && less(option, &limit, parsed));
}

static void describe_limits(const struct option *option, char wrong[OPTION_WRONG_ROOM])
{
    if (option->kind == OPTION_CHOICE) {
        int first = (int)strcspn(option->words, " ");
        snprintf(wrong, OPTION_WRONG_ROOM, "must be %.*s or %s", first, option->words,
                 option->words + first + 1);
    } else {
        snprintf(wrong, OPTION_WRONG_ROOM, "must be from %s to %s", option->min, option->max);
    }
}

/* A new string, alone or at the end of the list. */
static bool store_string(const struct option *option, const char *text, void *member)
{
    char *copy = alloc_copy(text, strlen(text));
    if (!copy)
        return false;
    if (option->kind == OPTION_STRING) {
        *(const char **)member = copy;
        return true;
    }
    const char *const **list = member;
    size_t *count = (size_t *)(list + 1);
    const char **longer = alloc_resized((void *)*list, (*count + 1) * sizeof(*longer));
    if (!longer) {
        free(copy);
        return false;
    }
    longer[(*count)++] = copy;
    *list = longer;
    return true;
}

static void store_number(const struct option *option, size_t number, void *member)
{
    if (option->width == sizeof(bool))
        *(bool *)member = number != 0;
    else if (option->width == sizeof(unsigned))
        *(unsigned *)member = (unsigned)number;
    else
        *(size_t *)member = number;
}

bool option_store(const struct option *option, const char *text, void *target,
                  char wrong[OPTION_WRONG_ROOM])
{
    struct parsed parsed = {0};
    void *member = (char *)target + option->offset;
    const char *why = parse(option, text, &parsed);
    if (!why && !within_limits(option, &parsed))
        why = "";
    if (why) {
        if (*why)
            snprintf(wrong, OPTION_WRONG_ROOM, "%s", why);
        else
            describe_limits(option, wrong);
        return false;
    }
    switch (option->kind) {
    case OPTION_DURATION:
        *(double *)member = parsed.seconds[0];
        break;
    case OPTION_RANGE:
        memcpy(member, parsed.seconds, sizeof(parsed.seconds));
        break;
    case OPTION_SIZE:
    case OPTION_COUNT:
    case OPTION_CHOICE:
        store_number(option, parsed.number, member);
        break;
    case OPTION_MODE:
        *(unsigned *)member = parsed.mode;
        break;
    case OPTION_STRING:
    case OPTION_LIST:
        if (!store_string(option, text, member)) {
            snprintf(wrong, OPTION_WRONG_ROOM, "out of memory");
            return false;
        }
        break;
    case OPTION_SOURCE:
    case OPTION_FILE:
        break;
    }
    return true;
}

void options_free(enum option_section section, void *target)
{
    for (const struct option *o = option_table; o < option_table + option_count; o++) {
        void *member = (char *)target + o->offset;
        if (o->section != section)
            continue;
        if (o->kind == OPTION_STRING)
            free((char *)*(const char **)member);
        if (o->kind == OPTION_LIST) {
            const char *const **list = member;
            for (size_t i = *(size_t *)(list + 1); i > 0; i--)
                free((char *)(*list)[i - 1]);
            free((void *)*list);
        }
    }
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
    hint[0] = '\0';
    for (size_t i = SECTION_CACHE; section != SECTION_TOP && i < SECTION_KINDS; i++) {
        if (strcmp(section_names[i], name) == 0) {
            snprintf(hint, OPTION_HINT_ROOM,
                     "; is the } missing that closes the section above it?");
            return;
        }
    }
    for (const struct option *o = option_table; o < option_table + option_count; o++) {
        if (strcmp(o->name, name) == 0) {
            snprintf(hint, OPTION_HINT_ROOM, "; it belongs %s", section_place(o->section));
            return;
        }
    }
    for (size_t i = 0; i < option_count + SECTION_KINDS; i++) {
        bool is_option = i < option_count;
        const char *candidate = is_option ? option_table[i].name : section_names[i - option_count];
        if (section != (is_option ? option_table[i].section : SECTION_TOP))
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

static void print_option(FILE *out, const struct option *o, int indent)
{
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
    if (o->words) {
        int first = (int)strcspn(o->words, " ");
        fprintf(out, "  (%.*s or %s)", first, o->words, o->words + first + 1);
    }
    if (o->only)
        fprintf(out, "  (type %s)", option_only(o));
    fputc('\n', out);
    print_wrapped(out, o->help, indent + 4);
}

void options_print(FILE *out)
{
    static const char *const heads[SECTION_KINDS] = {NULL, "cache {", "source \"NAME\" {",
                                                     "fragment \"NAME\" or \"BEGINNING*\" {"};
    for (size_t section = 0; section < SECTION_KINDS; section++) {
        if (heads[section])
            fprintf(out, "\n%s\n", heads[section]);
        for (const struct option *o = option_table; o < option_table + option_count; o++)
            if (o->section == (enum option_section)section)
                print_option(out, o, heads[section] ? 4 : 0);
        if (heads[section])
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
