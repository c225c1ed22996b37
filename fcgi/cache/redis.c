/* Operations on values and leases: each is a command or a script, sent to the link of its key.
 *
 *     operation --> argv --> link --reply--> struct redis_answer --> answered
 *                     ^---- NOSCRIPT: once more, with the script's text
 *
 * An operation holds all that it takes to be sent a second time.
 */
#include "cache/redis.h"

#include <ev.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/entry.h"
#include "cache/redis_address.h"
#include "cache/redis_link.h"

#define SCAN_STEP            "500"
#define VALUE_MAX            ((size_t)16 << 20) /* bytes of a value that we store */
#define PLAIN_WITHOUT_TTL_MS 60000 /* fresh time of a value that somebody set without expiry */
#define SHA_LEN              40
#define LEASE_WITHOUT_END_MS 60000 /* not of our making: whoever waits looks again anyway */

enum operation_kind {
    GET,
    PTTL,
    CLAIM,
    STORE,
    STORE_NEW,
    RENEW,
    CHECK,
    RELEASE,
    DISCARD,
    PURGE,
    PURGE_SOFT,
    SCAN
};

/* KEYS: value, lease. A value of another type than string is as good as none: it is replaced. */
static struct script {
    const char *source;
    char sha[SHA_LEN + 1]; /* empty until a server has told it */
} scripts[] = {
    [CLAIM] = {"local v = redis.pcall('GET', KEYS[1]) "
               "if type(v) == 'string' and (ARGV[3] == '' or "
               "string.sub(v, 1, #ARGV[3]) ~= ARGV[3]) then "
               "return {v, redis.call('PTTL', KEYS[1])} end "
               "if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 'OURS' end "
               "return redis.call('PTTL', KEYS[2])",
               ""},
    [STORE] = {"if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end "
               "redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) "
               "redis.call('DEL', KEYS[2]) return 1",
               ""},
    [RENEW] = {"if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end "
               "return redis.call('PEXPIRE', KEYS[2], ARGV[2])",
               ""},
    [CHECK] = {"local lost = redis.pcall('GET', KEYS[2]) ~= ARGV[1] and 1 or 0 "
               "local v = redis.pcall('GET', KEYS[1]) "
               "if type(v) ~= 'string' then return {lost} end "
               "if ARGV[2] ~= '' and string.sub(v, 1, #ARGV[2]) == ARGV[2] then "
               "return {lost, 1} end "
               "return {lost, v, redis.call('PTTL', KEYS[1])}",
               ""},
    [RELEASE] = {"if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end "
                 "return redis.call('DEL', KEYS[2])",
                 ""},
    [DISCARD] = {"if string.sub(redis.call('GET', KEYS[1]) or '', 1, #ARGV[1]) == ARGV[1] then "
                 "return redis.call('DEL', KEYS[1]) end return 0",
                 ""},
    [PURGE_SOFT] = {"redis.call('DEL', KEYS[2]) "
                    "local v = redis.pcall('GET', KEYS[1]) "
                    "if not v then return 0 end "
                    "local head, fresh, rest = string.match(type(v) == 'string' and v or '', "
                    "'^(workerless/1 made=%d+ fresh=)(%d+)(.*)$') "
                    "if not head then return redis.call('DEL', KEYS[1]) end "
                    "if tonumber(fresh) > tonumber(ARGV[1]) then fresh = ARGV[1] end "
                    "redis.call('SET', KEYS[1], head .. fresh .. rest, 'KEEPTTL') return 1",
                    ""},
};

struct redis {
    struct redis_owner owner;
    struct redis_link *link;
    const char *prefix;
};

struct operation {
    struct redis *redis;
    enum operation_kind kind;
    redis_answer_fn *answered;
    void *caller;
    struct entry *entry; /* owned: what is to be stored, or the plain value whose PTTL is asked */
    char token[REDIS_TOKEN_LEN + 1];
    char milliseconds[24]; /* of the lease, of the value's life, or the wall clock */
    char known[64];        /* how the value begins that counts as missing, or is discarded */
    size_t known_len;
    char cursor[24]; /* SCAN */
    bool soft, by_source;
    bool lease_lost; /* CHECK: what has been answered */
    bool leases;     /* SCAN: of the leases, after the values; a cold key has nothing else */
    size_t key_len, lease_len;
    char *lease_key; /* points behind value_key */
    char value_key[];
};

