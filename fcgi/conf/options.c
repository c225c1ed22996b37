/* The options of each section, and functions over all options: find, print, suggest a spelling. */
#include "conf/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/identity.h"
#include "base/spelling.h"
#include "conf/conf.h"
#include "conf/option_value.h"
#include "conf/vary.h"
#include "redis/check.h"
#include "render/templates.h"
#include "source/keep.h"
#include "source/source.h"
#include "web/access_format.h"

static const char *check_namespace(const char *text)
{
    if (!*text)
        return "a namespace must not be empty";
    if (strlen(text) > 100)
        return "a namespace must not be longer than 100 bytes";
    if (strcmp(text, "lease") == 0)
        return "this namespace is reserved for leases";
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f || strchr("*?[]{}\\", *text))
            return "a namespace must not have spaces, control characters, braces or any of *?[]\\";
    return NULL;
}

static const char *check_log(const char *text)
{
    if (strcmp(text, "stderr") == 0 || strcmp(text, "syslog") == 0)
        return NULL;
    if (strncmp(text, CONF_LOG_FILE, strlen(CONF_LOG_FILE)) != 0)
        return "must be stderr, syslog or file:PATH";
    return text[strlen(CONF_LOG_FILE)] == '/' ? NULL : "the path of a log file must begin with /";
}

static const char *check_access_log(const char *text)
{
    if (strcmp(text, "off") == 0 || !check_log(text))
        return NULL;
    return strncmp(text, CONF_LOG_FILE, strlen(CONF_LOG_FILE)) == 0
               ? check_log(text)
               : "must be off, stderr, syslog or file:PATH; the format is access_log_format";
}

static const char *check_template(const char *text)
{
    if (!*text || template_name_is_safe(slice_of(text)))
        return NULL;
    return "must be a path within the directory templates, of which no part begins with a dot";
}

static const char *check_required(const char *text)
{
    return render_name_is_valid(text) ? NULL : "must be a name, or names with a dot between them";
}

#define AT OPTION_AT

#define PAGE_HOLD_HELP                                                                             \
    "How long in all a page waits at placeholders whose fragments are not ready, for a browser "   \
    "that can't replace placeholders by itself. After that, or with 0, the rest of the page is "   \
    "sent, and then the late fragments."

