/* The value is read as any lookup does it; then the other questions are sent together.
 *
 *     store_get --> PTTL, STRLEN of the value; PTTL, GETRANGE of the lease --> answered
 */
#include "cache/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/put.h"
#include "cache/arguments.h"
#include "cache/names.h"
#include "cache/store.h"
#include "redis/reply.h"
#include "redis/server.h"
#include "redis/topology.h"
#include "render/text.h"

#define LEASE_LAST "199" /* index of the last byte that is read: INSPECT_LEASE_MAX of them */

struct inspect {
    struct store *store;
    inspect_answer_fn *answered;
    void *caller;
    struct inspection inspection;
    unsigned pending;
    size_t value_len, lease_len;
    char *lease_name;  /* behind value_name */
    char value_name[]; /* in Redis */
};

static void copy_text(char *out, size_t most, struct slice text)
{
    out[slice_move(&text, out, most)] = '\0';
}

/* Where the entry is unbalanced in both ways, the flaw in a template is worse. */
static void inspect_balance(struct entry_facts *facts, const struct entry *entry)
{
    struct balance found = balance_check(entry->body);
    facts->balance = entry_balance_of(&found);
    if (facts->balance == ENTRY_UNBALANCED)
        balance_phrase(facts->flaw, sizeof facts->flaw, &found.in_template);
    else if (facts->balance == ENTRY_UNBALANCED_IN_PLACE)
        balance_phrase(facts->flaw, sizeof facts->flaw, &found.in_place);
}

void inspect_entry(struct entry_facts *facts, const struct entry *entry)
{
    *facts = (struct entry_facts){
        .status = entry->status,
        .made_ms = entry->made_ms,
        .fresh_until_ms = entry->fresh_until_ms,
        .cost_ms = entry->cost_ms,
        .has_stale = entry->has_stale,
        .stale_ms = entry->stale_ms,
        .stale_error_ms = entry->stale_error_ms,
        .has_validator = entry_has_validator(entry),
        .body_len = entry->body.len,
    };
    copy_text(facts->type, INSPECT_TYPE_MAX, entry->type);
    if (entry_is_marker(entry))
        copy_text(facts->why, INSPECT_WHY_MAX, entry->body);
    else if (entry->status == 200 && text_is_html(entry->type))
        inspect_balance(facts, entry);
}

static bool is_answer(const struct redisReply *reply)
{
    return reply && !redis_reply_error(reply);
}

static void end_question(struct inspect *inspect, bool answered)
{
    inspect->inspection.complete &= answered;
    if (--inspect->pending > 0)
        return;
    inspect->answered(inspect->caller, &inspect->inspection);
    free(inspect);
}

static void on_time(void *caller, struct redisReply *reply)
{
    struct inspect *inspect = caller;
    if (reply && redis_reply_is_number(reply))
        inspect->inspection.ttl_ms = redis_reply_number(reply);
    end_question(inspect, is_answer(reply));
}

static void on_length(void *caller, struct redisReply *reply)
{
    struct inspect *inspect = caller;
    const char *error = reply ? redis_reply_error(reply) : NULL;
    if (reply && redis_reply_is_number(reply))
        inspect->inspection.len = redis_reply_number(reply);
    if (error && strncmp(error, "WRONGTYPE", strlen("WRONGTYPE")) == 0) {
        inspect->inspection.len = INSPECT_NO_STRING;
        end_question(inspect, true);
        return;
    }
    end_question(inspect, is_answer(reply));
}

static void on_lease_time(void *caller, struct redisReply *reply)
{
    struct inspect *inspect = caller;
    if (reply && redis_reply_is_number(reply))
        inspect->inspection.lease_ttl_ms = redis_reply_number(reply);
    end_question(inspect, is_answer(reply));
}

static void on_lease(void *caller, struct redisReply *reply)
{
    struct inspect *inspect = caller;
    struct slice text = reply ? redis_reply_string(reply) : SLICE("");
    inspect->inspection.lease_len = slice_move(&text, inspect->inspection.lease, INSPECT_LEASE_MAX);
    end_question(inspect, is_answer(reply));
}

/* Sends one question: a command, the name of a key, and perhaps a range. */
static void ask(struct inspect *inspect, const char *command, struct slice name, bool is_range,
                redis_reply_fn *answered)
{
    struct slice key = {.data = inspect->value_name, .len = inspect->value_len};
    struct redis_server *server =
        redis_topology_server(store_topology(inspect->store), key, SLICE(""));
    struct arguments arguments = {0};
    arguments_add_words(&arguments, command, NULL, NULL);
    arguments_add(&arguments, name);
    if (is_range)
        arguments_add_words(&arguments, "0", LEASE_LAST, NULL);
    if (server && redis_server_send(server, arguments.count, arguments.words, arguments.lens,
                                    answered, inspect))
        inspect->pending++;
    else
        inspect->inspection.complete = false;
}

static void on_value(void *caller, const struct store_answer *answer)
{
    struct inspect *inspect = caller;
    struct slice value = {.data = inspect->value_name, .len = inspect->value_len};
    struct slice lease = {.data = inspect->lease_name, .len = inspect->lease_len};
    struct inspection *inspection = &inspect->inspection;
    inspection->complete = answer->outcome != STORE_GONE;
    inspection->found = answer->outcome == STORE_FOUND;
    if (inspection->found)
        inspect_entry(&inspection->entry, answer->entry);
    inspect->pending = 1; /* this one */
    ask(inspect, "PTTL", value, false, on_time);
    ask(inspect, "STRLEN", value, false, on_length);
    ask(inspect, "PTTL", lease, false, on_lease_time);
    ask(inspect, "GETRANGE", lease, true, on_lease);
    if (--inspect->pending > 0)
        return;
    inspect->answered(inspect->caller, inspection);
    free(inspect);
}

bool inspect_key(struct store *store, struct slice key, inspect_answer_fn *answered, void *caller)
{
    struct slice value_start = slice_of(store_names(store)->value_start);
    struct slice lease_start = slice_of(store_names(store)->lease_start);
    size_t value_len = value_start.len + key.len, lease_len = lease_start.len + key.len + 1;
    struct inspect *inspect = alloc_zeroed(sizeof *inspect + value_len + lease_len);
    if (!inspect)
        return false;
    inspect->store = store;
    inspect->answered = answered;
    inspect->caller = caller;
    inspect->inspection.ttl_ms = inspect->inspection.lease_ttl_ms = INSPECT_NO_KEY;
    inspect->value_len = value_len;
    inspect->lease_len = lease_len;
    inspect->lease_name = put(put(inspect->value_name, value_start), key);
    put(put(put(inspect->lease_name, lease_start), key), SLICE("}"));
    if (store_get(store, key, on_value, inspect))
        return true;
    free(inspect);
    return false;
}