static bool operation_send(struct operation *operation);

static void operation_free(struct operation *operation)
{
    entry_unref(operation->entry);
    free(operation);
}

/* The one way out. */
static void operation_end(struct operation *operation, struct redis_answer answer)
{
    if (operation->answered)
        operation->answered(operation->caller, &answer);
    operation_free(operation);
}

/* NULL when out of memory: then it has been answered already. */
static struct operation *operation_new(struct redis *redis, enum operation_kind kind,
                                       struct slice key, redis_answer_fn *answered, void *caller)
{
    size_t size = strlen(redis->prefix) + 1 + key.len + 1;
    size_t lease_size = size + sizeof("lease:{}");
    struct operation *operation = alloc_zeroed(sizeof *operation + size + lease_size);
    if (!operation) {
        if (answered)
            answered(caller, &(struct redis_answer){.outcome = REDIS_GONE});
        return NULL;
    }
    operation->redis = redis;
    operation->kind = kind;
    operation->answered = answered;
    operation->caller = caller;
    operation->lease_key = operation->value_key + size;
    operation->key_len =
        (size_t)snprintf(operation->value_key, size, "%s:%.*s", redis->prefix, SLICE_ARGS(key));
    operation->lease_len =
        (size_t)snprintf(operation->lease_key, lease_size, "lease:{%s}", operation->value_key);
    return operation;
}

static void operation_start(struct operation *operation)
{
    if (!operation_send(operation))
        operation_end(operation, (struct redis_answer){.outcome = REDIS_GONE});
}

static void set_milliseconds(struct operation *operation, int64_t milliseconds)
{
    snprintf(operation->milliseconds, sizeof operation->milliseconds, "%" PRId64, milliseconds);
}

static void set_token(struct operation *operation, const char *token)
{
    memcpy(operation->token, token, REDIS_TOKEN_LEN);
}

/* How the envelope begins that was made then; -1: none does. */
static void set_known(struct operation *operation, int64_t made_ms)
{
    if (made_ms >= 0)
        operation->known_len = (size_t)snprintf(operation->known, sizeof operation->known,
                                                "workerless/1 made=%" PRId64 " ", made_ms);
}

/* --- answers --- */

/* Somebody's plain string whose expiry is known now. */
static struct entry *plain_entry(struct slice body, const redisReply *ttl)
{
    int64_t ttl_ms = ttl->type == REDIS_REPLY_INTEGER ? ttl->integer : 0;
    if (ttl_ms == -1)
        ttl_ms = PLAIN_WITHOUT_TTL_MS;
    return ttl_ms > 0 ? entry_from_plain(body, clock_wall_ms(), ttl_ms) : NULL;
}

static void answer_entry(struct operation *operation, struct entry *owned)
{
    operation_end(operation, (struct redis_answer){.outcome = owned ? REDIS_FOUND : REDIS_NONE,
                                                   .entry = owned,
                                                   .lease_lost = operation->lease_lost});
    entry_unref(owned);
}

/* An envelope that can't be read is out of the way before the next command of the key comes. */
static void answer_envelope(struct operation *operation, struct slice value)
{
    struct entry *entry = entry_decode(value);
    if (!entry) {
        size_t prefix_len = strlen(operation->redis->prefix) + 1;
        struct slice key = {operation->value_key + prefix_len, operation->key_len - prefix_len};
        log_warning("redis", "%s holds a damaged entry; it is made anew", operation->value_key);
        struct operation *discard = operation_new(operation->redis, DISCARD, key, NULL, NULL);
        if (discard) {
            discard->known_len =
                value.len < sizeof discard->known ? value.len : sizeof discard->known;
            memcpy(discard->known, value.data, discard->known_len);
            operation_start(discard);
        }
    }
    answer_entry(operation, entry);
}