/* clang-format off */
static const struct option top_options[] = {
    {"include", OPTION_INCLUDE, .reloadable = true,
     .help = "Config files to read here, as if their text stood here: paths or patterns "
             "(conf.d/*.conf), relative to this file. The files of a pattern are read in sorted "
             "order; it may match none."},
    {"listen", OPTION_LIST, AT(struct conf, listen.addresses),
     .preset = "unix:/run/workerless/workerless.sock", .check = sockets_check_address,
     .help = "Addresses to listen on for front servers: unix:PATH, tcp:HOST:PORT, tcp:[V6]:PORT "
             "or fd:N. A socket inherited from spawn-fcgi, lighttpd or systemd replaces them."},
    {"socket_mode", OPTION_MODE, AT(struct conf, listen.socket_mode),
     .preset = "0660", .help = "Octal file mode of unix sockets."},
    {"workers", OPTION_COUNT, AT(struct conf, workers),
     .preset = "1", .min = "1", .max = "256", .words = "auto",
     .help = "Number of processes that serve; auto: one for each CPU that may be used. With more "
             "than 1, another process supervises them. Each has limits and a memory cache of its "
             "own."},
    {"user", OPTION_STRING, AT(struct conf, user), .preset = "", .check = identity_check_user,
     .help = "Name of the user to become after the sockets and the log file were opened, if "
             "started as root; \"\": no change."},
    {"group", OPTION_STRING, AT(struct conf, group), .preset = "", .check = identity_check_group,
     .help = "Name of the group to become; \"\": that of the user."},
    {"log", OPTION_STRING, AT(struct conf, log), .preset = "stderr", .check = check_log,
     .reloadable = true,
     .help = "Where log messages go: stderr, syslog or file:PATH. A file is appended to, and opened "
             "again on SIGUSR2."},
    {"log_format", OPTION_CHOICE, AT(struct conf, log_format), .preset = "text",
     .words = "text logfmt json", .reloadable = true,
     .help = "How log messages are written: as text, or as the fields time, level, pid, area and "
             "message of logfmt or JSON."},
    {"slow", OPTION_DURATION, AT(struct conf, slow), .preset = "0", .min = "0", .max = "1d",
     .reloadable = true,
     .help = "A fragment that takes longer than this is logged as a warning, with where its time "
             "went; 0: none is."},
    {"access_log", OPTION_STRING, AT(struct conf, access_log.place), .preset = "off",
     .check = check_access_log, .reloadable = true,
     .help = "Where the access log goes, a line for each request: stderr, syslog or file:PATH; off: "
             "there is none. A file is opened again on SIGUSR2. If nobody reads, lines are dropped."},
    {"access_log_format", OPTION_STRING, AT(struct conf, access_log.format),
     .preset = ACCESS_FORMAT_PRESET, .check = access_format_check, .reloadable = true,
     .help = "What a line of the access log has: json, logfmt, or a text with fields:" ACCESS_FORMAT_FIELDS
             ". Times are in seconds; {{ stands for a {."},
    {"access_log_sample", OPTION_SHARE, AT(struct conf, access_log.share), .preset = "1",
     .min = "0", .max = "1", .reloadable = true,
     .help = "The share of requests that the access log has, chosen at random: 0.01 or 1/100 is one "
             "of a hundred. Those that are answered with a status of 500 or more are always in it."},
    {"max_parked", OPTION_COUNT, AT(struct conf, flights.max_parked),
     .preset = "100000", .min = "1", .max = "100000000", .reloadable = true,
     .help = "Maximum number of waiting (parked) requests; more are rejected with 503."},
    {"max_flights", OPTION_COUNT, AT(struct conf, flights.max_flights),
     .preset = "100000", .min = "1", .max = "100000000", .reloadable = true,
     .help = "Maximum number of fragments being generated at a time; more requests get 503."},
    {"max_connections", OPTION_COUNT, AT(struct conf, connections.max_connections),
     .preset = "0", .min = "0", .max = "10000000", .reloadable = true,
     .help = "Maximum number of front server connections; 0: as many as the descriptor limit "
             "allows."},
    {"max_connection_requests", OPTION_COUNT,
     AT(struct conf, connections.max_connection_requests),
     .preset = "1024", .min = "1", .max = "65535", .reloadable = true,
     .help = "Maximum number of concurrent requests on one connection; more are rejected with "
             "503."},
    {"max_params", OPTION_SIZE, AT(struct conf, connections.max_params),
     .preset = "64KiB", .min = "1B", .max = "1GiB", .reloadable = true,
     .help = "Maximum size of one request's FastCGI variables; larger ones are rejected with 431."},
    {"max_request_body", OPTION_SIZE, AT(struct conf, connections.max_request_body),
     .preset = "1MiB", .min = "0", .max = "1GiB", .reloadable = true,
     .help = "Maximum size of a request body; larger ones are rejected with 413."},
    {"max_unfinished", OPTION_SIZE, AT(struct conf, max_unfinished),
     .preset = "64MiB", .min = "64KiB", .max = "1024GiB", .reloadable = true,
     .help = "Maximum memory for all requests that have not arrived completely; over it, new "
             "requests are rejected with 503."},
    {"max_unsent", OPTION_SIZE, AT(struct conf, max_unsent),
     .preset = "64MiB", .min = "1MiB", .max = "1024GiB", .reloadable = true,
     .help = "Maximum memory for responses that front servers have not read yet, not counting "
             "what the memory cache holds anyway; over it, fragments get 503, and the slow reader "
             "that has used the most memory over time loses its connection."},
    {"max_inputs", OPTION_SIZE, AT(struct conf, max_inputs),
     .preset = "64MiB", .min = "64KiB", .max = "1024GiB", .reloadable = true,
     .help = "Maximum memory for the inputs (vary) of all fragments that are being made, and for what "
             "the access log keeps of waiting requests; over it, requests for fragments that are neither cached nor being made are rejected with "
             "503."},
    {"idle_timeout", OPTION_DURATION, AT(struct conf, connections.idle_timeout),
     .preset = "5m", .min = "1ms", .max = "365d", .reloadable = true,
     .help = "Connections without requests are closed after this time; keep it above the front "
             "server's own idle timeout."},
    {"receive_timeout", OPTION_DURATION, AT(struct conf, connections.receive_timeout),
     .preset = "60s", .min = "1ms", .max = "365d", .reloadable = true,
     .help = "Time limit for a request to arrive completely."},
    {"send_timeout", OPTION_DURATION, AT(struct conf, connections.send_timeout),
     .preset = "60s", .min = "1ms", .max = "365d", .reloadable = true,
     .help = "A connection is closed if the front server reads nothing for this time."},
    {"shutdown_timeout", OPTION_DURATION, AT(struct conf, shutdown_timeout),
     .preset = "1s", .min = "0", .max = "365d", .reloadable = true,
     .help = "How long calls to sources may take to complete after SIGTERM or SIGINT; the requests "
             "that wait for them are answered with 202 immediately."},
    {"drain_timeout", OPTION_DURATION, AT(struct conf, drain_timeout),
     .preset = "30s", .min = "0", .max = "365d", .reloadable = true,
     .help = "How long requests may take to complete after SIGQUIT or SIGUSR1."},
    {"max_stream", OPTION_COUNT, AT(struct conf, max_stream), .preset = "64",
     .min = "1", .max = "1000", .reloadable = true,
     .help = "Maximum number of fragments in one /fragments request (more are rejected with 400), "
             "and of placeholders in one page (more are an error)."},
    {"page_hold", OPTION_DURATION, AT(struct conf, page_hold), .preset = "2s", .min = "0",
     .max = "60s", .reloadable = true, .help = PAGE_HOLD_HELP},
    {"templates", OPTION_PATH, AT(struct conf, templates), .preset = "", .reloadable = true,
     .help = "Directory that has the templates of fragments and their partials; the path is relative "
             "to this file. \"\": there are no templates."},
    {"max_json", OPTION_SIZE, AT(struct conf, max_json), .preset = "256KiB",
     .min = "1KiB", .max = "16MiB", .reloadable = true,
     .help = "Maximum size of JSON for a template; with more, the source has failed. Parsing takes up "
             "to 80 times as much memory for a moment, and up to 20ms for 256KiB."},
    {"max_rendered", OPTION_SIZE, AT(struct conf, max_rendered), .preset = "8MiB",
     .min = "1KiB", .max = "64MiB", .reloadable = true,
     .help = "Maximum size of the HTML that is rendered from a template or from plain text; with "
             "more, the source has failed."},
    {"max_render_steps", OPTION_COUNT, AT(struct conf, max_render_steps), .preset = "250000",
     .min = "100", .max = "100000000", .reloadable = true,
     .help = "Maximum number of steps of one rendering: tags, texts between them, elements of lists "
             "and lookups of names; with more, the source has failed. 250000 take up to 30ms."},
    {"heartbeat", OPTION_DURATION, AT(struct conf, connections.heartbeat),
     .preset = "15s", .min = "10ms", .max = "1d", .reloadable = true,
     .help = "An idle stream sends a comment after half to all of this time, so that no proxy "
             "closes it."},
    {"tcp_half_close", OPTION_CHOICE, AT(struct conf, connections.tcp_half_close),
     .preset = "no", .words = "no yes", .reloadable = true,
     .help = "Whether a front server that has shut down the sending side of a TCP connection still "
             "reads its responses."},
    {"sandbox", OPTION_CHOICE, AT(struct conf, sandbox), .preset = "no", .words = "no yes",
     .help = "Whether, from its start on, the daemon may open only the files that it needs (by "
             "landlock), and is denied system calls that it never makes (by seccomp)."},
    {"purge", OPTION_LIST, AT(struct conf, purge.addresses), .check = client_list_check,
     .reloadable = true,
     .help = "Addresses and networks (10.0.0.0/8) of clients that may send PURGE; if empty, nobody "
             "may."},
    {"status", OPTION_LIST, AT(struct conf, status.addresses), .check = client_list_check,
     .reloadable = true,
     .help = "Addresses and networks of clients that may read /workerless/metrics, status, "
             "explain and counters; if empty, nobody may."},
};

