/* The text of each script, and its hash as a server has told it: the same of all servers.
 *
 * KEYS are the lease and the value, here called L and V. While a slot moves from one node of a
 * Cluster to another, no script runs whose keys are not all in one place. Then it is given one of
 * the two, which decides where it runs, and the other as its last argument; what it does to that
 * one may fail.
 */
#include "cache/redis_scripts.h"

#include <hiredis/hiredis.h>
#include <string.h>

#include "cache/entry.h"
#include "cache/redis_link.h"

#define HASH_LEN 40

/* Each line of a script stands for itself. */
/* clang-format off */

#define KEYS_L_V \
    "local L, V = KEYS[1], KEYS[2] or table.remove(ARGV) " \
    "if string.sub(L, 1, 7) ~= 'lease:{' then L, V = V, L end "

#define RETURN_0_UNLESS_OURS \
    "if redis.call('GET', L) ~= ARGV[1] then return 0 end "

/* A key that is elsewhere is passed over; any other refusal is told. */
#define DEL_OR_RETURN(key, count) \
    "local " count " = redis.pcall('DEL', " key ") " \
    "if type(" count ") == 'table' then " \
    "if not string.find(" count ".err, 'non local key', 1, true) then return " count " end " \
    count " = 0 end "

#define RETURN_HOW_MANY_GO \
    DEL_OR_RETURN("V", "n") \
    "return n "

static struct {
    const char *arguments, *text;
    char hash[HASH_LEN + 1];
} scripts[REDIS_SCRIPTS] = {
    /* [value, its PTTL]; or, if there is none but the one that is known, [there, -3] when the lease
     * is ours now, and [there, its PTTL] when it is another's; there is 1 if the known one is. A
     * value of another type than string counts as missing: it is replaced. */
    [SCRIPT_CLAIM] = {"tmk",
        KEYS_L_V
        "local there, v = 0, redis.pcall('GET', V) "
        "if type(v) == 'string' then "
        "if ARGV[3] == '' or string.sub(v, 1, #ARGV[3]) ~= ARGV[3] then "
        "return {v, redis.call('PTTL', V)} end "
        "there = 1 end "
        "if redis.call('SET', L, ARGV[1], 'NX', 'PX', ARGV[2]) then return {there, -3} end "
        "return {there, redis.call('PTTL', L)}", ""},
    [SCRIPT_STORE] = {"tem",
        KEYS_L_V
        RETURN_0_UNLESS_OURS
        "redis.call('SET', V, ARGV[2], 'PX', ARGV[3]) "
        "redis.call('DEL', L) "
        "return 1", ""},
    [SCRIPT_RENEW] = {"tm",
        KEYS_L_V
        RETURN_0_UNLESS_OURS
        "return redis.call('PEXPIRE', L, ARGV[2])", ""},
    /* [lost], [lost, 1] if the value is the one that is known, or [lost, value, its PTTL]; lost is
     * 1 if the lease is not ours. */
    [SCRIPT_CHECK] = {"tk",
        KEYS_L_V
        "local lost = redis.pcall('GET', L) ~= ARGV[1] and 1 or 0 "
        "local v = redis.pcall('GET', V) "
        "if type(v) ~= 'string' then return {lost} end "
        "if ARGV[2] ~= '' and string.sub(v, 1, #ARGV[2]) == ARGV[2] then return {lost, 1} end "
        "return {lost, v, redis.call('PTTL', V)}", ""},
    [SCRIPT_RELEASE] = {"t",
        KEYS_L_V
        RETURN_0_UNLESS_OURS
        "return redis.call('DEL', L)", ""},
    [SCRIPT_DISCARD] = {"k",
        KEYS_L_V
        "if string.sub(redis.call('GET', V) or '', 1, #ARGV[1]) ~= ARGV[1] then return 0 end "
        "return redis.call('DEL', V)", ""},
    [SCRIPT_PURGE] = {"",
        KEYS_L_V
        DEL_OR_RETURN("L", "l")
        RETURN_HOW_MANY_GO, ""},
    /* What is no envelope has no fresh time to be cut short: it goes. */
    [SCRIPT_PURGE_SOFT] = {"m",
        KEYS_L_V
        DEL_OR_RETURN("L", "l")
        "local v = redis.pcall('GET', V) "
        "if not v then return 0 end "
        "local head, fresh, rest = string.match(type(v) == 'string' and v or '', "
        "'^(" ENTRY_START "%d+ fresh=)(%d+)(.*)$') "
        "if not head then " RETURN_HOW_MANY_GO "end "
        "if tonumber(fresh) > tonumber(ARGV[1]) then fresh = ARGV[1] end "
        "redis.call('SET', V, head .. fresh .. rest, 'KEEPTTL') "
        "return 1", ""},
};

/* clang-format on */

const char *redis_script_text(enum redis_script script)
{
    return scripts[script].text;
}

const char *redis_script_hash(enum redis_script script)
{
    return scripts[script].hash[0] ? scripts[script].hash : NULL;
}

const char *redis_script_arguments(enum redis_script script)
{
    return scripts[script].arguments;
}

static void on_loaded(void *caller, redisReply *reply)
{
    if (reply && reply->type == REDIS_REPLY_STRING && reply->len == HASH_LEN)
        memcpy(caller, reply->str, HASH_LEN);
}

void redis_scripts_load(struct redis_link *link)
{
    for (size_t i = 0; i < REDIS_SCRIPTS; i++) {
        const char *words[] = {"SCRIPT", "LOAD", scripts[i].text};
        const size_t lens[] = {6, 4, strlen(scripts[i].text)};
        redis_link_send(link, 3, words, lens, on_loaded, scripts[i].hash);
    }
}
