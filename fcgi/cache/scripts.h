/* The scripts by which values and leases are changed, each in one step that nobody else's comes
 * between.
 *
 * A script is sent by its hash (EVALSHA), which saves its text in each command; a server that does
 * not know it says NOSCRIPT, and is sent the text.
 */
#ifndef WORKERLESS_CACHE_SCRIPTS_H
#define WORKERLESS_CACHE_SCRIPTS_H

struct redis_server;

enum script {
    SCRIPT_CLAIM,
    SCRIPT_STORE,
    SCRIPT_RENEW,
    SCRIPT_CHECK,
    SCRIPT_RELEASE,
    SCRIPT_DISCARD,
    SCRIPT_PURGE,
    SCRIPT_PURGE_SOFT,
    SCRIPTS
};

/* Of the text and the arguments: static. The hash: NULL while no server has told it. */
const char *scripts_text(enum script script);
const char *scripts_hash(enum script script);

/* What follows the keys, a letter each: 't' the token, 'm' milliseconds, 'k' how the known value
 * begins, 'e' the entry, 'l' the limit of a value's length. */
const char *scripts_arguments(enum script script);

/* Sends them all to the server, which answers with their hashes. Best effort: until then, and if it
 * fails, the text is sent each time. */
void scripts_load(struct redis_server *server);

#endif