static const struct option cache_options[] = {
    {"redis", OPTION_STRING, AT(struct conf, cache.redis.address), .preset = "",
     .check = redis_check_address, .secret = true,
     .help = "Address of Redis: unix:PATH, unix://[user:password@]PATH[?db=N] or "
             "redis://[user:password@]host[:port][/db]; for a primary found by Sentinels: "
             "sentinel://[user:password@]host[:port],.../primary[/db]; for a Redis Cluster, some "
             "of its servers: cluster://[user:password@]host[:port],...; for TLS: rediss://, "
             "sentinels:// and clusters://. User and password are for the Redis servers "
             "(Sentinels with a password are not supported). \"\": no Redis, memory only."},
    {"namespace", OPTION_STRING, AT(struct conf, cache.name_space),
     .preset = "worker", .check = check_namespace,
     .help = "Prefix of all keys in Redis; a colon follows it."},
    {"memory", OPTION_SIZE, AT(struct conf, cache.memory_bytes),
     .preset = "64MiB", .reloadable = true,
     .help = "Maximum size of the memory cache; 0: off."},
    {"max_value", OPTION_SIZE, AT(struct conf, cache.max_value),
     .preset = "16MiB", .min = "1KiB", .max = "32MiB",
     .help = "Maximum size of a value in Redis: larger results are not stored, and larger values "
             "that others have written count as missing."},
    {"max_pending", OPTION_SIZE, AT(struct conf, cache.redis.max_pending),
     .preset = "64MiB", .min = "1MiB", .max = "1024GiB",
     .help = "Maximum size of the commands, results to store included, that one Redis server has "
             "not answered yet; over it, fragments are served without Redis."},
    {"redis_timeout", OPTION_DURATION, AT(struct conf, cache.redis.timeout),
     .preset = "250ms", .min = "1ms", .max = "60s",
     .help = "Redis counts as unavailable if it does not answer a command within this time."},
    {"lease", OPTION_DURATION, AT(struct conf, cache.lease),
     .preset = "5s", .min = "100ms", .max = "1h", .reloadable = true,
     .help = "If a process dies while it generates a fragment, another one takes over after this "
             "time."},
    {"tls_ca", OPTION_PATH, AT(struct conf, cache.redis.tls_ca), .preset = "",
     .help = "PEM file of CA certificates to verify Redis servers with; the path is relative to "
             "this file; \"\": the system's certificates."},
    {"tls_certificate", OPTION_PATH, AT(struct conf, cache.redis.tls_certificate),
     .preset = "",
     .help = "PEM file of the client certificate for Redis, with its chain; \"\": none."},
    {"tls_key", OPTION_PATH, AT(struct conf, cache.redis.tls_key), .preset = "",
     .help = "PEM file of the client certificate's key, without a passphrase."},
    {"tls_name", OPTION_STRING, AT(struct conf, cache.redis.tls_name), .preset = "",
     .help = "The name that the certificates of Redis servers must have; \"\": the host of each "
             "server, as given by the redis option, the Sentinels or the Cluster."},
};