static void on_get(struct operation *operation, redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING) {
        operation_end(operation, (struct redis_answer){.outcome = REDIS_NONE});
        return;
    }
    struct slice value = {.data = reply->str, .len = reply->len};
    if (entry_is_envelope(value)) {
        answer_envelope(operation, value);
        return;
    }
    /* How long a plain string is good for is the key's own expiry. */
    operation->kind = PTTL;
    operation->entry = entry_from_plain(value, clock_wall_ms(), 0);
    if (operation->entry)
        operation_start(operation);
    else
        answer_entry(operation, NULL);
}

static void on_pttl(struct operation *operation, redisReply *reply)
{
    answer_entry(operation, plain_entry(operation->entry->body, reply));
}

/* A value that came with its PTTL. */
static void answer_value(struct operation *operation, const redisReply *string,
                         const redisReply *ttl)
{
    struct slice value = {.data = string->str, .len = string->len};
    if (entry_is_envelope(value))
        answer_envelope(operation, value);
    else
        answer_entry(operation, plain_entry(value, ttl));
}

static void on_claim(struct operation *operation, redisReply *reply)
{
    if (reply->type == REDIS_REPLY_INTEGER) {
        operation_end(operation,
                      (struct redis_answer){.outcome = REDIS_THEIRS,
                                            .wait_ms = reply->integer >= 0 ? reply->integer
                                                                           : LEASE_WITHOUT_END_MS});
    } else if (reply->type != REDIS_REPLY_ARRAY) {
        operation_end(operation, (struct redis_answer){.outcome = REDIS_OURS});
    } else if (reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING) {
        operation_end(operation, (struct redis_answer){.outcome = REDIS_GONE});
    } else {
        answer_value(operation, reply->element[0], reply->element[1]);
    }
}

/* Of those whose reply is 1 or OK for yes, 0 or nil for no. */
static void on_yes_or_no(struct operation *operation, redisReply *reply)
{
    bool yes = reply->type == REDIS_REPLY_STATUS ||
               (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0);
    bool lease = operation->kind == RENEW;
    operation_end(operation,
                  (struct redis_answer){.outcome = yes     ? (lease ? REDIS_OURS : REDIS_FOUND)
                                                   : lease ? REDIS_THEIRS
                                                           : REDIS_NONE});
}

/* [lost], [lost, 1] for the value that is known, or [lost, value, PTTL]. */
static void on_check(struct operation *operation, redisReply *reply)
{
    size_t count = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
    if (count < 1 || count > 3 || reply->element[0]->type != REDIS_REPLY_INTEGER ||
        (count == 3 && reply->element[1]->type != REDIS_REPLY_STRING)) {
        operation_end(operation, (struct redis_answer){.outcome = REDIS_GONE});
        return;
    }
    operation->lease_lost = reply->element[0]->integer != 0;
    if (count == 3)
        answer_value(operation, reply->element[1], reply->element[2]);
    else
        operation_end(operation,
                      (struct redis_answer){.outcome = count == 2 ? REDIS_SAME : REDIS_NONE,
                                            .lease_lost = operation->lease_lost});
}

/* One step: its keys are purged, and the next one is asked for. */
static void on_scan(struct operation *operation, redisReply *reply)
{
    struct redis *redis = operation->redis;
    size_t prefix_len = strlen(redis->prefix) + 1;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        operation_end(operation, (struct redis_answer){.outcome = REDIS_GONE});
        return;
    }
    const redisReply *keys = reply->element[1];
    for (size_t i = 0; i < keys->elements && keys->element[i]->type == REDIS_REPLY_STRING; i++) {
        struct slice key = {.data = keys->element[i]->str, .len = keys->element[i]->len};
        if (operation->leases) { /* lease:{NAMESPACE:KEY} */
            key.data += sizeof("lease:{") - 1;
            key.len -= sizeof("lease:{}") - 1;
        }
        if (keys->element[i]->len > prefix_len + sizeof("lease:{}") * operation->leases)
            redis_purge(redis, slice_from(key, prefix_len), operation->soft, NULL, NULL);
    }
    snprintf(operation->cursor, sizeof operation->cursor, "%s", reply->element[0]->str);
    bool over = strcmp(operation->cursor, "0") == 0;
    if (over && operation->leases)
        operation_end(operation, (struct redis_answer){.outcome = REDIS_FOUND});
    else {
        operation->leases = operation->leases || over;
        operation_start(operation);
    }
}

