/* What an operation sends, and what the reply means. */
#include "cache/operation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/put.h"
#include "cache/arguments.h"
#include "cache/cache.h"
#include "cache/scripts.h"
#include "redis/reply.h"
#include "redis/server.h"
#include "redis/topology.h"
#include "redis/trouble.h"

#define NO_SUCH_KEY          (-2)  /* in place of a PTTL */
#define CLAIMED              (-3)  /* the script's answer in place of a PTTL */
#define REWRITE_OTHER        (-1)  /* the script's answer: the value is another one */
#define LEASE_WITHOUT_END_MS 60000 /* for a lease of unknown end; waiters look again anyway */
#define REDIRECTIONS_MAX     5     /* in a row */
#define TRIES_MAX            10    /* while a slot moves */

static bool operation_send(struct operation *operation);

/* Sets where to send it next; NULL: to the server of its key. */
static void operation_aim(struct operation *operation, struct redis_server *server, bool asking)
{
    operation->server = server;
    operation->asking = asking;
}

void operation_free(struct operation *operation)
{
    entry_unref(operation->entry);
    entry_unref(operation->older);
    free(operation);
}

void operation_end(struct operation *operation, struct store_answer answer)
{
    answer.untracked = operation->asking;
    if (operation->answered)
        operation->answered(operation->caller, &answer);
    operation_free(operation);
}

/* Copies the text to so many bytes behind `out`. Returns where it ends there. */
static size_t append(char *out, size_t at, struct slice text)
{
    memcpy(out + at, text.data, text.len);
    return at + text.len;
}

struct operation *operation_new(struct store *store, enum operation_kind kind, struct slice key,
                                store_answer_fn *answered, void *caller)
{
    size_t size = strlen(store->names.value_start) + key.len + 1;
    size_t lease_size = size + strlen("lease:{}");
    struct operation *operation = alloc_zeroed(sizeof *operation + size + lease_size);
    if (!operation)
        return NULL;
    operation->store = store;
    operation->kind = kind;
    operation->answered = answered;
    operation->caller = caller;
    operation->lease_key = operation->value_key + size;
    operation->key_len = append(operation->value_key, 0, slice_of(store->names.value_start));
    operation->key_len = append(operation->value_key, operation->key_len, key);
    operation->lease_len = append(operation->lease_key, 0, SLICE("lease:{"));
    operation->lease_len = append(operation->lease_key, operation->lease_len,
                                  (struct slice){operation->value_key, operation->key_len});
    operation->lease_len = append(operation->lease_key, operation->lease_len, SLICE("}"));
    return operation;
}

/* Without the namespace. */
static struct slice key_of(const struct operation *operation)
{
    return slice_from((struct slice){operation->value_key, operation->key_len},
                      strlen(operation->store->names.value_start));
}

bool operation_start(struct operation *operation)
{
    if (operation_send(operation))
        return true;
    operation_free(operation);
    return false;
}

void operation_release(struct store *store, struct slice key, const char *token)
{
    struct operation *operation = operation_new(store, OPERATION_RELEASE, key, NULL, NULL);
    if (!operation)
        return;
    operation_set_lease(operation, token);
    operation_start(operation);
}

static void operation_go_on(struct operation *operation)
{
    if (!operation_send(operation))
        operation_end(operation, (struct store_answer){.outcome = STORE_GONE});
}

void operation_set_milliseconds(struct operation *operation, int64_t milliseconds)
{
    *put_number(operation->milliseconds, milliseconds) = '\0';
}

void operation_set_lease(struct operation *operation, const char *token)
{
    holder_sign(operation->lease, (struct slice){token, strnlen(token, STORE_TOKEN_LEN)});
}

void operation_set_known(struct operation *operation, const struct entry *known)
{
    if (known)
        operation->known_len = entry_beginning(known, operation->known);
}

/* --- replies --- */