/* Each type of source adds its own. */
static const struct option source_options[] = {
    {"type", OPTION_TYPE, .required = true, .help = "How the source generates fragments."},
    {"queue", OPTION_COUNT, AT(struct source_settings, limits.queue), .preset = "10000",
     .min = "0", .max = "10000000",
     .help = "Maximum number of queued calls, or of unfinished jobs of a source of type queue; over "
             "it, requests get a stale result or 503."},
    {"queue_timeout", OPTION_DURATION, AT(struct source_settings, limits.queue_timeout),
     .preset = "0", .min = "0", .max = "1d",
     .help = "How long a call may be queued before its requests get a stale result or 503; 0: as "
             "long as the source's timeout."},
    {"breaker", OPTION_RATE, AT(struct source_settings, limits.breaker), .preset = "",
     .min = "1 in 1ms", .max = "1000 in 1d",
     .help = "After this many failed calls within this time (\"5 in 10s\") the source is not called "
             "for a while; requests get a stale result or 503. \"\": it is always called."},
    {"breaker_cooldown", OPTION_DURATION, AT(struct source_settings, limits.breaker_cooldown),
     .preset = "5s", .min = "10ms", .max = "1d",
     .help = "How long the source is not called after these failures; then one call tries whether "
             "it works again."},
    {"max_retry_after", OPTION_DURATION, AT(struct source_settings, limits.max_retry_after),
     .preset = "5m", .min = "0", .max = "1d",
     .help = "If the source answers 503 or 429 with Retry-After, it is not called for that "
             "long, up to this time; 0: it is called anyway."},
};