static const struct {
    const char *name; /* for the log */
    void (*answered)(struct operation *operation, redisReply *reply);
} kinds[] = {
    [GET] = {"GET", on_get},
    [PTTL] = {"PTTL", on_pttl},
    [CLAIM] = {"taking a lease", on_claim},
    [STORE] = {"storing a result", on_yes_or_no},
    [STORE_NEW] = {"storing a result", on_yes_or_no},
    [RENEW] = {"renewing a lease", on_yes_or_no},
    [CHECK] = {"looking at a lease", on_check},
    [RELEASE] = {"giving up a lease", on_yes_or_no},
    [DISCARD] = {"discarding a damaged entry", on_yes_or_no},
    [PURGE] = {"purging", on_yes_or_no},
    [PURGE_SOFT] = {"purging", on_yes_or_no},
    [SCAN] = {"SCAN", on_scan},
};

/* An error reply. GET of a value that is no string is a miss; everything else is as if Redis were
 * gone, for this operation. */
static void on_error(struct operation *operation, redisReply *reply)
{
    if (strncmp(reply->str, "NOSCRIPT", 8) == 0 && !operation->by_source) {
        operation->by_source = true;
        operation_start(operation);
        return;
    }
    bool miss = operation->kind == GET && strncmp(reply->str, "WRONGTYPE", 9) == 0;
    if (!miss)
        redis_link_complain(operation->redis->link, kinds[operation->kind].name, reply);
    operation_end(operation, (struct redis_answer){.outcome = miss ? REDIS_NONE : REDIS_GONE});
}

static void on_reply(void *caller, redisReply *reply)
{
    struct operation *operation = caller;
    if (!reply)
        operation_end(operation, (struct redis_answer){.outcome = REDIS_GONE});
    else if (reply->type == REDIS_REPLY_ERROR)
        on_error(operation, reply);
    else
        kinds[operation->kind].answered(operation, reply);
}

/* --- sending --- */

#define ARGS_MAX 10

struct arguments {
    int count;
    const char *words[ARGS_MAX];
    size_t lens[ARGS_MAX];
};

static void add(struct arguments *arguments, struct slice word)
{
    arguments->words[arguments->count] = word.data;
    arguments->lens[arguments->count++] = word.len;
}

static void add_words(struct arguments *arguments, const char *first, const char *second,
                      const char *third)
{
    const char *words[] = {first, second, third};
    for (int i = 0; i < 3 && words[i]; i++)
        add(arguments, slice_of(words[i]));
}

static void add_script(struct arguments *arguments, const struct operation *operation)
{
    const struct script *script = &scripts[operation->kind];
    bool by_sha = script->sha[0] && !operation->by_source;
    add_words(arguments, by_sha ? "EVALSHA" : "EVAL", by_sha ? script->sha : script->source, "2");
    add(arguments, (struct slice){operation->value_key, operation->key_len});
    add(arguments, (struct slice){operation->lease_key, operation->lease_len});
}