static void answer_entry(struct operation *operation, struct entry *owned)
{
    operation_end(operation, (struct store_answer){.outcome = owned ? STORE_FOUND : STORE_NONE,
                                                   .entry = owned,
                                                   .lease_lost = operation->lease_lost});
    entry_unref(owned);
}

/* Discards a corrupt envelope before the next command for the key can read it. */
static void answer_envelope(struct operation *operation, struct slice value)
{
    struct entry *entry = entry_decode(value);
    if (!entry) {
        struct slice key = key_of(operation);
        log_limited(&operation->store->damaged, LOG_LEVEL_WARNING, "redis",
                    "%s holds a corrupt cache entry; regenerating", operation->value_key);
        struct operation *discard =
            operation_new(operation->store, OPERATION_DISCARD, key, NULL, NULL);
        if (discard) {
            discard->known_len =
                value.len < sizeof discard->known ? value.len : sizeof discard->known;
            memcpy(discard->known, value.data, discard->known_len);
            operation_start(discard);
        }
    }
    answer_entry(operation, entry);
}

/* GETRANGE returns an empty string for a missing key as well; the claim that follows a miss
 * distinguishes the two. The claim also returns the length of a value that is too long. */
static void on_get(struct operation *operation, struct redisReply *reply)
{
    struct slice value = redis_reply_string(reply);
    if (value.len == 0 || value.len > operation->store->value_max) {
        operation_end(operation, (struct store_answer){.outcome = STORE_NONE});
        return;
    }
    if (entry_is_envelope(value)) {
        answer_envelope(operation, value);
        return;
    }
    /* A plain string is fresh until its key expires. */
    operation->kind = OPERATION_PTTL;
    operation->entry = entry_from_plain(value, clock_fleet_ms(), 0);
    if (operation->entry)
        operation_go_on(operation);
    else
        answer_entry(operation, NULL);
}

static void on_pttl(struct operation *operation, struct redisReply *reply)
{
    answer_entry(operation, entry_from_expiring(operation->entry->body, clock_fleet_ms(),
                                                redis_reply_number(reply)));
}

/* A value that came with its PTTL. */
static void answer_value(struct operation *operation, struct slice value,
                         const struct redisReply *ttl)
{
    if (entry_is_envelope(value))
        answer_envelope(operation, value);
    else
        answer_entry(operation,
                     entry_from_expiring(value, clock_fleet_ms(), redis_reply_number(ttl)));
}

static void complain_of_long_value(const struct operation *operation, long long len)
{
    struct store *store = operation->store;
    if (len > 0)
        log_limited(&store->too_long_there, LOG_LEVEL_WARNING, "redis",
                    "%s holds %lld bytes, more than max_value (%zu); it counts as missing and is "
                    "regenerated",
                    operation->value_key, len, store->value_max);
}

/* The reply is [value, PTTL] or [whether the known value is there, CLAIMED or the PTTL of their
 * lease, the length of a value that is too long or 0, their lease]. */
static void on_claim(struct operation *operation, struct redisReply *reply)
{
    size_t count = redis_reply_count(reply);
    struct slice value = count > 0 ? redis_reply_string(redis_reply_at(reply, 0)) : SLICE("");
    if (count != (value.data ? 2 : 4) || !redis_reply_is_number(redis_reply_at(reply, 1))) {
        operation_end(operation, (struct store_answer){.outcome = STORE_GONE});
    } else if (value.data) {
        answer_value(operation, value, redis_reply_at(reply, 1));
    } else {
        int64_t ttl_ms = redis_reply_number(redis_reply_at(reply, 1));
        complain_of_long_value(operation, redis_reply_number(redis_reply_at(reply, 2)));
        operation_end(operation,
                      (struct store_answer){
                          .outcome = ttl_ms == CLAIMED ? STORE_OURS : STORE_THEIRS,
                          .wait_ms = ttl_ms >= 0 ? ttl_ms : LEASE_WITHOUT_END_MS,
                          .holder = holder_read(redis_reply_string(redis_reply_at(reply, 3))),
                          .known_gone = redis_reply_number(redis_reply_at(reply, 0)) == 0,
                      });
    }
}