static const struct option fragment_options[] = {
    {"source", OPTION_SOURCE, .required = true,
     .help = "Name of the source that generates the fragment."},
    {"ttl", OPTION_DURATION, AT(struct route, recipe.freshness.ttl),
     .min = "0", .max = "365d",
     .help = "How long a result stays fresh in the cache; 0: do not cache. If it is not set: as "
             "long as the source says (Cache-Control, Expires), or default_ttl."},
    {"default_ttl", OPTION_DURATION, AT(struct route, recipe.freshness.default_ttl),
     .preset = "60s", .min = "0", .max = "365d",
     .help = "How long a result stays fresh if neither ttl nor the source says so."},
    {"ttl_min", OPTION_DURATION, AT(struct route, recipe.freshness.ttl_min),
     .preset = "0", .min = "0", .max = "365d",
     .help = "Minimum time that a result stays fresh, if the source decides."},
    {"ttl_max", OPTION_DURATION, AT(struct route, recipe.freshness.ttl_max),
     .preset = "365d", .min = "0", .max = "365d",
     .help = "Maximum time that a result stays fresh, if the source decides."},
    {"browser_ttl", OPTION_DURATION, AT(struct route, recipe.freshness.browser_ttl),
     .min = "0", .max = "365d",
     .help = "How long browsers may use a response without asking again; 0: they always ask. If it "
             "is not set: as long as the result is still fresh."},
    {"jitter", OPTION_DURATION, AT(struct route, recipe.freshness.jitter),
     .preset = "0", .min = "0", .max = "365d",
     .help = "Shortens the ttl of each result by a random time up to this, so that results do not "
             "all expire at once."},
    {"stale", OPTION_DURATION, AT(struct route, recipe.freshness.stale),
     .preset = "0", .min = "0", .max = "365d",
     .help = "How long after its ttl a result is still served while it is refreshed. If it is not "
             "set, the source's stale-while-revalidate counts."},
    {"stale_wait", OPTION_DURATION, AT(struct route, recipe.stale_wait),
     .preset = "0", .min = "0", .max = "1h",
     .help = "How long requests wait for that refresh before they get the stale result; 0: they do "
             "not wait."},
    {"stale_error", OPTION_DURATION,
     AT(struct route, recipe.freshness.stale_error), .preset = "0", .min = "0", .max = "365d",
     .help = "How long after its ttl a result is still served if refreshing it fails. If it is "
             "not set, the source's stale-if-error counts."},
    {"revalidate", OPTION_DURATION, AT(struct route, recipe.freshness.revalidate),
     .preset = "1h", .min = "0", .max = "365d",
     .help = "How long Redis keeps a result with an ETag or Last-Modified after it can last be "
             "served, so that a refresh only asks the source whether it has changed; 0: it never "
             "asks."},
    {"early", OPTION_CHOICE, AT(struct route, recipe.freshness.early),
     .preset = "no", .words = "no yes",
     .help = "Whether a requested result is refreshed at a random time before its ttl ends, costly "
             "results earlier."},
    {"negative", OPTION_DURATION, AT(struct route, recipe.freshness.negative),
     .preset = "0", .min = "0", .max = "1d",
     .help = "How long a failure is cached, so that the source is called only once in that time."},
    {"max_negative", OPTION_COUNT, AT(struct route, recipe.max_negative),
     .preset = "1000", .min = "1", .max = "1000000",
     .help = "Maximum number of failures that each process caches in Redis at a time; it keeps "
             "further ones in its own memory only."},
    {"uncacheable", OPTION_DURATION, AT(struct route, recipe.uncacheable),
     .preset = "120s", .min = "0", .max = "1d",
     .help = "How long all processes remember that the source forbids sharing a result: meanwhile "
             "each request gets its own call immediately; 0: requests wait for one call to find "
             "out."},
    {"share", OPTION_CHOICE, AT(struct route, recipe.rules.solo_calls), .preset = "yes",
     .words = "yes no",
     .help = "Whether requests share the source's calls; no: each request that finds nothing in the "
             "cache gets its own call."},
    {"origin", OPTION_CHOICE, AT(struct route, recipe.rules.ignores_origin),
     .preset = "respect", .words = "respect ignore",
     .help = "What happens to a result whose source forbids sharing it (by Set-Cookie, "
             "Cache-Control or Vary). respect: it is not cached; ignore: it is cached, and everybody "
             "gets it."},
    {"keep", OPTION_LIST, AT(struct route, recipe.rules.keep), .check = keep_check,
     .help = "Header fields of the source's response that are stored and sent with the result, up "
             "to 2 KiB in all. Those that concern one connection or client, caching, or the front "
             "server can't be kept."},
    {"hold", OPTION_DURATION, AT(struct route, recipe.hold),
     .preset = "25s", .min = "1ms", .max = "1d",
     .help = "How long a request may wait; keep it below the front server's timeout."},
    {"stream", OPTION_CHOICE, AT(struct route, stream), .preset = "no",
     .words = "no yes",
     .help = "Whether /fragments may serve the fragment. The front server's access rules for "
             "/fragment/NAME do not apply there."},
    {"vary", OPTION_LIST, AT(struct route, vary_texts), .check = vary_check,
     .help = "What the fragment depends on besides its name, and what its source gets: query:NAME, "
             "cookie:NAME, header:NAME, language:TAGS (the best of these for the client; the first "
             "is the default), host. Each combination of values is cached separately."},
    {"private", OPTION_CHOICE, AT(struct route, recipe.rules.is_private), .preset = "no",
     .words = "no yes",
     .help = "Whether a result is for one user only, whom a cookie or header in vary identifies: "
             "responses get Cache-Control: private. /fragments serves it only with stream = "
             "\"yes\"."},
    {"template", OPTION_STRING, AT(struct route, template), .preset = "", .check = check_template,
     .help = "Mustache template that turns the source's result into the fragment: a file in the "
             "directory templates, with or without its .html or .mustache."},
    {"required", OPTION_LIST, AT(struct route, recipe.rendering.required), .check = check_required,
     .help = "Names (a.b for b in a) that the JSON for the template must have; if one is missing or "
             "null, the source has failed."},
    {"render", OPTION_CHOICE, AT(struct route, recipe.rules.any_type), .preset = "html",
     .words = "html raw",
     .help = "html: a result is used as HTML, and text is made HTML; raw: a result of any type is "
             "sent as it is (JSON for a script), but never within a page or a stream of templates."},
    {"fallback", OPTION_FILE,
     .help = "HTML file to serve when the source fails; the path is relative to this file."},
};

