/* The scripts that change values and leases, each of them atomic.
 *
 * A script is sent by its hash (EVALSHA), which saves sending its text with each command. A server
 * that does not know it answers NOSCRIPT, and then the text is sent.
 */
#ifndef WORKERLESS_CACHE_SCRIPTS_H
#define WORKERLESS_CACHE_SCRIPTS_H

struct redis_server;

enum script {
    SCRIPT_CLAIM,
    SCRIPT_STORE,
    SCRIPT_REPLACE,
    SCRIPT_REWRITE,
    SCRIPT_RENEW,
    SCRIPT_CHECK,
    SCRIPT_RELEASE,
    SCRIPT_DISCARD,
    SCRIPT_PURGE,
    SCRIPT_PURGE_SOFT,
    SCRIPTS
};

/* The text, which is static; and the hash, which is NULL until a server has sent it. */
const char *scripts_text(enum script script);
const char *scripts_hash(enum script script);

/* The arguments after the keys, one letter each: 't' the token, 'm' milliseconds, 'k' how the known
 * value begins, 'e' the entry, 'l' the limit of a value's length, 'o' all of the known value before
 * its body, 'h' the same of the entry. Static. */
const char *scripts_arguments(enum script script);

/* Sends all scripts to the server, which answers with their hashes. Best effort: until then, and if
 * it fails, the text is sent with each command. */
void scripts_load(struct redis_server *server);

#endif
