/* The text of each script, and its hash as a server has sent it; all servers have the same hashes.
 *
 * KEYS are the lease and the value, here called L and V. While a slot is moving from one node of a
 * Cluster to another, a script does not run unless all of its keys are on one node. Then the script
 * gets one of the two as its key, which decides where it runs, and the other as its last argument;
 * operations on that one may fail.
 */
#include "cache/scripts.h"

#include <string.h>

#include "cache/entry.h"
#include "redis/server.h"

#define HASH_LEN 40

/* Keep the line breaks of the scripts. */
/* clang-format off */

#define KEYS_L_V \
    "local L, V = KEYS[1], KEYS[2] or table.remove(ARGV) " \
    "if string.sub(L, 1, 7) ~= 'lease:{' then L, V = V, L end "

/* Sets h to what their lease contains, as far as it can say who they are: holder.h needs less. The
 * key may have any type. */
#define READ_HOLDER \
    "local h = redis.pcall('GETRANGE', L, 0, 255) " \
    "if type(h) ~= 'string' then h = '' end "

/* Reads one byte more than the token, which is enough to recognize another lease, however large. */
#define TOKEN_OF_L "('GETRANGE', L, 0, #ARGV[1])"

#define RETURN_0_UNLESS_OURS \
    "if redis.call" TOKEN_OF_L " ~= ARGV[1] then return 0 end "

/* Sets v to the value, or to false if it is missing. A value that is not a string, is longer than
 * the limit (such a value is never copied) or is on another node counts as missing. n is its
 * length, negative if unknown. Any other error is returned. */
#define READ_V(limit) \
    "local n = redis.pcall('STRLEN', V) " \
    "if type(n) == 'table' then " \
    "if not string.find(n.err, 'WRONGTYPE', 1, true) " \
    "and not string.find(n.err, 'non local key', 1, true) then return n end " \
    "n = -1 end " \
    "local v = n >= 0 and n <= tonumber(" limit ") and redis.call('GET', V) "

/* Skips a key that is on another node; any other error is returned. */
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
} scripts[SCRIPTS] = {
    /* Returns [value, its PTTL]; or, if there is no value except the known one, [there, -3, long, '']
     * if we have taken the lease, and [there, its PTTL, long, lease] if somebody else has it; `there`
     * is 1 if the known value exists, `long` the length of a value that is too long, or 0, and `lease`
     * what they have written into it. A lease always has an expiry: if its key has none, whatever its
     * type, it gets one, so it can't block the key for ever. */
    [SCRIPT_CLAIM] = {"tmkl",
        KEYS_L_V
        READ_V("ARGV[4]")
        "local there, long = 0, n > tonumber(ARGV[4]) and n or 0 "
        "if v then "
        "if ARGV[3] == '' or string.sub(v, 1, #ARGV[3]) ~= ARGV[3] then "
        "return {v, redis.call('PTTL', V)} end "
        "there = 1 end "
        "if redis.call('SET', L, ARGV[1], 'NX', 'PX', ARGV[2]) then "
        "return {there, -3, long, ''} end "
        "local ttl = redis.call('PTTL', L) "
        "if ttl == -1 then redis.call('PEXPIRE', L, ARGV[2]) ttl = tonumber(ARGV[2]) end "
        READ_HOLDER
        "return {there, ttl, long, h}", ""},
    [SCRIPT_STORE] = {"tem",
        KEYS_L_V
        RETURN_0_UNLESS_OURS
        "redis.call('SET', V, ARGV[2], 'PX', ARGV[3]) "
        "redis.call('DEL', L) "
        "return 1", ""},
    [SCRIPT_REPLACE] = {"kem",
        KEYS_L_V
        "if redis.call('GETRANGE', V, 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end "
        "redis.call('SET', V, ARGV[2], 'PX', ARGV[3]) "
        "return 1", ""},
    /* Puts another header before the body. Returns -1 if the value is not the known one. */
    [SCRIPT_REWRITE] = {"tohm",
        KEYS_L_V
        RETURN_0_UNLESS_OURS
        "if redis.pcall('GETRANGE', V, 0, #ARGV[2] - 1) ~= ARGV[2] then return -1 end "
        "redis.call('SET', V, ARGV[3] .. redis.call('GETRANGE', V, #ARGV[2], -1), 'PX', ARGV[4]) "
        "redis.call('DEL', L) "
        "return 1", ""},
    [SCRIPT_RENEW] = {"tm",
        KEYS_L_V
        RETURN_0_UNLESS_OURS
        "return redis.call('PEXPIRE', L, ARGV[2])", ""},
    /* Returns [lost]; [lost, 1] if the value is the known one; or [lost, value, its PTTL]. `lost`
     * is 1 if the lease is not ours. */
    [SCRIPT_CHECK] = {"tkl",
        KEYS_L_V
        "local lost = redis.pcall" TOKEN_OF_L " ~= ARGV[1] and 1 or 0 "
        READ_V("ARGV[3]")
        "if not v then return {lost} end "
        "if ARGV[2] ~= '' and string.sub(v, 1, #ARGV[2]) == ARGV[2] then return {lost, 1} end "
        "return {lost, v, redis.call('PTTL', V)}", ""},
    [SCRIPT_RELEASE] = {"t",
        KEYS_L_V
        RETURN_0_UNLESS_OURS
        "return redis.call('DEL', L)", ""},
    [SCRIPT_DISCARD] = {"k",
        KEYS_L_V
        "if redis.call('GETRANGE', V, 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end "
        "return redis.call('DEL', V)", ""},
    [SCRIPT_PURGE] = {"",
        KEYS_L_V
        DEL_OR_RETURN("L", "l")
        RETURN_HOW_MANY_GO, ""},
    /* A value without an envelope has no fresh time to shorten, so it is removed; so is one that is
     * too long. */
    [SCRIPT_PURGE_SOFT] = {"ml",
        KEYS_L_V
        DEL_OR_RETURN("L", "l")
        READ_V("ARGV[2]")
        "local head, fresh, rest = string.match(v or '', "
        "'^(" ENTRY_START "%d+ fresh=)(%d+)(.*)$') "
        "if not head then " RETURN_HOW_MANY_GO "end "
        "if tonumber(fresh) > tonumber(ARGV[1]) then fresh = ARGV[1] end "
        "redis.call('SET', V, head .. fresh .. rest, 'KEEPTTL') "
        "return 1", ""},
};

/* clang-format on */

const char *scripts_text(enum script script)
{
    return scripts[script].text;
}

const char *scripts_hash(enum script script)
{
    return scripts[script].hash[0] ? scripts[script].hash : NULL;
}

const char *scripts_arguments(enum script script)
{
    return scripts[script].arguments;
}

static void on_loaded(void *caller, struct redisReply *reply)
{
    struct slice hash = reply ? redis_reply_string(reply) : (struct slice){0};
    if (hash.len == HASH_LEN)
        memcpy(caller, hash.data, HASH_LEN);
}

void scripts_load(struct redis_server *server)
{
    for (size_t i = 0; i < SCRIPTS; i++) {
        const char *words[] = {"SCRIPT", "LOAD", scripts[i].text};
        const size_t lens[] = {6, 4, strlen(scripts[i].text)};
        redis_server_send(server, 3, words, lens, on_loaded, scripts[i].hash);
    }
}