static const struct option page_options[] = {
    {"file", OPTION_PATH, AT(struct page, file), .required = true,
     .help = "The skeleton: HTML with a placeholder <?start name=\"NAME\">Loading...<?end> for "
             "each fragment; the path is relative to this file. It is read at start and reload."},
    {"page_hold", OPTION_DURATION, AT(struct page, hold), .min = "0", .max = "60s",
     .help = PAGE_HOLD_HELP " If it is not set, page_hold of the top level counts."},
};
/* clang-format on */

_Static_assert(offsetof(struct source_rules, keep_count) ==
                   offsetof(struct source_rules, keep) + sizeof(char **),
               "a list is followed by its count");
_Static_assert(offsetof(struct render_rule, required_count) ==
                   offsetof(struct render_rule, required) + sizeof(char **),
               "a list is followed by its count");
_Static_assert(offsetof(struct client_list, count) ==
                   offsetof(struct client_list, addresses) + sizeof(char **),
               "a list is followed by its count");
_Static_assert(offsetof(struct listener_settings, count) ==
                   offsetof(struct listener_settings, addresses) + sizeof(char **),
               "a list is followed by its count");

_Static_assert(offsetof(struct route, vary_text_count) ==
                   offsetof(struct route, vary_texts) + sizeof(char **),
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
    {"page", "in a page section", "page \"/PATH\" or \"/BEGINNING*\" {", ROWS(page_options)},
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

bool option_is_reloadable(const struct option_row *row)
{
    return row->section >= SECTION_SOURCE || row->option->reloadable;
}

void options_free(enum option_section section, const struct source_type *type, void *target)
{
    for (size_t i = 0; i < sections[section].count; i++)
        option_free(&sections[section].options[i], target);
    for (size_t i = 0; type && i < type->option_count; i++)
        option_free(&type->options[i], target);
}

bool options_equal(enum option_section section, const struct source_type *type, const void *a,
                   const void *b)
{
    bool equal = true;
    for (size_t i = 0; i < sections[section].count; i++)
        equal = equal && option_equal(&sections[section].options[i], a, b);
    for (size_t i = 0; type && i < type->option_count; i++)
        equal = equal && option_equal(&type->options[i], a, b);
    return equal;
}

void option_hint(enum option_section section, const char *name, char hint[OPTION_HINT_ROOM])
{
    unsigned nearest = spelling_limit(name);
    size_t count = options_count();
    hint[0] = '\0';
    for (size_t i = SECTION_CACHE; section != SECTION_TOP && i < SECTION_KINDS; i++) {
        if (strcmp(sections[i].name, name) == 0) {
            snprintf(hint, OPTION_HINT_ROOM, "; is the } missing that closes the section above?");
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
        if (*candidate && spelling_distance(name, candidate) < nearest) {
            nearest = spelling_distance(name, candidate);
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
    if (o->kind == OPTION_LIST || o->kind == OPTION_INCLUDE)
        fputs("  (list)", out);
    if (o->kind == OPTION_FILE || o->kind == OPTION_PATH)
        fputs("  (file)", out);
    if (row->only)
        fprintf(out, "  (type %s)", row->only->name);
    if (!option_is_reloadable(row))
        fputs("  (restart)", out);
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
                  "A duration is a number with the unit us, ms, s, m, h or d (\"1.5s\"); a size is "
                  "a number with B, KiB, MiB or GiB. The first fragment or page section that "
                  "matches wins. In a value, ${NAME} is replaced by the environment variable NAME, "
                  "and ${NAME:-text} by the text if there is no such variable. Within double "
                  "quotes, ${file:NAME} is replaced by the text of that file, which is read at "
                  "start and reload and whose path is relative to the config. A reload (SIGHUP) "
                  "applies everything but the options marked (restart).",
                  0);
}