static void give_up_taken(struct operation *operation)
{
    if (operation->lease_taken)
        operation_release(operation->store, key_of(operation), operation->lease);
}

/* Next, the script is sent, in whose place the two commands were. */
static void claim_by_script(struct operation *operation)
{
    give_up_taken(operation);
    operation->kind = OPERATION_CLAIM;
}

/* The reply to PTTL. */
static void on_take(struct operation *operation, struct redisReply *reply)
{
    if (operation->lease_taken && redis_reply_number(reply) == NO_SUCH_KEY) {
        operation_end(operation, (struct store_answer){.outcome = STORE_OURS, .known_gone = true});
        return;
    }
    claim_by_script(operation);
    operation_go_on(operation);
}

/* For operations whose reply is 1 or OK for yes, 0 or nil for no. */
static void on_yes_or_no(struct operation *operation, struct redisReply *reply)
{
    bool yes = redis_reply_is_status(reply) || redis_reply_number(reply) > 0;
    operation_end(operation, (struct store_answer){.outcome = yes ? STORE_DONE : STORE_NONE});
}

/* If the value is no longer the known one, all of the entry is stored. */
static void on_rewrite(struct operation *operation, struct redisReply *reply)
{
    if (redis_reply_number(reply) != REWRITE_OTHER) {
        on_yes_or_no(operation, reply);
        return;
    }
    operation->kind = OPERATION_STORE;
    operation_go_on(operation);
}

/* The reply is [lost], [lost, 1] for the known value, or [lost, value, PTTL]. */
static void on_check(struct operation *operation, struct redisReply *reply)
{
    size_t count = redis_reply_count(reply);
    struct slice value = count == 3 ? redis_reply_string(redis_reply_at(reply, 1)) : SLICE("");
    if (count < 1 || count > 3 || !redis_reply_is_number(redis_reply_at(reply, 0)) || !value.data) {
        operation_end(operation, (struct store_answer){.outcome = STORE_GONE});
        return;
    }
    operation->lease_lost = redis_reply_number(redis_reply_at(reply, 0)) != 0;
    if (count == 3)
        answer_value(operation, value, redis_reply_at(reply, 2));
    else
        operation_end(operation,
                      (struct store_answer){.outcome = count == 2 ? STORE_SAME : STORE_NONE,
                                            .lease_lost = operation->lease_lost});
}

/* A purge with one key purges only what that node has, so the other key follows. */
static void on_purge(struct operation *operation, struct redisReply *reply)
{
    bool done = redis_reply_is_number(reply); /* whether there was something to purge or not */
    if (done && operation->declared == LEASE_ONLY) {
        operation_aim(operation, NULL, false);
        operation->declared = VALUE_ONLY;
        operation_go_on(operation);
        return;
    }
    operation_end(operation, (struct store_answer){.outcome = done ? STORE_DONE : STORE_GONE});
}

#define NO_SCRIPT SCRIPTS

static const struct {
    const char *name; /* for the log */
    enum script script;
    void (*replied)(struct operation *operation, struct redisReply *reply);
} kinds[] = {
    [OPERATION_GET] = {"GETRANGE", NO_SCRIPT, on_get},
    [OPERATION_PTTL] = {"PTTL", NO_SCRIPT, on_pttl},
    [OPERATION_TAKE] = {"taking a lease", NO_SCRIPT, on_take},
    [OPERATION_CLAIM] = {"taking a lease", SCRIPT_CLAIM, on_claim},
    [OPERATION_STORE] = {"storing a result", SCRIPT_STORE, on_yes_or_no},
    [OPERATION_STORE_NEW] = {"storing a result", NO_SCRIPT, on_yes_or_no},
    [OPERATION_REPLACE] = {"storing a result", SCRIPT_REPLACE, on_yes_or_no},
    [OPERATION_REWRITE] = {"storing a result", SCRIPT_REWRITE, on_rewrite},
    [OPERATION_RENEW] = {"renewing a lease", SCRIPT_RENEW, on_yes_or_no},
    [OPERATION_CHECK] = {"looking at a lease", SCRIPT_CHECK, on_check},
    [OPERATION_RELEASE] = {"giving up a lease", SCRIPT_RELEASE, on_yes_or_no},
    [OPERATION_DISCARD] = {"discarding a damaged entry", SCRIPT_DISCARD, on_yes_or_no},
    [OPERATION_PURGE] = {"purging", SCRIPT_PURGE, on_purge},
    [OPERATION_PURGE_SOFT] = {"purging", SCRIPT_PURGE_SOFT, on_purge},
};