static void arguments_of(const struct operation *operation, struct arguments *arguments)
{
    struct slice value_key = {operation->value_key, operation->key_len};
    switch (operation->kind) {
    case GET:
    case PTTL:
        add_words(arguments, operation->kind == GET ? "GET" : "PTTL", NULL, NULL);
        add(arguments, value_key);
        break;
    case CLAIM:
        add_script(arguments, operation);
        add_words(arguments, operation->token, operation->milliseconds, NULL);
        add(arguments, (struct slice){operation->known, operation->known_len});
        break;
    case STORE:
        add_script(arguments, operation);
        add_words(arguments, operation->token, NULL, NULL);
        add(arguments, operation->entry->encoded);
        add_words(arguments, operation->milliseconds, NULL, NULL);
        break;
    case STORE_NEW:
        add_words(arguments, "SET", NULL, NULL);
        add(arguments, value_key);
        add(arguments, operation->entry->encoded);
        add_words(arguments, "PX", operation->milliseconds, "NX");
        break;
    case CHECK:
        add_script(arguments, operation);
        add_words(arguments, operation->token, NULL, NULL);
        add(arguments, (struct slice){operation->known, operation->known_len});
        break;
    case RENEW:
        add_script(arguments, operation);
        add_words(arguments, operation->token, operation->milliseconds, NULL);
        break;
    case RELEASE:
        add_script(arguments, operation);
        add_words(arguments, operation->token, NULL, NULL);
        break;
    case DISCARD:
        add_script(arguments, operation);
        add(arguments, (struct slice){operation->known, operation->known_len});
        break;
    case PURGE:
        add_words(arguments, "DEL", NULL, NULL);
        add(arguments, value_key);
        add(arguments, (struct slice){operation->lease_key, operation->lease_len});
        break;
    case PURGE_SOFT:
        add_script(arguments, operation);
        add_words(arguments, operation->milliseconds, NULL, NULL);
        break;
    case SCAN:
        add_words(arguments, "SCAN", operation->cursor, "MATCH");
        add(arguments, operation->leases
                           ? (struct slice){operation->lease_key, operation->lease_len}
                           : value_key);
        add_words(arguments, "COUNT", SCAN_STEP, NULL);
        break;
    }
}

static bool operation_send(struct operation *operation)
{
    struct arguments arguments = {0};
    struct redis_link *link = operation->redis->link;
    if (!redis_link_usable(link))
        return false;
    arguments_of(operation, &arguments);
    return redis_link_send(link, arguments.count, arguments.words, arguments.lens, on_reply,
                           operation);
}

void redis_get(struct redis *redis, struct slice key, redis_answer_fn *answered, void *caller)
{
    struct operation *operation = operation_new(redis, GET, key, answered, caller);
    if (operation)
        operation_start(operation);
}

void redis_claim(struct redis *redis, struct slice key, const char *token, int64_t lease_ms,
                 int64_t known_made_ms, redis_answer_fn *answered, void *caller)
{
    struct operation *operation = operation_new(redis, CLAIM, key, answered, caller);
    if (!operation)
        return;
    set_token(operation, token);
    set_milliseconds(operation, lease_ms);
    set_known(operation, known_made_ms);
    operation_start(operation);
}

void redis_store(struct redis *redis, struct slice key, const char *token, struct entry *entry,
                 int64_t keep_ms, redis_answer_fn *answered, void *caller)
{
    struct operation *operation =
        operation_new(redis, token ? STORE : STORE_NEW, key, answered, caller);
    if (!operation)
        return;
    if (entry->encoded.len > VALUE_MAX) { /* hiredis moves what is left with each write */
        operation_end(operation, (struct redis_answer){.outcome = REDIS_NONE});
        if (token)
            redis_release(redis, key, token);
        return;
    }
    if (token)
        set_token(operation, token);
    set_milliseconds(operation, keep_ms > 0 ? keep_ms : 1);
    operation->entry = entry_ref(entry);
    operation_start(operation);
}

void redis_renew(struct redis *redis, struct slice key, const char *token, int64_t lease_ms,
                 redis_answer_fn *answered, void *caller)
{
    struct operation *operation = operation_new(redis, RENEW, key, answered, caller);
    if (!operation)
        return;
    set_token(operation, token);
    set_milliseconds(operation, lease_ms);
    operation_start(operation);
}

void redis_check(struct redis *redis, struct slice key, const char *token, int64_t known_made_ms,
                 redis_answer_fn *answered, void *caller)
{
    struct operation *operation = operation_new(redis, CHECK, key, answered, caller);
    if (!operation)
        return;
    set_token(operation, token);
    set_known(operation, known_made_ms);
    operation_start(operation);
}