/* Sends the operation again, now or a little later, if the error asks for it; else returns false.
 * ("non local key": while the slot is moving, the script's other key is on another node.) */
static bool operation_redirected(struct operation *operation, const char *error)
{
    struct store *store = operation->store;
    struct redis_server *to;
    enum redis_redirection_kind kind =
        redis_topology_redirect(store->topology, operation->server, error, &to);
    bool partly = kind == REDIS_TRY_AGAIN || strstr(error, "non local key");
    if ((kind == REDIS_MOVED || kind == REDIS_ASK) && to &&
        operation->redirections++ < REDIRECTIONS_MAX) {
        operation_aim(operation, to, kind == REDIS_ASK);
    } else if (kind == REDIS_TRY_AGAIN && kinds[operation->kind].script != NO_SCRIPT &&
               operation->declared == BOTH_KEYS) {
        operation->declared = LEASE_ONLY;
    } else if (partly && operation->tries++ < TRIES_MAX) {
        timeout_start(&store->again, &operation->again);
        return true;
    } else {
        return false;
    }
    operation_go_on(operation);
    return true;
}

/* Sends it again from the beginning: the slot may have moved meanwhile. */
void operation_again(void *context, struct timeout *again)
{
    struct operation *operation = container_of(again, struct operation, again);
    (void)context;
    operation->declared = BOTH_KEYS;
    operation->redirections = 0;
    operation_aim(operation, NULL, false);
    operation_go_on(operation);
}

/* Handles an error reply. A lookup of a value that is not a string is a miss; for any other error,
 * the operation ends as if Redis were unavailable. */
static void on_error(struct operation *operation, const char *error)
{
    if (operation->kind == OPERATION_TAKE)
        claim_by_script(operation);
    if (strncmp(error, "NOSCRIPT", 8) == 0 && !operation->by_text) {
        operation->by_text = true;
        operation_go_on(operation);
        return;
    }
    if (operation_redirected(operation, error))
        return;
    bool miss = operation->kind == OPERATION_GET && strncmp(error, "WRONGTYPE", 9) == 0;
    if (!miss)
        log_limited(&operation->store->refused[operation->kind], LOG_LEVEL_WARNING, "redis",
                    "%s: %s is refused: %s", redis_server_name(operation->server),
                    kinds[operation->kind].name, error);
    if (redis_trouble_is_denial(error))
        redis_server_doubt(operation->server);
    operation_end(operation, (struct store_answer){.outcome = miss ? STORE_NONE : STORE_GONE});
}

static void on_reply(void *caller, struct redisReply *reply)
{
    struct operation *operation = caller;
    const char *error = reply ? redis_reply_error(reply) : NULL;
    if (!reply)
        operation_end(operation, (struct store_answer){.outcome = STORE_GONE});
    else if (error)
        on_error(operation, error);
    else
        kinds[operation->kind].replied(operation, reply);
}

/* --- sending --- */