void redis_release(struct redis *redis, struct slice key, const char *token)
{
    struct operation *operation = operation_new(redis, RELEASE, key, NULL, NULL);
    if (!operation)
        return;
    set_token(operation, token);
    operation_start(operation);
}

void redis_purge(struct redis *redis, struct slice key, bool soft, redis_answer_fn *answered,
                 void *caller)
{
    struct operation *operation =
        operation_new(redis, soft ? PURGE_SOFT : PURGE, key, answered, caller);
    if (!operation)
        return;
    set_milliseconds(operation, clock_wall_ms());
    operation_start(operation);
}

/* The prefix as a pattern of SCAN: its own wildcards are escaped. */
void redis_purge_prefix(struct redis *redis, struct slice prefix, bool soft,
                        redis_answer_fn *answered, void *caller)
{
    char *pattern = alloc_bytes(2 * prefix.len + 1);
    size_t len = 0;
    if (!pattern) {
        answered(caller, &(struct redis_answer){.outcome = REDIS_GONE});
        return;
    }
    for (size_t i = 0; i < prefix.len; i++) {
        if (strchr("*?[]\\", prefix.data[i]))
            pattern[len++] = '\\';
        pattern[len++] = prefix.data[i];
    }
    pattern[len++] = '*';
    struct operation *operation =
        operation_new(redis, SCAN, (struct slice){pattern, len}, answered, caller);
    free(pattern);
    if (!operation)
        return;
    operation->soft = soft;
    strcpy(operation->cursor, "0");
    operation_start(operation);
}

/* --- the link --- */

static void on_script_loaded(void *caller, redisReply *reply)
{
    struct script *script = caller;
    if (reply && reply->type == REDIS_REPLY_STRING && reply->len == SHA_LEN)
        memcpy(script->sha, reply->str, SHA_LEN);
}

static void on_ready(void *context, struct redis_link *link)
{
    struct redis *redis = context;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        const char *words[] = {"SCRIPT", "LOAD", scripts[i].source};
        if (!scripts[i].source)
            continue;
        const size_t lens[] = {6, 4, strlen(scripts[i].source)};
        redis_link_send(link, 3, words, lens, on_script_loaded, &scripts[i]);
    }
    redis->owner.ready(redis->owner.context);
}

static void on_lost(void *context, struct redis_link *link)
{
    struct redis *redis = context;
    (void)link;
    redis->owner.lost(redis->owner.context);
}

static void on_tracking(void *context, struct redis_link *link, bool on)
{
    struct redis *redis = context;
    (void)link;
    redis->owner.tracking(redis->owner.context, on);
}

static void on_changed(void *context, struct redis_link *link, struct slice key, bool lease_only)
{
    struct redis *redis = context;
    (void)link;
    redis->owner.changed(redis->owner.context, key, lease_only);
}

struct redis *redis_new(struct ev_loop *loop, const struct cache_settings *settings,
                        const struct redis_owner *owner)
{
    struct redis_address address;
    struct redis *redis = alloc_zeroed(sizeof *redis);
    if (!redis)
        return NULL;
    redis->owner = *owner;
    redis->prefix = settings->prefix;
    redis_address_parse(settings->redis, &address);
    srand48((long)(clock_wall_ms() ^ getpid()));
    redis->link = redis_link_new(loop, settings, &address,
                                 &(struct redis_link_owner){.context = redis,
                                                            .ready = on_ready,
                                                            .lost = on_lost,
                                                            .tracking = on_tracking,
                                                            .changed = on_changed});
    if (redis->link)
        return redis;
    free(redis);
    return NULL;
}

void redis_free(struct redis *redis)
{
    if (!redis)
        return;
    redis_link_free(redis->link);
    free(redis);
}

bool redis_usable(const struct redis *redis)
{
    return redis_link_usable(redis->link);
}

bool redis_tracking(const struct redis *redis)
{
    return redis_link_tracking(redis->link);
}

bool redis_busy(const struct redis *redis)
{
    return redis_link_busy(redis->link);
}