static void add_script(struct arguments *arguments, const struct operation *operation)
{
    enum script script = kinds[operation->kind].script;
    const char *hash = operation->by_text ? NULL : scripts_hash(script);
    struct slice lease_key = {operation->lease_key, operation->lease_len};
    struct slice value_key = {operation->value_key, operation->key_len};

    arguments_add_words(arguments, hash ? "EVALSHA" : "EVAL", hash ? hash : scripts_text(script),
                        operation->declared == BOTH_KEYS ? "2" : "1");
    if (operation->declared != VALUE_ONLY)
        arguments_add(arguments, lease_key);
    if (operation->declared != LEASE_ONLY)
        arguments_add(arguments, value_key);
    for (const char *what = scripts_arguments(script); *what; what++)
        arguments_add(arguments, *what == 't'   ? slice_of(operation->lease)
                                 : *what == 'm' ? slice_of(operation->milliseconds)
                                 : *what == 'k'
                                     ? (struct slice){operation->known, operation->known_len}
                                 : *what == 'l' ? slice_of(operation->store->value_max_text)
                                 : *what == 'o' ? entry_header(operation->older)
                                 : *what == 'h' ? entry_header(operation->entry)
                                                : operation->entry->encoded);
    if (operation->declared != BOTH_KEYS)
        arguments_add(arguments, operation->declared == LEASE_ONLY ? value_key : lease_key);
}

static void arguments_of(const struct operation *operation, struct arguments *arguments)
{
    if (kinds[operation->kind].script != NO_SCRIPT) {
        add_script(arguments, operation);
        return;
    }
    enum operation_kind kind = operation->kind;
    arguments_add_words(arguments,
                        kind == OPERATION_GET                              ? "GETRANGE"
                        : kind == OPERATION_PTTL || kind == OPERATION_TAKE ? "PTTL"
                                                                           : "SET",
                        NULL, NULL);
    arguments_add(arguments, (struct slice){operation->value_key, operation->key_len});
    if (kind == OPERATION_GET) /* reads one byte more than the limit, to notice a larger value */
        arguments_add_words(arguments, "0", operation->store->value_max_text, NULL);
    if (kind == OPERATION_STORE_NEW) {
        arguments_add(arguments, operation->entry->encoded);
        arguments_add_words(arguments, "PX", operation->milliseconds, "NX");
    }
}

static void on_ignored(void *caller, struct redisReply *reply)
{
    (void)caller, (void)reply;
}

/* The reply to the SET of TAKE. */
static void on_taken(void *caller, struct redisReply *reply)
{
    struct operation *operation = caller;
    operation->lease_taken = reply && redis_reply_is_status(reply);
    if (!operation->taken_only)
        return;
    give_up_taken(operation);
    operation_end(operation, (struct store_answer){.outcome = STORE_GONE});
}

/* Sends the first command of TAKE; arguments_of has the second one. */
static bool send_set(struct operation *operation)
{
    struct arguments arguments = {0};
    arguments_add_words(&arguments, "SET", NULL, NULL);
    arguments_add(&arguments, (struct slice){operation->lease_key, operation->lease_len});
    arguments_add(&arguments, slice_of(operation->lease));
    arguments_add_words(&arguments, "NX", "PX", operation->milliseconds);
    return redis_server_send(operation->server, arguments.count, arguments.words, arguments.lens,
                             on_taken, operation);
}

static bool operation_send(struct operation *operation)
{
    static const char *asking[] = {"ASKING"};
    static const size_t asking_len[] = {6};
    struct arguments arguments = {0};
    struct slice key = {operation->value_key, operation->key_len};
    if (!operation->server)
        operation->server =
            redis_topology_server(operation->store->topology, key, (struct slice){0});
    struct redis_server *server = operation->server;
    if (!server)
        return false;
    if (operation->asking && !redis_server_send(server, 1, asking, asking_len, on_ignored, NULL))
        return false;
    bool takes = operation->kind == OPERATION_TAKE;
    if (takes && !send_set(operation))
        return false;
    arguments_of(operation, &arguments);
    if (!redis_server_send(server, arguments.count, arguments.words, arguments.lens, on_reply,
                           operation))
        return operation->taken_only = takes;
    if (kinds[operation->kind].script != NO_SCRIPT)
        counter_add(COUNTER_SCRIPTS, 1);
    return true;
}
